"""The blocks of a photograph that its noise is read from: for every brightness those with the least in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor
from torch.nn import functional

from solvers.noise_level import CLIPPED, LEAST_CLIPPED

SIDE = 16
"""Of a block, in pixels: four times as far as the noise of a camera is correlated."""
STRIDE = 8
MOST_BLOCKS = 4096
"""Larger pictures are read at a wider stride; the level needs no more."""
BRIGHTNESSES = 8
"""Groups of blocks of like brightness, in each of which the flattest are taken."""
BLOCKS_EACH = 64
"""There are fewer groups where they would not have as many."""
FLATTEST = 0.03
"""Fraction of the blocks of a group that its level is read from."""
FEWEST = 4
STEEPEST, RISE = 1.1, 3.0
"""Largest ratio of the variances of neighbouring brightnesses, and the logarithm by which it grows for each unit that
they are apart on the [-1, 1] scale; beyond it the larger one is texture."""
TONED = 0.08
"""What one channel leaves of the others in nine of ten blocks, of the deviation of all, up to which they are one: 0 in
a grey picture, up to 0.085 in one that was toned and compressed; the noise of cameras has 0.09 and more, mostly 0.3."""
PATCH, LONG = 8, 32
"""Sides in pixels of the least area of one colour that is no rounded part of a smooth photograph; at its borders its
shorter side is enough."""
LEAST_PHOTOGRAPHED = 1 / 8
"""Fraction of the pixels that has to lie outside of such areas: where less does, they are all there is to go by."""
ROUNDING = (2 / 255) ** 2 / 12
"""Variance of what a file of 8 bits rounds off each channel."""
TINY = 1e-12
OPPONENT = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
"""Grey and the two differences of colour, each to be scaled to length 1."""


@dataclass(frozen=True)
class FlatBlocks:
    """B blocks of 16 x 16 pixels, in G groups of like brightness, darkest first."""

    residual: Tensor
    """(B, C, 256), what a plane leaves of each block."""
    colours: Tensor
    """(B, C, 256), the same in grey and differences of colour where there are three channels."""
    groups: Sequence[Tensor]
    """Indices of the blocks of each group."""
    flattest: Sequence[Tensor]
    """Indices of those of each group that have the least energy."""
    brightness: Tensor
    """(G,), mean of each group on the [-1, 1] scale."""
    read: Tensor
    """(G,), variance of the flattest."""
    variances: Tensor
    """(G,), the same, lowered where it would change with the brightness as noise does not."""
    photographed: Tensor | None = None
    """(H, W) bool, the pixels outside of areas of one colour, where there are such areas."""

    @cached_property
    def colourless(self) -> bool:
        """Whether the channels are one measurement: of a grey picture, and, but for a curve, of a toned one."""
        channels = self.residual.shape[1]
        covariance = self.residual @ self.residual.mT / SIDE**2  # (B, C, C)
        variances = torch.linalg.eigvalsh(covariance.cpu().double())  # (B, C), rising
        rest = (variances[:, :-1].sum(1) - (channels - 1) * ROUNDING).clamp(min=0)
        return bool((rest / variances.sum(1).clamp(min=TINY)).sqrt().quantile(0.9) <= TONED)


def flat_blocks(image: Tensor) -> FlatBlocks:
    """Of `image`, (1, C, H, W) on the [-1, 1] scale, H and W at least 16."""
    brightness, residual, pixels = _blocks(image.float())
    energy = residual.square().mean((1, 2))  # (B,)
    groups = brightness.argsort().chunk(max(1, min(BRIGHTNESSES, len(energy) // BLOCKS_EACH)))
    means = torch.stack([brightness[group].mean() for group in groups])
    flattest = flattest_of(energy, groups)
    read = torch.stack([energy[chosen].mean() for chosen in flattest])
    return FlatBlocks(residual, _opponent(residual), groups, flattest, means, read, limited(read, means), pixels)


def _blocks(image: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Mean (B,) and what a plane leaves (B, C, 256) of the blocks, without those that lost noise to clipping or reach
    into an area of one colour; and the pixels outside of such areas, where there are any of half the side of a block.
    """
    height, width = image.shape[-2:]
    stride = max(STRIDE, math.ceil(math.sqrt(height * width / MOST_BLOCKS)))
    blocks = functional.unfold(image[0][:, None], SIDE, stride=stride).permute(2, 0, 1)  # (B, C, 256)
    quarters = blocks.reshape(*blocks.shape[:2], SIDE // PATCH, PATCH, SIDE // PATCH, PATCH)
    pixels = photographed(image) if (quarters.amax((3, 5)) == quarters.amin((3, 5))).all(1).any() else None
    if pixels is not None:
        beside = functional.unfold(pixels[None, None].float(), SIDE, stride=stride)[0].amin(0) == 1
        blocks = blocks[beside] if beside.any() else blocks
    clipped = (blocks.abs() >= CLIPPED).float().mean((1, 2))
    blocks = blocks[clipped <= max(0.02, float(clipped.quantile(LEAST_CLIPPED)))]
    return blocks.mean((1, 2)), blocks @ projector().to(blocks), pixels


def photographed(image: Tensor) -> Tensor | None:
    """(H, W) bool, the pixels of `image`, (1, C, H, W), in no area of one colour; None where these are few, or all.

    Margins, bars, cut-outs and what was clipped before it was developed show nothing of the noise.
    """
    as_right, as_below = (image.diff(dim=3) == 0).all(1), (image.diff(dim=2) == 0).all(1)
    alike = (as_right[:, :-1] & as_below[..., :-1]).float()  # (1, H - 1, W - 1)
    inside = (functional.avg_pool2d(alike, PATCH - 1, 1) == 1).float()
    runs = [(1, min(LONG - PATCH + 1, inside.shape[2])), (min(LONG - PATCH + 1, inside.shape[1]), 1)]
    if not any((functional.avg_pool2d(inside, run, 1) == 1).any() for run in runs):
        return None
    areas = functional.max_pool2d(functional.pad(inside, [PATCH - 1] * 4), PATCH, 1)  # (1, H, W)
    return areas[0] == 0 if areas.mean() <= 1 - LEAST_PHOTOGRAPHED else None


@cache
def projector() -> Tensor:
    """(256, 256), takes mean and slopes from a block."""
    ramp, one = torch.linspace(-1, 1, SIDE), torch.ones(SIDE)
    planes = torch.stack([torch.outer(one, one), torch.outer(ramp, one), torch.outer(one, ramp)]).flatten(1)
    planes = planes / planes.norm(dim=1, keepdim=True)
    return torch.eye(SIDE**2) - planes.T @ planes


def flattest_of(energy: Tensor, groups: Sequence[Tensor]) -> list[Tensor]:
    """Indices of the blocks of each group with the least energy."""
    counts = [min(len(group), max(round(FLATTEST * len(group)), FEWEST)) for group in groups]
    return [
        group[energy[group].topk(count, largest=False).indices] for group, count in zip(groups, counts, strict=True)
    ]


def _opponent(residual: Tensor) -> Tensor:
    """(B, C, 256), in grey and differences of colour where there are three channels."""
    if residual.shape[1] != 3:
        return residual
    return functional.normalize(torch.tensor(OPPONENT), dim=1).to(residual) @ residual


def limited(variances: Tensor, brightness: Tensor) -> Tensor:
    """Noise changes slowly with the brightness: no variance is more than a certain multiple of that of a neighbour."""
    ratios = STEEPEST * (RISE * brightness.diff()).exp()
    for _ in variances:
        below = torch.cat([variances[:1], ratios * variances[:-1]])
        above = torch.cat([ratios * variances[1:], variances[-1:]])
        variances = torch.minimum(variances, torch.minimum(below, above))
    return variances

"""Blind estimate of the noise of a camera: its level, and how far it is correlated between pixels.

The noise of a developed photograph is no white noise: demosaicing and compression have spread it over neighbours, and
it depends on the brightness. Estimates by the differences of neighbouring pixels are therefore too low, by a half and
more. Here blocks of 16 x 16 pixels are compared as they are, less a plane: the flattest of every brightness hold noise
alone, and their autocovariance says how it is correlated.
"""

import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from solvers.flat_blocks import SIDE, FlatBlocks, flat_blocks, flattest_of, limited, projector
from solvers.noise_level import estimate_sigma, haar

FLAT = 0.2
"""Fraction of the blocks that is taken to be flat: the flattest are the lowest FLATTEST / FLAT of so many."""
WINDOW = 8
"""Of b8."""
LONGEST = 20.0
"""Largest b8 of a camera; what is correlated further is shading or texture."""
MOST_GREY, LOST = 4.0, 1.0 / 127.5
"""Largest ratio of the level to that of the weaker difference of colour; the median of a simulated camera that blurs
colours and compresses them is 3.5 to 4, that of others 1.2 to 3.3. Beyond it, it is texture that was found. A level
below the second may be what compression and a noise filter have left of the colours."""
TINY = 1e-12
EVEN = 0.33
"""Unevenness of the flattest blocks up to which they are noise alone; cameras' medians are 0.27 to 0.39 (simulated),
those of clean photographs 0.37 to 0.47. Beyond it the level is lowered in proportion."""


@dataclass(frozen=True)
class CameraNoise:
    """Noise as found in one picture."""

    sigma: float
    """Standard deviation on the [-1, 1] scale, over all brightnesses and channels."""
    b8: float
    """64 Var(mean of 8 x 8 pixels) / Var(pixel): 1 for white noise, 5 to 17 for photographs."""
    neighbour: float
    """Correlation of neighbouring pixels, mean of both directions."""
    diagonal: float
    """The same of pixels that touch at a corner."""
    fine: float
    """Standard deviation of the diagonal Haar band on the [-1, 1] scale: `sigma` for white noise."""
    evidence: float
    """That it is noise and no texture: the level of the weaker difference of colour in the blocks with least of it, on
    the [-1, 1] scale, over how uneven the grey of the flattest blocks is and how much it has a direction."""
    alike: float = 0.0
    """Correlation between the channels in the diagonal Haar band of the flattest blocks."""
    excess: float = 0.0
    """ln of what the blocks have over `sigma`, which the colours bound: of texture, or of noise in grey alone."""

    @property
    def unbounded(self) -> "CameraNoise":
        """The same, whatever its colours show."""
        factor = math.exp(self.excess)
        return replace(self, sigma=factor * self.sigma, fine=factor * self.fine, excess=0.0)


def estimate_camera_noise(image: Tensor) -> CameraNoise:
    """Level and correlation of the noise in `image`, (1, C, H, W) on the [-1, 1] scale.

    A picture below 16 pixels a side has too few to tell a correlation: its noise is taken to be white, and to be noise.
    """
    if min(image.shape[-2:]) < SIDE:
        sigma = estimate_sigma(image)
        return CameraNoise(sigma, 1.0, 0.0, 0.0, sigma, math.inf)
    return camera_noise_of(flat_blocks(image))


def camera_noise_of(blocks: FlatBlocks) -> CameraNoise:
    """The same, of a picture whose blocks are known."""
    if not float(blocks.variances.mean()) > TINY:  # not even rounding
        return CameraNoise(0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    grey = blocks.colours[torch.cat(blocks.flattest), 0].unflatten(-1, (SIDE, SIDE))
    uneven = unevenness(grey)
    colour = _least_colour(blocks)
    evidence = colour / uneven / directedness(grey)
    noise = torch.cat(
        [
            blocks.residual[chosen] / own.sqrt()
            for chosen, own, lowered in zip(blocks.flattest, blocks.read, blocks.variances, strict=True)
            if lowered == own and own > 0
        ]
    ).unflatten(-1, (SIDE, SIDE))  # (n, C, 16, 16), variance 1
    covariance = _autocovariance(noise)  # lags -7 to 7
    correlation = covariance / covariance[WINDOW - 1, WINDOW - 1]
    kept = _autocovariance(projector().unflatten(-1, (SIDE, SIDE))[:, None])
    b8 = float((correlation * _triangle()).sum() / (kept / kept[WINDOW - 1, WINDOW - 1] * _triangle()).sum())
    b8 = min(max(b8, 1.0), LONGEST)
    lowest = _lowest_mean(_degrees(noise), min(1.0, sum(map(len, blocks.flattest)) / len(blocks.residual) / FLAT))
    # The plane takes the lowest three of 256 frequencies, which hold b8 times their share
    level = math.sqrt(float(blocks.variances.mean()) / lowest / (1 - 3 * b8 / SIDE**2)) * min(1.0, EVEN / uneven)
    sigma = min(level, MOST_GREY * max(colour, LOST))
    neighbour = float(correlation[WINDOW - 1, WINDOW] + correlation[WINDOW, WINDOW - 1]) / 2
    diagonal = float(correlation[WINDOW, WINDOW] + correlation[WINDOW, WINDOW - 2]) / 2
    band = haar(noise)[3]  # (n, C, 8, 8)
    fine = sigma * math.sqrt(float(band.square().mean()))
    return CameraNoise(sigma, b8, neighbour, diagonal, fine, evidence, _alike(band), math.log(level / sigma))


@cache
def _triangle() -> Tensor:
    """(15, 15), pairs of pixels of an 8 x 8 window at each lag, over 64."""
    side = 1 - torch.arange(1 - WINDOW, WINDOW).abs() / WINDOW
    return torch.outer(side, side)


def _autocovariance(blocks: Tensor) -> Tensor:
    """(n, C, 16, 16) to (15, 15): lags -7 to 7, mean over blocks, channels and positions."""
    power = torch.fft.rfft2(blocks, s=(2 * SIDE, 2 * SIDE)).abs().square().mean((0, 1))
    lags = torch.fft.irfft2(power, s=(2 * SIDE, 2 * SIDE)).roll((WINDOW - 1, WINDOW - 1), (0, 1))
    pairs = SIDE - torch.arange(1 - WINDOW, WINDOW, device=blocks.device).abs()
    return (lags[: 2 * WINDOW - 1, : 2 * WINDOW - 1] / torch.outer(pairs, pairs)).cpu()


def unevenness(grey: Tensor) -> float:
    """Standard deviation over mean of the energies of the quarters of a block, (n, 16, 16); mean over the blocks."""
    quarters = functional.avg_pool2d(grey.square(), SIDE // 2).flatten(1)  # (n, 4)
    return max(float((quarters.std(1) / quarters.mean(1).clamp(min=TINY)).mean()), TINY)


def directedness(grey: Tensor) -> float:
    """Difference over sum of the eigenvalues of the structure tensor of a block, (n, 16, 16); mean over the blocks."""
    across, down = grey.diff(dim=2)[:, 1:], grey.diff(dim=1)[:, :, 1:]
    xx, yy, xy = ((a * b).mean((1, 2)) for a, b in ((across, across), (down, down), (across, down)))
    return max(float(((xx - yy).square() + 4 * xy.square()).sqrt().div((xx + yy).clamp(min=TINY)).mean()), TINY)


def _least_colour(blocks: FlatBlocks) -> float:
    """Level of the weaker difference of colour where there is least of it; of grey in a grey picture."""
    energies = blocks.colours.square().mean(2).T  # (C, B)
    levels = [
        limited(
            torch.stack([energy[chosen].mean() for chosen in flattest_of(energy, blocks.groups)]), blocks.brightness
        ).mean()
        for energy in (energies[:1] if blocks.colourless else energies[1:])
    ]
    return float(torch.stack(levels).min().sqrt())


def _alike(planes: Tensor) -> float:
    """Mean correlation between different channels of (n, C, h, w); 0 of a single one."""
    covariance = torch.einsum("bcij,bdij->cd", planes, planes)
    own, others = covariance.trace(), max(len(covariance) - 1, 1)
    return float((covariance.sum() - own) / (others * own.clamp(min=TINY)))


def _degrees(noise: Tensor) -> float:
    """Independent values in a block: (trace C)^2 / trace C^2 of the covariance C of its pixels, times the channels'."""
    power = torch.fft.fft2(noise).abs().square().mean((0, 1))
    across = torch.einsum("bcij,bdij->cd", noise, noise)
    channels = across.trace() ** 2 / across.square().sum()
    return float(power.sum() ** 2 / power.square().sum() * channels)


def _lowest_mean(degrees: float, share: float) -> float:
    """Mean of the lowest `share` of chi-square variables over their degrees of freedom (Wilson and Hilferty 1931)."""
    normal = torch.special.ndtri((torch.arange(64, dtype=torch.float64) + 0.5) / 64 * share)
    spread = 2 / (9 * degrees)
    return float((1 - spread + math.sqrt(spread) * normal).clamp(min=0).pow(3).mean())

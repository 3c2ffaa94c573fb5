"""Blind estimate of the level of white noise in one picture."""

from torch import Tensor
from torch.nn import functional

BLOCK = 4
"""Side of a block, in coefficients of the Haar transform: 8 pixels."""
FLATTEST = 0.05
"""Fraction of the blocks that the level is read from."""
FEWEST = 16
"""Blocks to read from, where the picture has as many."""
CLIPPED = 0.995
"""A pixel beyond this on either side may have lost some of its noise to clipping."""
LEAST_CLIPPED = 0.1
"""Fraction of the blocks, the least clipped ones, that may always be read."""


def estimate_sigma(image: Tensor, observed: Tensor | None = None) -> float:
    """Standard deviation of white noise in `image`, (1, C, H, W) on the [-1, 1] scale with H and W at least 2.

    observed: (H, W) bool, the pixels that may be read; all of them where it is None. 0 where no 2 x 2 pixels may be.

    One level of the Haar transform splits the picture into four bands in which white noise is independent and has the
    same sigma. Flat blocks are chosen by the other three bands, so the choice says nothing about the noise in the
    diagonal band; the median of that band's energy over them is the answer. Noise that is correlated between
    neighbouring pixels is underestimated; a picture that is texture everywhere has its texture counted as noise.
    """
    mean, horizontal, vertical, diagonal = haar(image)
    known = image.new_ones(1, 1, *image.shape[-2:]) if observed is None else observed.to(image)[None, None]
    known = 1 - functional.max_pool2d(1 - known, 2)  # 1 where all four pixels of a coefficient are
    side = min(BLOCK, *mean.shape[-2:])
    share = functional.avg_pool2d(known, side).flatten()
    noise = _over_blocks(diagonal.square(), known, side)
    texture = _over_blocks(horizontal.square() + vertical.square(), known, side)
    # Shading inside a block: mean of the square less square of the mean
    texture += _over_blocks(mean.square(), known, side) - _over_blocks(mean, known, side, each=True).square().mean(0)
    clipped = _over_blocks(functional.max_pool2d((image.abs() >= CLIPPED).float(), 2), known, side)
    if not share.any():
        return 0.0
    readable = share >= 0.5 * share.max()
    readable &= clipped <= max(0.02, float(clipped[readable].quantile(LEAST_CLIPPED)))
    noise, texture, share = noise[readable], texture[readable], share[readable]
    count = max(round(FLATTEST * len(noise)), min(FEWEST, len(noise)))
    flattest = texture.topk(count, largest=False).indices
    degrees = image.shape[1] * side**2 * float(share.mean())
    bias = (1 - 2 / (9 * degrees)) ** 3  # median over mean of a chi-square variable
    return float((noise[flattest].quantile(0.5) / bias).sqrt())


def haar(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, horizontal, vertical and diagonal band of one orthonormal Haar level; an odd last row or column is left."""
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    a, b = x[..., 0:height:2, 0:width:2], x[..., 0:height:2, 1:width:2]
    c, d = x[..., 1:height:2, 0:width:2], x[..., 1:height:2, 1:width:2]
    return (a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2


def _over_blocks(band: Tensor, known: Tensor, side: int, *, each: bool = False) -> Tensor:
    """Mean over the known coefficients of each block and the channels, (blocks,); with `each`, (channels, blocks)."""
    weight = functional.avg_pool2d(known, side).clamp(min=1e-9)
    means = (functional.avg_pool2d(band * known, side) / weight).flatten(2)[0]  # (C, blocks)
    return means if each else means.mean(dim=0)

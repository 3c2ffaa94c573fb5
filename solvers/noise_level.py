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


def estimate_sigma(image: Tensor) -> float:
    """Standard deviation of white noise in `image`, (1, C, H, W) on the [-1, 1] scale with H and W at least 2.

    One level of the Haar transform splits the picture into four bands in which white noise is independent and has the
    same sigma. Flat blocks are chosen by the other three bands, so the choice says nothing about the noise in the
    diagonal band; the median of that band's energy over them is the answer. Noise that is correlated between
    neighbouring pixels is underestimated; a picture that is texture everywhere has its texture counted as noise.
    """
    mean, horizontal, vertical, diagonal = haar(image)
    side = min(BLOCK, *mean.shape[-2:])
    noise = _over_blocks(diagonal.square(), side)
    texture = _over_blocks(horizontal.square() + vertical.square(), side)
    # Shading inside a block: mean of the square less square of the mean
    texture += _over_blocks(mean.square(), side) - functional.avg_pool2d(mean, side).square().mean(dim=1).flatten()
    clipped = _over_blocks(functional.max_pool2d((image.abs() >= CLIPPED).float(), 2), side)
    readable = clipped <= max(0.02, float(clipped.quantile(LEAST_CLIPPED)))
    noise, texture = noise[readable], texture[readable]
    count = max(round(FLATTEST * len(noise)), min(FEWEST, len(noise)))
    flattest = texture.topk(count, largest=False).indices
    degrees = image.shape[1] * side**2
    bias = (1 - 2 / (9 * degrees)) ** 3  # median over mean of a chi-square variable
    return float((noise[flattest].quantile(0.5) / bias).sqrt())


def haar(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, horizontal, vertical and diagonal band of one orthonormal Haar level; an odd last row or column is left."""
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    a, b = x[..., 0:height:2, 0:width:2], x[..., 0:height:2, 1:width:2]
    c, d = x[..., 1:height:2, 0:width:2], x[..., 1:height:2, 1:width:2]
    return (a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2


def _over_blocks(band: Tensor, side: int) -> Tensor:
    """Mean over each block and the channels, (blocks,)."""
    return functional.avg_pool2d(band, side).mean(dim=1).flatten()

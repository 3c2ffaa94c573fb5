"""A smooth guess for the holes of a picture: the start of inpainting."""

import torch
from torch import Tensor
from torch.nn import functional

from solvers.operators.base import AnyOperator, first_image
from solvers.operators.mask import Mask

SWEEPS = 32
"""Conjugate gradient steps on each grid: about as far as a smooth error reaches before the next finer grid."""


def filled_image(operator: AnyOperator, y: Tensor) -> Tensor:
    """H^+ y, or where a non-linear operator starts; the holes of a mask are filled smoothly. (N, C, H, W)."""
    start = first_image(operator, y)
    return smooth_fill(start, operator.observed.to(start)[None, None]) if isinstance(operator, Mask) else start


def smooth_fill(x: Tensor, observed: Tensor, sweeps: int = SWEEPS) -> Tensor:
    """Continue the known pixels into the holes as a thin plate would, coarse to fine.

    x: (N, C, H, W), ignored in the holes. observed: (1, 1, H, W), 1 where known, else 0; fractions count as partly
    known. Known pixels come back as they are. With no known pixel at all the answer is 0.

    Pull and push (Gortler et al. 1996, "The Lumigraph"): the holes are filled from the picture at half size, filled
    likewise, and then relaxed towards a vanishing biharmonic operator, within the range of the known pixels. Time is
    linear in the number of pixels, whatever the holes.
    """
    if max(x.shape[-2:]) == 1:
        return x * (observed > 0)
    if bool((observed >= 1).all()):
        return x.clone()
    # pull: a coarse pixel is the mean of its known children, and is known as much as they are
    known = functional.avg_pool2d(observed, 2, ceil_mode=True)
    coarse = functional.avg_pool2d(x * observed, 2, ceil_mode=True) / known.clamp(min=torch.finfo(x.dtype).tiny)
    # push: what is still unknown comes from the filled coarse grid
    coarse = smooth_fill(coarse, (2 * known).clamp(max=1), sweeps)
    pushed = functional.interpolate(coarse, size=x.shape[-2:], mode="bilinear", align_corners=False)
    filled = torch.lerp(pushed, x, observed)
    hole = (observed <= 0).to(x)
    # one channel at a time: the relaxation keeps four more pictures
    return torch.cat([_relax(channel, hole, sweeps) for channel in filled.split(1, dim=1)], dim=1)


def _relax(x: Tensor, hole: Tensor, sweeps: int) -> Tensor:
    """Conjugate gradients on the square of the Laplacian in the hole; each (N, 1) plane for itself. (N, 1, H, W)."""
    tiny = torch.finfo(x.dtype).tiny
    lowest, highest = x.amin((-1, -2), keepdim=True), x.amax((-1, -2), keepdim=True)
    residual = -hole * _laplacian(_laplacian(x))
    direction = residual.clone()
    energy = residual.square().sum((-1, -2), keepdim=True)
    x = x.clone()
    for _ in range(sweeps):
        curved = hole * _laplacian(_laplacian(direction))
        length = energy / (direction * curved).sum((-1, -2), keepdim=True).clamp(min=tiny)
        x.addcmul_(length, direction)
        residual.addcmul_(length, curved, value=-1)
        previous, energy = energy, residual.square().sum((-1, -2), keepdim=True)
        direction.mul_(energy / previous.clamp(min=tiny)).add_(residual)
    return x.clamp_(lowest, highest)  # a plate overshoots where a hole is wide


def _laplacian(x: Tensor) -> Tensor:
    """Five points, borders repeated: symmetric, so its square is the gradient of its energy."""
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]
    return across.add_(padded[..., 2:, 1:-1]).add_(padded[..., :-2, 1:-1]).sub_(x, alpha=4)

"""Blur kernels: (h, w) float64 tensors, nowhere negative, of sum 1. Their middle is the pixel k[h // 2, w // 2]."""

import math

import torch
from torch import Tensor

from solvers.operators.base import OperatorError

STEP = 0.25
"""Pixels between two points of a shaken path."""


def gaussian(width: float, size: int | None = None) -> Tensor:
    """A Gaussian of standard deviation `width` in pixels, sampled at the pixels of a square, by default out to 4 width.

    With an even size the peak lies between pixels, half a one before the middle.
    """
    _positive("width", width)
    size = 2 * math.ceil(4 * width) + 1 if size is None else _side(size)
    profile = torch.exp(-0.5 * (_distances(size) / width).square())
    return normalised(torch.outer(profile, profile))


def box(size: int) -> Tensor:
    """The mean of a square of `size` pixels a side."""
    return torch.full((_side(size), size), 1 / size**2, dtype=torch.float64)


def disk(radius: float) -> Tensor:
    """A lens out of focus: a disk of `radius` pixels whose edge falls from 1 to 0 over one pixel."""
    _positive("radius", radius)
    offsets = _distances(2 * math.ceil(radius) + 1)
    distance = torch.hypot(offsets[:, None], offsets[None, :])
    return normalised((radius + 0.5 - distance).clamp_(0, 1))


def line(length: float, angle_degrees: float) -> Tensor:
    """Motion on a straight line of `length` pixels, anticlockwise from the horizontal; 1 or less is no motion.

    A pixel weighs 1 less its distance from the line between the centres of the first and the last pixel.
    """
    _positive("length", length)
    if not math.isfinite(angle_degrees):
        raise OperatorError(f"the angle is {angle_degrees}")
    half, angle = max(0.0, (length - 1) / 2), math.radians(angle_degrees)
    offsets = _distances(2 * math.ceil(half) + 1)
    right, up = offsets[None, :], -offsets[:, None]
    along = right * math.cos(angle) + up * math.sin(angle)
    across = up * math.cos(angle) - right * math.sin(angle)
    distance = torch.hypot((along.abs() - half).clamp_(min=0), across)
    return normalised((1 - distance).clamp_(0, 1))


def motion(size: int, intensity: float = 0.5, seed: int = 0) -> Tensor:
    """A random path of a hand that shakes while the shutter is open, in a square of `size` pixels a side.

    The path runs at even speed over half to all of `size`. Its heading is a Brownian motion, of standard deviation
    4 intensity radians over a length of `size`, and jerks anywhere, on average 2 intensity times in that length:
    intensity 0 is a straight line, 1 a tangle. The path is centred on its centroid, so that pictures stay in place,
    shrunk where it would leave the square, and drawn with bilinear weights.
    """
    _side(size)
    if not 0 <= intensity <= 1:
        raise OperatorError(f"the intensity is {intensity}; it goes from 0 to 1")
    rng = torch.Generator().manual_seed(seed)
    count = max(1, round(size * float(0.5 + 0.5 * _uniform(1, rng)) / STEP))
    bends = torch.randn(count, generator=rng, dtype=torch.float64) * (4 * intensity * math.sqrt(STEP / size))
    jerks = (2 * _uniform(count, rng) - 1) * math.pi
    jerks *= _uniform(count, rng) < 2 * intensity * STEP / size
    heading = (bends + jerks).cumsum(0) + 2 * math.pi * _uniform(1, rng)
    path = STEP * torch.stack([heading.sin(), heading.cos()]).cumsum(1)  # (2, count): rows and columns
    path -= path.mean(1, keepdim=True)
    room = (size - 1) // 2
    path *= min(1.0, room / max(float(path.abs().max()), 1e-12))
    return normalised(_drawn(path + size // 2, size))


def normalised(array: Tensor) -> Tensor:
    """The weights (h, w) as a kernel. Raises OperatorError if one is negative or not finite, or all are zero."""
    kernel = torch.as_tensor(array).double()
    if kernel.ndim != 2 or not kernel.numel():
        raise OperatorError(f"a kernel is (h, w), not {tuple(kernel.shape)}")
    if not kernel.isfinite().all() or kernel.min() < 0:
        raise OperatorError("a kernel has finite weights that are not negative")
    if kernel.max() == 0:
        raise OperatorError("the kernel is zero")
    kernel = kernel / kernel.max()  # the sum of huge weights is not finite
    return kernel / kernel.sum()


def _drawn(points: Tensor, size: int) -> Tensor:
    """Each of the points (2, n), within the square, shared among the four pixels around it."""
    first = points.floor().clamp_(0, max(0, size - 2))
    share = points - first
    picture = torch.zeros(size, size, dtype=torch.float64)
    for row in (0, 1) if size > 1 else (0,):
        for column in (0, 1) if size > 1 else (0,):
            weight = (1 - row - share[0]).abs() * (1 - column - share[1]).abs()
            picture.index_put_((first[0].long() + row, first[1].long() + column), weight, accumulate=True)
    return picture


def _distances(size: int) -> Tensor:
    """Of the pixels of a row from its middle, (size,)."""
    return torch.arange(size, dtype=torch.float64) - (size - 1) / 2


def _uniform(count: int, rng: torch.Generator) -> Tensor:
    return torch.rand(count, generator=rng, dtype=torch.float64)


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise OperatorError(f"the {name} is {value}; it has to be positive")


def _side(size: int) -> int:
    if size < 1:
        raise OperatorError(f"the size is {size}; a kernel has at least one pixel")
    return size

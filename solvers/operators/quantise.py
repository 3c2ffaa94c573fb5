"""Few bits: the measurement is the image with each value rounded to one of a few levels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape

MARGIN = 1e-3
"""`prox` stays this far inside the interval that rounds to a level, in levels; single precision needs a thirtieth."""


@dataclass(frozen=True)
class Quantise:
    """y = round(t) back on [-1, 1], t = (x + 1) / 2 (2^bits - 1), cut at the first and the last level.

    Its slope is zero or none. `pull_back` is that of the identity instead (straight-through). `prox` is exact: it
    weighs whole levels, each at the point of its interval nearest to v.
    """

    input_shape: Shape
    bits: int

    def __post_init__(self) -> None:
        if self.bits not in range(1, 9):
            raise OperatorError(f"{self.bits} bits are not offered; there are 1 to 8")

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    @property
    def top(self) -> int:
        """The last level; the first is 0."""
        return 2**self.bits - 1

    def forward(self, x: Tensor) -> Tensor:
        return self._to_values(self._to_levels(x).round_().clamp_(0, self.top))

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        """r: straight through the rounding and the cuts."""
        return r.clone()

    def start(self, y: Tensor) -> Tensor:
        return y.clone()

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """The global minimiser, up to MARGIN; values that keep their level are not changed at all."""
        b = self._to_levels(v)
        t = nearest_rounded(self._to_levels(y), b, rho, top=self.top)
        return torch.where(t == b, v, self._to_values(t))

    def _to_levels(self, x: Tensor) -> Tensor:
        return (x + 1).mul_(self.top / 2)

    def _to_values(self, t: Tensor) -> Tensor:
        return (t * (2 / self.top)).sub_(1)


def nearest_rounded(
    a: Tensor, b: Tensor, rho: float, top: int | None = None, margin: Tensor | float = MARGIN
) -> Tensor:
    """argmin over t of (round(t) - a)^2 + rho (t - b)^2, element by element.

    Levels are all integers, or 0 to `top`, the outer two of which take all that lies beyond. t stays `margin` within
    the interval of its level unless it is b. For a level k the second term is least at the point of [k - 1/2, k + 1/2]
    nearest to b. The sum is then convex in k, and least over real k at `middle`, so over whole k beside it; only the
    outer levels, whose intervals have no end, may do better.
    """
    own = _cut(b.round(), top)
    middle = (b + (a - b).clamp(-0.5, 0.5)).mul_(rho).add_(a).div_(1 + rho)
    candidates = [middle.floor(), middle.ceil()]
    if top is not None:
        candidates += [torch.zeros_like(b), torch.full_like(b, top)]
    best, least = b, (own - a).square()
    for level in candidates:
        level = _cut(level, top)
        t = torch.where(level == own, b, _into_interval(b, level, top, 0.5 - margin))
        value = (level - a).square() + rho * (t - b).square()
        best, least = torch.where(value < least, t, best), torch.minimum(value, least)
    return best


def _cut(level: Tensor, top: int | None) -> Tensor:
    return level if top is None else level.clamp(0, top)


def _into_interval(b: Tensor, level: Tensor, top: int | None, half: Tensor | float) -> Tensor:
    """The point nearest to b that rounds to `level`."""
    low, high = level - half, level + half
    if top is not None:
        low, high = low.masked_fill(level == 0, -torch.inf), high.masked_fill(level == top, torch.inf)
    return torch.minimum(torch.maximum(b, low), high)

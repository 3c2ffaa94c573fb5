"""A tone curve: the measurement is a power of the image."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape

TOE = 1e-3
"""Where the curve of an exponent below 1 leaves the power, on [0, 1]: a quarter of a level of 8 bits."""
POINTS = 8
"""Where `prox` looks for the lowest valley."""
BISECTIONS = 10
NEWTON_STEPS = 8
"""Enough for all but a few values in 10^4, which lie on the steep toe, or on the bend at 0 of an exponent above 1."""


@dataclass(frozen=True)
class Gamma:
    """f(x) = 2 c(t) - 1 with t = (x + 1) / 2 and c(t) = t^gamma for t in [0, 1], value by value.

    Outside, c is its tangent beyond 1, and odd, so that f rises everywhere and its slope has no jump. An exponent
    below 1 would have no slope at 0; there, up to t = TOE, c is the odd cubic that meets the power's value and slope.
    """

    input_shape: Shape
    gamma: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gamma) and 0.1 <= self.gamma <= 10):
            raise OperatorError(f"an exponent lies in 0.1 to 10, unlike {self.gamma}")

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    def forward(self, x: Tensor) -> Tensor:
        return self._curve((x + 1) / 2).mul_(2).sub_(1)

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        return self._slope((x + 1) / 2) * r

    def start(self, y: Tensor) -> Tensor:
        """The inverse curve, without the toe."""
        c = (y + 1) / 2
        inner = c.abs().clamp_(max=1)
        return (inner ** (1 / self.gamma) + (c.abs() - inner) / self.gamma).copysign_(c).mul_(2).sub_(1)

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """The minimiser, which lies between v and f^-1(y): the best of a few points there, refined.

        Between the neighbours of that point the derivative of the objective changes its sign: bisections come close,
        then Newton's method, with a bisection wherever it would leave the bracket.
        """
        first, low, high = self._bracket(y, v, rho)
        x = first
        for step in range(BISECTIONS + NEWTON_STEPS):
            t, misfit = (x + 1) / 2, self.forward(x) - y
            slope = self._slope(t)
            derivative = slope * misfit + rho * (x - v)
            low, high = torch.where(derivative < 0, x, low), torch.where(derivative > 0, x, high)
            newton = x - derivative / (slope.square() + rho + misfit * self._bend(t))
            good = (newton >= low) & (newton <= high) & (step >= BISECTIONS)
            x = torch.where(good | (derivative == 0), newton, (low + high) / 2)
        return torch.where(self._objective(x, y, v, rho) <= self._objective(first, y, v, rho), x, first)

    def _bracket(self, y: Tensor, v: Tensor, rho: float) -> tuple[Tensor, Tensor, Tensor]:
        """The lowest of evenly spaced points from v to f^-1(y), and its neighbours, the smaller one first."""
        way = (self.start(y) - v) / POINTS
        best, least = v, self._objective(v, y, v, rho)
        for i in range(1, POINTS + 1):
            x = v + i * way
            value = self._objective(x, y, v, rho)
            best, least = torch.where(value < least, x, best), torch.minimum(value, least)
        return best, best - way.abs(), best + way.abs()

    def _objective(self, x: Tensor, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """Of each value, twice."""
        return (self.forward(x) - y).square_() + rho * (x - v).square_()

    def _curve(self, t: Tensor) -> Tensor:
        """c(t)."""
        a, g = t.abs(), self.gamma
        inner = a.clamp(max=1)
        c = inner**g + g * (a - inner)
        if g < 1:
            s = a / TOE
            c = torch.where(s < 1, TOE**g / 2 * s * (3 - g + (g - 1) * s**2), c)
        return c.copysign(t)

    def _slope(self, t: Tensor) -> Tensor:
        """dc / dt, which is df / dx."""
        a, g = t.abs(), self.gamma
        slope = g * a.clamp(max=1) ** (g - 1)
        return (
            torch.where(a < TOE, TOE ** (g - 1) / 2 * (3 - g + 3 * (g - 1) * (a / TOE) ** 2), slope) if g < 1 else slope
        )

    def _bend(self, t: Tensor) -> Tensor:
        """d2f / dx2, half of d2c / dt2. An exponent between 1 and 2 has none at 0; the power's stops growing at TOE."""
        a, g = t.abs(), self.gamma
        bend = g * (g - 1) / 2 * a.clamp(min=TOE) ** (g - 2) * (a < 1)
        if g < 1:
            bend = torch.where(a < TOE, 1.5 * (g - 1) * TOE ** (g - 3) * a, bend)
        return bend * t.sign()

"""High dynamic range: the measurement is the image, brightened and cut at black and white."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape


@dataclass(frozen=True)
class Clip:
    """f(x) = clip(gain x, -1, 1), value by value.

    Its slope is the gain where |gain x| < 1 and zero where the value is cut: there the gradient of the data says
    nothing. `prox` does not go by that gradient, it finds the least value over all three pieces of f. So a pixel that
    was measured as white keeps whatever the prior gives beyond 1 / gain, and is lifted to that if it gives less: the
    one-sided likelihood of a cut value.
    """

    input_shape: Shape
    gain: float = 2.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gain) and self.gain > 0):
            raise OperatorError(f"a gain is a positive number, not {self.gain}")

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    def forward(self, x: Tensor) -> Tensor:
        return (self.gain * x).clamp_(-1, 1)

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        """gain r inside, 0 where the value is cut."""
        return self.gain * r * ((self.gain * x).abs_() < 1)

    def start(self, y: Tensor) -> Tensor:
        """y / gain: the darkest, or brightest, image that gives y."""
        return y / self.gain

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """The global minimiser: the best of those on the three pieces, where f is -1, gain x and 1."""
        edge = 1 / self.gain
        inside = (self.gain * y + rho * v).div_(self.gain**2 + rho).clamp_(-edge, edge)
        best, least = inside, self._objective(inside, y, v, rho)
        for cut in (v.clamp(max=-edge), v.clamp(min=edge)):
            value = self._objective(cut, y, v, rho)
            best, least = torch.where(value < least, cut, best), torch.minimum(value, least)
        return best

    def _objective(self, x: Tensor, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """Of each value, twice."""
        return (self.forward(x) - y).square_() + rho * (x - v).square_()

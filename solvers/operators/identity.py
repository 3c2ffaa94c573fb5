"""Denoising: the measurement is the image itself, y = x + noise."""

from dataclasses import dataclass

from torch import Tensor

from solvers.operators.base import Shape


@dataclass(frozen=True)
class Identity:
    """H = I."""

    input_shape: Shape
    norm: float = 1.0

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    def forward(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        return y

    def pseudoinverse(self, y: Tensor) -> Tensor:
        return y

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        return (y + rho * v) / (1 + rho)

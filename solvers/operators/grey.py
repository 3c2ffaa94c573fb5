"""Colourisation: the measurement is the brightness alone."""

from dataclasses import dataclass

from torch import Tensor

from solvers.operators.base import OperatorError, Shape

CHANNELS = 3


@dataclass(frozen=True)
class Grey:
    """y = (R + G + B) / 3, a picture of one channel. H H^T = 1 / 3."""

    input_shape: Shape

    def __post_init__(self) -> None:
        if self.input_shape[0] != CHANNELS:
            raise OperatorError(f"there is no grey of {self.input_shape[0]} channels; a picture has {CHANNELS}")

    @property
    def output_shape(self) -> Shape:
        return (1, *self.input_shape[1:])

    @property
    def norm(self) -> float:
        return CHANNELS**-0.5

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.pseudoinverse(y).div_(CHANNELS)

    def pseudoinverse(self, y: Tensor) -> Tensor:
        """The grey picture in each channel."""
        return y.repeat(1, CHANNELS, 1, 1)

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """v + H^T (y - H v) / (1/3 + rho): all channels change alike."""
        return v + (y - self.forward(v)).div_(1 + CHANNELS * rho)

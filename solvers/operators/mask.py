"""Inpainting: some pixels are known, the others are not."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape


@dataclass(frozen=True, eq=False)
class Mask:
    """y = M x. The measurement has the size of the image, with zeros in the holes, so H = H^T = H^+ = M."""

    observed: Tensor
    """(H, W) bool, True where the pixel is known. The same for every channel."""
    channels: int = 3

    def __post_init__(self) -> None:
        if self.observed.ndim != 2 or self.observed.dtype != torch.bool:
            raise OperatorError(f"a mask is (H, W) bool, not {tuple(self.observed.shape)} {self.observed.dtype}")
        if not self.observed.any():
            raise OperatorError("the mask leaves no pixel known")

    @property
    def input_shape(self) -> Shape:
        return (self.channels, *self.observed.shape)

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    @property
    def norm(self) -> float:
        return 1.0

    def forward(self, x: Tensor) -> Tensor:
        return x * self.observed.to(x)

    adjoint = forward
    pseudoinverse = forward

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """Pixel by pixel (m y + rho v) / (m + rho), which is v in the holes."""
        trust = self.observed.to(v).div_(1 + rho)  # (H, W): 1 / (1 + rho) where known, 0 in the holes
        return v + trust * (y - v)

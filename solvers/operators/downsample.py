"""Super-resolution: the measurement is the image, filtered and decimated along both axes."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape
from solvers.operators.dct import dct2d, idct2d
from solvers.operators.decimation import Decimation, bicubic_taps, box_taps

KERNELS = {"box": box_taps, "bicubic": bicubic_taps}
SCALES = (2, 3, 4, 8)


@dataclass(frozen=True)
class Downsample:
    """H = R_h (x) R_w: y = R_h x R_w^T in each channel.

    `box` is the mean over disjoint blocks; `bicubic` the antialiased cubic kernel of image editors (Pillow, MATLAB),
    with reflected borders. H H^T is diagonal in the cosine transform of y, so pseudo-inverse and prox are exact and
    take a few fast transforms of the small picture: no matrix, at any size.
    """

    input_shape: Shape
    scale: int
    kernel: str = "bicubic"

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise OperatorError(f"unknown kernel {self.kernel!r}; there are {', '.join(KERNELS)}")
        if self.scale not in SCALES:
            raise OperatorError(f"scale {self.scale} is not offered; there are {SCALES}")
        _, height, width = self.input_shape
        if height < self.scale or width < self.scale or height % self.scale or width % self.scale:
            raise OperatorError(f"{height} x {width} is not a multiple of the scale {self.scale}")

    @property
    def output_shape(self) -> Shape:
        channels, height, width = self.input_shape
        return (channels, height // self.scale, width // self.scale)

    @cached_property
    def norm(self) -> float:
        return float(self._rows.gram_eigenvalues.max() * self._columns.gram_eigenvalues.max()) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return self._columns.forward(self._rows.forward(x, axis=-2), axis=-1)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._rows.adjoint(self._columns.adjoint(y, axis=-1), axis=-2)

    def pseudoinverse(self, y: Tensor) -> Tensor:
        """H^T (H H^T)^-1 y; H has full row rank."""
        return self.adjoint(self._solve_gram(y, 0.0))

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """v + H^T (H H^T + rho)^-1 (y - H v)."""
        return self.adjoint(self._solve_gram(y - self.forward(v), rho)).add_(v)

    def _solve_gram(self, y: Tensor, rho: float) -> Tensor:
        """(H H^T + rho)^-1 y."""
        gram = torch.outer(self._rows.gram_eigenvalues, self._columns.gram_eigenvalues)  # (h, w) float64
        return idct2d(dct2d(y).div_(gram.add_(rho).to(y)))

    @cached_property
    def _rows(self) -> Decimation:
        """Along the height."""
        return Decimation(self.output_shape[1], self.scale, KERNELS[self.kernel](self.scale))

    @cached_property
    def _columns(self) -> Decimation:
        """Along the width."""
        return Decimation(self.output_shape[2], self.scale, KERNELS[self.kernel](self.scale))

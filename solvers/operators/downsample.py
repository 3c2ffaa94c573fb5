"""Super-resolution: the measurement is the image, filtered and decimated along both axes."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape
from solvers.operators.convolution import check_kernel
from solvers.operators.damping import DAMPING, reciprocal
from solvers.operators.dct import dct2d, idct2d
from solvers.operators.decimation import Decimation, bicubic_taps, box_taps, separated
from solvers.operators.strided import Strided

KERNELS = {"box": box_taps, "bicubic": bicubic_taps}
SCALES = (2, 3, 4, 8)


@dataclass(frozen=True, eq=False)
class Downsample:
    """Filter, and keep one pixel of each block of `scale` x `scale`. Borders are reflected.

    `box` is the mean over disjoint blocks; `bicubic` the antialiased cubic kernel of image editors (Pillow, MATLAB).
    A tensor is a kernel as of `Blur`, centred on the blocks if its sides and the scale are both even or both odd, and
    else half a pixel beside.

    Pseudo-inverse and prox are exact, and take a few fast transforms of the small picture, for kernels that are so
    centred, symmetric and separable (`Separable`); for others they are found by conjugate gradients (`Strided`).
    """

    input_shape: Shape
    scale: int
    kernel: str | Tensor = "bicubic"
    """A name; or (h, w), or (h,) for both axes, finite and not all zero."""
    damping: float = DAMPING
    """Of the pseudo-inverse for a kernel without a name, relative to the norm (see `damping`); 0 for Moore-Penrose."""

    def __post_init__(self) -> None:
        if isinstance(self.kernel, str) and self.kernel not in KERNELS:
            raise OperatorError(f"unknown kernel {self.kernel!r}; there are {', '.join(KERNELS)}")
        if self.scale not in SCALES:
            raise OperatorError(f"scale {self.scale} is not offered; there are {SCALES}")
        _, height, width = self.input_shape
        if height < self.scale or width < self.scale or height % self.scale or width % self.scale:
            raise OperatorError(f"{height} x {width} is not a multiple of the scale {self.scale}")
        if isinstance(self.kernel, str):
            object.__setattr__(self, "damping", 0.0)  # they lose nothing of the measurement
        else:
            check_kernel(self._kernel)

    @property
    def output_shape(self) -> Shape:
        channels, height, width = self.input_shape
        return (channels, height // self.scale, width // self.scale)

    @property
    def norm(self) -> float:
        """To the precision of `lanczos` for a `Strided` kernel, else exact."""
        return self._filter.gram_norm**0.5

    def forward(self, x: Tensor) -> Tensor:
        return self._filter.forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._filter.adjoint(y)

    def pseudoinverse(self, y: Tensor) -> Tensor:
        """H^T (H H^T + rho)^-1 y with the rho of `damping`."""
        rho = self.damping**2 * self._filter.gram_norm if self.damping else 0.0
        return self.adjoint(self._filter.solve_gram(y, rho))

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """v + H^T (H H^T + rho)^-1 (y - H v)."""
        return self.adjoint(self._filter.solve_gram(y - self.forward(v), rho)).add_(v)

    @cached_property
    def _filter(self) -> "Separable | Strided":
        _, height, width = self.output_shape
        if isinstance(self.kernel, str):
            rows = columns = KERNELS[self.kernel](self.scale)
        elif (taps := separated(self._kernel, self.scale)) is not None:
            rows, columns = taps
        else:
            return Strided(self.input_shape[1:], self.scale, self._kernel)
        return Separable(Decimation(height, self.scale, rows), Decimation(width, self.scale, columns))

    @property
    def _kernel(self) -> Tensor:
        """Of both axes, (h, w) float64."""
        kernel = self.kernel.detach().cpu().double()
        return torch.outer(kernel, kernel) if kernel.ndim == 1 else kernel


@dataclass(frozen=True)
class Separable:
    """R = R_h (x) R_w: y = R_h x R_w^T. R R^T is diagonal in the cosine transform of y."""

    rows: Decimation
    """Along the height."""
    columns: Decimation
    """Along the width."""

    def forward(self, x: Tensor) -> Tensor:
        return self.columns.forward(self.rows.forward(x, axis=-2), axis=-1)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.rows.adjoint(self.columns.adjoint(y, axis=-1), axis=-2)

    @property
    def gram_norm(self) -> float:
        """Largest eigenvalue of R R^T."""
        return float(self.rows.gram_eigenvalues.max() * self.columns.gram_eigenvalues.max())

    def solve_gram(self, y: Tensor, rho: float) -> Tensor:
        """(R R^T + rho)^-1 y."""
        gram = torch.outer(self.rows.gram_eigenvalues, self.columns.gram_eigenvalues)  # (h, w) float64
        return idct2d(dct2d(y).mul_(reciprocal(gram, rho).to(y)))

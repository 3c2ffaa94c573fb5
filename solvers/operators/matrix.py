"""Any linear measurement of small pictures: a matrix, as in compressed sensing."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape
from solvers.operators.damping import DAMPING, reciprocal, tikhonov
from solvers.operators.lanczos import largest_eigenvalue

MAX_GRAM = 2048
"""Side of the smaller Gram matrix up to which a dense matrix is diagonalised, once; beyond, conjugate gradients."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """y = A x on the flattened picture, or on each flattened channel alone if A has H W columns.

    A dense matrix is inverted through the eigenvectors of A A^T or A^T A, whichever is smaller; a sparse one, or one
    with more than `MAX_GRAM` rows and columns, by conjugate gradients. The pseudo-inverse is damped, see `damping`.
    """

    matrix: Tensor
    """(m, C H W) or (m, H W), dense or sparse."""
    input_shape: Shape
    output_shape: Shape | None = None
    """By default (1, 1, m), or (C, 1, m) where channels are measured alone."""
    damping: float = DAMPING
    """Relative to the norm; 0 for the Moore-Penrose inverse."""

    def __post_init__(self) -> None:
        a = self.matrix
        if a.ndim != 2 or not a.is_floating_point() or not a.shape[0]:
            raise OperatorError(f"a matrix is (m, n) of floats, not {tuple(a.shape)} {a.dtype}")
        numbers = a if self._dense else a.coalesce().values() if a.layout == torch.sparse_coo else a.values()
        if not numbers.isfinite().all():
            raise OperatorError("the matrix is not finite")
        if not numbers.any():
            raise OperatorError("the matrix is zero")
        channels, height, width = self.input_shape
        if a.shape[1] not in (channels * height * width, height * width):
            raise OperatorError(f"{a.shape[1]} columns fit neither a picture {self.input_shape} nor a channel of it")
        alone = channels if a.shape[1] == height * width else 1
        if self.output_shape is None:
            object.__setattr__(self, "output_shape", (alone, 1, a.shape[0]))
        if math.prod(self.output_shape) != alone * a.shape[0]:
            raise OperatorError(f"{alone} x {a.shape[0]} measured values do not make {self.output_shape}")

    @cached_property
    def norm(self) -> float:
        if self._gram is not None:
            return float(self._gram.eigenvalues.max()) ** 0.5
        return largest_eigenvalue(lambda x: self._transposed(self._times(x)), self.matrix.shape[1:]) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return self._times(self._rows(x, 1)).reshape(len(x), *self.output_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._transposed(self._rows(y, 0)).reshape(len(y), *self.input_shape)

    def pseudoinverse(self, y: Tensor) -> Tensor:
        """(A^T A + rho)^-1 A^T y, see `damping`."""
        return self._tikhonov(self._rows(y, 0), (self.damping * self.norm) ** 2).reshape(len(y), *self.input_shape)

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """v + (A^T A + rho)^-1 A^T (y - A v)."""
        return self._tikhonov(self._rows(y - self.forward(v), 0), rho).reshape(v.shape).add_(v)

    def _rows(self, picture: Tensor, side: int) -> Tensor:
        """The vectors that the matrix acts on, (N, n) or (N C, n) for side 1; of m values for side 0."""
        return picture.reshape(-1, self.matrix.shape[side])

    def _times(self, x: Tensor) -> Tensor:
        """A x, (R, n) -> (R, m)."""
        return (self.matrix.to(x) @ x.mT).mT

    def _transposed(self, y: Tensor) -> Tensor:
        """A^T y, (R, m) -> (R, n)."""
        return (self.matrix.to(y).t() @ y.mT).mT

    def _tikhonov(self, y: Tensor, rho: float) -> Tensor:
        """(A^T A + rho)^-1 A^T y, (R, m) -> (R, n)."""
        if self._gram is None:
            return tikhonov(self._times, self._transposed, y, rho)
        weight, u = reciprocal(self._gram.eigenvalues, rho).to(y), self._gram.eigenvectors.to(y)
        if self._wide:
            return self._transposed((y @ u).mul_(weight) @ u.mT)
        return (self._transposed(y) @ u).mul_(weight) @ u.mT

    @property
    def _dense(self) -> bool:
        return self.matrix.layout == torch.strided

    @property
    def _wide(self) -> bool:
        return self.matrix.shape[0] <= self.matrix.shape[1]

    @cached_property
    def _gram(self) -> "torch.return_types.linalg_eigh | None":
        """Eigenvalues and eigenvectors, float64, of A A^T if it is the smaller, else of A^T A."""
        if not self._dense or min(self.matrix.shape) > MAX_GRAM:
            return None
        a = self.matrix.double()
        return torch.linalg.eigh(a @ a.mT if self._wide else a.mT @ a)

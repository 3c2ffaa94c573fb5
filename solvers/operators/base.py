"""The contract of a measurement operator."""

from typing import Protocol

from torch import Tensor

Shape = tuple[int, int, int]
"""(C, H, W)."""


class Operator(Protocol):
    """A linear measurement H. Immutable; acts on (N, C, H, W) row by row, in the type and place of its input."""

    input_shape: Shape
    """Of the image x."""
    output_shape: Shape
    """Of the measurement y."""
    norm: float
    """Largest singular value."""

    def forward(self, x: Tensor) -> Tensor:
        """H x."""
        ...

    def adjoint(self, y: Tensor) -> Tensor:
        """H^T y in the Euclidean inner product."""
        ...

    def pseudoinverse(self, y: Tensor) -> Tensor:
        """H^+ y, Moore-Penrose."""
        ...

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """argmin over x of 0.5 ||H x - y||^2 + 0.5 rho ||x - v||^2, for rho > 0."""
        ...


class OperatorError(ValueError):
    """An operator that cannot be built from its parameters or applied to a shape."""

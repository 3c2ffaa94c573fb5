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


class Nonlinear(Protocol):
    """A measurement f that is not linear. Otherwise as `Operator`; `adjoint` and `pseudoinverse` it has none.

    `forward` is deterministic. Where f is flat or jumps (rounding, clipping) `pull_back` may be another slope than its
    own, as the docstring of the operator then says.
    """

    input_shape: Shape
    output_shape: Shape

    def forward(self, x: Tensor) -> Tensor:
        """f(x)."""
        ...

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        """J(x)^T r, J being the Jacobian of f at x: the gradient of 0.5 ||f(x) - y||^2 for r = f(x) - y."""
        ...

    def start(self, y: Tensor) -> Tensor:
        """An image to begin with, (N, C, H, W). Not an inverse."""
        ...

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """A stationary point, reached from v, of 0.5 ||f(x) - y||^2 + 0.5 rho ||x - v||^2, for rho > 0."""
        ...


AnyOperator = Operator | Nonlinear


def is_linear(operator: AnyOperator) -> bool:
    return not hasattr(operator, "pull_back")


def data_gradient(operator: AnyOperator, x: Tensor, residual: Tensor) -> Tensor:
    """Gradient of 0.5 ||f(x) - y||^2 for residual = f(x) - y; H^T residual for a linear operator."""
    return operator.adjoint(residual) if is_linear(operator) else operator.pull_back(x, residual)


def first_image(operator: AnyOperator, y: Tensor) -> Tensor:
    """H^+ y, or what a non-linear operator offers in its place: (N, C, H, W), not `y` itself."""
    return (operator.pseudoinverse(y) if is_linear(operator) else operator.start(y)).clone()


class OperatorError(ValueError):
    """An operator that cannot be built from its parameters or applied to a shape."""

"""Several measurements in a row."""

from dataclasses import dataclass
from functools import cached_property, reduce

from torch import Tensor

from solvers.operators.base import Operator, OperatorError, is_linear
from solvers.operators.damping import DAMPING, tikhonov
from solvers.operators.lanczos import largest_eigenvalue
from solvers.operators.series import Series

ROUGH_STEPS = 8
"""Of Lanczos' method, for a norm that only scales the damping."""


@dataclass(frozen=True)
class Composition(Series):
    """H = H_k ... H_2 H_1: the first operator acts first.

    Pseudo-inverse and prox are those of the product, by conjugate gradients, and not inverses in reverse: the inverse
    of a product is the product of the inverses only for special factors. The pseudo-inverse is damped, see `damping`.
    """

    operators: tuple[Operator, ...]
    damping: float = DAMPING
    """Relative to the norm; 0 for the Moore-Penrose inverse."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(is_linear(operator) for operator in self.operators):
            raise OperatorError("a composition is of linear operators")

    @cached_property
    def norm(self) -> float:
        """To the precision of `lanczos`."""
        return largest_eigenvalue(lambda x: self.adjoint(self.forward(x)), self.input_shape) ** 0.5

    def adjoint(self, y: Tensor) -> Tensor:
        return reduce(lambda z, operator: operator.adjoint(z), reversed(self.operators), y)

    def pseudoinverse(self, y: Tensor) -> Tensor:
        """(H^T H + rho)^-1 H^T y, see `damping`."""
        return tikhonov(self.forward, self.adjoint, y, self._damping_rho if self.damping else 0.0)

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """v + (H^T H + rho)^-1 H^T (y - H v)."""
        return tikhonov(self.forward, self.adjoint, y - self.forward(v), rho).add_(v)

    @cached_property
    def _damping_rho(self) -> float:
        gram = largest_eigenvalue(lambda x: self.adjoint(self.forward(x)), self.input_shape, ROUGH_STEPS)
        return self.damping**2 * gram

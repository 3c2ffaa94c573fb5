"""A chain of measurements, of which at least one is not linear: a small picture saved as JPEG, a blur that clips."""

from dataclasses import dataclass

from torch import Tensor

from solvers.operators.base import OperatorError, data_gradient, first_image, is_linear
from solvers.operators.descent import descend
from solvers.operators.series import Series


@dataclass(frozen=True)
class Chain(Series):
    """f = f_k o ... o f_1: the first of `operators` acts first."""

    def __post_init__(self) -> None:
        if all(is_linear(operator) for operator in self.operators):
            raise OperatorError("a chain has a part that is not linear")
        super().__post_init__()

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        """J_1^T ... J_k^T r, each at the point that the parts before it make of x; slopes are those of the parts."""
        points = [x]
        for operator in self.operators[:-1]:
            points.append(operator.forward(points[-1]))
        for operator, point in zip(reversed(self.operators), reversed(points), strict=True):
            r = data_gradient(operator, point, r)
        return r

    def start(self, y: Tensor) -> Tensor:
        """The parts undone one by one, the last first: pseudo-inverses of linear parts, starts of the others."""
        for operator in reversed(self.operators):
            y = first_image(operator, y)
        return y

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        return descend(self, y, v, rho)

"""What measurements in a row have in common, whether they are linear or not."""

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from torch import Tensor

from solvers.operators.base import AnyOperator, OperatorError, Shape


@dataclass(frozen=True)
class Series:
    """f_k o ... o f_1: the first operator acts first. Raises OperatorError where one does not fit the one before it."""

    operators: tuple[AnyOperator, ...]

    def __post_init__(self) -> None:
        if not self.operators:
            raise OperatorError("a composition of nothing")
        for first, second in pairwise(self.operators):
            if first.output_shape != second.input_shape:
                raise OperatorError(f"{first.output_shape} is handed to an operator on {second.input_shape}")

    @property
    def input_shape(self) -> Shape:
        return self.operators[0].input_shape

    @property
    def output_shape(self) -> Shape:
        return self.operators[-1].output_shape

    def forward(self, x: Tensor) -> Tensor:
        return reduce(lambda z, operator: operator.forward(z), self.operators, x)


def last_part(operator: AnyOperator) -> AnyOperator:
    """What gives the measurement: the last operator of a series, or the operator itself."""
    return operator.operators[-1] if isinstance(operator, Series) else operator

"""A number that is not finite ends the run: it is never turned into a picture."""

import math

from torch import Tensor

from solvers.query import SolverDiverged


def check_finite(value: Tensor | float, step: int, quantity: str) -> None:
    """Raise SolverDiverged unless the sum of `value` is finite, which one bad element prevents."""
    if not math.isfinite(float(value.sum() if isinstance(value, Tensor) else value)):
        raise SolverDiverged(step, quantity)


def root_mean_square(x: Tensor) -> float:
    return float(x.square().mean().sqrt())

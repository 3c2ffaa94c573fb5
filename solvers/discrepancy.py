"""What the residual y - H x says about the weight of the prior: the discrepancy principle (Morozov 1966).

At the true picture the residual is the noise. So where the level of the noise is known and the weight of the prior is
not, the weight is nearly right where the residual is as large as the noise. Nearly: the best restoration follows the
measurement more closely than the truth does, by as many values as it took from it. The principle therefore smooths too
much where the weight was right; it is for operators and priors whose scale is unknown.

On six crops of training photographs with the bundled prior at noise 0.1 (half of the pixels missing; a Gaussian blur of
1.5 pixels), 20 calls, PSNR in dB with the weight as given, adapted, and stopped: 29.4, 26.3, 29.4 and 29.0, 28.5, 29.0
with the preset's weight of 0.3; 26.8, 26.2, 27.5 and 26.2, 26.4, 27.4 with 4. So no preset asks for either.
"""

import math

from solvers.operators.base import AnyOperator, is_linear
from solvers.operators.mask import Mask
from solvers.operators.series import last_part
from solvers.query import Problem

RULES = ("none", "weight", "stop")
LARGEST_FACTOR = 4.0
"""By which one step changes the weight, up or down."""


def gain(operator: AnyOperator) -> float:
    """||H||, in units of which the data step is scaled; 1 for an operator that is not linear."""
    return operator.norm if is_linear(operator) else 1.0


def expected_residual(problem: Problem) -> float:
    """Root mean square of y - H x at the truth, over all values of y, the zeros in the holes of a mask among them."""
    return problem.sigma_y * math.sqrt(measured_share(problem.operator))


def measured_share(operator: AnyOperator) -> float:
    """Of the values of y: those outside the holes."""
    last = last_part(operator)
    return float(last.observed.double().mean()) if isinstance(last, Mask) else 1.0


def adapted(weight: float, residual: float, expected: float) -> float:
    """lambda (m sigma_y^2 / ||y - H mu||^2)^(1/2), the factor kept within [1/4, 4]; as it is without noise."""
    if expected == 0:
        return weight
    factor = expected / residual if residual > 0 else LARGEST_FACTOR
    return weight * min(max(factor, 1 / LARGEST_FACTOR), LARGEST_FACTOR)

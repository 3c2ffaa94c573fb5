"""What a solver and whoever drives it say to each other.

A solver is a generator: it yields a `Query` ("denoise this at this level"), is sent the denoised tensor, and finally
returns a `Solution`. It owns its state, and knows neither the prior nor the other jobs that share the denoiser call.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from solvers.operators.base import AnyOperator


@dataclass(frozen=True)
class Problem:
    """One inverse problem, y = H(x) + sigma_y * white noise, on the [-1, 1] scale; H linear or not."""

    measurement: Tensor
    """y, (1, C, h, w)."""
    operator: AnyOperator
    sigma_y: float
    """Standard deviation of the noise on the [-1, 1] scale; 0 for an exact measurement."""


@dataclass(frozen=True)
class Query:
    """A request to the denoiser. The answer is a tensor of the shape of `x`."""

    x: Tensor
    """(N, C, H, W), clean image plus `sigma` times white noise."""
    sigma: Tensor
    """(N,), one level for each row; or (N, 1, H, W), where it differs from pixel to pixel. A denoiser that is told one
    level for a picture takes the root mean square."""
    step: int
    """Denoiser calls made before this one."""
    total: int
    """Denoiser calls that the solver will make, as far as it knows."""
    estimate: Tensor | None = None
    """(1, C, H, W), the current restoration, for previews."""
    data_residual: float | None = None
    """Root mean square of y - H(estimate)."""
    mean: Callable[[], Tensor] | None = None
    """Gives (N, C, H, W), `x` without its noise, where the solver knows it; a prior on latents encodes it.

    To be called before the answer is sent, and not to be written to; a call, since few priors need the copy.
    """
    component: int = 0
    """Which denoiser, where a solver uses several."""
    cotangent: Tensor | None = None
    """(N, C, H, W). The answer is then J^T cotangent in place of D(x, sigma), J being the Jacobian of D at `x`: what
    solvers that differentiate through the denoiser ask for. Row by row."""


@dataclass(frozen=True)
class Solution:
    """A restored image and what is known about it."""

    x: Tensor
    """(1, C, H, W) on the [-1, 1] scale, not clipped."""
    data_residual: float
    """Root mean square of y - H(x)."""
    metrics: dict[str, float] = field(default_factory=dict)
    deviation: Tensor | None = None
    """(1, C, H, W), posterior standard deviation of each value on the [-1, 1] scale, where it was asked for."""
    noise_map: Tensor | None = None
    """(1, C, H, W), standard deviation of the noise of each measured value on the [-1, 1] scale, as far as the solver
    trusted it: 1 / sqrt(phi), where it is estimated."""
    samples: Tensor | None = None
    """(S, C, H, W), posterior samples or particles, where they were asked for."""
    settings: dict[str, Any] | None = None
    """What the solver worked with, where that depends on what it found in the measurement."""


Solver = Generator[Query, Tensor, Solution]


def saying(solver: Solver, change: Callable[[Query], Query]) -> Solver:
    """`solver`, with something else in its queries."""
    try:
        query = next(solver)
        while True:
            query = solver.send((yield change(query)))
    except StopIteration as end:
        return end.value


def after(calls: int, solver: Solver, then: int = 0) -> Solver:
    """`solver`, whose queries count so many calls before its own, and `then` so many."""
    return saying(solver, lambda query: replace(query, step=query.step + calls, total=query.total + calls + then))


class SolverDiverged(Exception):
    """A number that is not finite turned up; there is no picture."""

    def __init__(self, step: int, quantity: str):
        super().__init__(f"{quantity} is not finite at step {step}")
        self.step = step
        self.quantity = quantity

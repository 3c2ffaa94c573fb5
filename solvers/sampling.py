"""What the samplers share: levels, the step from one to the next, and samples side by side.

Everything in the variance-exploding frame z = x + sigma n. Papers in the variance-preserving frame write x_t for
sqrt(abar_t) z, with sigma_t = sqrt(1 - abar_t) / sqrt(abar_t). Dividing the step of DDIM (Song et al. 2021, eq. 12) by
sqrt(abar_s) leaves nothing but levels,

    z_s = D + sqrt(sigma_s^2 - c^2) (z - D) / sigma_t + c n,   c = eta sigma_s sqrt(1 - sigma_s^2 / sigma_t^2),

which is the deterministic flow at eta = 0 and ancestral sampling (DDPM) at eta = 1.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.levels import vp_sigmas
from solvers.noise import NoiseStream, normal_each
from solvers.operators.base import AnyOperator, first_image, is_linear
from solvers.parameters import bounded, check_fields
from solvers.query import Problem, Query, Solution

SIGMA_MAX = 80.0
"""Default first level. The papers begin at 157, where a picture is as far below the noise."""
SIGMA_MIN = 0.01
"""Default last level, the lowest of the papers' table."""
RHO_MIN = 1e-4
"""Weight of the prior where an exact measurement is not linear: a prox needs one."""


@dataclass(frozen=True)
class SamplerParameters:
    """What all samplers are told. Raises ValueError naming the field."""

    sigma_max: float = bounded(SIGMA_MAX, ge=0.01, le=157)
    sigma_min: float = bounded(SIGMA_MIN, ge=0.01, le=1)
    num_samples: int = bounded(1, ge=1, le=64)
    """Independent samples; of several the solution is their mean."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.sigma_min > self.sigma_max:
            raise ValueError(f"sigma_min: {self.sigma_min!r} is above sigma_max")


def vp_levels(first: float, last: float, count: int, power: float = 1.0) -> list[float]:
    """`count` levels falling from `first` to `last`, equally spaced in t^power, t being the time of the papers' table.

    `first` and `last` lie within the table, 0.01 to 157. `first` alone when only one is wanted.
    """
    table = vp_sigmas().log()
    index = torch.arange(len(table), dtype=table.dtype)
    ends = _interpolate(torch.tensor([first, last], dtype=table.dtype).log(), table, index).clamp(min=0) ** power
    times = torch.linspace(float(ends[0]), float(ends[1]), count, dtype=table.dtype) ** (1 / power)
    return [float(level) for level in _interpolate(times, index, table).exp()]


def _interpolate(at: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """The line through the points (xs, ys), xs rising, at the places `at`."""
    i = torch.searchsorted(xs, at).clamp(1, len(xs) - 1)
    return torch.lerp(ys[i - 1], ys[i], (at - xs[i - 1]) / (xs[i] - xs[i - 1]))


def split_level(sigma: float, following: float, eta: float) -> tuple[float, float]:
    """(kept, fresh): how much of the level `following` is old noise and how much new; their squares add up to its."""
    fresh = eta * following * math.sqrt(max(0.0, 1 - (following / sigma) ** 2))
    return math.sqrt(following**2 - fresh**2), fresh


def consistent(operator: AnyOperator, y: Tensor, v: Tensor, rho: float) -> Tensor:
    """The prox at v, and for rho = 0 its limit, the image nearest to v with H x = y: v + H^+ (y - H v).

    A non-linear operator has no such limit and gets `RHO_MIN`.
    """
    if rho == 0 and is_linear(operator):
        return v + operator.pseudoinverse(y - operator.forward(v))
    return operator.prox(y, v, max(rho, RHO_MIN if rho == 0 else 0.0))


@dataclass(frozen=True)
class Chains:
    """Independent samples of one problem, as rows. Sample k is the same however many there are."""

    problem: Problem
    noise: NoiseStream
    samples: int
    total: int
    """Denoiser calls of the run."""

    @cached_property
    def y(self) -> Tensor:
        """(S, C, h, w)."""
        return self.problem.measurement.repeat(self.samples, 1, 1, 1)

    def normal(self, step: int, like: Tensor) -> Tensor:
        """White noise in the shape of `like`, a draw of its own for each sample."""
        return normal_each(self.noise, step, like, range(self.samples))

    def start(self, sigma: float) -> tuple[Tensor, Tensor]:
        """H^+ y, and that at level `sigma`: both (S, C, H, W). Takes the noise of step 0."""
        image = first_image(self.problem.operator, self.y)
        check_finite(image, 0, "the start")
        return image, image + sigma * self.normal(0, image)

    def query(self, x: Tensor, sigma: float, step: int, estimate: Tensor, cotangent: Tensor | None = None) -> Query:
        """Denoise `x`. `estimate`, (S, C, H, W), is the mean of `x`; its mean over the samples is the preview."""
        level, shown = x.new_full((len(x),), sigma), self._together(estimate)
        return Query(x, level, step, self.total, shown, self._misfit(shown), lambda: estimate, cotangent=cotangent)

    def solution(self, x: Tensor) -> Solution:
        """The sample itself if it is one; else their mean, their standard deviation and all of them."""
        check_finite(x, self.total - 1, "the estimate")
        shown = self._together(x)
        if self.samples == 1:
            return Solution(shown, self._misfit(shown))
        deviation = x.unflatten(0, (self.samples, -1)).std(0)
        return Solution(shown, self._misfit(shown), deviation=deviation, samples=x)

    def _together(self, x: Tensor) -> Tensor:
        return x if self.samples == 1 else x.unflatten(0, (self.samples, -1)).mean(0)

    def _misfit(self, x: Tensor) -> float:
        return root_mean_square(self.problem.measurement - self.problem.operator.forward(x))

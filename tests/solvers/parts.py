"""Problems, noise sources and drivers that the solver tests share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from priors.analytic import DenseGaussianPrior
from solvers.drive import Denoise, converse
from solvers.noise import NoiseStream
from solvers.operators import Downsample, Identity, Mask, Operator
from solvers.query import Problem, Query, Solution, Solver


@dataclass(frozen=True)
class Silence(NoiseStream):
    """No noise. With an affine denoiser the solver then takes its expected step."""

    def normal(self, step: int, like: Tensor, draw: int = 0) -> Tensor:
        return torch.zeros_like(like)


@dataclass(frozen=True)
class RowStreams(NoiseStream):
    """A stream of its own for each row, so that a batch meets the noise that its rows meet alone."""

    seeds: tuple[int, ...] = ()

    def normal(self, step: int, like: Tensor, draw: int = 0) -> Tensor:
        return torch.cat([NoiseStream(seed).normal(step, like[:1], draw) for seed in self.seeds])


@dataclass(frozen=True)
class LineMean:
    """Mean of four neighbours along the width: H H^T = I / 4."""

    input_shape: tuple[int, int, int]
    norm: float = 0.5

    @property
    def output_shape(self) -> tuple[int, int, int]:
        return (*self.input_shape[:2], self.input_shape[2] // 4)

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, 4)).mean(-1)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.pseudoinverse(y) / 4

    def pseudoinverse(self, y: Tensor) -> Tensor:
        return y.repeat_interleave(4, dim=-1)

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        return v + self.pseudoinverse(y - self.forward(v)) * 0.25 / (0.25 + rho)


@dataclass(frozen=True)
class Dimmed:
    """An operator times a factor: other units of the same measurement."""

    operator: Operator
    factor: float

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self.operator.input_shape

    @property
    def output_shape(self) -> tuple[int, int, int]:
        return self.operator.output_shape

    @property
    def norm(self) -> float:
        return self.factor * self.operator.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.operator.forward(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self.factor * self.operator.adjoint(y)

    def pseudoinverse(self, y: Tensor) -> Tensor:
        return self.operator.pseudoinverse(y) / self.factor

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        return self.operator.prox(y / self.factor, v, rho / self.factor**2)


@dataclass(frozen=True)
class Cubic:
    """f(x) = x + x^3 value by value: not linear, and one to one."""

    input_shape: tuple[int, int, int]

    @property
    def output_shape(self) -> tuple[int, int, int]:
        return self.input_shape

    def forward(self, x: Tensor) -> Tensor:
        return x + x**3

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        return (1 + 3 * x**2) * r

    def start(self, y: Tensor) -> Tensor:
        return y

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """Gauss-Newton from v."""
        x = v
        for _ in range(30):
            slope, misfit = 1 + 3 * x**2, self.forward(x) - y
            x = x - (slope * misfit + rho * (x - v)) / (slope**2 + rho)
        return x


def operators(channels: int = 3) -> dict[str, Operator]:
    """One of each kind on a picture of 12 x 16 pixels."""
    observed = torch.rand(12, 16, generator=torch.Generator().manual_seed(3)) < 0.5
    return {
        "identity": Identity((channels, 12, 16)),
        "mask": Mask(observed, channels),
        "box": Downsample((channels, 12, 16), 2, "box"),
        "bicubic": Downsample((channels, 12, 16), 4, "bicubic"),
    }


def problem(operator: Operator, sigma_y: float = 0.1, rows: int = 1, dtype: torch.dtype = torch.float64) -> Problem:
    """A measurement of pictures drawn from N(0, 0.25)."""
    rng = torch.Generator().manual_seed(5)
    x = 0.5 * torch.randn(rows, *operator.input_shape, generator=rng, dtype=dtype)
    y = operator.forward(x)
    noise = sigma_y * torch.randn(y.shape, generator=rng, dtype=dtype)
    return Problem(
        operator.forward(x) + (operator.forward(noise) if isinstance(operator, Mask) else noise), operator, sigma_y
    )


def line_prior() -> DenseGaussianPrior:
    """AR(1): 64 values in a row, covariance 0.25 * 0.95^distance (algorithms.md 10.7, T2)."""
    distance = (torch.arange(64)[:, None] - torch.arange(64)[None, :]).abs()
    return DenseGaussianPrior(torch.zeros(64), 0.25 * 0.95 ** distance.double())


def line_operators() -> dict[str, Operator]:
    observed = torch.rand(1, 64, generator=torch.Generator().manual_seed(0)) < 0.5
    return {"denoise": Identity((1, 1, 64)), "inpaint": Mask(observed, 1), "mean of 4": LineMean((1, 1, 64))}


def line_problem(kind: str, sigma_y: float, rows: int = 200) -> tuple[Problem, Tensor]:
    """Draws from `line_prior`, measured, and the truth: (rows, 1, 1, 64)."""
    prior, operator, rng = line_prior(), line_operators()[kind], torch.Generator().manual_seed(1)
    root = torch.linalg.cholesky(prior.basis @ torch.diag(prior.variances) @ prior.basis.T)
    truth = (torch.randn(rows, 64, generator=rng, dtype=torch.float64) @ root.T).reshape(rows, 1, 1, 64)
    y = operator.forward(truth)
    y = y + sigma_y * torch.randn(y.shape, generator=rng, dtype=torch.float64)
    return Problem(operator.forward(y) if kind == "inpaint" else y, operator, sigma_y), truth


def line_posterior_mean(task: Problem) -> Tensor:
    """(rows, 1, 1, 64), by the dense formula."""
    prior, operator, n = line_prior(), task.operator, 64
    covariance = prior.basis @ torch.diag(prior.variances) @ prior.basis.T
    matrix = operator.forward(torch.eye(n, dtype=torch.float64).reshape(n, 1, 1, n)).reshape(n, -1).T
    noise = task.sigma_y**2 * torch.eye(len(matrix), dtype=torch.float64)
    gain = covariance @ matrix.T @ torch.linalg.inv(matrix @ covariance @ matrix.T + noise)
    return (task.measurement.flatten(1) @ gain.T).reshape(-1, 1, 1, n)


def queries(solver: Solver, denoise: Denoise) -> tuple[list[Query], Solution]:
    """Drive `solver` and keep what it asked. The estimate of a query is copied: solvers go on working on it."""
    asked: list[Query] = []

    def reply(query: Query) -> Tensor:
        asked.append(Query(**{**vars(query), "estimate": query.estimate.clone()}))
        return denoise(query.x, query.sigma)

    return asked, converse(solver, reply)


def lockstep(solvers: Sequence[Solver], denoise: Denoise) -> list[Tensor]:
    """Solvers of equal length side by side, one denoiser call a step for all of them. Returns their pictures."""
    waiting = [next(solver) for solver in solvers]
    while True:
        rows = [len(q.x) for q in waiting]
        answers = denoise(torch.cat([q.x for q in waiting]), torch.cat([q.sigma for q in waiting])).split(rows)
        ends: list[Solution] = []
        for i, (solver, answer) in enumerate(zip(solvers, answers, strict=True)):
            try:
                waiting[i] = solver.send(answer)
            except StopIteration as end:
                ends.append(end.value)
        if ends:
            assert len(ends) == len(solvers)
            return [solution.x for solution in ends]


def psnr2(x: Tensor, truth: Tensor) -> float:
    """Over everything, peak 2: dB on the [-1, 1] scale."""
    return float(10 * torch.log10(4 / (x - truth).square().mean()))

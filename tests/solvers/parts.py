"""Problems, noise sources and drivers that the solver tests share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.drive import Denoise
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


def queries(solver: Solver, denoise: Denoise) -> tuple[list[Query], Solution]:
    """Drive `solver` and keep what it asked. The estimate of a query is copied: solvers go on working on it."""
    asked: list[Query] = []
    try:
        query = next(solver)
        while True:
            asked.append(Query(**{**vars(query), "estimate": query.estimate.clone()}))
            query = solver.send(denoise(query.x, query.sigma))
    except StopIteration as end:
        return asked, end.value


def lockstep(solvers: Sequence[Solver], denoise: Denoise) -> list[Tensor]:
    """Solvers of equal length side by side, one denoiser call a step for all of them. Returns their pictures."""
    waiting = [next(solver) for solver in solvers]
    while True:
        answers = denoise(torch.cat([q.x for q in waiting]), torch.cat([q.sigma for q in waiting])).split(1)
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

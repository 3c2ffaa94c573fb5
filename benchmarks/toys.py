"""Problems whose best answer is known, beside the reference figures: `python -m benchmarks.toys`.

Gaussian priors, of which the posterior mean is exact: white (T1) and AR(1) in a row of 64 values (T2). PSNR in dB with
peak 2, seeds fixed. The reference figures come from other draws, which differ by 0.3 dB for T2 and by more where the
holes of a mask lie otherwise; what is sure is the distance from the posterior mean of the same draw.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.report import Row, publish
from priors.analytic import DenseGaussianPrior, GaussianPrior
from solvers.drive import Denoise, drive
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.operators import Identity, Mask, Matrix, Operator
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff

WHITE_REFERENCE = {0.2: (None, 19.9, 20.57, 20.60), 0.4: (None, 13.9, 16.08, 16.11)}
"""T1 by noise: start, default, ending at the noise, posterior mean."""
LINE_REFERENCE = {
    ("denoise", 0.1): (26.1, 26.0, 25.2, 27.1, 26.7, 27.9, 27.8, 28.0, 28.1),
    ("denoise", 0.4): (14.0, 14.0, 13.8, 15.7, 19.4, 20.1, 20.9, 20.7, 21.1),
    ("inpaint 50 %", 0.02): (14.9, 22.9, 17.6, 21.0, 22.0, 23.5, 24.3, 24.9, 24.9),
    ("inpaint 50 %", 0.1): (15.8, 23.1, 19.0, 21.7, 21.8, 23.3, 23.5, 23.8, 23.9),
    ("inpaint 50 %", 0.4): (12.8, 14.8, 13.8, 15.3, 17.6, 18.2, 19.0, 19.1, 19.3),
    ("mean of 4", 0.02): (24.1, 23.8, 21.1, 23.6, 23.9, 25.4, 25.3, 25.4, 25.5),
    ("mean of 4", 0.1): (22.0, 21.7, 19.8, 22.0, 21.6, 23.1, 23.0, 23.2, 23.2),
    ("mean of 4", 0.4): (13.6, 13.2, 12.8, 16.6, 16.5, 17.2, 17.6, 17.7, 17.8),
}
"""T2 by task and noise, in the order of `line_methods`. (Of `inpaint 50 %` at 0.1, the second to fourth are of a mask
whose posterior mean is 24.9.)"""


@dataclass(frozen=True)
class Toy:
    """A measurement of many draws at once, their prior and what can be known."""

    task: str
    problem: Problem
    truth: Tensor
    denoise: Denoise
    posterior_mean: Tensor

    def run(self, **params: object) -> Tensor:
        return drive(red_diff(self.problem, RedDiffParameters(**params), NoiseStream(0)), self.denoise).x

    def psnr(self, x: Tensor) -> float:
        return float(10 * torch.log10(4 / (x - self.truth).square().mean()))


def white_toy(sigma_y: float) -> Toy:
    """T1: 2e4 values N(0, 0.25), each measured."""
    rng = torch.Generator().manual_seed(0)
    truth = 0.5 * torch.randn(1, 1, 100, 200, generator=rng, dtype=torch.float64)
    y = truth + sigma_y * torch.randn(truth.shape, generator=rng, dtype=torch.float64)
    prior = GaussianPrior(0.25)
    mean = prior.denoise(y, torch.tensor([sigma_y]))
    return Toy("denoise", Problem(y, Identity((1, 100, 200)), sigma_y), truth, prior.denoise, mean)


def line_toy(task: str, sigma_y: float, draws: int = 200) -> Toy:
    """T2: rows of 64 values, covariance 0.25 * 0.95^distance."""
    at = torch.arange(64, dtype=torch.float64)
    covariance = 0.25 * 0.95 ** (at[:, None] - at).abs()
    operator = line_operators()[task]
    rng = torch.Generator().manual_seed(1)
    truth = torch.randn(draws, 64, generator=rng, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    truth = truth.reshape(draws, 1, 1, 64)
    y = operator.forward(truth)
    y = y + sigma_y * torch.randn(y.shape, generator=rng, dtype=torch.float64)
    if isinstance(operator, Mask):
        y = operator.forward(y)
    matrix = operator.forward(torch.eye(64, dtype=torch.float64).reshape(64, 1, 1, 64)).reshape(64, -1).T
    noise = sigma_y**2 * torch.eye(len(matrix), dtype=torch.float64)
    gain = covariance @ matrix.T @ torch.linalg.inv(matrix @ covariance @ matrix.T + noise)
    mean = (y.flatten(1) @ gain.T).reshape(truth.shape)
    prior = DenseGaussianPrior(torch.zeros(64), covariance)
    return Toy(task, Problem(y, operator, sigma_y), truth, prior.denoise, mean)


def line_operators() -> dict[str, Operator]:
    observed = torch.rand(1, 64, generator=torch.Generator().manual_seed(0)) < 0.5
    means = torch.eye(16, dtype=torch.float64).repeat_interleave(4, dim=1) / 4
    return {
        "denoise": Identity((1, 1, 64)),
        "inpaint 50 %": Mask(observed, 1),
        "mean of 4": Matrix(means, (1, 1, 64), damping=0),
    }


def white_methods(toy: Toy) -> dict[str, Callable[[], Tensor]]:
    return {
        "start": lambda: toy.problem.measurement,
        "RED-Diff 1000": lambda: toy.run(mode="paper", steps=1000),
        "RED-Diff 1000, ending at the noise": lambda: toy.run(
            mode="paper", steps=1000, prior_weight=1.0, ending="noise"
        ),
        "posterior mean": lambda: toy.posterior_mean,
    }


def line_methods(toy: Toy) -> dict[str, Callable[[], Tensor]]:
    paper = {"mode": "paper", "steps": 100, "learning_rate": 0.5}
    return {
        "start": lambda: toy.problem.operator.pseudoinverse(toy.problem.measurement),
        "RED-Diff 1000": lambda: toy.run(mode="paper", steps=1000),
        "RED-Diff 100, lr 0.5": lambda: toy.run(**paper),
        "RED-Diff 100, ending at the noise": lambda: toy.run(**paper, ending="noise"),
        "prox 20": lambda: plain_prox(toy, 20),
        "prox 20, control variate": lambda: plain_prox(toy, 20, control=True),
        "fast 20": lambda: toy.run(steps=20, sigma_max=1.0),
        "fast 50": lambda: toy.run(steps=50, sigma_max=1.0),
        "posterior mean": lambda: toy.posterior_mean,
    }


def plain_prox(toy: Toy, steps: int, control: bool = False) -> Tensor:
    """The closed-form step without averaging, with fresh noise: what `fast` does better.

    control: eps_hat less b n in place of n, b being the slope of eps_hat on n (algorithms 10.5).
    """
    y, operator, sigma_y = toy.problem.measurement, toy.problem.operator, toy.problem.sigma_y
    mu = operator.pseudoinverse(y).clone()
    for step, sigma in enumerate(geometric_levels(1.0, sigma_y / 2, steps)):
        n = NoiseStream(0).normal(step, mu)
        denoised = toy.denoise(mu + sigma * n, mu.new_full((len(mu),), sigma))
        if control:
            eps_hat = (mu + sigma * n - denoised) / sigma
            b = (eps_hat * n).flatten(1).sum(1) / n.square().flatten(1).sum(1)
            denoised = mu - sigma * (eps_hat - b.reshape(-1, 1, 1, 1) * n)
        mu = operator.prox(y, denoised, max((sigma_y / sigma) ** 2, 1e-3))
    return mu


def rows_of(table: str, toy: Toy, methods: dict[str, Callable[[], Tensor]], reference: tuple) -> list[Row]:
    best = toy.psnr(toy.posterior_mean)
    rows = []
    for (method, restore), published in zip(methods.items(), reference, strict=True):
        found = toy.psnr(restore())
        rows.append(
            {
                "table": table,
                "task": toy.task,
                "sigma_y": toy.problem.sigma_y,
                "method": method,
                "PSNR": found,
                "reference": published,
                "below the mean": best - found,
                "reference below": None if published is None else reference[-1] - published,
            }
        )
    return rows


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.toys", description=__doc__.split("\n")[0]).parse_args()
    rows: list[Row] = []
    for sigma_y, reference in WHITE_REFERENCE.items():
        toy = white_toy(sigma_y)
        rows += rows_of("T1, white", toy, white_methods(toy), reference)
    for (task, sigma_y), reference in LINE_REFERENCE.items():
        toy = line_toy(task, sigma_y)
        rows += rows_of("T2, AR(1)", toy, line_methods(toy), reference)
    publish("toys", rows, {"seeds": {"white": 0, "line": 1, "mask": 0, "solver": 0}, "draws": 200})


if __name__ == "__main__":
    main()

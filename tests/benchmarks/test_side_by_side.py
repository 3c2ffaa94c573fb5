"""Pictures side by side are the pictures alone, and what they took is counted for each."""

import pytest
import torch

from benchmarks.processes import peak_mib
from benchmarks.side_by_side import Counted, restart_peak, restore_together
from priors.analytic import GaussianMixturePrior
from solvers.catalogue import NEEDS_GRADIENT, SOLVERS
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Mask, holes
from solvers.query import Problem, Solver

PRIOR = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)


def solver(name: str, seed: int) -> Solver:
    """Every picture has a hole of its own."""
    operator = Mask(holes.random_pixels(8, 8, 0.5, seed))
    y = operator.forward(NoiseStream(seed).normal(0, torch.zeros(1, 3, 8, 8, dtype=torch.float64)))
    return SOLVERS[name].solve(Problem(y, operator, 0.1), SOLVERS[name].parameters(steps=4), NoiseStream(seed))


@pytest.mark.parametrize(
    ("name", "calls", "gradients"),
    [("red_diff", 4, 0), ("diffpir", 4, 0), ("daps", 8, 0), ("dps", 4, 4), ("pigdm", 4, 4)],
)
def test_three_pictures_are_as_if_alone(name, calls, gradients):
    solutions, spent = restore_together(
        [solver(name, seed) for seed in range(3)], Counted(PRIOR, name in NEEDS_GRADIENT)
    )
    for seed, solution in enumerate(solutions):
        assert torch.allclose(solution.x, drive(solver(name, seed), PRIOR.denoise).x, atol=1e-12)
    assert (spent.calls, spent.gradients) == (calls, gradients)


def test_the_peak_is_that_since_it_was_restarted():
    large = torch.ones(64, 2**18)  # 64 MiB
    held = restart_peak()
    del large
    assert restart_peak() < held - 48
    before = restart_peak()
    torch.ones(32, 2**18)
    assert 24 < peak_mib() - before < 48

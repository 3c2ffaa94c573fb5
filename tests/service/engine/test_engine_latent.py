"""Inpainting with a prior on latents: real networks, tiles of their one size, one picture whoever shares the batch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from priors.adoption import adopt
from priors.latent import LatentPrior
from priors.store import load_prior
from service.engine.engine import Engine
from solvers.drive import converse
from solvers.noise import NoiseStream
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask
from solvers.query import Problem, Query, Solver
from solvers.red_diff import RedDiffParameters, red_diff
from tests.priors.latents import write_pipeline
from tests.service.engine.parts import WAIT_S, Gate, Recorder, image


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> LatentPrior:
    """Of 16 pixels a side, two to a latent."""
    folder = write_pipeline(tmp_path_factory.mktemp("models") / "sd")
    adopt(folder, licence="MIT")
    return load_prior(folder.parent, "sd", torch.device("cpu"))


def task(height: int, width: int) -> Problem:
    """A picture with a hole in its middle; what is around it is exact."""
    observed = torch.ones(height, width, dtype=torch.bool)
    observed[height // 3 : height // 2, width // 4 : width // 2] = False
    operator = Mask(observed)
    return Problem(operator.forward(0.3 * image(height, width)), operator, sigma_y=0.0)


def inpainting(height: int, width: int, seed: int, symmetry: str = "none") -> Solver:
    return red_diff(task(height, width), RedDiffParameters(steps=6, symmetry=symmetry), NoiseStream(seed))


def driven(solver: Solver, prior: LatentPrior) -> Tensor:
    """The solution of a picture that fits one tile, without the engine."""

    def reply(query: Query) -> Tensor:
        mean = query.mean()
        return prior.denoise_split(mean, (query.x - mean) / query.sigma, query.sigma)

    return converse(solver, reply).x


@pytest.mark.parametrize("symmetry", ["none", "dihedral"])
def test_the_engine_equals_the_plain_loop(
    make_engine: Callable[..., Engine], prior: LatentPrior, symmetry: str
) -> None:
    future = make_engine(prior).submit("job", lambda: inpainting(16, 16, 3, symmetry), "sd")
    expected = driven(inpainting(16, 16, 3, symmetry), prior)
    assert (future.result(WAIT_S).solution.x - expected).abs().max() < 1e-4


@pytest.mark.parametrize("size", [(16, 16), (41, 30), (9, 50)])
def test_the_hole_is_filled_and_the_rest_kept(
    make_engine: Callable[..., Engine], prior: LatentPrior, size: tuple[int, int]
) -> None:
    solution = make_engine(prior).submit("job", lambda: inpainting(*size, seed=0), "sd").result(WAIT_S).solution
    problem = task(*size)
    hole = ~problem.operator.observed
    assert solution.x.isfinite().all()
    assert (problem.operator.forward(solution.x) - problem.measurement).abs().max() < 0.01
    start = red_diff(problem, RedDiffParameters(steps=1), NoiseStream(0)).send(None).estimate
    assert (solution.x - start)[..., hole].abs().max() > 0.01  # the prior was heard


def test_equal_seeds_give_equal_pictures_alone_and_in_any_batch(
    make_engine: Callable[..., Engine], prior: LatentPrior
) -> None:
    size = (41, 30)
    alone = make_engine(prior).submit("alone", lambda: inpainting(*size, seed=1), "sd").result(WAIT_S).solution.x
    seen, gate = Recorder(), Gate()
    engine = make_engine(prior, observe=seen)
    engine.submit("gate", gate.start, "sd")
    futures = [engine.submit(f"job-{seed}", lambda seed=seed: inpainting(*size, seed), "sd") for seed in (1, 2, 1)]
    other = engine.submit("other", lambda: inpainting(20, 25, seed=4), "sd")
    gate.open()
    first, second, third = (future.result(WAIT_S).solution.x for future in futures)
    other.result(WAIT_S)
    assert max(tiles for _, tiles in seen.batches) > 12  # more than one of the jobs has tiles
    assert (first - alone).abs().max() < 1e-4 and (third - alone).abs().max() < 1e-4
    assert (second - alone).abs().max() > 1e-3


def test_a_solver_that_knows_no_mean_ends_its_job_and_no_other(
    make_engine: Callable[..., Engine], prior: LatentPrior
) -> None:
    """Denoising asks the prior about the measurement itself."""
    engine, noisy = make_engine(prior), Problem(image(16, 16), Identity((3, 16, 16)), sigma_y=0.2)
    good = engine.submit("good", lambda: inpainting(16, 16, 0), "sd")
    bad = engine.submit("bad", lambda: red_diff(noisy, RedDiffParameters(), NoiseStream(0)), "sd")
    with pytest.raises(ValueError, match="the prior sd is on latents, and the solver knows no picture without noise"):
        bad.result(WAIT_S)
    assert good.result(WAIT_S).solution.x.isfinite().all()

"""What every solver of the catalogue that restores has in common: seeds, rows, what it asks, and numbers that are not
finite."""

import dataclasses

import pytest
import torch

from priors.analytic import GaussianMixturePrior
from solvers.catalogue import DENOISERS, LINEAR_ONLY, NEEDS_GRADIENT, SOLVERS
from solvers.drive import answer, drive
from solvers.noise import NoiseStream
from solvers.operators.base import OperatorError
from solvers.query import Problem, Query, SolverDiverged
from tests.solvers.gaussian_prior import Recorder
from tests.solvers.parts import Cubic, RowStreams, operators, problem

PRIOR = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
RESTORERS = [name for name in SOLVERS if name not in DENOISERS]
RIVALS = [name for name in RESTORERS if name != "red_diff"]
STEEP = {"daps": {"learning_rate": 0.02}, "dps": {"steps": 100}}
"""What a slope above 1 asks for."""
every_problem = pytest.mark.parametrize("kind", operators())
every_solver = pytest.mark.parametrize("name", RESTORERS)
every_denoiser = pytest.mark.parametrize("name", sorted(DENOISERS))
every_rival = pytest.mark.parametrize("name", RIVALS)


def start(name: str, task: Problem, noise: NoiseStream, **given):
    entry = SOLVERS[name]
    return entry.solve(task, entry.parameters(**({"steps": 6} | given)), noise)


@every_problem
@every_solver
def test_the_seed_decides_the_picture(name, kind):
    task = problem(operators()[kind])
    first, again, other = (drive(start(name, task, NoiseStream(s)), PRIOR.denoise).x for s in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_problem
@every_solver
def test_a_batch_equals_its_rows_alone(name, kind):
    operator = operators()[kind]
    task, seeds = problem(operator, rows=3), (3, 1, 4)
    together = drive(start(name, task, RowStreams(0, seeds)), PRIOR.denoise).x
    alone = [
        drive(start(name, Problem(y, operator, task.sigma_y), NoiseStream(seed)), PRIOR.denoise).x
        for y, seed in zip(task.measurement.split(1), seeds, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-10)


@every_problem
@every_rival
def test_queries_number_themselves_and_carry_an_estimate(name, kind):
    task, recorder = problem(operators()[kind]), Recorder(PRIOR.denoise)
    solution = recorder.drive(start(name, task, NoiseStream(0), num_samples=2))
    assert [query.step for query in recorder.asked] == list(range(len(recorder.asked)))
    assert {query.total for query in recorder.asked} == {len(recorder.asked)}
    assert any(query.cotangent is not None for query in recorder.asked) == (name in NEEDS_GRADIENT)
    shape = task.operator.input_shape
    for query in recorder.asked:
        assert query.x.shape == query.mean().shape == (2, *shape)
        assert query.sigma.shape == (2,)
        assert query.estimate.shape == (1, *shape)
        misfit = float((task.measurement - task.operator.forward(query.estimate)).square().mean().sqrt())
        assert query.data_residual == pytest.approx(misfit, rel=1e-9)
    assert solution.x.shape == solution.deviation.shape == (1, *shape)
    assert solution.samples.shape == (2, *shape)


@every_rival
def test_single_precision_in_and_out(name):
    task = problem(operators()["bicubic"], dtype=torch.float32)
    exact = Problem(task.measurement.double(), task.operator, task.sigma_y)
    single, double = (drive(start(name, p, NoiseStream(1), sigma_max=5.0), PRIOR.denoise).x for p in (task, exact))
    assert single.dtype == torch.float32
    assert (single - double).abs().max() < 1e-3


@every_problem
@every_rival
@pytest.mark.parametrize("call", [2, 3])
def test_one_number_that_is_not_finite_ends_the_run(name, kind, call):
    solver = start(name, problem(operators()[kind]), NoiseStream(0))
    query: Query = next(solver)
    for _ in range(call):
        query = solver.send(answer(query, PRIOR.denoise))
    bad = answer(query, PRIOR.denoise)
    bad[0, 0, 1, 2] = float("nan")
    with pytest.raises(SolverDiverged) as caught:
        solver.send(bad)
    assert caught.value.step == call


@every_problem
@every_rival
def test_a_bad_measurement_is_seen_before_the_first_call(name, kind):
    task = problem(operators()[kind])
    task.measurement[0, 0, 0, 0] = float("nan")
    with pytest.raises(SolverDiverged, match="step 0"):
        next(start(name, task, NoiseStream(0)))


@every_problem
@every_rival
def test_answers_and_measurement_are_left_as_they_are(name, kind):
    task, recorder = problem(operators()[kind]), Recorder(PRIOR.denoise)
    before, sent = task.measurement.clone(), []

    def denoise(x, sigma):
        sent.append((x, x.clone()))
        return PRIOR.denoise(x, sigma)

    recorder.denoise = denoise
    recorder.drive(start(name, task, NoiseStream(0)))
    assert torch.equal(task.measurement, before)
    assert all(torch.equal(x, copy) for x, copy in sent)


@every_rival
def test_operators_that_are_not_linear(name):
    task = problem(Cubic((1, 4, 4)), 0.1)
    if name in LINEAR_ONLY:
        with pytest.raises(OperatorError):
            next(start(name, task, NoiseStream(0)))
    else:
        assert drive(start(name, task, NoiseStream(0), **STEEP.get(name, {})), PRIOR.denoise).data_residual < 1


@every_rival
def test_every_parameter_has_bounds_that_hold(name):
    made = SOLVERS[name].parameters
    made()
    for item in dataclasses.fields(made):
        bad = {"ge": lambda v: v - 1, "gt": lambda v: v, "le": lambda v: v + 1, "among": lambda _: "other"}
        assert item.metadata, item.name
        for bound, value in item.metadata.items():
            with pytest.raises(ValueError, match=item.name):
                made(**{item.name: bad[bound](value)})
        if "among" not in item.metadata:
            with pytest.raises(ValueError, match=item.name):
                made(**{item.name: float("nan")})


@pytest.mark.parametrize("kind", [kind for kind in operators() if kind != "identity"])
@every_denoiser
def test_solvers_of_noise_alone_take_no_other_operator(name, kind):
    entry = SOLVERS[name]
    with pytest.raises(ValueError, match="denoises"):
        next(entry.solve(problem(operators()[kind]), entry.parameters(), NoiseStream(0)))

"""The parameters of RED-Diff, and what both modes have in common."""

import dataclasses
import typing

import pytest
import torch
from annotated_types import Ge, Gt, Le

from api_schemas.solvers import MODE_FIELDS, RedDiffParams
from priors.analytic import GaussianMixturePrior
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators.clip import Clip
from solvers.operators.gamma import Gamma
from solvers.operators.jpeg import Jpeg
from solvers.operators.quantise import Quantise
from solvers.query import Problem, SolverDiverged
from solvers.red_diff import MODES as SETTINGS
from solvers.red_diff import RedDiffParameters, red_diff, settings_of
from tests.solvers.parts import RowStreams, lockstep, operators, problem, queries

PRIOR = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
MODES = ("fast", "particles", "paper")
SHAPE = (3, 16, 16)
VALUES = {
    "symmetry": "mirror",
    "likelihood": "student_t",
    "discrepancy": "weight",
    "particles": 3,
    "weighting": "log",
    "order": "random",
    "parallel": 2,
    "ending": "noise",
    "variance": "learnt",
}
"""One that is allowed for each parameter, where 1.0 is not."""
every_problem = pytest.mark.parametrize("kind", operators())
every_mode = pytest.mark.parametrize("mode", MODES)


def wire_bounds(annotation: object) -> dict[str, object]:
    """`gt`, `ge`, `le` and `among` of a pydantic annotation, through unions and nested Annotated."""
    if typing.get_origin(annotation) is typing.Literal:
        return {"among": typing.get_args(annotation)}
    found: dict[str, object] = {}
    for metadata in getattr(annotation, "__metadata__", ()):
        for item in getattr(metadata, "metadata", [metadata]):
            found |= {k: getattr(item, k) for kind, k in ((Ge, "ge"), (Gt, "gt"), (Le, "le")) if isinstance(item, kind)}
    for part in typing.get_args(annotation):
        found |= wire_bounds(part)
    return found


def test_the_wire_says_the_same():
    ours = {item.name: item for item in dataclasses.fields(RedDiffParameters)}
    wire = RedDiffParams.model_fields
    assert list(ours) == list(wire)
    for name, item in ours.items():
        assert item.default == wire[name].default, name
        assert dict(item.metadata) == wire_bounds(RedDiffParams.__annotations__[name]), name


def test_the_wire_knows_the_fields_of_each_mode():
    for mode, kind in SETTINGS.items():
        assert {item.name for item in dataclasses.fields(kind)} == {"steps", "prior_weight", *MODE_FIELDS[mode]}


@pytest.mark.parametrize("name", sorted({name for fields in MODE_FIELDS.values() for name in fields}))
@every_mode
def test_a_parameter_of_another_mode_is_an_error_on_both_sides(mode, name):
    given = {"mode": mode, name: VALUES.get(name, 1.0)}
    if name == "degrees_of_freedom":
        given = {"mode": mode, "likelihood": "student_t", name: 1.0}
    for made in (RedDiffParameters, RedDiffParams):
        if name in MODE_FIELDS[mode]:
            assert getattr(made(**given), name) == given[name]
            assert made is RedDiffParams or getattr(settings_of(made(**given)), name) == given[name]
        else:
            with pytest.raises(ValueError, match=f"{name}|likelihood"):
                made(**given)


def test_degrees_of_freedom_are_those_of_student_t():
    for made in (RedDiffParameters, RedDiffParams):
        for likelihood in ({}, {"likelihood": "gaussian"}):
            with pytest.raises(ValueError, match="degrees_of_freedom"):
                made(degrees_of_freedom=3.0, **likelihood)


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "slow"},
        {"steps": 0},
        {"steps": 1001},
        {"prior_weight": 0.0},
        {"prior_weight": float("nan")},
        {"prior_weight": 101.0},
        {"sigma_max": 0.0},
        {"sigma_max": 1e-300},  # its square is zero
        {"sigma_max": float("inf")},
        {"symmetry": "cubic"},
        {"mode": "paper", "weighting": "cubic"},
        {"mode": "paper", "order": "upwards"},
        {"mode": "paper", "learning_rate": 11.0},
        {"mode": "paper", "adam_eps": 0.0},
        {"mode": "paper", "parallel": 0},
        {"mode": "paper", "ending": "abrupt"},
        {"mode": "paper", "posterior_std": -0.1},
        {"mode": "paper", "variance": "guessed"},
        {"likelihood": "poisson"},
        {"likelihood": "student_t", "degrees_of_freedom": 0.4},
        {"discrepancy": "ignored"},
        {"mode": "particles", "particles": 1},
        {"mode": "particles", "particles": 17},
        {"mode": "particles", "repulsion": -1.0},
    ],
)
def test_values_out_of_bounds(given):
    with pytest.raises(ValueError, match=list(given)[-1]):
        RedDiffParameters(**given)


@pytest.mark.parametrize(("mode", "calls"), [("fast", 20), ("particles", 20), ("paper", 100)])
def test_default_number_of_calls(mode, calls):
    asked, _ = queries(
        red_diff(problem(operators()["mask"]), RedDiffParameters(mode=mode), NoiseStream(0)), PRIOR.denoise
    )
    assert [query.step for query in asked] == list(range(calls))
    assert {query.total for query in asked} == {calls}


@every_problem
@every_mode
def test_queries_carry_the_estimate_and_its_misfit(kind, mode):
    task = problem(operators()[kind])
    asked, solution = queries(red_diff(task, RedDiffParameters(mode=mode, steps=6), NoiseStream(0)), PRIOR.denoise)

    def misfit(x):
        return float((task.measurement - task.operator.forward(x)).square().mean().sqrt())

    for query in asked[1:]:
        assert query.estimate.shape == (1, *task.operator.input_shape)
        assert query.x.shape[1:] == query.estimate.shape[1:]
        assert query.sigma.shape == query.x.shape[:1] == ((4,) if mode == "particles" else (1,))
        if mode != "particles":
            assert query.data_residual == pytest.approx(misfit(query.estimate), rel=1e-9)
    assert solution.data_residual == pytest.approx(misfit(solution.x), rel=1e-9)


@every_problem
@every_mode
def test_single_precision_in_and_out(kind, mode):
    task = problem(operators()[kind], dtype=torch.float32)
    exact = Problem(task.measurement.double(), task.operator, task.sigma_y)
    params = RedDiffParameters(mode=mode, steps=10)
    single, double = (drive(red_diff(p, params, NoiseStream(1)), PRIOR.denoise).x for p in (task, exact))
    assert single.dtype == torch.float32
    assert (single - double).abs().max() < 1e-3


@every_problem
@every_mode
def test_the_seed_decides_the_picture(kind, mode):
    task, params = problem(operators()[kind]), RedDiffParameters(mode=mode, steps=8)
    first, again, other = (drive(red_diff(task, params, NoiseStream(s)), PRIOR.denoise).x for s in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@every_problem
@pytest.mark.parametrize("mode", ["fast", "paper"])
def test_a_batch_equals_its_rows_alone(kind, mode):
    """Nothing is reduced over the batch: neither the losses nor Adam's epsilon know how many rows there are."""
    operator, params = operators()[kind], RedDiffParameters(mode=mode, steps=12)
    task, seeds = problem(operator, rows=4), (3, 1, 4, 15)
    together = drive(red_diff(task, params, RowStreams(0, seeds)), PRIOR.denoise).x
    alone = [
        drive(red_diff(Problem(y, operator, task.sigma_y), params, NoiseStream(seed)), PRIOR.denoise).x
        for y, seed in zip(task.measurement.split(1), seeds, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-12)


@every_mode
def test_jobs_that_share_every_call_equal_the_solo_runs(mode):
    params, seeds = RedDiffParameters(mode=mode, steps=10), range(4)
    tasks = [problem(operator) for operator in operators().values()]
    runs = [red_diff(t, params, NoiseStream(s)) for t, s in zip(tasks, seeds, strict=True)]
    together = lockstep(runs, PRIOR.denoise)
    for task, seed, shared in zip(tasks, seeds, together, strict=True):
        alone = drive(red_diff(task, params, NoiseStream(seed)), PRIOR.denoise).x
        assert torch.allclose(shared, alone, atol=1e-12)


@every_problem
@every_mode
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_not_finite_ends_the_run(kind, mode, bad):
    answered = []

    def denoise(x, sigma):
        answered.append(1)
        x = PRIOR.denoise(x, sigma)
        if len(answered) == 4:
            x[0, 0, 1, 2] = bad
        return x

    with pytest.raises(SolverDiverged) as caught:
        drive(red_diff(problem(operators()[kind]), RedDiffParameters(mode=mode, steps=9), NoiseStream(0)), denoise)
    assert (caught.value.step, caught.value.quantity) == (3, "the denoised image")
    assert len(answered) == 4


@every_problem
@every_mode
def test_a_bad_measurement_is_seen_before_the_first_call(kind, mode):
    task = problem(operators()[kind])
    task.measurement[0, 0, 0, 0] = float("nan")
    with pytest.raises(SolverDiverged, match="step 0"):
        next(red_diff(task, RedDiffParameters(mode=mode), NoiseStream(0)))


@every_problem
@every_mode
def test_answers_and_measurement_are_left_as_they_are(kind, mode):
    """The engine owns what it sends, and the problem may be solved again."""
    task, sent = problem(operators()[kind]), []
    before = task.measurement.clone()

    def denoise(x, sigma):
        answer = PRIOR.denoise(x, sigma)
        sent.append((answer, answer.clone()))
        return answer

    drive(red_diff(task, RedDiffParameters(mode=mode, steps=5), NoiseStream(0)), denoise)
    assert torch.equal(task.measurement, before)
    assert all(torch.equal(answer, copy) for answer, copy in sent)


@every_mode
@pytest.mark.parametrize(
    "operator", [Clip(SHAPE, 2.0), Jpeg(SHAPE, 20), Quantise(SHAPE, 3), Gamma(SHAPE, 2.2)], ids=type
)
def test_operators_that_are_not_linear(operator, mode):
    """Every mode takes them, and comes nearer to the truth than its start; the paper's with small steps."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    truth = 0.6 * torch.sin((y + 2 * x) / 8).expand(1, *SHAPE).double()
    task = Problem(operator.forward(truth), operator, 0.0)
    params = RedDiffParameters(mode=mode, steps=10, **({"learning_rate": 0.01} if mode == "paper" else {}))
    asked, solution = queries(red_diff(task, params, NoiseStream(0)), lambda z, sigma: truth.expand_as(z).clone())
    assert torch.equal(asked[0].estimate, operator.start(task.measurement))
    before, after = ((each - truth).square().mean() for each in (asked[0].estimate, solution.x))
    assert after < before or float(before) < 1e-6

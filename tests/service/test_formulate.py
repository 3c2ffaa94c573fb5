"""From the wire's words to mathematics."""

from typing import Any

import numpy as np
import pytest
import torch

from api_schemas.requests import OPTIONS
from priors.analytic import GaussianPrior
from service.formulate import Formulation, PriorFacts, formulate, to_image_range, to_solver_range
from solvers.calibration import Calibration
from solvers.drive import drive
from solvers.operators.downsample import Downsample
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask

CPU = torch.device("cpu")


def formulation(
    task: str,
    rgb01: np.ndarray,
    observed: np.ndarray | None = None,
    prior: PriorFacts = PriorFacts(),
    bits: int | None = None,
    **options: Any,
) -> Formulation:
    request = OPTIONS[task](**({"solver": "red_diff", "seed": 1} | options)).model_dump(mode="json")
    return formulate(request, rgb01, observed, CPU, prior, bits=bits)


@pytest.fixture
def rgb01() -> np.ndarray:
    return np.random.default_rng(0).random((24, 40, 3), dtype=np.float32)


@pytest.mark.parametrize("noise", [{"sigma": 0.05}, {"sigma_255": 12.75}])
def test_a_level_of_the_wire_is_twice_as_large_for_the_solver(rgb01: np.ndarray, noise: dict) -> None:
    made = formulation("denoise", rgb01, noise=noise)
    assert made.problem.sigma_y == pytest.approx(0.1)
    assert made.sigma01 == pytest.approx(0.05)
    assert not made.noise_was_estimated


def test_noise_on_the_wires_scale_is_noise_of_twice_the_level_in_the_problem() -> None:
    """algorithms.md 10.8 g, at a million samples."""
    rng = np.random.default_rng(0)
    clean = rng.random((600, 600, 3), dtype=np.float32)
    noisy = clean + rng.normal(0, 0.05, clean.shape).astype(np.float32)
    problem = formulation("denoise", noisy, noise={"sigma": 0.05}).problem
    noise = problem.measurement - problem.operator.forward(to_solver_range(clean, CPU))
    assert float(noise.std()) == pytest.approx(problem.sigma_y, rel=0.005)


def test_the_level_is_estimated_on_request() -> None:
    clean = np.full((128, 128, 3), 0.5, np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 0.08, clean.shape).astype(np.float32)
    made = formulation("denoise", noisy, noise="auto")
    assert made.noise_was_estimated
    assert made.sigma01 == pytest.approx(0.08, rel=0.15)


def test_each_task_has_its_operator_and_shape(rgb01: np.ndarray) -> None:
    observed = np.random.default_rng(1).random((24, 40)) < 0.5
    assert isinstance(formulation("inpaint", rgb01, observed).problem.operator, Mask)
    assert isinstance(formulation("denoise", rgb01).problem.operator, Identity)
    for kernel in ("bicubic", "box"):
        operator = formulation("super_resolution", rgb01, scale=3, kernel=kernel).problem.operator
        assert isinstance(operator, Downsample)
        assert operator.input_shape == (3, 72, 120)
        assert operator.output_shape == (3, 24, 40)


def test_nothing_in_the_hole_reaches_the_solver(rgb01: np.ndarray) -> None:
    observed = np.ones((24, 40), bool)
    observed[5:15, 10:20] = False
    other = rgb01.copy()
    other[~observed] = 1 - other[~observed]
    one, two = (formulation("inpaint", picture, observed).problem.measurement for picture in (rgb01, other))
    assert torch.equal(one, two)


def test_what_the_client_gives_overrides_the_preset(rgb01: np.ndarray) -> None:
    quick, thorough = (formulation("denoise", rgb01, preset=name).parameters for name in ("fast", "quality"))
    assert thorough.steps > quick.steps
    chosen = formulation("denoise", rgb01, preset="quality", params={"steps": 7, "sigma_max": 0.3}).parameters
    assert (chosen.mode, chosen.steps, chosen.sigma_max) == ("fast", 7, 0.3)


def test_the_symmetry_is_that_of_the_prior_unless_the_client_gives_one(rgb01: np.ndarray) -> None:
    for task in ("denoise", "super_resolution"):
        for symmetry in ("none", "mirror", "dihedral"):
            assert formulation(task, rgb01, prior=PriorFacts(symmetry)).parameters.symmetry == symmetry
        given = formulation(task, rgb01, prior=PriorFacts("dihedral"), params={"symmetry": "none"})
        assert given.parameters.symmetry == "none"
    paper = formulation("denoise", rgb01, prior=PriorFacts("dihedral"), params={"mode": "paper"})
    assert paper.parameters.symmetry is None


def test_the_mode_of_the_paper_keeps_its_own_defaults(rgb01: np.ndarray) -> None:
    parameters = formulation("denoise", rgb01, params={"mode": "paper", "weighting": "sqrt"}).parameters
    assert (parameters.mode, parameters.weighting, parameters.steps) == ("paper", "sqrt", None)


def test_equal_formulations_give_equal_pictures(rgb01: np.ndarray) -> None:
    made = formulation("denoise", rgb01, params={"steps": 3}, noise={"sigma": 0.1})
    other_seed = formulation("denoise", rgb01, params={"steps": 3}, noise={"sigma": 0.1}, seed=2)

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x * 0.9

    pictures = [drive(each.start(), denoise).x for each in (made, made, other_seed)]
    assert torch.equal(pictures[0], pictures[1])
    assert not torch.equal(pictures[0], pictures[2])


def test_ranges_round_trip(rgb01: np.ndarray) -> None:
    before = rgb01.copy()
    x = to_solver_range(rgb01, CPU)
    assert x.is_contiguous()
    assert x.shape == (1, 3, 24, 40)
    assert x.min() >= -1 and x.max() <= 1 and x.min() < -0.9 and x.max() > 0.9
    kept = x.clone()
    np.testing.assert_allclose(to_image_range(x), rgb01, atol=1e-6)
    assert torch.equal(x, kept) and (rgb01 == before).all()


def test_a_grey_picture_is_measured_once_not_three_times() -> None:
    grey = np.repeat(np.random.default_rng(0).random((24, 40, 1), dtype=np.float32), 3, axis=-1)
    made = formulation("denoise", grey, noise={"sigma": 0.05})
    assert made.problem.sigma_y == pytest.approx(0.1 * 3**0.5)
    assert made.sigma01 == pytest.approx(0.05)
    tinted = grey.copy()
    tinted[3, 3, 0] += 0.1
    assert formulation("denoise", tinted, noise={"sigma": 0.05}).problem.sigma_y == pytest.approx(0.1)


def test_the_level_that_a_solver_reads_in_a_grey_picture_is_that_of_the_picture() -> None:
    clean = np.full((128, 128, 1), 0.5, np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 0.08, clean.shape).astype(np.float32)
    made = formulation("denoise", np.repeat(noisy, 3, axis=-1), noise="auto", solver="score_dvi")
    solution = drive(made.start(), GaussianPrior(0.25).denoise)
    assert made.estimated01(solution) == pytest.approx(0.08, rel=0.1)


def test_colour_in_the_hole_does_not_make_a_grey_picture_coloured() -> None:
    grey = np.repeat(np.random.default_rng(0).random((24, 40, 1), dtype=np.float32), 3, axis=-1)
    observed = np.ones((24, 40), bool)
    observed[5:9, 5:9] = False
    grey[~observed] = (1, 0, 0)
    assert formulation("inpaint", grey, observed, noise={"sigma": 0.05}).problem.sigma_y == pytest.approx(0.1 * 3**0.5)


def test_the_level_is_estimated_from_known_pixels_only() -> None:
    noisy = 0.5 + np.random.default_rng(0).normal(0, 0.08, (128, 128, 3)).astype(np.float32)
    observed = np.ones((128, 128), bool)
    observed[:, 40:80] = False
    noisy[~observed] = 0.5  # painted flat: no noise there
    assert formulation("inpaint", noisy, observed, noise="auto").sigma01 == pytest.approx(0.08, rel=0.15)


GAUSSIAN = {"kernel": {"kind": "gaussian", "width": 1.0}}


def rounding(values: np.ndarray, bits: int) -> np.ndarray:
    top = 2**bits - 1
    return (np.rint(values.astype(np.float64) * top) / top).astype(np.float32)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("noise", [{"sigma": 0.0}, "auto"])
@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_to_be_deblurred_has_at_least_the_noise_of_its_rounding(bits: int, noise: Any, colours: int) -> None:
    """The level declared is the spread of the rounding itself; a flat picture has no other noise to be estimated."""
    fine = np.random.default_rng(0).random((64, 64, colours), dtype=np.float32).repeat(3 // colours, axis=-1)
    spread = float((rounding(fine, bits) - fine).std())
    flat = np.full((64, 64, 3), 0.3, np.float32)
    flat[..., 2] += 0.1 * (colours == 3)
    for sent in (flat, fine) if noise != "auto" else (flat,):
        made = formulation("deblur", sent, bits=bits, noise=noise, **GAUSSIAN)
        assert made.problem.sigma_y == pytest.approx(2 * spread * (3 if colours == 1 else 1) ** 0.5, rel=0.05)
        assert made.sigma01 == pytest.approx(spread, rel=0.05)
    assert formulation("deblur", fine, bits=bits, noise={"sigma": 0.1}, **GAUSSIAN).sigma01 == 0.1


def test_values_show_that_they_were_rounded(rgb01: np.ndarray) -> None:
    def level(values: np.ndarray, bits: int | None) -> float:
        return formulation("deblur", values, bits=bits, noise={"sigma": 0.0}, **GAUSSIAN).problem.sigma_y

    assert level(rgb01, None) == 0
    for bits in (8, 16):
        assert level(rounding(rgb01, bits), None) == level(rgb01, bits) > 0
    assert level(rounding(rgb01, 8), 16) == level(rgb01, 8)


def test_rounding_is_no_noise_where_pixels_are_not_mixed(rgb01: np.ndarray) -> None:
    observed = np.random.default_rng(1).random((24, 40)) < 0.5
    exact = {"bits": 8, "noise": {"sigma": 0.0}}
    assert formulation("inpaint", rgb01, observed, **exact).problem.sigma_y == 0
    assert formulation("denoise", rgb01, solver="red_diff", **exact).problem.sigma_y == 0
    for operator in ({"kind": "jpeg", "quality": 20}, {"kind": "quantise", "bits": 3}, {"kind": "clip", "gain": 2.0}):
        assert formulation("restore", rgb01, operator=operator, **exact).problem.sigma_y == 0
    assert formulation("super_resolution", rgb01, scale=2, **exact).problem.sigma_y > 0


def test_each_solver_has_its_parameters_and_samples(rgb01: np.ndarray) -> None:
    made = formulation("denoise", rgb01, solver="dps", params={"steps": 7}, num_samples=3)
    assert (made.solver, made.parameters.steps, made.parameters.num_samples) == ("dps", 7, 3)
    assert made.ensemble is None  # it samples by itself
    assert formulation("denoise", rgb01, solver="daps").parameters.num_samples == 1
    particles = formulation("super_resolution", rgb01, params={"mode": "particles"}, num_samples=3)
    assert (particles.parameters.particles, particles.ensemble) == (3, None)


def test_an_ensemble_is_run_for_uncertainty_and_for_samples(rgb01: np.ndarray) -> None:
    assert formulation("denoise", rgb01).ensemble is None
    prior = PriorFacts(calibrations={"denoise": Calibration(2.0)})
    asked = formulation("denoise", rgb01, prior=prior, uncertainty={"samples": 5}, num_samples=3).ensemble
    assert asked is not None
    assert (asked.samples, asked.task, asked.calibration.scale) == (5, "denoise", 2.0)
    for count, members in ((1, 2), (9, 9)):
        samples = formulation("denoise", rgb01, num_samples=count).ensemble
        assert samples is not None and samples.samples == members


def test_an_operator_that_loses_the_colours_measures_one_channel(rgb01: np.ndarray) -> None:
    grey = np.repeat(rgb01[..., :1], 3, axis=-1)
    made = formulation("restore", grey, operator={"kind": "grey"}, noise={"sigma": 0.05}, solver="dps")
    assert made.problem.measurement.shape == (1, 1, 24, 40)
    assert made.problem.operator.input_shape == (3, 24, 40)
    assert made.problem.sigma_y == pytest.approx(0.1)  # one channel is one measurement


def test_nothing_in_the_holes_of_an_operator_reaches_the_solver(rgb01: np.ndarray) -> None:
    box = {"kind": "box", "top": 5, "left": 10, "height": 10, "width": 10}
    operator = {"kind": "mask", "pattern": box}
    made = formulation("restore", rgb01, operator=operator, solver="dps")
    assert not made.problem.measurement[..., 5:15, 10:20].any()
    assert torch.equal(made.problem.measurement[..., :5, :], to_solver_range(rgb01, CPU)[..., :5, :])


@pytest.mark.parametrize(
    ("operator", "task", "sigma_max"),
    [
        ({"kind": "identity"}, "denoise", None),
        ({"kind": "grey"}, "colourise", 10.0),
        ({"kind": "jpeg", "quality": 20}, "jpeg", 0.15),
        ({"kind": "clip", "gain": 2.0}, "hdr", 0.6),
        ({"kind": "gamma", "gamma": 2.2}, "tone", 0.3),
        ({"kind": "blur", "kernel": {"kind": "gaussian", "width": 1.0}}, "deblur", 0.6),
        ({"kind": "mask", "pattern": {"kind": "random", "missing": 0.5}}, "inpaint", 0.3),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_restoring_begins_as_the_task_of_its_operator(
    rgb01: np.ndarray, operator: dict[str, Any], task: str, sigma_max: float | None
) -> None:
    """Its parameters are those of the preset of that task, and its uncertainty has the calibration of that task."""
    prior = PriorFacts(calibrations={task: Calibration(2.0)})
    grey = np.repeat(rgb01[..., :1], 3, axis=-1)
    made = formulation(
        "restore", grey, operator=operator, noise={"sigma": 0.01}, uncertainty={"samples": 2}, prior=prior
    )
    assert made.parameters.sigma_max == sigma_max
    assert made.ensemble is not None and (made.ensemble.task, made.ensemble.calibration.scale) == (task, 2.0)

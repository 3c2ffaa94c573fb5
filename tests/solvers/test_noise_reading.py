"""What is put right in the estimate of a camera's noise, what a denoiser adds to it, and what is left alone."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmarks.cameras import CAMERAS, expose
from benchmarks.cameras import grey as grey_photograph
from benchmarks.served import reading_of, served
from service.settings import Settings
from solvers.camera_noise import camera_noise_of, estimate_camera_noise
from solvers.drive import answer, converse
from solvers.flat_blocks import flat_blocks, photographed
from solvers.noise import NoiseStream
from solvers.noise_features import COLOUR, GREY, block_features, kind_of
from solvers.noise_level import estimate_sigma
from solvers.noise_reading import Noise, look, parts, read_noise
from solvers.noise_weights import WEIGHTS, Reading, Weight
from solvers.operators.identity import Identity
from solvers.query import Problem, SolverDiverged
from solvers.score_dvi import ScoreDviParameters, score_dvi
from tests.solvers.parts import queries
from tests.solvers.test_camera_noise import noise, true_b8
from tests.solvers.test_noise_level import picture, quantised

NOISY = 0.6 * picture(96, 96) + 0.1 * noise(96, 96, 3, 0)
NOTHING = Weight(0.0, 0.0)


def problem(image: Tensor, sigma_y: float = 0.0) -> Problem:
    return Problem(image, Identity(tuple(image.shape[1:])), sigma_y)


def mean_denoiser(x: Tensor, sigma: Tensor) -> Tensor:
    """Takes all but the smooth off, and the more of it the higher the level that it is told."""
    level = sigma.reshape(-1, 1, 1, 1) if sigma.ndim == 1 else sigma
    return x.lerp(functional.avg_pool2d(x, 5, 1, 2), level.clamp(max=1))


def grey(image: Tensor) -> Tensor:
    return image[:, :1].expand(-1, 3, -1, -1)


def features(image: Tensor) -> dict[str, float]:
    return converse(look(image, True), lambda query: answer(query, mean_denoiser)).features


def reading(**odd: Weight) -> Reading:
    """Without any weights but the `odd` ones."""
    return Reading({kind: dict.fromkeys(features(image), NOTHING) | odd for kind, image in KINDS.items()})


def read(image: Tensor, how: Reading | None, sigma_y: float = 0.0) -> Noise:
    return converse(read_noise(problem(image, sigma_y), how), lambda query: answer(query, mean_denoiser))


def in_blocks(image: Tensor, sigma_y: float = 0.0) -> Noise:
    """Without a denoiser."""
    return read(image, None, sigma_y)


KINDS = {COLOUR: NOISY, GREY: grey(NOISY)}


def photographs() -> list[Tensor]:
    """One in three sizes."""
    with Image.open(Path(__file__).parents[2] / "examples" / "pictures" / "original.png") as image:
        pixels = torch.from_numpy(np.asarray(image.convert("RGB"), np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    return [
        functional.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(-1, 1)[..., :256, :256]
        for size in ((128, 192), (256, 384), (512, 768))
    ]


def asked(image: Tensor) -> Noise:
    """With the default denoiser."""
    denoiser = served(Settings().default_denoiser)
    with torch.inference_mode():
        return converse(read_noise(problem(image), reading_of(denoiser)), lambda query: answer(query, denoiser.denoise))


@pytest.mark.parametrize("kind", KINDS)
def test_every_feature_has_its_weights(kind):
    blocks = flat_blocks(KINDS[kind])
    found = camera_noise_of(blocks)
    assert kind_of(blocks, found) == kind
    seen = block_features(blocks, found, kind)
    assert list(seen) == list(WEIGHTS[kind])
    assert all(math.isfinite(value) for value in seen.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_denoiser_has_weights_for_every_feature(kind):
    seen = features(KINDS[kind])
    found = reading_of(served(Settings().default_denoiser))
    assert list(seen) == list(found.kinds[kind])
    assert all(math.isfinite(value) for value in seen.values())


@pytest.mark.parametrize("length", [3, 5])
@pytest.mark.parametrize("level", [5, 15, 40])
def test_noise_between_smooth_shapes_is_read_as_well_as_before(level, length):
    """Of which no camera that the weights were fitted to has made any."""
    noisy = quantised(0.6 * picture(192, 192, seed=level) + 2 * level / 255 * noise(192, 192, length, level))
    found = in_blocks(noisy)
    assert found.sigma == pytest.approx(2 * level / 255, rel=0.3)
    assert found.b8 == pytest.approx(true_b8(length), rel=0.6)


def test_the_noise_of_cameras_is_read_better_and_its_level_better_still_with_a_denoiser():
    """By all cameras. The weights have seen the photograph, but by other cameras."""
    energies, levels = [], []
    for clean in photographs():
        for seed, camera in enumerate(CAMERAS):
            noisy, truth = expose(camera, clean, seed)
            energy = 64 * float(functional.avg_pool2d(noisy - truth, 8, 4).var())
            found = estimate_camera_noise(noisy), in_blocks(noisy), asked(noisy)
            assert found[-1].probability > 0.5
            energies.append([math.log(each.sigma**2 * each.b8 / energy) ** 2 for each in found])
            levels.append([math.log(each.sigma / float((noisy - truth).std())) ** 2 for each in found])
    estimated, by_blocks, by_denoiser = np.sqrt(np.mean(energies, axis=0))
    assert max(by_blocks, by_denoiser) < 0.9 * estimated
    estimated, by_blocks, by_denoiser = np.sqrt(np.mean(levels, axis=0))
    assert by_denoiser < by_blocks < estimated


@pytest.mark.parametrize("shade", [lambda x: x, grey])
def test_a_photograph_without_noise_is_clean(shade):
    assert all(asked(shade(quantised(clean))).clean for clean in photographs())


def test_the_noise_of_grey_photographs_is_read_and_not_taken_for_texture():
    for clean in photographs():
        for seed, camera in enumerate(CAMERAS):
            noisy, truth = map(grey_photograph, expose(camera, clean, seed))
            level, found = float((noisy - truth).std()), asked(noisy)
            assert found.sigma == pytest.approx(level, rel=0.4)
            assert in_blocks(noisy).sigma == pytest.approx(level, rel=0.4)
            assert (found.probability > 0.5 and not found.white) or level < 2 / 127.5


def test_noise_whose_colours_were_cleaned_is_no_texture():
    for clean in photographs():
        shared = 0.1 * noise(*clean.shape[-2:], 5, 0)[:, :1]
        found = asked(quantised(clean + shared))
        assert found.probability > 0.5 and not found.white
        assert found.sigma == pytest.approx(0.1, rel=0.4)


@pytest.mark.parametrize("kind", ["tiny", "flat"])
def test_what_the_weights_know_nothing_of_is_left_as_it_was(kind):
    """And no denoiser is asked."""
    noisy = {"tiny": NOISY[..., :12, :40], "flat": torch.full((1, 3, 40, 30), 0.2)}[kind]
    before = estimate_camera_noise(noisy)
    asked, found = queries(read_noise(problem(noisy), reading()), mean_denoiser)
    assert not asked
    assert found == in_blocks(noisy)
    assert found.b8 == before.b8
    assert found.sigma == (estimate_sigma(noisy) if found.white else before.sigma)


def toned(image: Tensor) -> Tensor:
    """A grey picture in brown, of 8 bits."""
    value = ((image[:, :1] + 1) / 2).clamp(0, 1)
    return quantised(2 * torch.cat([value**0.9, 0.92 * value, 0.8 * value**1.15], 1) - 1)


def test_strong_white_noise_of_all_channels_alike_is_found():
    """Though colours show nothing of it."""
    for clean in photographs():
        noisy = quantised(clean + 0.1 * noise(*clean.shape[-2:], 1, 0)[:, :1])
        found = asked(noisy)
        assert not found.clean and found.white
        assert found.sigma == pytest.approx(0.1, rel=0.1)
        assert found.raised == in_blocks(noisy).raised == 3**0.5
        assert not in_blocks(noisy).clean


def test_a_toned_picture_is_read_as_a_grey_one():
    for clean in photographs():
        noisy = clean + 0.1 * noise(*clean.shape[-2:], 1, 0)[:, :1]
        brown = asked(toned(noisy))
        assert brown.raised == 3**0.5 and not brown.clean
        assert brown.sigma == pytest.approx(asked(grey(noisy)).sigma, rel=0.25)  # brown is darker
        assert asked(toned(clean)).clean
        assert asked(quantised(clean + 0.1 * noise(*clean.shape[-2:], 1, 0))).raised == 1


AREAS = {
    "half": (..., slice(96)),
    "bar": (..., slice(-20, None), slice(None)),
    "thin": (..., slice(3, 13), slice(None)),
    "square": (..., *[slice(40, 120)] * 2),
}


def with_area(x: Tensor, area: str) -> Tensor:
    if area == "shadows":
        return x.clamp(min=-0.3)
    x = x.clone()
    x[AREAS[area]] = -0.5
    return x


@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("area", [*AREAS, "shadows"])
def test_areas_of_one_colour_show_nothing_of_the_noise_beside_them(area, length):
    clean = 0.6 * picture(256, 256)
    noisy = clean + 0.1 * noise(256, 256, length, 0)
    before, found = in_blocks(noisy), in_blocks(with_area(noisy, area))
    assert found.probability == 1 and found.white == before.white
    lost = 0.35 if area == "shadows" else 0.15  # what is nearly black has lost a part of its noise
    assert found.sigma == pytest.approx(before.sigma, rel=lost)
    assert found.b8 == pytest.approx(before.b8, rel=0.5)
    assert in_blocks(with_area(clean, area)).clean


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (16, 300), (263, 271), (24, 24)])
def test_pictures_of_any_size_may_be_half_of_one_colour(size):
    noisy = 0.1 * noise(*size, 3, 0)
    noisy[..., : size[0] // 2, :] = 0.3
    found = in_blocks(noisy)
    assert math.isfinite(found.sigma) and math.isfinite(found.b8)


def test_a_picture_of_almost_nothing_else_is_read_as_a_whole():
    noisy = torch.full((1, 3, 256, 256), -0.5)
    noisy[..., :80, :80] += 0.1 * noise(80, 80, 3, 0)
    assert photographed(noisy) is None and in_blocks(noisy).sigma == 0
    noisy[..., :100, :] = 0.1 * noise(100, 256, 3, 0)
    assert float(photographed(noisy).float().mean()) == pytest.approx(100 / 256, abs=0.02)
    assert in_blocks(noisy).sigma == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize(("shade", "raised"), [(lambda x: x, 1), (grey, 3**0.5), (lambda x: x[:, :1], 1)])
def test_the_denoiser_is_asked_once_about_two_levels(shade, raised):
    """Of a grey picture it takes the mean of the channels for what is less noisy than each of them."""
    noisy = shade(NOISY)
    asked, _ = queries(read_noise(problem(noisy), reading()), mean_denoiser)
    (query,) = asked
    assert torch.equal(query.x, noisy.expand(2, -1, -1, -1))
    assert float(query.sigma[1]) == pytest.approx(2 * float(query.sigma[0]))
    assert float(query.sigma[0]) == pytest.approx(raised * in_blocks(noisy).sigma)


@pytest.mark.parametrize(("size", "part"), [((600, 900), (256, 256)), ((300, 3000), (256, 256))])
def test_of_a_large_picture_the_denoiser_sees_parts(size, part):
    """From each quarter one."""
    places = torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1])).T.reshape(1, 2, *size)
    shown = parts(places)
    assert shown.shape == (4, 2, *part)
    middles = shown[..., part[0] // 2, part[1] // 2].double() / torch.tensor(size)
    assert parts(places[..., :40, :].repeat(1, 1, 1, 9)).shape[0] == 2  # a narrow one has two halves
    assert torch.equal(middles[:, 1] > 0.5, torch.tensor([False, True, False, True]))
    assert parts(places[..., : size[0] // 2, :400]).shape == (1, 2, size[0] // 2, 400)
    asked, found = queries(read_noise(problem(noise(600, 900, 3, 0) * 0.1), reading()), mean_denoiser)
    assert asked[0].x.shape == (8, 3, 256, 256) and not found.clean


def test_the_call_counts_among_those_of_the_solver():
    solver = score_dvi(problem(NOISY), ScoreDviParameters(), NoiseStream(0), reading(one=Weight(0.0, 0.0, 9.0)))
    asked, _ = queries(solver, mean_denoiser)
    assert [query.step for query in asked] == list(range(len(asked)))
    assert all(query.total > query.step for query in asked)


@pytest.mark.parametrize(
    ("params", "calls"),
    [({"mode": "diffusion", "beta0": 0.1, "steps": 3}, 3), ({"beta0": 0.1, "sweeps": 3, "tolerance": 0}, 3)],
)
def test_the_denoiser_is_not_asked_what_is_not_used(params, calls):
    """The level is given, and beta0 is."""
    solver = score_dvi(problem(NOISY, 0.1), ScoreDviParameters(**params), NoiseStream(0), reading())
    assert len(queries(solver, mean_denoiser)[0]) == calls


def test_an_answer_that_is_not_finite_ends_it():
    with pytest.raises(SolverDiverged):
        queries(read_noise(problem(NOISY), reading()), lambda x, sigma: x * math.nan)


def test_what_the_denoiser_shows_puts_level_and_b8_right():
    before, after = estimate_camera_noise(NOISY), read(NOISY, reading(one=Weight(0.2, 0.5)))
    assert after.sigma == pytest.approx(before.sigma * math.exp(-0.2))
    assert after.sigma**2 * after.b8 == pytest.approx(before.sigma**2 * before.b8 * math.exp(-0.5))


@pytest.mark.parametrize(
    ("odds", "probability"), [(9.0, 1.0), (0.0, 0.5), (-1.0, 1 / (1 + math.e)), (-9.0, 0.0), (-1e6, 0.0), (1e6, 1.0)]
)
def test_the_odds_decide_whether_it_is_noise(odds, probability):
    """To which there are no doubts of a few percent."""
    how = reading(one=Weight(0.0, 0.0, odds))
    assert read(NOISY, how).probability == pytest.approx(probability)
    assert read(NOISY, how).clean == (probability == 0)
    assert read(NOISY, how, sigma_y=0.1).probability == 1  # who gives a level wants it removed


@pytest.mark.parametrize(("length", "white"), [(1, True), (5, False)])
def test_what_the_denoiser_takes_off_shows_whether_it_is_white(length, white):
    noisy = 0.6 * picture(96, 96) + 0.1 * noise(96, 96, length, 0)
    assert read(noisy, reading()).white == white


def test_weights_of_other_features_are_of_no_use():
    found = read(NOISY, Reading({COLOUR: {"one": Weight(9.0, 9.0, -9.0)}}))
    assert replace(found, calls=0) == in_blocks(NOISY)


def test_a_level_that_is_given_is_kept():
    assert read(NOISY, reading(one=Weight(0.2, 0.5)), sigma_y=0.3).sigma == 0.3

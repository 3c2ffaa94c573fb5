"""The chosen parameters."""

import pytest

from api_schemas.solvers import PRESETS
from solvers.presets import preset


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, presets in PRESETS.items() for name in presets])
def test_presets_are_what_the_wire_says(task, name):
    chosen = preset(task, name, 0.0)
    assert {key: getattr(chosen, key) for key in PRESETS[task][name]} == PRESETS[task][name]


@pytest.mark.parametrize("task", PRESETS)
def test_more_care_takes_more_calls(task):
    steps = [preset(task, name, 0.1).steps for name in ("fast", "balanced", "quality")]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("task", ["inpaint", "super_resolution"])
def test_the_first_level_is_never_below_the_noise(task):
    assert preset(task, "fast", 1.5).sigma_max == 1.5
    assert preset(task, "fast", 0.0).sigma_max > 0.05


def test_denoising_starts_at_the_noise_of_the_picture():
    assert preset("denoise", "fast", 0.1).sigma_max is None


@pytest.mark.parametrize(("task", "name"), [("colourise", "fast"), ("inpaint", "instant"), ("denoise", "instant")])
def test_what_is_not_there_is_an_error(task, name):
    with pytest.raises(KeyError):
        preset(task, name, 0.0)

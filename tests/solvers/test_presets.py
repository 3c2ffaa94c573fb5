"""The chosen parameters."""

import pytest
import torch

from api_schemas.solvers import PRESETS
from solvers.operators import Blur, Composition, Downsample, Grey, Identity, Mask, kernels
from solvers.operators.base import AnyOperator
from solvers.operators.clip import Clip
from solvers.operators.gamma import Gamma
from solvers.operators.jpeg import Jpeg
from solvers.operators.quantise import Quantise
from solvers.presets import STARTS, preset


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


@pytest.mark.parametrize(("task", "name"), [("animate", "fast"), ("inpaint", "instant"), ("denoise", "instant")])
def test_what_is_not_there_is_an_error(task, name):
    with pytest.raises(KeyError):
        preset(task, name, 0.0)


SHAPE = (3, 16, 16)
OPERATORS: dict[str, AnyOperator] = {
    "inpaint": Mask(torch.eye(16) > 0),
    "super_resolution": Downsample(SHAPE, 2),
    "deblur": Blur(SHAPE, kernels.gaussian(1.0)),
    "colourise": Grey(SHAPE),
    "hdr": Clip(SHAPE),
    "jpeg": Jpeg(SHAPE, 20),
    "tone": Gamma(SHAPE, 2.2),
    "restore": Composition((Blur(SHAPE, kernels.gaussian(1.0)), Downsample(SHAPE, 2))),
}


def test_every_task_has_an_operator_here():
    assert set(OPERATORS) == set(STARTS)


@pytest.mark.parametrize("task", OPERATORS)
def test_restoring_begins_as_the_task_of_the_operator(task):
    assert preset("restore", "balanced", 0.2, OPERATORS[task]) == preset(task, "balanced", 0.2)


def test_restoring_what_was_not_changed_is_denoising():
    assert preset("restore", "fast", 0.2, Identity(SHAPE)) == preset("denoise", "fast", 0.2)


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_begin_at_the_error_of_rounding(bits):
    rounding = Quantise((1, 200, 200), bits)
    x = 2 * torch.rand(1, 1, 200, 200, generator=torch.Generator().manual_seed(0)) - 1
    error = float((rounding.forward(x) - x).square().mean().sqrt())
    assert preset("restore", "fast", 0.0, rounding).sigma_max == pytest.approx(error, rel=0.05)


def test_the_operator_of_another_task_changes_nothing():
    assert preset("inpaint", "fast", 0.0, OPERATORS["jpeg"]) == preset("inpaint", "fast", 0.0)

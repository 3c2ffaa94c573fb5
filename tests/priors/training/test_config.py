"""The options of a run: their rules, and the learning rate that they describe."""

from pathlib import Path
from typing import Any

import pytest

from priors.training.config import TrainingConfig, TrainingError
from tests.priors.training.tiny import tiny


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crops", 0),
        ("batch_pixels", 31 * 32),
        ("crop_sizes", (16, 18)),
        ("crop_sizes", ()),
        ("min_scale", 1.5),
        ("min_scale", float("nan")),
        ("symmetries", "all"),
        ("widths", (8, 18)),
        ("widths", ()),
        ("groups", 0),
        ("unshuffle", 0),
        ("sigma_min", -1.0),
        ("sigma_max", 0.001),
        ("time_map", "sigma"),
        ("noise_mean", float("inf")),
        ("learning_rate", float("nan")),
        ("warmup_steps", -1),
        ("cooldown", 1.5),
        ("ema_decay", 1.0),
        ("precision", "float16"),
        ("holdout_every", 1),
    ],
)
def test_values_that_make_no_run_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(TrainingError, match="must be") as caught:
        tiny(Path("data"), Path("out"), **{name: value})
    option = "--" + name.replace("_", "-")
    assert option in str(caught.value) and (name == "groups" or str(caught.value).startswith(option))


def test_a_plain_network_is_one_without_patches() -> None:
    assert TrainingConfig("data", "out", unshuffle=1, crop_sizes=(36,)).size_multiple == 4
    with pytest.raises(TrainingError, match="--crop-sizes"):
        TrainingConfig("data", "out", unshuffle=2, crop_sizes=(36,))


def test_the_learning_rate_warms_up_stays_and_cools_down_to_zero() -> None:
    run = tiny(Path("data"), Path("out"), crops=100, batch_pixels=64 * 64, learning_rate=1.0, warmup_steps=10)
    rates = [run.learning_rate_at(step) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10:76] == [1] * 66
    # 1 - sqrt(progress): a quarter of the way down is half of the rate
    assert rates[75 + 25 // 4 + 1] == pytest.approx(1 - (7 / 25) ** 0.5)
    assert rates[76:] == sorted(rates[76:], reverse=True) and rates[100] == 0 < rates[99]


def test_a_longer_run_only_moves_the_cool_down() -> None:
    short, long = (tiny(Path("data"), Path("out"), crops=crops, batch_pixels=64 * 64) for crops in (100, 200))
    assert [short.learning_rate_at(step) for step in range(75)] == [long.learning_rate_at(step) for step in range(75)]
    assert short.learning_rate_at(90) < long.learning_rate_at(90)


def test_sizes_are_drawn_as_often_as_they_are_named() -> None:
    run = tiny(Path("data"), Path("out"), crop_sizes=(16, 16, 16, 32))
    sizes = [run.crop_size_at(step) for step in range(2000)]
    assert set(sizes) == {16, 32}
    assert sizes.count(16) == pytest.approx(1500, abs=80)
    assert {run.batch_at(step) * size**2 for step, size in enumerate(sizes)} == {run.batch_pixels}

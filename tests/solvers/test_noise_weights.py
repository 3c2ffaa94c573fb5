"""Sums by weights, and the file that they lie in."""

import json
import math

import pytest

from solvers.camera_noise import CameraNoise
from solvers.noise_features import GREY, VERSION
from solvers.noise_weights import FILE, MOST, Reading, Weight, put_right, read_reading, weighed, write_reading

FOUND = CameraNoise(sigma=0.1, b8=6.0, neighbour=0.5, diagonal=0.3, fine=0.05, evidence=1.0)


def test_every_feature_counts_by_its_weight():
    weights = {"one": Weight(0.5, 1.0, -2.0), "level": Weight(0.25, 0.0, 3.0)}
    assert weighed(weights, {"level": 4.0, "one": 1.0}) == Weight(1.5, 1.0, 10.0)


def test_level_and_b8_are_put_right_and_nothing_else():
    after = put_right(FOUND, Weight(0.2, 0.5))
    assert after.sigma == pytest.approx(0.1 * math.exp(-0.2))
    assert after.sigma**2 * after.b8 == pytest.approx(0.1**2 * 6.0 * math.exp(-0.5))
    assert (after.neighbour, after.diagonal, after.fine, after.evidence) == (0.5, 0.3, 0.05, 1.0)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_picture_like_none_before_is_put_right_within_limits(sign):
    after = put_right(FOUND, Weight(99.0 * sign, 99.0 * sign))
    assert math.log(after.sigma / 0.1) == pytest.approx(-MOST.level * sign)
    assert after.b8 == pytest.approx(max(1.0, 6.0 * math.exp((2 * MOST.level - MOST.energy) * sign)))


def test_a_reading_is_written_and_read(tmp_path):
    written = Reading({GREY: {"one": Weight(0.25, -0.5, 1.0), "b8": Weight(0.0, 0.125, -2.0)}})
    write_reading(tmp_path, "abc", written)
    assert read_reading(tmp_path, "abc") == written
    assert read_reading(tmp_path, "of other weights") is None
    assert read_reading(tmp_path / "elsewhere", "abc") is None
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text().replace(f'"features": {VERSION}', '"features": 1'))
    assert read_reading(tmp_path, "abc") is None


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        json.dumps({"sha256": "abc"}),
        "[" * 100_000,
        *(
            json.dumps({"sha256": "abc", "features": VERSION, "kinds": kinds})
            for kinds in (
                {},
                [1.0],
                {"grey": {}},
                {"grey": {"one": [10**400, 0, 0]}},
                {"grey": {"one": [1.0, 2.0]}},
                {"grey": {"one": [1.0, 2.0, math.nan]}},
                {"grey": {"one": ["a", "b", "c"]}},
                {"grey": {"one": 1.0}},
                {"grey": {"one": "123"}},
                {"red": {"one": [1.0, 2.0, 3.0]}},
            )
        ),
    ],
)
def test_a_damaged_reading_is_named(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match="is no reading of noise"):
        read_reading(tmp_path, "abc")

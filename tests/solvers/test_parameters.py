"""Bounds of parameters, checked when these are made."""

import math
from dataclasses import dataclass

import pytest

from solvers.parameters import bounded, check_fields, check_mode


@dataclass(frozen=True)
class Some:
    count: int = bounded(3, ge=1, le=4)
    weight: float | None = bounded(gt=0)
    word: str = bounded("here", among=("here", "there"))
    free: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


def test_defaults_and_values_at_their_bounds():
    assert (Some().count, Some().weight, Some().word) == (3, None, "here")
    assert Some(count=1) != Some(count=4)
    assert Some(weight=1e-300, word="there").free == 0


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("count", 0, "below 1"),
        ("count", 5, "above 4"),
        ("weight", 0.0, "not above 0"),
        ("weight", math.nan, "not above 0"),
        ("weight", math.inf, "not a number"),
        ("free", math.nan, "not a number"),
        ("word", "nowhere", "here, there"),
    ],
)
def test_a_value_out_of_bounds_is_named(field, value, why):
    with pytest.raises(ValueError, match=f"^{field}: .*{why}"):
        Some(**{field: value})


@dataclass(frozen=True)
class One:
    """Settings of a mode."""

    count: int = 1


@dataclass(frozen=True)
class Moded:
    mode: str = "one"
    count: int | None = None
    weight: float | None = None


def test_a_field_of_another_mode_is_named():
    check_mode(Moded(count=3), One)
    with pytest.raises(ValueError, match="^weight: not a parameter of mode 'one'"):
        check_mode(Moded(count=3, weight=0.0), One)

"""Parameters of the solvers on the wire."""

from typing import Any

import pytest
from pydantic import ValidationError

from api_schemas.solvers import PRESETS, RedDiffParams
from solvers.presets import preset


@pytest.mark.parametrize(
    ("mode", "field", "value"),
    [
        ("fast", "learning_rate", 0.1),
        ("fast", "weighting", "linear"),
        ("fast", "order", "random"),
        ("paper", "symmetry", "dihedral"),
        ("paper", "sigma_max", 1.0),
    ],
)
def test_parameters_of_the_other_mode_are_errors_at_their_own_field(mode: str, field: str, value: Any) -> None:
    other = {"fast": "paper", "paper": "fast"}[mode]
    assert getattr(RedDiffParams.model_validate({"mode": other, field: value}), field) == value
    for sent in ({"mode": mode, field: value}, {field: value, "mode": mode}):
        with pytest.raises(ValidationError) as caught:
            RedDiffParams.model_validate(sent)
        assert [error["loc"] for error in caught.value.errors()] == [(field,)]


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in PRESETS for name in PRESETS[task]])
def test_presets_are_those_of_the_solver(task: str, name: str) -> None:
    chosen = preset(task, name, sigma_y=0.1)
    assert {field: getattr(chosen, field) for field in PRESETS[task][name]} == PRESETS[task][name]

"""Parameters of ScoreDVI: those of the wire are those of `solvers`."""

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

from api_schemas.score_dvi import DRAWS, MAX_COMPONENTS, MODE_FIELDS, ScoreDviParams
from solvers.score_dvi import MODES, ScoreDviParameters
from solvers.score_dvi_paper import PaperSettings
from tests.api_schemas.test_samplers import bounds_of

FIELDS = {item.name: item for item in dataclasses.fields(ScoreDviParameters)}
SCHEMA = ScoreDviParams.model_json_schema()["properties"]


def test_the_wire_says_the_same_as_the_solver() -> None:
    assert set(SCHEMA) == set(FIELDS)
    assert all(schema["description"] for schema in SCHEMA.values())
    for name, item in FIELDS.items():
        if name != "components":  # by their names
            assert SCHEMA[name].get("default") == item.default
            assert bounds_of(SCHEMA[name]) == dict(item.metadata), name
    assert SCHEMA["components"]["maxItems"] + 1 == MAX_COMPONENTS == FIELDS["components"].metadata["le"]
    assert PaperSettings.draws == DRAWS


def test_each_mode_has_the_fields_of_its_settings() -> None:
    assert set(MODE_FIELDS) == set(MODES)
    for mode, names in MODE_FIELDS.items():
        assert set(names) == {item.name for item in dataclasses.fields(MODES[mode])} & set(FIELDS)


@pytest.mark.parametrize(
    ("mode", "field", "value"),
    [("paper", "tolerance", 0.0), ("fast", "steps", 5), ("diffusion", "components", ["other"])],
)
def test_a_field_of_another_mode_is_an_error_where_it_stands(mode: str, field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        ScoreDviParams.model_validate({field: value, "mode": mode})
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]

"""Parameters of the solvers that sample: those of the wire are those of `solvers`."""

import dataclasses
from typing import Any, get_args

import pytest

from api_schemas.solvers import PARAMS, SolverName
from solvers.catalogue import SOLVERS

SAMPLERS = [name for name in PARAMS if name not in ("red_diff", "score_dvi")]


def bounds_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Bounds of a field of a JSON schema, in the words of `solvers.parameters.bounded`."""
    words = {"minimum": "ge", "exclusiveMinimum": "gt", "maximum": "le"}
    (one,) = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    found = {ours: one[theirs] for theirs, ours in words.items() if theirs in one}
    return found | ({"among": tuple(one["enum"])} if "enum" in one else {})


def test_there_are_the_same_solvers() -> None:
    assert set(PARAMS) == set(SOLVERS) == set(get_args(SolverName))


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_wire_says_the_same_as_the_solver(name: str) -> None:
    fields = {item.name: item for item in dataclasses.fields(SOLVERS[name].parameters)}
    assert fields.pop("num_samples").default == 1  # a field of the request
    schema = PARAMS[name].model_json_schema()["properties"]
    assert set(schema) == set(fields)
    for field, item in fields.items():
        assert schema[field].get("default") == item.default
        assert bounds_of(schema[field]) == dict(item.metadata), field
        assert schema[field]["description"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_defaults_make_a_solver(name: str) -> None:
    given = PARAMS[name]().model_dump(exclude_none=True)
    assert SOLVERS[name].parameters(**given, num_samples=16) is not None

"""Descriptions of the operators."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api_schemas.operators import MAX_ENTRIES, MAX_PARTS, OPERATORS, AnyOperator, is_linear, parts_of
from api_schemas.requests import SCALES, InpaintOptions

LEAST: dict[str, dict[str, Any]] = {
    "mask": {"pattern": {"kind": "random"}},
    "blur": {"kernel": {"kind": "box", "size": 3}},
    "matrix": {"width": 1, "height": 1, "rows": [[1.0]]},
    "compose": {"operators": [{"kind": "identity"}]},
}
"""What some kinds cannot do without."""


def valid(sent: dict[str, Any]) -> Any:
    return TypeAdapter(AnyOperator).validate_python(sent)


@pytest.mark.parametrize("kind", OPERATORS)
def test_each_kind_is_described(kind: str) -> None:
    schema = OPERATORS[kind].model_json_schema()
    assert schema["description"]
    assert type(valid({"kind": kind} | LEAST.get(kind, {}))) is OPERATORS[kind]
    assert all("description" in field for name, field in schema["properties"].items() if name != "kind")


@pytest.mark.parametrize(
    "sent",
    [
        {"kind": "mask"},
        {"kind": "mask", "mask": {"file_id": "a"}, "pattern": {"kind": "random"}},
        {"kind": "matrix", "width": 1, "height": 1},
        {"kind": "compose", "operators": []},
        {"kind": "compose", "operators": [{"kind": "identity"}] * (MAX_PARTS + 1)},
        {"kind": "compose", "operators": [{"kind": "compose", "operators": [{"kind": "identity"}]}]},
        {"kind": "blur", "kernel": {"kind": "gaussian", "width": 1e9}},
        {"kind": "blur", "kernel": {"kind": "path", "size": 10**9}},
        {"kind": "blur", "kernel": {"kind": "motion", "length": float("nan")}},
        {"kind": "clip", "gain": float("inf")},
        {"kind": "phase", "oversampling": 9},
        {"kind": "matrix", "width": 1, "height": 1, "rows": [[1.0]], "entries": [[0, 0, 1.0]]},
        {"kind": "matrix", "width": 1, "height": 1, "entries": []},
        {"kind": "matrix", "width": 1, "height": 1, "entries": [[0, 1.0]]},
        {"kind": "matrix", "width": 1, "height": 1, "entries": [[0, 0.5, 1.0]]},
        {"kind": "matrix", "width": 1, "height": 1, "entries": [[0, -1, 1.0]]},
        {"kind": "matrix", "width": 1, "height": 1, "entries": [[0, 0, 1.0]] * (MAX_ENTRIES + 1)},
        {"kind": "matrix", "width": 1, "height": 1, "rows": [[1.0]], "sparse": True},
    ],
)
def test_what_cannot_be_an_operator(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        valid(sent)


def test_parts_have_pointers_into_their_operator() -> None:
    chain = {"kind": "compose", "operators": [{"kind": "grey"}, {"kind": "clip"}]}
    assert parts_of(chain) == [("/operators/0", {"kind": "grey"}), ("/operators/1", {"kind": "clip"})]
    assert parts_of({"kind": "grey"}) == [("", {"kind": "grey"})]
    assert is_linear({"kind": "grey"}) and not is_linear(chain)


def test_the_same_words_as_in_the_requests() -> None:
    mask = OPERATORS["mask"].model_fields
    for name in ("mask_mode", "mask_threshold", "grow_mask"):
        assert mask[name].default == InpaintOptions.model_fields[name].default
    assert tuple(OPERATORS["downsample"].model_json_schema()["properties"]["scale"]["enum"]) == SCALES

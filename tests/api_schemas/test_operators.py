"""Descriptions of the operators."""

import pytest

from api_schemas.operators import OPERATORS
from api_schemas.requests import SCALES, InpaintOptions


@pytest.mark.parametrize("kind", OPERATORS)
def test_each_kind_is_described(kind: str) -> None:
    schema = OPERATORS[kind].model_json_schema()
    assert schema["description"]
    assert OPERATORS[kind]().model_dump()["kind"] == kind
    assert all("description" in field for name, field in schema["properties"].items() if name != "kind")


def test_the_same_words_as_in_the_requests() -> None:
    mask = OPERATORS["mask"].model_fields
    for name in ("mask_mode", "mask_threshold", "grow_mask"):
        assert mask[name].default == InpaintOptions.model_fields[name].default
    assert tuple(OPERATORS["downsample"].model_json_schema()["properties"]["scale"]["enum"]) == SCALES

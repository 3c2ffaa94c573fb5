"""What a client may ask for."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api_schemas.requests import OPTIONS, REQUESTS, DenoiseOptions, JobRequest
from service import examples


def locations(model: Any, sent: dict[str, Any]) -> set[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_json(json.dumps(sent), strict=True)
    return {error["loc"] for error in caught.value.errors()}


@pytest.mark.parametrize("task", REQUESTS)
def test_the_examples_of_the_description_are_valid(task: str) -> None:
    sent = json.dumps(examples.REQUESTS[task] | {"task": task})
    assert TypeAdapter(JobRequest).validate_json(sent, strict=True) == REQUESTS[task].model_validate_json(sent)


@pytest.mark.parametrize("task", OPTIONS)
def test_a_request_has_the_fields_of_its_options_and_the_pictures(task: str) -> None:
    assert set(REQUESTS[task].model_fields) - set(OPTIONS[task].model_fields) <= {"image", "mask"}
    assert OPTIONS[task]().model_dump()["task"] == task


def test_a_slip_is_never_ignored() -> None:
    assert locations(DenoiseOptions, {"stepz": 3}) == {("stepz",)}
    assert locations(DenoiseOptions, {"params": {"Steps": 3}}) == {("params", "Steps")}


@pytest.mark.parametrize("field", ["seed", "deadline_s"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", True, -1])
def test_numbers_are_numbers(field: str, value: Any) -> None:
    assert locations(DenoiseOptions, {field: value}) == {(field,)}


def test_metadata_is_small() -> None:
    assert DenoiseOptions(metadata={"k" * 64: "v" * 512}).metadata
    assert locations(DenoiseOptions, {"metadata": {str(i): "" for i in range(17)}}) == {("metadata",)}
    assert locations(DenoiseOptions, {"metadata": {"k": "v" * 513}}) == {("metadata", "k")}
    assert locations(DenoiseOptions, {"metadata": {"k": "\0"}}) == {("metadata", "k")}

"""What a client may ask for."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api_schemas.requests import (
    OPTIONS,
    PICTURES,
    REQUESTS,
    ApplyOptions,
    ApplyRequest,
    DeblurOptions,
    DenoiseOptions,
    InpaintOptions,
    JobRequest,
)
from api_schemas.samplers import DapsParams, DpsParams
from api_schemas.score_dvi import ScoreDviParams
from api_schemas.solvers import RedDiffParams
from service import examples


def locations(model: Any, sent: dict[str, Any]) -> set[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_json(json.dumps(sent), strict=True)
    return {error["loc"] for error in caught.value.errors()}


def matrix(**numbers: Any) -> dict[str, Any]:
    return {"kind": "matrix", "width": 1, "height": 1, **numbers}


@pytest.mark.parametrize("task", REQUESTS)
def test_the_examples_of_the_description_are_valid(task: str) -> None:
    sent = json.dumps(examples.REQUESTS[task] | {"task": task})
    assert TypeAdapter(JobRequest).validate_json(sent, strict=True) == REQUESTS[task].model_validate_json(sent)


@pytest.mark.parametrize("task", OPTIONS)
def test_a_request_has_the_fields_of_its_options_and_the_pictures(task: str) -> None:
    assert set(REQUESTS[task].model_fields) - set(OPTIONS[task].model_fields) == set(PICTURES[task])
    assert OPTIONS[task].model_fields["task"].default == task


def test_the_example_of_an_operator_alone_is_valid() -> None:
    assert ApplyRequest.model_validate_json(json.dumps(examples.REQUESTS["apply"]), strict=True).seed == 3


def test_parameters_are_those_of_the_solver() -> None:
    assert DenoiseOptions().params == ScoreDviParams()
    assert DenoiseOptions(solver="red_diff").params == RedDiffParams()
    assert DenoiseOptions(solver="dps").params == DpsParams()
    assert DenoiseOptions.model_validate({"solver": "daps", "params": {"ode_steps": 2}}).params == DapsParams(
        ode_steps=2
    )
    assert locations(DenoiseOptions, {"solver": "dps", "params": {"mode": "fast"}}) == {("params", "mode")}
    assert locations(DenoiseOptions, {"solver": "ddnm", "params": {"eta": 2, "steps": 0}}) == {
        ("params", "eta"),
        ("params", "steps"),
    }
    with pytest.raises(ValidationError, match="no parameters of dps"):
        DenoiseOptions(solver="dps", params=RedDiffParams())


def test_a_slip_is_never_ignored() -> None:
    assert locations(DenoiseOptions, {"stepz": 3}) == {("stepz",)}
    assert locations(DenoiseOptions, {"params": {"Steps": 3}}) == {("params", "Steps")}


@pytest.mark.parametrize("field", ["seed", "deadline_s"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", True, -1])
def test_numbers_are_numbers(field: str, value: Any) -> None:
    assert locations(DenoiseOptions, {field: value}) == {(field,)}


@pytest.mark.parametrize(
    ("model", "sent", "location"),
    [
        (DenoiseOptions, {"noise": {"sigma": True}}, ("noise", "level", "sigma")),
        (DenoiseOptions, {"noise": {"sigma_255": "25"}}, ("noise", "level", "sigma_255")),
        (DenoiseOptions, {"output": {"quality": True}}, ("output", "quality")),
        (DenoiseOptions, {"output": {"keep_alpha": 1}}, ("output", "keep_alpha")),
        (DenoiseOptions, {"preview": {"every": True}}, ("preview", "every")),
        (DenoiseOptions, {"params": {"prior_weight": True}}, ("params", "prior_weight")),
        (DenoiseOptions, {"seed": True}, ("seed",)),
        (InpaintOptions, {"mask_threshold": True}, ("mask_threshold",)),
        (DeblurOptions, {"kernel": {"kind": "box", "size": True}}, ("kernel", "box", "size")),
        (ApplyOptions, {"operator": {"kind": "clip", "gain": True}}, ("operator", "clip", "gain")),
        (ApplyOptions, {"operator": matrix(rows=[[True]])}, ("operator", "matrix", "rows", 0, 0)),
        (ApplyOptions, {"operator": matrix(entries=[[0, 0, True]])}, ("operator", "matrix", "entries", 0, 2)),
    ],
)
def test_truth_values_are_no_numbers_in_forms_either(model: Any, sent: Any, location: tuple[Any, ...]) -> None:
    """A form's JSON is Python's by the time that it is validated, and a plain field of it a text."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate(sent)
    assert [error["loc"] for error in caught.value.errors()] == [location]
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(sent), strict=True)


def test_texts_are_numbers_in_the_fields_of_a_form() -> None:
    sent = {"mask_threshold": "0.3", "grow_mask": "2", "seed": "7", "deadline_s": "1.5"}
    found = InpaintOptions.model_validate(sent)
    assert (found.mask_threshold, found.grow_mask, found.seed, found.deadline_s) == (0.3, 2, 7, 1.5)
    listed = ApplyOptions.model_validate({"operator": matrix(entries=[[0, 0, 2]])})
    assert listed.operator.entries == [(0, 0, 2.0)]


def test_metadata_is_small() -> None:
    assert DenoiseOptions(metadata={"k" * 64: "v" * 512}).metadata
    assert locations(DenoiseOptions, {"metadata": {str(i): "" for i in range(17)}}) == {("metadata",)}
    assert locations(DenoiseOptions, {"metadata": {"k": "v" * 513}}) == {("metadata", "k")}
    assert locations(DenoiseOptions, {"metadata": {"k": "\0"}}) == {("metadata", "k")}

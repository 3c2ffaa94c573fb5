"""What every model of the wire has in common."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


class RequestModel(BaseModel):
    """Sent by a client: unknown fields, NaN and infinity are errors, so that a typing slip is never ignored.

    Strict: a text or a truth value is no number.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, strict=True)


class FormModel(RequestModel):
    """The options of a task, which are also the fields of a form, where every number is a text: `Number` refuses truth
    values. What lies inside of them is JSON in a form too, and strict."""

    model_config = ConfigDict(strict=False)


def _refuse_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is needed, not true or false")
    return value


Number = BeforeValidator(_refuse_truth_value)


class ResponseModel(BaseModel):
    """Sent by the service. A client ignores fields that it does not know yet.

    The strings below fields are their descriptions under `/docs`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

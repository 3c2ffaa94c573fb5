"""What every model of the wire has in common."""

from pydantic import BaseModel, ConfigDict


class RequestModel(BaseModel):
    """Sent by a client: unknown fields, NaN and infinity are errors, so that a typing slip is never ignored."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class ResponseModel(BaseModel):
    """Sent by the service. A client ignores fields that it does not know yet.

    The strings below fields are their descriptions under `/docs`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

"""Problem answers (RFC 9457) and the one table of their codes.

A problem travels as `application/problem+json`; the same object is the `error` of a failed job.
"""

from typing import NamedTuple

from api_schemas.base import ResponseModel


class FieldError(ResponseModel):
    """One field that is wrong."""

    pointer: str
    """JSON pointer into the request, such as `/params/steps`."""
    code: str
    detail: str


class Problem(ResponseModel):
    """Why a request was refused or a job failed."""

    type: str
    """`/problems/<code>`."""
    title: str
    status: int
    code: str
    """Stable; see `PROBLEMS`."""
    detail: str
    instance: str | None = None
    errors: list[FieldError] = []


class ProblemKind(NamedTuple):
    status: int
    title: str


PROBLEMS: dict[str, ProblemKind] = {
    # a request that is refused
    "malformed_request": ProblemKind(400, "The request cannot be read"),
    "missing_credentials": ProblemKind(401, "An API key is needed"),
    "invalid_credentials": ProblemKind(401, "This API key is not known"),
    "foreign_origin": ProblemKind(403, "Web pages of other sites may not ask a service without API keys"),
    "insufficient_scope": ProblemKind(403, "This API key may not do that"),
    "not_found": ProblemKind(404, "There is nothing at this address"),
    "job_not_found": ProblemKind(404, "There is no such job"),
    "batch_not_found": ProblemKind(404, "There is no such batch"),
    "file_not_found": ProblemKind(404, "There is no such file"),
    "artifact_not_found": ProblemKind(404, "The job has no such artifact"),
    "prior_not_found": ProblemKind(404, "There is no such prior"),
    "solver_not_found": ProblemKind(404, "There is no such solver"),
    "method_not_allowed": ProblemKind(405, "This address does not answer that method"),
    "not_acceptable": ProblemKind(406, "None of the accepted media types can be given"),
    "idempotency_in_progress": ProblemKind(409, "A request with this idempotency key is still being handled"),
    "job_not_terminal": ProblemKind(409, "The job has not ended yet"),
    "job_failed": ProblemKind(409, "The job failed and has no result"),
    "job_canceled": ProblemKind(409, "The job was canceled and has no result"),
    "insufficient_memory": ProblemKind(409, "No worker has enough memory for this prior"),
    "job_expired": ProblemKind(410, "The job ended long ago and was removed, or passed its deadline"),
    "inputs_expired": ProblemKind(410, "The inputs of this job were removed"),
    "file_too_large": ProblemKind(413, "The file has too many bytes"),
    "batch_too_large": ProblemKind(413, "The batch has too many items"),
    "unsupported_image": ProblemKind(415, "The file is not an image that this service reads"),
    "unsupported_media_type": ProblemKind(415, "This content type is not accepted here"),
    "range_not_satisfiable": ProblemKind(416, "The range lies outside the file"),
    "validation_failed": ProblemKind(422, "A field is wrong"),
    "unknown_prior": ProblemKind(422, "There is no such prior"),
    "unknown_solver": ProblemKind(422, "There is no such solver"),
    "incompatible_prior": ProblemKind(422, "This prior cannot do that"),
    "image_too_many_pixels": ProblemKind(422, "The image has too many pixels"),
    "image_too_small": ProblemKind(422, "The image is too small"),
    "mask_size_mismatch": ProblemKind(422, "The mask and the image differ in size"),
    "mask_empty": ProblemKind(422, "The mask marks no pixel as unknown"),
    "mask_full": ProblemKind(422, "The mask marks every pixel as unknown"),
    "scale_unsupported": ProblemKind(422, "This scale is not offered"),
    "kernel_invalid": ProblemKind(422, "This blur kernel cannot be used"),
    "operator_invalid": ProblemKind(422, "This operator cannot be used"),
    "operator_shape_mismatch": ProblemKind(422, "The operator and the picture differ in size or channels"),
    "idempotency_key_reused": ProblemKind(422, "This idempotency key was used for another request"),
    "internal": ProblemKind(500, "Something went wrong on our side"),
    "queue_full": ProblemKind(503, "The queue is full"),
    "storage_unavailable": ProblemKind(503, "The database or the store of pictures does not answer, or is full"),
    "not_ready": ProblemKind(503, "The service is not ready"),
    # a job that fails; `internal` also occurs here
    "solver_diverged": ProblemKind(500, "The solver met a number that is not finite"),
    "out_of_memory": ProblemKind(500, "The job does not fit into the memory of the device"),
    "worker_lost": ProblemKind(500, "The job lost its worker too many times"),
    "deadline_exceeded": ProblemKind(504, "The job did not finish before its deadline"),
    "prior_load_failed": ProblemKind(500, "The prior could not be loaded"),
    "input_decode_failed": ProblemKind(422, "An input of the job could not be decoded"),
}
"""Every code that the service answers with. `service.problems` raises nothing else, and a test causes each one."""


def problem(code: str, detail: str, *, errors: list[FieldError] | None = None, instance: str | None = None) -> Problem:
    """The problem object of `code`; a KeyError for a code that is not in the table is a bug of ours."""
    kind = PROBLEMS[code]
    return Problem(
        type=f"/problems/{code}",
        title=kind.title,
        status=kind.status,
        code=code,
        detail=detail,
        instance=instance,
        errors=errors or [],
    )

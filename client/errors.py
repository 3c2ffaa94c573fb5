"""Everything that the client raises on purpose.

RediffuseError
├── ConnectionFailed            no answer, also after the retries
├── UnexpectedAnswer            an answer that this service would not give: another program listens there
├── CorruptDownload             a file that does not have its digest
├── WaitTimeout                 `wait` ran out of time; the job goes on
├── JobFailedError              a job ended without a result; `.job` says why
└── ProblemError                the service refused a request; `.problem` says why
    ├── AuthenticationError     401, 403
    ├── NotFoundError           404
    ├── ConflictError           409
    ├── GoneError               410
    ├── InvalidRequestError     any other 4xx
    ├── RateLimitedError        429
    ├── UnavailableError        502, 503, 504
    └── ServerError             any other 5xx
"""

from api_schemas.jobs import Job
from api_schemas.problems import FieldError, Problem


class RediffuseError(Exception):
    """The root of the tree."""


class ConnectionFailed(RediffuseError):
    """The service could not be reached, or went away."""

    def __init__(self, base_url: str, reason: str):
        super().__init__(f"no answer from {base_url}: {reason}")
        self.base_url = base_url
        self.reason = reason


class UnexpectedAnswer(RediffuseError):
    """Something answered that is not this service, or one of another version."""


class CorruptDownload(RediffuseError):
    """The bytes that arrived do not have the digest that the job names."""


class WaitTimeout(RediffuseError, TimeoutError):
    """The time to wait is over. The job goes on; wait again, or cancel it."""

    def __init__(self, job_id: str, timeout_s: float):
        super().__init__(f"job {job_id} has not ended within {timeout_s:g} s; it goes on")
        self.job_id = job_id


class JobFailedError(RediffuseError):
    """A job ended `failed`, `canceled` or `expired`, so that there is no result."""

    def __init__(self, job: Job):
        reason = f": {job.error.title}: {job.error.detail}" if job.error else ""
        super().__init__(f"job {job.id} {job.status}{reason}")
        self.job = job


class ProblemError(RediffuseError):
    """The service answered with a problem."""

    def __init__(self, problem: Problem):
        fields = "".join(f"\n  {error.pointer}: {error.detail}" for error in unsaid(problem))
        super().__init__(f"{problem.title}: {problem.detail}{fields}")
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable name of the problem, such as `mask_size_mismatch`."""
        return self.problem.code


class AuthenticationError(ProblemError):
    """No API key, or one that the service does not know."""


class NotFoundError(ProblemError):
    """There is no such job, file, batch or prior."""


class ConflictError(ProblemError):
    """The job is in a state that does not allow this."""


class GoneError(ProblemError):
    """The job or its inputs were removed."""


class InvalidRequestError(ProblemError):
    """Something in the request is wrong."""


class RateLimitedError(ProblemError):
    """Too many requests with this key."""


class UnavailableError(ProblemError):
    """The queue is full, or the service starts or stops."""


class ServerError(ProblemError):
    """A fault of the service."""


def unsaid(problem: Problem) -> list[FieldError]:
    """The fields that are wrong, without those that the detail tells already."""
    return [error for error in problem.errors if error.detail not in problem.detail]


BY_STATUS: dict[int, type[ProblemError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    429: RateLimitedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def problem_error(problem: Problem) -> ProblemError:
    """The exception of `problem`, by its status."""
    other = InvalidRequestError if problem.status < 500 else ServerError
    return BY_STATUS.get(problem.status, other)(problem)

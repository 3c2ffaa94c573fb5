"""What the service says about a job."""

from typing import Any, Literal

from api_schemas.base import ResponseModel
from api_schemas.problems import Problem
from api_schemas.requests import Task

JobStatus = Literal["queued", "running", "succeeded", "failed", "canceled", "expired"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "canceled", "expired"})


class QueuePlace(ResponseModel):
    position: int
    """1 is next."""
    ahead: int


class Progress(ResponseModel):
    step: int
    total_steps: int
    fraction: float
    eta_s: float | None = None
    data_residual: float | None = None
    """Root mean square of y - H mu on the [-1, 1] scale."""
    sigma: float | None = None
    """Noise level of the current step on the [-1, 1] scale."""


class Artifact(ResponseModel):
    name: str
    """`result`, `preview`, `input`, `mask`; where they were asked for, `sample_0` and so on, `uncertainty` (a grey
    picture, white at `metrics.uncertainty_scale`) and `uncertainty_raw` (the same as numbers: float32 of height, width
    and channels on the 0 to 1 scale, as `.npy`). Of `score_dvi` these always (but for its mode `diffusion`, which has
    no posterior), and beside them `noise_map` and `noise_map_raw`, 1 / sqrt(phi): the standard deviation of the noise
    at each pixel as far as it was trusted, which is more than that of the noise where that is correlated. None of these
    for a picture that is `metrics.clean`."""
    url: str
    media_type: str
    width: int | None = None
    height: int | None = None
    bytes: int
    sha256: str
    expires_at: str | None = None


class JobWarning(ResponseModel):
    code: str
    detail: str


class Result(ResponseModel):
    artifacts: list[Artifact]
    metrics: dict[str, Any]
    """`data_residual`, `noise_sigma_estimated`, `known_pixels_equal`, `unknown_fraction`, `clipped_fraction`; with
    uncertainty `uncertainty_scale` and `uncertainty_rms`, its largest value and its root mean square on the 0 to 1
    scale, and `uncertainty_calibrated`, 1 where it was measured for the prior how far it is to be trusted. Of
    `score_dvi`, `clean`: whether no noise was found, so that the picture came back as it was; `noise_probability`: that
    there is noise, where neither its level nor beta0 was given: below 1 only such a part of it is taken off;
    `noise_b8`: how far the noise is correlated, 64 times the variance of the mean of 8 x 8 pixels by that of a pixel, 1
    for white noise; `sweeps`, or `iterations` and `reruns`, or `steps`; `noise_map_scale` and `noise_map_rms`, as of
    the uncertainty."""
    warnings: list[JobWarning] = []


class Timings(ResponseModel):
    queue_s: float | None = None
    load_s: float | None = None
    """Loading the prior; 0 when it was warm."""
    run_s: float | None = None
    denoiser_calls: int | None = None
    mean_batch: float | None = None
    """Mean number of tiles in the prior calls that served this job."""


class Links(ResponseModel):
    self: str
    events: str
    result: str
    cancel: str


class Job(ResponseModel):
    id: str
    object: Literal["job"] = "job"
    task: Task
    status: JobStatus
    cancel_requested: bool
    priority: str
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    expires_at: str | None = None
    queue: QueuePlace | None = None
    progress: Progress | None = None
    attempt: int
    retry_of: str | None = None
    batch_id: str | None = None
    request: dict[str, Any]
    """Fully resolved: prior and its digest (of a mixture also `component_digests`), solver, parameters, seed, file ids
    of the inputs. `image` is what was sent to be restored, a measurement too."""
    result: Result | None = None
    error: Problem | None = None
    timings: Timings | None = None
    worker: dict[str, Any] | None = None
    """`device` and `precision`: where its networks computed, and in what."""
    metadata: dict[str, str] = {}
    client_ref: str | None = None
    links: Links

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


class JobList(ResponseModel):
    object: Literal["list"] = "list"
    data: list[Job]
    has_more: bool
    next_cursor: str | None = None


class BatchItemOutcome(ResponseModel):
    index: int
    client_ref: str | None = None
    job_id: str | None = None
    problem: Problem | None = None


class Batch(ResponseModel):
    id: str
    object: Literal["batch"] = "batch"
    task: Task
    created_at: str
    counts: dict[str, int]
    """Number of jobs in each status, plus `refused` for items that got a problem."""
    items: list[BatchItemOutcome]

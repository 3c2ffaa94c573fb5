"""What the fake service knows: jobs, files, keys, what arrived, and what is to break."""

import hashlib
import json
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from api_schemas.problems import FieldError, problem
from api_schemas.requests import OPTIONS

STEPS = 4
NOW = "2026-01-01T00:00:00Z"
PRIOR = {"id": "natural-v1", "is_default": True, "parameterisation": "edm", "channels": 3, "size_multiple": 8,
         "trained_size": 64, "fully_convolutional": True, "sigma_min": 0.002, "sigma_max": 80.0, "licence": "CC0-1.0",
         "symmetries": "dihedral", "digest": "ab" * 32, "state": "ready", "default_of": ["red_diff"]}  # fmt: skip
DENOISER = PRIOR | {"id": "denoiser-v4", "is_default": False, "digest": "cd" * 32, "default_of": ["score_dvi"]}


@dataclass
class FakeJob:
    id: str
    task: str
    options: dict[str, Any]
    image: bytes
    canceled: bool = False
    retry_of: str | None = None

    @property
    def outcome(self) -> str:
        if self.canceled:
            return "canceled"
        return "failed" if self.image.startswith(b"diverge") else "succeeded"


@dataclass
class FakeState:
    """Tests read what arrived, and set what is to break."""

    api_key: str | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    """Jobs whose image starts with `hold` end once it is set."""
    hold: bytes = b""
    faults: deque[str] = field(default_factory=deque)
    """What happens to the next POSTs: `drop`, `drop_after`, `busy`, `full`, `limited`, `in_progress`, `html`."""
    stream_cuts: int = 0
    """So many event streams break after two events."""
    streams_work: bool = True
    corrupt: bool = False
    """Artifacts arrive with wrong bytes."""
    priors: list[dict[str, Any]] = field(default_factory=lambda: [PRIOR, DENOISER])
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    applied: list[dict[str, Any]] = field(default_factory=list)
    """Requests for an operator alone."""
    files: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.gate.set()

    def count(self, method: str, path_start: str) -> int:
        return sum(m == method and path.startswith(path_start) for m, path, _ in self.requests)

    def headers_of(self, method: str, path_start: str) -> list[dict[str, str]]:
        return [headers for m, path, headers in self.requests if m == method and path.startswith(path_start)]

    def state(self, job: FakeJob) -> dict[str, Any]:
        """The job object."""
        ended = self.has_ended(job)
        status = job.outcome if ended else "running"
        base = f"/v1/jobs/{job.id}"
        content = self.result(job)
        artifact = {"name": "result", "url": f"{base}/artifacts/result", "media_type": "image/png", "width": 8,
                    "height": 8, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}  # fmt: skip
        failure = problem("solver_diverged", "step 3").model_dump(mode="json") if status == "failed" else None
        solver = OPTIONS[job.task].model_fields["solver"].default
        prior = next(prior for prior in self.priors if solver in prior["default_of"])
        request = {
            "prior": prior["id"],
            "prior_digest": prior["digest"],
            "solver": solver,
            "seed": 7,
            **decoded(job.options),
        }
        metrics = {"data_residual": 0.01}
        if request["solver"] == "score_dvi":
            metrics["clean"] = job.image.startswith(b"clean")
        return {
            "id": job.id, "object": "job", "task": job.task, "status": status, "cancel_requested": job.canceled,
            "priority": "normal", "created_at": NOW, "started_at": NOW, "finished_at": NOW if ended else None,
            "attempt": 1, "retry_of": job.retry_of, "request": request, "error": failure,
            "progress": {"step": STEPS if ended else 2, "total_steps": STEPS, "fraction": 1.0 if ended else 0.5},
            "result": {"artifacts": [artifact], "metrics": metrics} if status == "succeeded" else None,
            "links": {"self": base, "events": f"{base}/events", "result": f"{base}/result", "cancel": f"{base}/cancel"},
        }  # fmt: skip

    def has_ended(self, job: FakeJob) -> bool:
        return self.gate.is_set() or job.canceled or not job.image.startswith(self.hold)

    def result(self, job: FakeJob) -> bytes:
        return b"restored " + job.image

    def create(self, task: str, options: dict[str, Any], image: bytes, key: str | None, **more: Any) -> FakeJob:
        """A new job, or the one that `key` made. Raises `Refused`."""
        if image.startswith(b"broken"):
            raise Refused("unsupported_image", "these bytes are no image")
        if options.get("seed") == "-1":
            error = FieldError(pointer="/seed", code="greater_than_equal", detail="must be at least 0")
            raise Refused("validation_failed", "/seed: must be at least 0", [error])
        fingerprint = hashlib.sha256(json.dumps([task, options], sort_keys=True).encode() + image).hexdigest()
        with self.lock:
            if key in self.keys:
                first, job_id = self.keys[key]
                if first != fingerprint:
                    raise Refused("idempotency_key_reused", "another request had this key")
                if job_id in self.removed:
                    raise Refused("job_expired", "this job was removed")
                return self.jobs[job_id]
            job = FakeJob(f"job-{len(self.jobs) + 1}", task, options, image, **more)
            self.jobs[job.id] = job
            if key is not None:
                self.keys[key] = (fingerprint, job.id)
            return job


class Refused(Exception):
    def __init__(self, code: str, detail: str, errors: list[FieldError] | None = None):
        self.problem = problem(code, detail, errors=errors)


def decoded(options: dict[str, Any]) -> dict[str, Any]:
    """The values that form fields stand for."""
    return {name: int(value) if str(value).isdecimal() else value for name, value in options.items()}

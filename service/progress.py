"""What a running job tells of itself: steps, and previews of the picture."""

import math
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import structlog
from torch.nn import functional

from service import imaging
from service.engine.engine import Outcome
from service.formulate import to_image_range
from service.queue.base import Claim, Json, Reporter
from service.storage import Storage, artifact_key
from solvers.query import Query

PREVIEW_SIDE = 512
"""Longest side of a preview in pixels."""

log = structlog.get_logger(__name__)


class ProgressReport:
    """Called by the engine at each query of one job: tells the reporter where the job is, and makes its previews."""

    def __init__(self, claim: Claim, reporter: Reporter, storage: Storage, pictures: ThreadPoolExecutor):
        preview = claim.request["preview"]
        self.claim = claim
        self.reporter = reporter
        self.storage = storage
        self.pictures = pictures
        self.preview_every = preview["every"] if preview else 0
        self.began = time.monotonic()

    def __call__(self, query: Query) -> None:
        elapsed = time.monotonic() - self.began
        progress = {
            "step": query.step,
            "total_steps": query.total,
            "fraction": query.step / query.total,
            "eta_s": elapsed / query.step * (query.total - query.step) if query.step else None,
            "data_residual": query.data_residual,
            "sigma": float(query.sigma[0].square().mean().sqrt()),
        }
        self.reporter.progress(self.claim.id, progress)
        if self.preview_every and query.step and query.step % self.preview_every == 0 and query.estimate is not None:
            factor = max(1, math.ceil(max(query.estimate.shape[-2:]) / PREVIEW_SIDE))
            small = functional.avg_pool2d(query.estimate, factor, ceil_mode=True)
            self.pictures.submit(self._store_preview, to_image_range(small), query.step)

    def _store_preview(self, rgb01: np.ndarray, step: int) -> None:
        key = artifact_key(self.claim.id, self.claim.attempt, f"preview-{step}.jpg")
        try:
            self.storage.put(key, imaging.preview_jpeg(rgb01, PREVIEW_SIDE))
        except Exception:  # noqa: BLE001 - a store that fails shows itself at the result; a preview is worth a line
            log.exception("preview was not stored", job=self.claim.id, step=step)
            return
        self.reporter.preview(self.claim.id, {"step": step, "key": key})


def finished(outcome: Outcome) -> Json:
    """The progress of a job whose solver has ended."""
    calls = outcome.denoiser_calls
    residual = outcome.solution.data_residual
    return {"step": calls, "total_steps": calls, "fraction": 1.0, "eta_s": 0.0, "data_residual": residual}

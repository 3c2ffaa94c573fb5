"""The body of a job: blobs to pixels, pixels to a problem, the problem through the engine, the picture to blobs."""

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import structlog
import torch
from torch.nn import functional

from api_schemas.problems import problem
from priors.manifest import PriorError, read_manifest
from priors.shelf import Shelf
from service import imaging
from service.engine.engine import DeadlineExceeded, Engine, EngineStopped, Outcome, OutOfMemory, PriorLoadFailed
from service.formulate import Formulation, formulate, to_image_range
from service.queue.base import Claim, JobFailed, Json, Reporter, WorkerBroken
from service.settings import Settings
from service.storage import BlobMissing, Storage, artifact_key, input_key
from solvers.query import Query, SolverDiverged
from solvers.red_diff import settings_of

PRIORITY_WEIGHT = {"high": 4.0, "normal": 2.0, "low": 1.0}
"""Shares of the denoiser that running jobs of each priority get."""

FAILURE_CODES: dict[type[Exception], str] = {
    imaging.ImageRefused: "input_decode_failed",
    BlobMissing: "input_decode_failed",
    SolverDiverged: "solver_diverged",
    OutOfMemory: "out_of_memory",
    PriorLoadFailed: "prior_load_failed",
    DeadlineExceeded: "deadline_exceeded",
}
"""What can end a job, and the code of its problem."""

PREVIEW_SIDE = 512
"""Longest side of a preview in pixels."""

log = structlog.get_logger(__name__)


class Restorer:
    """Runs claimed jobs on one engine. `run` is the queue's `JobBody`."""

    def __init__(self, settings: Settings, storage: Storage, engine: Engine, reporter: Reporter):
        self.limits = imaging.ImageLimits(settings.max_file_bytes, settings.max_pixels, settings.min_side)
        self.shelf = settings.shelf
        self.storage = storage
        self.engine = engine
        self.reporter = reporter
        self.pictures = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pictures")

    async def run(self, claim: Claim) -> Json:
        """Solve a job and return its result record. Cancelling the task ends the job at its next denoiser step."""
        loop = asyncio.get_running_loop()
        try:
            picture, observed = await loop.run_in_executor(self.pictures, self._read, claim)
            formulation = await loop.run_in_executor(self.pictures, self._formulate, claim, picture, observed)
            outcome = await self._solve(claim, formulation)
            self.reporter.progress(claim.id, finished(outcome))
            return await loop.run_in_executor(
                self.pictures, self._write, claim, picture, observed, formulation, outcome
            )
        except EngineStopped as error:
            raise WorkerBroken from error  # the job did nothing wrong: another worker shall have it
        except tuple(FAILURE_CODES) as error:
            raise JobFailed(problem(FAILURE_CODES[type(error)], str(error)).model_dump(mode="json")) from error

    def _formulate(self, claim: Claim, picture: imaging.Picture, observed: np.ndarray | None) -> Formulation:
        symmetry = declared_symmetry(self.shelf, claim.request["prior"])
        return formulate(claim.request, picture.rgb, observed, self.engine.device, symmetry)

    async def _solve(self, claim: Claim, formulation: Formulation) -> Outcome:
        future = self.engine.submit(
            claim.id,
            formulation.start,
            claim.request["prior"],
            on_query=ProgressReport(claim, self.reporter, self.storage, self.pictures),
            deadline=None if claim.deadline_at is None else time.monotonic() + claim.deadline_at - time.time(),
            weight=PRIORITY_WEIGHT[claim.request["priority"]],
            digest=claim.request["prior_digest"],
        )
        self.reporter.started(claim.id, {"worker": {"device": str(self.engine.device)}, "attempt": claim.attempt})
        try:
            return await asyncio.wrap_future(future)
        finally:
            self.engine.cancel(claim.id)  # no effect on a job that has ended

    def _read(self, claim: Claim) -> tuple[imaging.Picture, np.ndarray | None]:
        request = claim.request
        picture = imaging.decode(self.storage.get(input_key(request["image"]["sha256"])), self.limits)
        if request["task"] != "inpaint":
            return picture, None
        mask = request["mask"]
        observed = imaging.observed_mask(
            None if mask is None else self.storage.get(input_key(mask["sha256"])),
            picture,
            mode=request["mask_mode"],
            threshold=request["mask_threshold"],
            grow=request["grow_mask"],
            limits=self.limits,
        )
        return picture, observed

    def _write(
        self,
        claim: Claim,
        picture: imaging.Picture,
        observed: np.ndarray | None,
        formulation: Formulation,
        outcome: Outcome,
    ) -> Json:
        request = claim.request
        rgb01 = to_image_range(outcome.solution.x)
        exact = observed is not None and request["known_pixels"] == "exact"
        alpha_was_hole = observed is not None and request["mask_mode"] == "alpha_unknown" and request["mask"] is None
        encoded = imaging.encode(
            rgb01,
            picture,
            **request["output"],
            keep=observed if exact else None,
            scale=request.get("scale", 1),
            same_scene=request["task"] == "denoise",
            opaque=~observed if alpha_was_hole else None,
        )
        measured = {
            "noise_sigma_estimated": formulation.sigma01 if formulation.noise_was_estimated else None,
            "known_pixels_equal": encoded.known_pixels_equal,
            "unknown_fraction": None if observed is None else float(1 - observed.mean()),
            "clipped_fraction": float(((rgb01 < 0) | (rgb01 > 1)).mean()),
        }
        return {
            "artifacts": [self._store(claim, encoded)],
            "warnings": [{"code": code, "detail": detail} for code, detail in (*picture.warnings, *encoded.warnings)],
            "parameters": {"mode": formulation.parameters.mode, **asdict(settings_of(formulation.parameters))},
            "worker": {"device": str(self.engine.device)},
            **figures(outcome, measured),
        }

    def _store(self, claim: Claim, encoded: imaging.Encoded) -> Json:
        """Put the picture into the store; returns its entry among the artifacts."""
        key = artifact_key(claim.id, claim.attempt, f"result.{encoded.media_type.split('/')[1]}")
        sha256 = self.storage.put(key, encoded.data)
        return {
            "name": "result",
            "key": key,
            "media_type": encoded.media_type,
            "width": encoded.width,
            "height": encoded.height,
            "bytes": len(encoded.data),
            "sha256": sha256,
        }


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
            "sigma": float(query.sigma[0]),
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


def figures(outcome: Outcome, measured: Json) -> Json:
    """The `metrics` of a result, `measured` among them, and its `timings`."""
    solution = outcome.solution
    return {
        "metrics": {"data_residual": solution.data_residual, **measured, **solution.metrics},
        "timings": {
            "load_s": outcome.load_s,
            "run_s": outcome.run_s,
            "denoiser_calls": outcome.denoiser_calls,
            "mean_batch": outcome.mean_batch,
        },
    }


def declared_symmetry(shelf: Shelf, prior: str) -> str:
    """What the manifest of the prior declares; none where it cannot be read: the engine will say what is wrong."""
    try:
        return read_manifest(shelf.home(prior) / prior).symmetries
    except PriorError:
        return "none"


def choose_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

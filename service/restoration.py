"""The body of a job: blobs to pixels, pixels to a problem, the problem through the engine, the picture to blobs."""

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np
import structlog
import torch
from torch import Tensor

from api_schemas.operators import mask_words
from api_schemas.problems import problem
from priors.manifest import PriorError, read_manifest
from priors.shelf import Shelf
from service import imaging
from service.application import apply
from service.artifacts import Artifacts
from service.engine.engine import DeadlineExceeded, Engine, EngineStopped, Outcome, OutOfMemory, PriorLoadFailed
from service.engine.residency import PriorId
from service.formulate import Formulation, PriorFacts, formulate, to_image_range
from service.outcome import Result
from service.progress import ProgressReport, finished
from service.queue.base import Claim, JobFailed, Json, Reporter, WorkerBroken
from service.settings import Settings
from service.storage import BlobMissing, Storage, input_key
from solvers.calibration import read_calibrations
from solvers.catalogue import DENOISERS
from solvers.noise_weights import read_reading
from solvers.operators.base import OperatorError
from solvers.query import Solution, SolverDiverged
from solvers.red_diff import RedDiffParameters, settings_of
from solvers.symmetry import SYMMETRIES

PRIORITY_WEIGHT = {"high": 4.0, "normal": 2.0, "low": 1.0}
"""Shares of the denoiser that running jobs of each priority get."""

SOLVERS_SCALE = frozenset({"noise_sigma"})
"""Metrics on the [-1, 1] scale, which the wire has under names of its own."""
FAILURE_CODES: dict[type[Exception], str] = {
    imaging.ImageRefused: "input_decode_failed",
    BlobMissing: "input_decode_failed",
    OperatorError: "operator_invalid",
    SolverDiverged: "solver_diverged",
    OutOfMemory: "out_of_memory",
    torch.OutOfMemoryError: "out_of_memory",
    PriorLoadFailed: "prior_load_failed",
    DeadlineExceeded: "deadline_exceeded",
}
"""What can end a job, and the code of its problem."""


log = structlog.get_logger(__name__)


class Restorer:
    """Runs claimed jobs on one engine. `run` is the queue's `JobBody`."""

    def __init__(
        self, settings: Settings, storage: Storage, engine: Engine, reporter: Reporter, worker: dict[str, str]
    ):
        """worker: what jobs say of where they were solved."""
        self.limits = imaging.ImageLimits(settings.max_file_bytes, settings.max_pixels, settings.min_side)
        self.shelf = settings.shelf
        self.storage = storage
        self.engine = engine
        self.reporter = reporter
        self.worker = worker
        self.pictures = ThreadPoolExecutor(max_workers=2, thread_name_prefix="pictures")

    async def run(self, claim: Claim) -> Json:
        """Solve a job and return its result record. Cancelling the task ends the job at its next denoiser step."""
        loop = asyncio.get_running_loop()
        try:
            if claim.task == "apply":
                self._started(claim)
                return await loop.run_in_executor(self.pictures, self._apply, claim)
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
        prior = facts_of(self.shelf, claim.request)
        bits = None if picture.native.dtype.kind == "f" else 8 * picture.native.dtype.itemsize
        return formulate(claim.request, picture.rgb, observed, self.engine.device, prior, self._load, bits)

    def _started(self, claim: Claim) -> None:
        self.reporter.started(claim.id, {"worker": self.worker, "attempt": claim.attempt})

    def _load(self, sha256: str) -> bytes:
        return self.storage.get(input_key(sha256))

    def _apply(self, claim: Claim) -> Json:
        """The result record of an operator that is applied alone."""
        began = time.monotonic()
        picture = imaging.decode(self._load(claim.request["image"]["sha256"]), self.limits)
        applied = apply(claim.request, picture.rgb, self._load, self.engine.device)
        height, width, channels = applied.shape
        source = imaging.blank(height, width, grey=channels == 1, like=picture)
        encoded = imaging.encode(np.broadcast_to(applied, (height, width, 3)), source, **claim.request["output"])
        return {
            "artifacts": [Artifacts(self.storage, claim).picture("result", encoded)],
            "warnings": listed(encoded.warnings),
            "worker": self.worker,
            "metrics": {"clipped_fraction": clipped_fraction(applied)},
            "timings": {"load_s": 0.0, "run_s": time.monotonic() - began, "denoiser_calls": 0, "mean_batch": None},
        }

    async def _solve(self, claim: Claim, formulation: Formulation) -> Outcome:
        future = self.engine.submit(
            claim.id,
            formulation.start,
            claim.request["prior"],
            on_query=ProgressReport(claim, self.reporter, self.storage, self.pictures),
            deadline=None if claim.deadline_at is None else time.monotonic() + claim.deadline_at - time.time(),
            weight=PRIORITY_WEIGHT[claim.request["priority"]],
            digest=claim.request["prior_digest"],
            further=further_priors(claim.request),
        )
        self._started(claim)
        try:
            return await asyncio.wrap_future(future)
        finally:
            self.engine.cancel(claim.id)  # no effect on a job that has ended

    def _read(self, claim: Claim) -> tuple[imaging.Picture, np.ndarray | None]:
        request = claim.request
        picture = imaging.decode(self._load(request["image"]["sha256"]), self.limits)
        if request["task"] != "inpaint":
            return picture, None
        mask = request["mask"]
        observed = imaging.observed_mask(
            None if mask is None else self._load(mask["sha256"]),
            picture,
            limits=self.limits,
            **mask_words(request),
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
        request, solution = claim.request, outcome.solution
        written = Result(request, picture, observed)
        artifacts = Artifacts(self.storage, claim)
        encoded = written.encode(solution.x)
        made = [artifacts.picture("result", encoded)]
        for index, sample in enumerate(samples_of(solution)[: request["num_samples"]]):
            made.append(artifacts.picture(f"sample_{index}", written.encode(sample[None])))
        measured = {
            "noise_sigma_estimated": formulation.estimated01(solution),
            "known_pixels_equal": encoded.known_pixels_equal,
            "unknown_fraction": None if observed is None else float(1 - observed.mean()),
            "clipped_fraction": clipped_fraction(to_image_range(solution.x)),
        }
        if request["solver"] in DENOISERS:
            measured["clean"] = torch.equal(solution.x, formulation.problem.measurement)
        for name, deviation01 in written.maps01(solution).items():
            files, meaning = artifacts.map(name, deviation01)
            made, measured = made + files, measured | meaning
        return {
            "artifacts": made,
            "warnings": listed((*picture.warnings, *encoded.warnings)),
            "parameters": parameters_of(formulation, solution),
            "worker": self.worker,
            **figures(outcome, measured),
        }


def figures(outcome: Outcome, measured: Json) -> Json:
    """The `metrics` of a result, `measured` among them, and its `timings`."""
    solution = outcome.solution
    by_solver = {name: value for name, value in solution.metrics.items() if name not in SOLVERS_SCALE}
    return {
        "metrics": {"data_residual": solution.data_residual, **measured, **by_solver},
        "timings": {
            "load_s": outcome.load_s,
            "run_s": outcome.run_s,
            "denoiser_calls": outcome.denoiser_calls,
            "mean_batch": outcome.mean_batch,
        },
    }


def listed(warnings: Iterable[tuple[str, str]]) -> list[Json]:
    return [{"code": code, "detail": detail} for code, detail in warnings]


def clipped_fraction(image01: np.ndarray) -> float:
    """Of the values that lie beyond black and white."""
    return float(((image01 < 0) | (image01 > 1)).mean())


def samples_of(solution: Solution) -> Tensor:
    """(S, C, H, W); of a solver that drew a single sample, that one."""
    return solution.x if solution.samples is None else solution.samples


def parameters_of(formulation: Formulation, solution: Solution) -> Json:
    """Every parameter that the solver worked with."""
    parameters = formulation.parameters
    if isinstance(parameters, RedDiffParameters):
        return {"mode": parameters.mode, **asdict(settings_of(parameters))}
    return asdict(parameters) if solution.settings is None else solution.settings


def further_priors(request: Json) -> list[PriorId]:
    """Those of a mixture beside the first."""
    named = zip(request["params"].get("components", ()), request.get("component_digests", ()), strict=True)
    return [PriorId(*each) for each in named]


def facts_of(shelf: Shelf, request: Json) -> PriorFacts:
    """What the folder of the prior says; nothing where it cannot be read: the engine will say what is wrong.

    A mixture is turned as all of its priors were trained.
    """
    prior, digest = request["prior"], request["prior_digest"]
    try:
        folders = [shelf.home(name) / name for name in (prior, *(each.name for each in further_priors(request)))]
        symmetry = min((read_manifest(folder).symmetries for folder in folders), key=[*SYMMETRIES].index)
    except PriorError:
        return PriorFacts()
    facts: dict[str, Any] = {}
    for name, read in {"calibrations": read_calibrations, "reading": read_reading}.items():
        try:
            facts[name] = read(folders[0], digest)
        except ValueError as error:
            log.warning(f"{name} of the prior cannot be read", prior=prior, reason=str(error))
    return PriorFacts(symmetry, **facts)


def choose_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

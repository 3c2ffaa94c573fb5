"""A real worker process that copies pictures instead of restoring them. Run by the tests as a script."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from api_schemas.problems import problem
from service import imaging
from service.queue.base import Claim, Equipment, JobFailed, Json
from service.queue.reporter import DatabaseReporter
from service.settings import Settings
from service.storage import Storage, artifact_key, input_key
from service.worker import run
from tests.service.queue.sleepy_worker import SleepyPriors

UNUSABLE = {"matrix": "operator_invalid", "jpeg": "out_of_memory"}
"""How a job fails that applies an operator of this kind."""
LIMITS = imaging.ImageLimits(2**30, 10**8, 1)


class Copyist:
    """A job's body without a prior: the answer is the input. `metadata.do` of the request changes that."""

    def __init__(self, storage: Storage, reporter: DatabaseReporter):
        self.storage = storage
        self.reporter = reporter

    async def run(self, claim: Claim) -> Json:
        do = claim.request["metadata"].get("do")
        self.reporter.started(claim.id, {"worker": {"device": "cpu"}, "attempt": claim.attempt})
        self.reporter.progress(claim.id, {"step": 1, "total_steps": 2, "fraction": 0.5, "eta_s": None})
        if do == "fail":
            raise JobFailed(problem("solver_diverged", "not finite at step 1").model_dump(mode="json"))
        if claim.task == "apply" and (code := UNUSABLE.get(claim.request["operator"]["kind"])):
            raise JobFailed(problem(code, "what it gives is not finite").model_dump(mode="json"))
        if do == "hang":
            await asyncio.Event().wait()
        return await asyncio.to_thread(self._copy, claim)

    def _copy(self, claim: Claim) -> Json:
        picture = imaging.decode(self.storage.get(input_key(claim.request["image"]["sha256"])), LIMITS)
        preview = artifact_key(claim.id, claim.attempt, "preview-1.jpg")
        self.storage.put(preview, imaging.preview_jpeg(picture.rgb, 64))
        self.reporter.preview(claim.id, {"step": 1, "key": preview})
        format = "npy" if claim.request["output"]["format"] == "npy" else "png"
        encoded = imaging.encode(picture.rgb, picture, format=format)
        key = artifact_key(claim.id, claim.attempt, f"result.{format}")
        artifact = {
            "name": "result",
            "key": key,
            "media_type": encoded.media_type,
            "width": encoded.width,
            "height": encoded.height,
            "bytes": len(encoded.data),
            "sha256": self.storage.put(key, encoded.data),
        }
        return {
            "artifacts": [artifact],
            "metrics": {"data_residual": 0.0},
            "warnings": [{"code": "copied", "detail": "nothing was restored"}],
            "parameters": {"steps": 2},
            "timings": {"load_s": 0.0, "run_s": 0.1, "denoiser_calls": 2, "mean_batch": 1.0},
            "worker": {"device": "cpu"},
        }


@contextmanager
def copying(settings: Settings, reporter: DatabaseReporter) -> Iterator[Equipment]:
    yield Equipment(Copyist(Storage(settings.resolved_blob_url), reporter).run, SleepyPriors())


if __name__ == "__main__":
    run(Settings(), copying)

"""A worker without its queue: the body of a job, a real engine, a real store, and priors whose answers are known."""

import asyncio
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from api_schemas.requests import OPTIONS, ApplyOptions
from priors.analytic import GaussianPrior
from priors.manifest import PriorError
from service.engine.engine import Engine
from service.queue.base import Claim, JobFailed, Json
from service.restoration import Restorer
from service.settings import Settings
from service.storage import Storage
from service.submission import WAITED_FOR

LIMIT_S = 60


class Notes:
    """A `Reporter` that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, Json]] = []

    def started(self, job_id: str, data: Json) -> None:
        self.lines.append(("started", data))

    def progress(self, job_id: str, data: Json) -> None:
        self.lines.append(("progress", data))

    def preview(self, job_id: str, data: Json) -> None:
        self.lines.append(("preview", data))

    def warning(self, job_id: str, data: Json) -> None:
        self.lines.append(("warning", data))

    def of(self, kind: str) -> list[Json]:
        return [data for name, data in self.lines if name == kind]


class Failing(GaussianPrior):
    """Answers with `answer(x)`, which may raise; except the first time, when it is warmed up."""

    def __init__(self, answer: Callable[[Tensor], Tensor]):
        super().__init__(0.25)
        self.answer = answer
        self.is_warm = False

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        if not self.is_warm:
            self.is_warm = True
            return super().denoise(x, sigma)
        return self.answer(x)


def no_memory(_x: Tensor) -> Tensor:
    raise torch.OutOfMemoryError("out of memory")


def slow(x: Tensor) -> Tensor:
    time.sleep(0.05)
    return x


def load_prior(name: str) -> GaussianPrior:
    if name == "missing":
        raise PriorError("its digest is wrong")
    return {
        "gaussian": GaussianPrior(0.25),
        "nan": Failing(lambda x: x * torch.nan),
        "huge": Failing(no_memory),
        "slow": Failing(slow),
    }[name]


class Bench:
    """A worker's parts without the queue."""

    def __init__(self, folder: Path, load: Callable[[str], Any] = load_prior):
        self.storage = Storage(folder.as_uri())
        self.engine = Engine(load, "cpu")
        self.notes = Notes()
        self.models_dir = folder / "models"
        settings = Settings(data_dir=folder, models_dir=self.models_dir)
        self.restorer = Restorer(
            settings, self.storage, self.engine, self.notes, {"device": "cpu", "precision": "float32"}
        )

    def claim(self, task: str, image: bytes, mask: bytes | None = None, **options: Any) -> Claim:
        deadline_at, attempt = options.pop("deadline_at", None), options.pop("attempt", 1)
        digest, component_digests = options.pop("prior_digest", ""), options.pop("component_digests", None)
        chosen = {"prior": "gaussian", "solver": "red_diff", "seed": 1} | options
        request = OPTIONS[task](**chosen).model_dump(mode="json")
        request["prior_digest"] = digest
        if "components" in request["params"]:
            request["component_digests"] = component_digests or [""] * len(request["params"]["components"])
        request["image"] = {"sha256": self.storage.put_input(image)}
        request["mask"] = None if mask is None else {"sha256": self.storage.put_input(mask)}
        return Claim("job-1", "local", task, request, attempt, deadline_at)

    def application(self, image: bytes, **options: Any) -> Claim:
        request = ApplyOptions(**options).model_dump(mode="json") | WAITED_FOR
        request["image"] = {"sha256": self.storage.put_input(image)}
        return Claim("job-1", "local", "apply", request, 1, None)

    def run(self, claim: Claim) -> Json:
        return asyncio.run(asyncio.wait_for(self.restorer.run(claim), LIMIT_S))

    def failure(self, claim: Claim) -> Json:
        with pytest.raises(JobFailed) as caught:
            self.run(claim)
        return caught.value.problem

    def picture(self, result: Json, name: str = "result") -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(self.content(result, name))))

    def content(self, result: Json, name: str) -> bytes:
        (key,) = (each["key"] for each in result["artifacts"] if each["name"] == name)
        return self.storage.get(key)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


PIXELS = np.random.default_rng(0).integers(40, 215, (33, 47, 3), dtype=np.uint8)
MASK = np.zeros((33, 47), np.uint8)
MASK[10:20, 5:30] = 255

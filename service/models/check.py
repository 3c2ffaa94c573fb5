"""Whether a prior is what it declares: it loads, it denoises, its answers have the right scale, it restores."""

import math
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from api_schemas.requests import InpaintOptions
from priors.base import Prior, SplitPrior
from priors.evaluation import LEVELS, LevelScore, evaluate, psnr
from priors.manifest import PriorError
from priors.photographs import UNREADABLE, photographs, read_photograph
from priors.store import load_prior
from service.formulate import PriorFacts, formulate, to_image_range
from service.models.verdicts import Verdict, broken, calibrations, decoded, gains, slopes
from solvers.drive import drive
from solvers.fill import smooth_fill
from solvers.query import SolverDiverged

CROPS = 4
MAX_PICTURES = 8
CONVOLUTIONAL_SIDE = 128
"""Side in pixels of the crops for a prior that takes any size."""
FLAT = 0.02
"""Standard deviation on [-1, 1] below which a crop says nothing."""
INPAINTING_LOSS = 1.5
"""dB. A smooth fill of random holes is hard to beat on a soft picture, where the bundled prior loses up to 0.5 dB; one
that is told half its level loses 5."""
SEED = 0


@dataclass(frozen=True)
class Inpainting:
    """Half of the pixels of one crop, drawn at random, filled by RED-Diff's fast preset; dB in the holes."""

    psnr_start: float
    """Of the smooth fill that the solver starts from."""
    psnr: float


@dataclass(frozen=True)
class Report:
    """What was measured, and what follows from it."""

    prior: str
    digest: str
    device: str
    load_s: float
    """The import of diffusers among them."""
    peak_bytes: int
    """Most memory that the process, or on a GPU torch, has held until the prior was loaded."""
    levels: list[LevelScore]
    """Empty where an answer was no picture."""
    inpainting: Inpainting | None
    """None for such a prior, for one on latents, and where the solver diverged."""
    verdicts: list[Verdict]

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"passed": self.passed}


class Told:
    """A latent prior that is told the picture without its noise, as a solver tells it."""

    def __init__(self, prior: SplitPrior, mean: Tensor):
        self.info = prior.info
        self.prior = prior
        self.mean = mean

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        return self.prior.denoise_split(self.mean, (x - self.mean) / sigma.reshape(-1, 1, 1, 1), sigma)


def check(models_dir: Path, name: str, images: Path, device: torch.device) -> Report:
    """Load a prior and try it on crops of `images`, a clean photograph or a folder of them. Raises PriorError."""
    began = time.monotonic()
    prior = load_prior(models_dir, name, device)
    load_s, peak = time.monotonic() - began, peak_memory(device)
    loaded = Verdict("weights", True, f"their SHA-256 is right; loaded in {load_s:.1f} s, {peak / 2**20:.0f} MiB held")
    crops = [crop.to(device) for crop in cut_crops(images, crop_side(prior))]
    try:
        scores, inpainted, verdicts = measure(prior, crops)
    except RuntimeError as error:  # torch's word for whatever a device cannot do, memory that it lacks among them
        raise PriorError(f"prior {name} cannot be run on {device}: {error}") from error
    return Report(name, prior.info.digest, device.type, load_s, peak, scores, inpainted, [loaded, *verdicts])


def measure(prior: Prior, crops: list[Tensor]) -> tuple[list[LevelScore], Inpainting | None, list[Verdict]]:
    """The fields of a report that are about the answers."""
    low, high = prior.info.sigma_min, prior.info.sigma_max
    levels = [level for level in LEVELS if low <= level <= high] or [math.sqrt(low * high)]
    is_split = isinstance(prior, SplitPrior)
    tried, crops = (Told(prior, crops[0]), crops[:1]) if is_split else (prior, crops)
    scores = evaluate(tried, crops, levels, None, SEED)
    if found := broken(scores):
        return [], None, [found]
    if is_split:
        return scores, None, [decoded(scores)]
    inpainted, restored = inpaint(prior, crops[0])
    return scores, inpainted, [gains(scores), slopes(scores), calibrations(scores), restored]


def crop_side(prior: Prior) -> int:
    info = prior.info
    side = CONVOLUTIONAL_SIDE if info.fully_convolutional else info.native_size
    return max(info.multiple_of, side - side % info.multiple_of)


def cut_crops(images: Path, side: int) -> list[Tensor]:
    """At most `CROPS` squares (1, 3, side, side) on [-1, 1], spread over the pictures. Raises PriorError for none."""
    paths, found = [images] if images.is_file() else photographs(images), []
    for path in paths[:: max(1, len(paths) // MAX_PICTURES)][:MAX_PICTURES]:
        try:
            picture = torch.from_numpy(read_photograph(path))  # (H, W, 3) uint8
        except UNREADABLE as error:
            raise PriorError(f"{path} cannot be read as a photograph: {error}") from error
        if min(picture.shape[:2]) >= side:
            found += picture.unfold(0, side, side).unfold(1, side, side).flatten(0, 1)  # (3, side, side) each
    crops = [crop for crop in found if crop.float().std() > FLAT * 127.5]
    if not crops:
        raise PriorError(f"{images} has no photograph of at least {side} x {side} pixels: name others with --images")
    return [crop[None].float() / 127.5 - 1 for crop in crops[:: max(1, len(crops) // CROPS)][:CROPS]]


def inpaint(prior: Prior, clean: Tensor) -> tuple[Inpainting | None, Verdict]:
    """One restoration by the code that the service runs."""
    known = torch.rand(clean.shape[-2:], generator=torch.Generator().manual_seed(SEED)) >= 0.5  # (H, W)
    request = InpaintOptions(seed=SEED).model_dump(mode="json")
    facts = PriorFacts(prior.info.symmetries)
    formulation = formulate(request, to_image_range(clean), known.numpy(), clean.device, facts)
    observed = known.to(clean.device)[None, None]  # (1, 1, H, W)
    holes = ~observed.expand_as(clean)
    start = psnr(smooth_fill(clean * observed, observed.to(clean))[holes], clean[holes])
    try:
        answer = drive(formulation.start(), prior.denoise).x.clamp(-1, 1)
    except SolverDiverged as error:
        return None, Verdict("inpainting", False, str(error))
    inpainted = Inpainting(start, psnr(answer[holes], clean[holes]))
    why = f"{inpainted.psnr:.2f} dB in the holes, where a smooth fill has {start:.2f}"
    return inpainted, Verdict("inpainting", inpainted.psnr > start - INPAINTING_LOSS, why)


def peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

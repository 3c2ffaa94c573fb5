"""Quality of restorations against classical baselines: `python -m benchmarks.quality --images FOLDER...`.

Each picture is cropped at its centre, damaged with a fixed seed and restored by the same code that the service runs
(`service.formulate` and a preset). PSNR and SSIM are of the clipped picture on [0, 1]. `--priors A B` restores every
damaged picture, with its noise and mask, with each of the priors; `--presets fast balanced quality` by each preset.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from api_schemas.requests import OPTIONS
from benchmarks import baselines
from benchmarks.degradations import centre_crop, noisy
from benchmarks.report import Row, publish
from benchmarks.served import served
from priors.base import Prior
from service.formulate import PriorFacts, formulate, to_image_range, to_solver_range
from service.operators import build_kernel
from solvers.drive import drive
from solvers.metrics import psnr, ssim
from solvers.operators.blur import Blur
from solvers.operators.downsample import Downsample
from solvers.operators.holes import free_form, random_pixels

CPU = torch.device("cpu")
TASKS = ["inpaint", "super_resolution", "denoise", "deblur"]


@dataclass(frozen=True)
class Case:
    """One damaged picture: what the service would be sent, and what the classical method makes of it."""

    label: str
    baseline_name: str
    request: dict
    measurement: np.ndarray
    observed: np.ndarray | None
    baseline: Callable[[], np.ndarray]


def cases(truth: np.ndarray, seed: int) -> Iterator[Case]:
    """Every damage of the table, done to one picture (H, W, 3) in [0, 1]."""
    height, width = truth.shape[:2]
    for label, observed in (
        ("inpaint 50 % random pixels", random_pixels(height, width, 0.5, seed).numpy()),
        ("inpaint 25 % free-form hole", free_form(height, width, 0.25, seed).numpy()),
    ):
        damaged = (truth * observed[..., None]).astype(np.float32)
        yield Case(
            label,
            "biharmonic",
            {"task": "inpaint"},
            damaged,
            observed,
            lambda y=damaged, m=observed: baselines.biharmonic(y, m),
        )
    for scale in (2, 4):
        operator = Downsample((3, height, width), scale, "bicubic")
        small = to_image_range(operator.forward(to_solver_range(truth, CPU)))
        request = {"task": "super_resolution", "scale": scale}
        label = f"super-resolution x{scale}, bicubic"
        yield Case(label, "bicubic", request, small, None, lambda y=small, s=scale: baselines.bicubic(y, s))
    for sigma_255 in (15, 25, 50):
        damaged = noisy(truth, sigma_255, seed)
        request = {"task": "denoise", "solver": "red_diff", "noise": {"sigma_255": sigma_255}}
        label = f"denoise sigma {sigma_255}/255"
        yield Case(
            label,
            "non-local means",
            request,
            damaged,
            None,
            lambda y=damaged, s=sigma_255: baselines.non_local_means(y, s),
        )
    yield from blurred(truth, seed)


def blurred(truth: np.ndarray, seed: int) -> Iterator[Case]:
    """By a Gaussian and along a line, with noise of 0.01. The service builds the kernel, here as in `restore`."""
    height, width = truth.shape[:2]
    for label, request in (
        ("deblur Gaussian 1.6", {"kind": "gaussian", "width": 1.6}),
        ("deblur line 15", {"kind": "motion", "length": 15, "angle": 30}),
    ):
        kernel = build_kernel(request, np.asarray)  # no kernel of these is loaded
        operator = Blur((3, height, width), kernel)
        damaged = noisy(to_image_range(operator.forward(to_solver_range(truth, CPU))), 2.55, seed)
        yield Case(
            label,
            "Wiener",
            {"task": "deblur", "kernel": request, "noise": {"sigma_255": 2.55}},
            damaged,
            None,
            lambda y=damaged, k=kernel: baselines.wiener(y, k.numpy(), truth),
        )


def restore(case: Case, prior: Prior, preset: str, seed: int) -> np.ndarray:
    """What the service answers, in process: (H, W, 3) on [0, 1]."""
    options = OPTIONS[case.request["task"]](**case.request, preset=preset, seed=seed)
    request = options.model_dump(mode="json")
    formulation = formulate(request, case.measurement, case.observed, CPU, PriorFacts(prior.info.symmetries))
    return to_image_range(drive(formulation.start(), prior.denoise).x)


class Way(NamedTuple):
    """To restore."""

    prior: Prior
    preset: str


class Score(NamedTuple):
    """One picture restored in one way."""

    psnr: float
    ssim: float
    seconds: float


def score(restored: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """PSNR and SSIM of the clipped picture."""
    image, reference = (to_solver_range(np.clip(x, 0, 1).astype(np.float32), CPU) for x in (restored, truth))
    return float(psnr(image, reference, data_range=2)), float(ssim(image, reference, data_range=2))


def compare(case: Case, truth: np.ndarray, ways: Sequence[Way], seed: int) -> tuple[list[np.ndarray], list[Score]]:
    """The same damage restored in each way, and lastly by the classical method."""
    solvers = [lambda way=way: restore(case, way.prior, way.preset, seed) for way in ways] + [case.baseline]
    pictures, scores = [], []
    for solver in solvers:
        began = time.perf_counter()
        with torch.inference_mode():
            pictures.append(solver())
        seconds = time.perf_counter() - began
        scores.append(Score(*score(pictures[-1], truth), seconds))
    return pictures, scores


def table(folder: str, task: str, baseline_name: str, ways: Sequence[Way], found: list[list[Score]]) -> list[Row]:
    """A row for each way. found: for each picture, the scores of the ways and of the classical method."""
    scores = np.array(found)  # (pictures, ways + 1, 3)
    *means, baseline = scores.mean(axis=0).tolist()
    rows = []
    for number, (way, mean) in enumerate(zip(ways, means, strict=True)):
        wins = (scores[:, number, 0] > scores[:, -1, 0]).sum()
        row = {
            "set": folder,
            "task": task,
            "prior": way.prior.info.name,
            "preset": way.preset,
            "PSNR": mean[0],
            "SSIM": mean[1],
            "seconds": mean[2],
            "baseline": baseline_name,
            "baseline PSNR": baseline[0],
            "baseline SSIM": baseline[1],
            "gain dB": mean[0] - baseline[0],
            "wins": f"{wins}/{len(found)}",
        }
        beside = {"over the first dB": mean[0] - means[0][0]} if number else {}
        rows.append(row | beside)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of clean pictures")
    parser.add_argument("--priors", nargs="+", help="names, compared with the first; default: that of the service")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of each folder")
    parser.add_argument("--side", type=int, default=256, help="side of the centre crop")
    parser.add_argument("--presets", nargs="+", default=["fast"], choices=["fast", "balanced", "quality"])
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--save", type=Path, help="folder for the pictures themselves")
    parser.add_argument("--name", default="quality", help="of the file of results")
    arguments = parser.parse_args()
    priors = [served(name) for name in dict.fromkeys(arguments.priors or [None])]
    ways = [Way(prior, preset) for prior in priors for preset in dict.fromkeys(arguments.presets)]
    scores: dict[tuple[str, str, str], list[list[Score]]] = defaultdict(list)
    for folder in arguments.images:
        for index, path in enumerate(sorted(folder.glob("*.png"))[:: arguments.every]):
            truth = centre_crop(np.asarray(Image.open(path).convert("RGB"), np.float32) / 255, arguments.side)
            for case in cases(truth, seed=index):
                if case.request["task"] not in arguments.tasks:
                    continue
                pictures, found = compare(case, truth, ways, seed=index)
                scores[folder.name, case.label, case.baseline_name].append(found)
                if arguments.save:
                    name = f"{folder.name}-{path.stem}-{case.label.replace(' ', '_').replace('/', '-')}.png"
                    save([_fit(case.measurement, truth), *pictures, truth], arguments.save / name)
    rows = [
        row
        for (folder_name, label, baseline_name), found in scores.items()
        for row in table(folder_name, label, baseline_name, ways, found)
    ]
    publish(arguments.name, rows, {"side": arguments.side, "every": arguments.every})


def save(pictures: list[np.ndarray], path: Path) -> None:
    """Side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = np.concatenate(pictures, axis=1)
    Image.fromarray((np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)).save(path)


def _fit(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Enlarge by repeating pixels, so that a small measurement stands beside its restoration."""
    factor = like.shape[0] // image.shape[0]
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


if __name__ == "__main__":
    main()

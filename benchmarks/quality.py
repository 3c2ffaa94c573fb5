"""Quality of the bundled prior against classical baselines: `python -m benchmarks.quality --images FOLDER...`.

Each picture is cropped at its centre, damaged with a fixed seed and restored by the same code that the service runs
(`service.formulate` and a preset). PSNR and SSIM are of the clipped picture on [0, 1].
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from api_schemas.requests import OPTIONS
from benchmarks import baselines
from benchmarks.degradations import centre_crop, free_form, noisy, random_pixels
from benchmarks.report import publish
from priors.base import Prior
from priors.store import load_prior
from service.formulate import formulate, to_image_range, to_solver_range
from service.settings import Settings
from solvers.drive import drive
from solvers.metrics import psnr, ssim
from solvers.operators.downsample import Downsample

CPU = torch.device("cpu")


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
        ("inpaint 50 % random pixels", random_pixels(height, width, 0.5, seed)),
        ("inpaint 25 % free-form hole", free_form(height, width, 0.25, seed)),
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
        request = {"task": "denoise", "noise": {"sigma_255": sigma_255}}
        label = f"denoise sigma {sigma_255}/255"
        yield Case(
            label,
            "non-local means",
            request,
            damaged,
            None,
            lambda y=damaged, s=sigma_255: baselines.non_local_means(y, s),
        )


def restore(case: Case, prior: Prior, preset: str, seed: int) -> np.ndarray:
    """What the service answers, in process: (H, W, 3) on [0, 1]."""
    options = OPTIONS[case.request["task"]](**case.request, preset=preset, seed=seed)
    request = options.model_dump(mode="json")
    formulation = formulate(request, case.measurement, case.observed, CPU, prior.info.symmetries)
    return to_image_range(drive(formulation.start(), prior.denoise).x)


def score(restored: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    image, reference = (to_solver_range(np.clip(x, 0, 1).astype(np.float32), CPU) for x in (restored, truth))
    return float(psnr(image, reference, data_range=2)), float(ssim(image, reference, data_range=2))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of clean pictures")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of each folder")
    parser.add_argument("--side", type=int, default=256, help="side of the centre crop")
    parser.add_argument("--preset", default="fast", choices=["fast", "balanced", "quality"])
    parser.add_argument("--save", type=Path, help="folder for the pictures themselves")
    arguments = parser.parse_args()
    settings = Settings()
    prior = load_prior(settings.models_dir, settings.default_prior, CPU)
    scores: dict[tuple[str, str, str], list[tuple[float, float, float]]] = defaultdict(list)
    for folder in arguments.images:
        for index, path in enumerate(sorted(folder.glob("*.png"))[:: arguments.every]):
            truth = centre_crop(np.asarray(Image.open(path).convert("RGB"), np.float32) / 255, arguments.side)
            for case in cases(truth, seed=index):
                began = time.perf_counter()
                with torch.inference_mode():
                    restored = restore(case, prior, arguments.preset, seed=index)
                middle = time.perf_counter()
                classical = case.baseline()
                ended = time.perf_counter()
                key = (folder.name, case.label, case.baseline_name)
                ours, theirs = score(restored, truth), score(classical, truth)
                scores[key].append((*ours, middle - began, *theirs, ended - middle))
                if arguments.save:
                    sheet = np.concatenate([_fit(case.measurement, truth), restored, classical, truth], axis=1)
                    arguments.save.mkdir(parents=True, exist_ok=True)
                    name = f"{folder.name}-{path.stem}-{case.label.replace(' ', '_').replace('/', '-')}.png"
                    Image.fromarray((np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)).save(arguments.save / name)
    rows = []
    for (folder_name, label, baseline_name), values in scores.items():
        ours_psnr, ours_ssim, ours_s, base_psnr, base_ssim, base_s = (float(v) for v in np.mean(values, axis=0))
        wins = sum(value[0] > value[3] for value in values)
        rows.append(
            {
                "set": folder_name,
                "task": label,
                "PSNR": ours_psnr,
                "SSIM": ours_ssim,
                "seconds": ours_s,
                "baseline": baseline_name,
                "baseline PSNR": base_psnr,
                "baseline SSIM": base_ssim,
                "gain dB": ours_psnr - base_psnr,
                "wins": f"{wins}/{len(values)}",
            }
        )
    settings_out = {
        "side": arguments.side,
        "every": arguments.every,
        "preset": arguments.preset,
        "prior": prior.info.name,
    }
    publish(f"quality-{arguments.preset}", rows, settings_out)


def _fit(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Enlarge by repeating pixels, so that a small measurement stands beside its restoration."""
    factor = like.shape[0] // image.shape[0]
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


if __name__ == "__main__":
    main()

"""How to cut a large picture for the network, in PSNR, seams and cost: `python -m benchmarks.tiling --images FOLDER`.

Overlapping tiles blended by Hann weights, which is what `priors.tiling` does, against tiles that do not overlap but lie
on a grid that is shifted at each denoiser call by the job's own noise stream. Both run inside the service's own solver,
on the same damaged pictures and with the same noise. A seam is the mean absolute second difference across the borders
of the last call's tiles divided by that elsewhere, relative to the same places of the picture restored in a full frame.
"""

import argparse
import dataclasses
import time
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.cuttings import Borders, CutPrior, Cutting, cost, full_frame, hann, shifted
from benchmarks.degradations import centre_crop
from benchmarks.quality import CPU, Case, cases, restore, score
from benchmarks.report import Row, publish
from benchmarks.served import served
from priors.base import Prior
from service.formulate import to_solver_range
from solvers.symmetry import SYMMETRIES, apply

QUARTER = Fraction(1, 4)


@dataclasses.dataclass(frozen=True)
class Task:
    """What is restored, and in which ways."""

    case: str
    """Of `benchmarks.quality`."""
    calls: int
    """Of the denoiser; those of the preset `fast`, and once one alone, which shows what a solver makes up for."""
    side: int
    """Of the centre crop."""
    tiles: tuple[int, ...]
    overlaps: tuple[Fraction, ...] = (QUARTER,)
    """Of blended tiles, as shares of their side."""

    def cuttings(self) -> Iterator[tuple[str, Cutting]]:
        yield "full frame", full_frame
        for tile in self.tiles:
            for overlap in self.overlaps:
                yield f"Hann {tile}, overlap {overlap}", partial(hann, tile=tile, overlap=overlap)
            yield f"shifted {tile}", partial(shifted, tile=tile)


TASKS = (
    Task("denoise sigma 25/255", 1, 496, (64, 128, 256), (Fraction(1, 8), QUARTER, Fraction(1, 2))),
    Task("denoise sigma 25/255", 8, 256, (64, 128)),
    Task("inpaint 50 % random pixels", 20, 256, (64, 128)),
    Task("super-resolution x4, bicubic", 20, 256, (64, 128)),
)
QUICK = tuple(dataclasses.replace(task, side=160, tiles=(64,), overlaps=(QUARTER,)) for task in TASKS)


@dataclasses.dataclass(frozen=True)
class Restored:
    """One picture restored, and what it took."""

    picture: Tensor
    """(1, 3, H, W) as the last query showed it, which may have been turned."""
    borders: Borders
    """In that picture."""
    psnr: float
    cost: float
    """Pixels through the network for each pixel of the picture and call."""
    seconds: float
    """Of one core."""


def run(case: Case, calls: int, prior: Prior, cutting: Cutting, truth: np.ndarray, seed: int) -> Restored:
    case = dataclasses.replace(case, request=case.request | {"params": {"mode": "fast", "steps": calls}})
    cut = CutPrior(prior, cutting, seed)
    began = time.process_time()
    with torch.inference_mode():
        restored = restore(case, cut, "fast", seed)
    seconds = time.process_time() - began
    # the symmetry changes from call to call in denoising, else from pair to pair: see solvers.red_diff_fast
    turn = calls - 1 if case.request["task"] == "denoise" else (calls - 1) // 2
    elements = SYMMETRIES[prior.info.symmetries]
    picture = apply(to_solver_range(restored, CPU), elements[turn % len(elements)])
    pixels = truth.shape[0] * truth.shape[1]
    return Restored(picture, cut.borders, score(restored, truth)[0], cut.pixels / cut.calls / pixels, seconds)


def bend(picture: Tensor, borders: Borders) -> float:
    """Mean absolute second difference across the borders, relative to elsewhere."""
    across, elsewhere = [], []
    for axis, touching in zip((-2, -1), borders, strict=True):
        bends = picture.diff(n=2, dim=axis).abs().transpose(axis, -1).mean(dim=(0, 1, 2))  # item i is of pixel i + 1
        across.append(bends[touching[1:-1]])
        elsewhere.append(bends[~touching[1:-1]])
    return (torch.cat(across).mean() / torch.cat(elsewhere).mean()).item()


def row(task: Task, name: str, ours: list[Restored], whole: list[Restored]) -> Row:
    """Means over the pictures, each beside the same picture restored in a full frame."""
    pairs = list(zip(ours, whole, strict=True))
    seams = [bend(a.picture, a.borders) / bend(b.picture, a.borders) for a, b in pairs if a.borders[0].any()]
    return {
        "task": task.case,
        "calls": task.calls,
        "side": task.side,
        "cut": name,
        "PSNR": float(np.mean([a.psnr for a in ours])),
        "over full dB": float(np.mean([a.psnr - b.psnr for a, b in pairs])),
        "seam": float(np.mean(seams)) if seams else None,
        "core s": float(np.mean([a.seconds for a in ours])),
        "cost": float(np.mean([a.cost for a in ours])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiling", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of clean pictures")
    parser.add_argument("--every", type=int, default=12, help="take every n-th picture")
    parser.add_argument("--quick", action="store_true", help="small crops and one size of tiles: tries the command")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # so that the seconds of the process are those of a core
    prior = served()
    pictures = [
        np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        for path in sorted(arguments.images.glob("*.png"))[:: arguments.every]
    ]
    rows: list[Row] = []
    large: dict[str, float] = {}
    for task in QUICK if arguments.quick else TASKS:
        truths = [centre_crop(picture, task.side) for picture in pictures]
        damaged = [
            next(case for case in cases(truth, seed) if case.label == task.case) for seed, truth in enumerate(truths)
        ]
        whole: list[Restored] = []
        for name, cutting in task.cuttings():
            ours = [
                run(case, task.calls, prior, cutting, truth, seed)
                for seed, (case, truth) in enumerate(zip(damaged, truths, strict=True))
            ]
            whole = whole or ours  # the full frame comes first
            if name not in large:
                large[name] = cost(cutting, 3000, 4000)
            rows.append(row(task, name, ours, whole) | {"cost at 12 MP": large[name]})
    settings_out = {"images": arguments.images.name, "pictures": len(pictures), "prior": prior.info.name}
    publish("tiling-quick" if arguments.quick else "tiling", rows, settings_out)


if __name__ == "__main__":
    main()

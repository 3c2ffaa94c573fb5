"""Inverse problems made of clean pictures: the tasks that solvers are compared on, and the pictures themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.degradations import centre_crop
from solvers.noise import NoiseStream
from solvers.operators import Blur, Downsample, Mask, Operator, holes, kernels
from solvers.query import Problem

NOISE_SEED = 10_000
"""Of the measurements; solvers are seeded with the number of the picture."""


@dataclass(frozen=True)
class Task:
    """One way to damage a picture. preset: the task whose presets restore it."""

    label: str
    preset: str
    operator: Callable[[int, int, int], Operator]
    """Of height, width and a seed."""


def box_hole(height: int, width: int) -> Mask:
    """A quarter of the side in the middle."""
    return Mask(holes.box(height, width, height // 4, width // 4))


TASKS = (
    Task("inpaint 50 %", "inpaint", lambda h, w, seed: Mask(holes.random_pixels(h, w, 0.5, seed))),
    Task("inpaint box", "inpaint", lambda h, w, _: box_hole(h, w)),
    Task("SR x4 bicubic", "super_resolution", lambda h, w, _: Downsample((3, h, w), 4, "bicubic")),
    Task("SR x4 box", "super_resolution", lambda h, w, _: Downsample((3, h, w), 4, "box")),
    Task("deblur Gaussian", "deblur", lambda h, w, _: Blur((3, h, w), kernels.gaussian(1.6))),
    Task("deblur motion", "deblur", lambda h, w, seed: Blur((3, h, w), kernels.motion(25, 0.5, seed))),
)
"""The Gaussian kernel has a standard deviation of 1.6 px, the path of the motion lies in 25 x 25 px."""


def measure(task: Task, truth: Tensor, sigma01: float, seed: int) -> Problem:
    """truth: (1, 3, H, W) on [-1, 1]. sigma01: standard deviation of the noise on the [0, 1] scale."""
    operator = task.operator(*truth.shape[-2:], seed)
    clean = operator.forward(truth)
    noise = NoiseStream(NOISE_SEED + seed).normal(0, clean)
    if isinstance(operator, Mask):
        noise = operator.forward(noise)
    return Problem(clean + 2 * sigma01 * noise, operator, 2 * sigma01)


def pictures(folder: Path, every: int, side: int) -> list[Tensor]:
    """Centre crops of every n-th picture of a folder, (1, 3, H, W) on [-1, 1]."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg"))[::every]
    crops = [centre_crop(np.asarray(Image.open(path).convert("RGB"), np.float32), side) for path in found]
    return [torch.from_numpy(crop).permute(2, 0, 1)[None].contiguous() / 127.5 - 1 for crop in crops]

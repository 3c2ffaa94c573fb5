"""Fit what `solvers.noise_reading` puts right: `python -m benchmarks.noise_reading`.

Training photographs, enlarged and reduced, are taken by two kinds of simulated cameras: those of `benchmarks.cameras`
at random settings, and those that denoisers are trained with; some get white noise. The errors of
`estimate_camera_noise` are regressed on its features. A row for each kind: root mean squares of the errors of ln sigma
and ln(sigma^2 b8) as estimated, put right by weights that have not seen the photograph, and by weights that have not
seen the kind. The weights of all are printed, to be copied into `solvers/noise_reading.py`.
"""

import argparse
import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmarks.blindness import problem_of
from benchmarks.cameras import Camera, expose, rounded
from benchmarks.report import Row, publish
from priors.photographs import photographs
from priors.training import camera
from solvers.camera_noise import CameraNoise, camera_noise_of
from solvers.flat_blocks import flat_blocks
from solvers.noise_reading import features
from solvers.score_dvi import is_clean

TRAIN = Path(__file__).parents[2] / "shared" / "data" / "train"
SIDES = (160, 224, 320, 448)
REDUCED, ENLARGED = 0.45, 2.5
KINDS = {"camera": 0.6, "training camera": 0.3, "white": 0.1}
"""Share of each kind of noise."""
WEAKEST = 0.8 / 127.5
LONGEST = 40.0
"""Largest b8 that is learnt; beyond it, it is a tint."""
RIDGE = 3.0
FOLDS = 6


@dataclass(frozen=True)
class Sample:
    """One picture with noise."""

    kind: str
    fold: int
    """By the photograph."""
    seen: dict[str, float]
    error: tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noise_reading", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", default=[TRAIN / "open_photos", TRAIN / "bsds500"])
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    samples = []
    folders = [photographs(folder) for folder in arguments.data]
    for number in range(arguments.pictures):
        path = rng.choice(rng.choice(folders))
        kind = rng.choices(list(KINDS), KINDS.values())[0]
        noisy, truth = taken(kind, clean(path, rng), rng, number)
        blocks = flat_blocks(noisy)
        found = camera_noise_of(blocks)
        noise = noisy - truth
        if float(noise.std()) < WEAKEST or is_clean(problem_of(noisy), found):
            continue
        seen = features(blocks, found)
        samples.append(Sample(kind, hash_of(path) % FOLDS, seen, errors(found, noise)))
    publish("noise-reading", table(samples), {"pictures": arguments.pictures, "seed": arguments.seed})
    for name, weights in zip(samples[0].seen, fit(samples).T.tolist(), strict=True):
        print(f'    "{name}": ({weights[0]:.4f}, {weights[1]:.4f}),')


def hash_of(path: Path) -> int:
    return int.from_bytes(path.stem.encode()[-4:])


def clean(path: Path, rng: random.Random) -> Tensor:
    """A crop of a photograph in another size, (1, 3, H, W) on [-1, 1]."""
    factor = math.exp(rng.uniform(math.log(REDUCED), math.log(ENLARGED)))
    with Image.open(path) as image:
        side = int(min(rng.choice(SIDES) / factor, *image.size))
        left, top = (rng.randint(0, size - side) for size in image.size)
        crop = np.asarray(image.convert("RGB").crop((left, top, left + side, top + side)), np.float32)
    pixels, size = torch.from_numpy(crop).permute(2, 0, 1)[None] / 127.5 - 1, int(side * factor) // 8 * 8
    return functional.interpolate(pixels, (size, size), mode="bicubic", antialias=factor < 1).clamp(-1, 1)


def taken(kind: str, clean: Tensor, rng: random.Random, seed: int) -> tuple[Tensor, Tensor]:
    """A picture with noise and without."""
    if kind == "camera":
        return expose(any_camera(rng), clean, seed)
    normal = torch.Generator().manual_seed(seed)
    white = torch.randn(clean.shape, generator=normal)
    sigma = math.exp(rng.uniform(math.log(1.2), math.log(35))) / 127.5
    if kind == "white":
        return rounded(clean + sigma * white), clean
    draws = torch.randn(2, camera.DRAWS, generator=normal)
    row = rng.randrange(2)  # of each two photographs the first comes from a sensor
    noisy, truth, _ = camera.photographs(
        clean.expand(2, -1, -1, -1), torch.tensor([sigma] * 2), white.expand(2, -1, -1, -1), draws
    )
    return rounded(noisy[row : row + 1]), truth[row : row + 1]


def any_camera(rng: random.Random) -> Camera:
    return Camera(
        "any",
        shot=math.exp(rng.uniform(math.log(0.0002), math.log(0.012))),
        read=rng.uniform(0.001, 0.012),
        exposure=rng.choice([1.0, 1.0, 0.5]),
        differences=rng.random() < 0.5,
        blur=rng.choice([0.0, rng.uniform(0.3, 1.1)]),
        colour_blur=rng.choice([0.0, rng.uniform(0.5, 2.5)]),
        quality=rng.choice([None, rng.randint(85, 98)]),
    )


def errors(found: CameraNoise, noise: Tensor) -> tuple[float, float]:
    """Of ln sigma and of ln(sigma^2 b8)."""
    variance = float(noise.var())
    b8 = 64 * float(functional.avg_pool2d(noise, 8, 4).var()) / variance
    level = math.log(found.sigma) - math.log(variance) / 2
    return level, 2 * level + math.log(found.b8 / min(max(b8, 1.0), LONGEST))


def fit(samples: list[Sample]) -> Tensor:
    """Weights, (2, F): least squares, with a penalty on the weights of features of deviation 1."""
    seen = torch.tensor([list(sample.seen.values()) for sample in samples], dtype=torch.float64)
    error = torch.tensor([sample.error for sample in samples], dtype=torch.float64)
    mean, scale = seen.mean(0), seen.std(0)
    mean[0], scale[0] = 0, 1  # the constant
    scaled = (seen - mean) / scale
    penalty = RIDGE * torch.eye(len(mean), dtype=torch.float64)
    penalty[0, 0] = 0
    weights = torch.linalg.solve(scaled.T @ scaled + penalty, scaled.T @ error).T / scale
    weights[:, 0] -= weights[:, 1:] @ mean[1:]
    return weights


def table(samples: list[Sample]) -> list[Row]:
    rows = []
    folds = [fit([sample for sample in samples if sample.fold != fold]) for fold in range(FOLDS)]
    for kind in KINDS:
        own = [sample for sample in samples if sample.kind == kind]
        strange = fit([sample for sample in samples if sample.kind != kind])
        ways = {"estimated": None, "put right": folds, "by other kinds": [strange] * FOLDS}
        row: Row = {"noise": kind, "pictures": len(own)}
        for way, weights in ways.items():
            left = torch.tensor([residual(sample, weights) for sample in own]).square().mean(0).sqrt().tolist()
            row |= {f"{way}: sigma": left[0], f"{way}: energy": left[1]}
        rows.append(row)
    return rows


def residual(sample: Sample, weights: list[Tensor] | None) -> list[float]:
    error = torch.tensor(sample.error, dtype=torch.float64)
    if weights is None:
        return error.tolist()
    return (error - weights[sample.fold] @ torch.tensor(list(sample.seen.values()), dtype=torch.float64)).tolist()


if __name__ == "__main__":
    main()

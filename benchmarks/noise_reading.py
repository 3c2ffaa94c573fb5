"""Fit the weights of `solvers.noise_weights`: `python -m benchmarks.noise_reading --prior denoiser-v4`.

Training photographs, enlarged and reduced, are taken by two kinds of simulated cameras: those of `benchmarks.cameras`
at random settings, and those that denoisers are trained with; some get white noise, some are made grey, and some have
lost the noise of their colours, as to the filters of telephones. The errors of `estimate_camera_noise` are regressed on
the features of the picture, and whether there was noise on those of the same pictures with and without it. A row for
each noise: root mean squares of the errors of ln sigma and ln(sigma^2 b8) as estimated, put right by weights that have
not seen the photograph, and by weights that have not seen the noise; and the share of the pictures with weak noise
whose odds are those of clean ones, or of clean ones whose odds are not. The last row has that share of all pictures,
and what it would be if the probabilities were right.

With `--prior` the denoiser is asked and the weights are written into its folder. Without, those of the blocks alone are
printed, to be copied into `solvers/noise_weights.py`; noise that is in grey alone is left out, then, for blocks do not
tell it from texture.
"""

import argparse
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmarks.cameras import Camera, compressed, expose, grey, rounded
from benchmarks.report import Row, publish
from benchmarks.served import folder_of, served
from priors.base import Prior
from priors.photographs import photographs
from priors.training import camera
from solvers.camera_noise import CameraNoise
from solvers.drive import answer, converse
from solvers.noise_features import COLOUR, GREY
from solvers.noise_reading import Look, look
from solvers.noise_weights import Reading, Weight, Weights, weighed, write_reading

TRAIN = Path(__file__).parents[2] / "shared" / "data" / "train"
SIDES = (160, 224, 320, 448)
REDUCED, ENLARGED = 0.45, 2.5
NOISES = {"camera": 0.6, "training camera": 0.3, "white": 0.1}
"""Share of each kind of noise."""
CLEANED = "of cleaned colours"
"""Any of these, where the colours have lost it."""
MADE_GREY, COLOURS_CLEANED = 0.25, 0.12
"""Shares of the photographs."""
MOST_LEFT = 0.3
"""Of the noise of the colours that were cleaned."""
WEAKEST = 0.8
"""Level on [0, 255] below which nothing is learnt of the noise."""
LONGEST = 40.0
"""Largest b8 that is learnt; beyond it, it is a tint."""
RIDGE = 3.0
NEWTON = 30
"""Steps."""
FOLDS = 6
WEAK = (1.2, 9.0)
"""Levels on [0, 255] that could be taken for texture."""
QUALITIES = (85, 98)


@dataclass(frozen=True)
class Sample:
    """One picture."""

    noise: str
    kind: str
    """Of the picture, of which there are weights each."""
    fold: int
    """By the photograph."""
    seen: dict[str, float]
    level: float
    """On [0, 255]; 0 of a clean one."""
    error: tuple[float, float] = (math.nan, math.nan)
    """Of ln sigma and ln(sigma^2 b8), where there is noise."""


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.noise_reading", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", default=[TRAIN / "open_photos", TRAIN / "bsds500"])
    parser.add_argument("--prior", help="denoiser of the service that is asked, and whose weights are written")
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    prior = served(arguments.prior) if arguments.prior else None
    rng, folders = random.Random(arguments.seed), [photographs(folder) for folder in arguments.data]
    samples = [
        sample
        for number in range(arguments.pictures)
        for sample in taken_twice(rng.choice(rng.choice(folders)), rng, number, prior)
    ]
    known = [sample for sample in samples if prior or sample.noise != CLEANED]
    kinds = {kind: [sample for sample in known if sample.kind == kind] for kind in (COLOUR, GREY)}
    settings = {key: getattr(arguments, key) for key in ("prior", "pictures", "seed")}
    if prior:
        settings["weights"] = prior.info.digest
    rows = [{"kind": kind} | row for kind, own in kinds.items() for row in table(own)]
    publish("noise-reading" if prior else "noise-reading-blocks", rows, settings)
    weights = {kind: fit(own) for kind, own in kinds.items()}
    if prior:
        print(write_reading(folder_of(arguments.prior), prior.info.digest, Reading(weights)))
    else:
        for kind, own in weights.items():
            print(f"{kind}:")
            for name, weight in own.items():
                print(f'    "{name}": Weight({weight.level:.4f}, {weight.energy:.4f}),')


def taken_twice(path: Path, rng: random.Random, number: int, prior: Prior | None) -> Iterator[Sample]:
    """A photograph with noise, and without; not where there is too little of it, or nothing at all in the picture."""
    name = rng.choices(list(NOISES), list(NOISES.values()))[0]
    noisy, truth = taken(name, clean(path, rng), rng, number)
    if rng.random() < MADE_GREY:
        noisy, truth = grey(noisy), grey(truth)
    elif rng.random() < COLOURS_CLEANED / (1 - MADE_GREY):
        noisy, name = colours_cleaned(noisy, truth, MOST_LEFT * rng.random() ** 2), CLEANED
    noise, fold = noisy - truth, hash_of(path) % FOLDS
    seen, level = examined(noisy, prior), 127.5 * float(noise.std())
    if seen.features and level >= WEAKEST:
        yield Sample(name, seen.kind, fold, seen.features, level, errors(seen.found, noise))
    seen = examined(rng.choice([rounded(truth), compressed(truth, rng.randint(*QUALITIES))]), prior)
    if seen.features:
        yield Sample("clean", seen.kind, fold, seen.features, 0.0)


def colours_cleaned(noisy: Tensor, truth: Tensor, left: float) -> Tensor:
    """With so much of the noise in the differences of colour, and all of it in their mean."""
    shared = (noisy - truth).mean(1, keepdim=True)
    return rounded(truth + shared.lerp(noisy - truth, left))


def examined(picture: Tensor, prior: Prior | None) -> Look:
    return converse(look(picture, asks=prior is not None), lambda query: answer(query, prior.denoise))


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


def taken(name: str, clean: Tensor, rng: random.Random, seed: int) -> tuple[Tensor, Tensor]:
    """A picture with noise and without."""
    if name == "camera":
        return expose(any_camera(rng), clean, seed)
    normal = torch.Generator().manual_seed(seed)
    white = torch.randn(clean.shape, generator=normal)
    sigma = math.exp(rng.uniform(math.log(1.2), math.log(35))) / 127.5
    if name == "white":
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
        contrast=rng.choice([0.0, rng.uniform(0.0, 1.0)]),
        sharpening=rng.choice([0.0, rng.uniform(0.0, 1.5)]),
        quality=rng.choice([None, rng.randint(85, 98)]),
    )


def errors(found: CameraNoise, noise: Tensor) -> tuple[float, float]:
    """Of ln sigma and of ln(sigma^2 b8)."""
    variance = float(noise.var())
    b8 = 64 * float(functional.avg_pool2d(noise, 8, 4).var()) / variance
    level = math.log(found.sigma) - math.log(variance) / 2
    return level, 2 * level + math.log(found.b8 / min(max(b8, 1.0), LONGEST))


def fit(samples: Sequence[Sample]) -> Weights:
    """Of the errors by least squares, of the odds of noise by logistic regression."""
    seen = torch.tensor([list(sample.seen.values()) for sample in samples], dtype=torch.float64)
    noisy = torch.tensor([sample.level > 0 for sample in samples])
    error = torch.tensor([sample.error for sample in samples if sample.level], dtype=torch.float64)
    mean, scale = seen.mean(0), seen.std(0)
    mean[0], scale[0] = 0, 1  # the constant
    scaled = (seen - mean) / scale
    weights = torch.cat([ridge(scaled[noisy], error), logistic(scaled, noisy.double())[None]]) / scale
    weights[:, 0] -= weights[:, 1:] @ mean[1:]
    return dict(zip(samples[0].seen, (Weight(*row) for row in weights.T.tolist()), strict=True))


def ridge(seen: Tensor, wanted: Tensor) -> Tensor:
    """(K, F), with a penalty on all weights but the first; seen: (N, F) of deviation 1, wanted: (N, K)."""
    return torch.linalg.solve(seen.T @ seen + penalty(seen), seen.T @ wanted).T


def logistic(seen: Tensor, wanted: Tensor) -> Tensor:
    """(F,), the same of the log-odds of `wanted`, (N,) of 0 and 1, by Newton's method."""
    weights = seen.new_zeros(seen.shape[1])
    for _ in range(NEWTON):
        share = (seen @ weights).sigmoid()
        slope = seen.T @ (wanted - share) - penalty(seen) @ weights
        weights = weights + torch.linalg.solve((seen.T * (share * (1 - share))) @ seen + penalty(seen), slope)
    return weights


def penalty(seen: Tensor) -> Tensor:
    diagonal = torch.full((seen.shape[1],), RIDGE, dtype=seen.dtype)
    diagonal[0] = 0
    return diagonal.diag()


def table(samples: Sequence[Sample]) -> list[Row]:
    rows = []
    folds = [fit([sample for sample in samples if sample.fold != fold]) for fold in range(FOLDS)]
    for noise in (*NOISES, CLEANED):
        own = [sample for sample in samples if sample.noise == noise]
        if not own:
            continue
        strange = fit([sample for sample in samples if sample.noise != noise])
        row: Row = {"noise": noise, "pictures": len(own)}
        for way, weights in {"estimated": None, "put right": folds, "by other noise": [strange] * FOLDS}.items():
            left = torch.tensor([residual(sample, weights) for sample in own]).square().mean(0).sqrt().tolist()
            row |= {f"{way}: sigma": left[0], f"{way}: energy": left[1]}
        weak = [sample for sample in own if WEAK[0] < sample.level < WEAK[1]]
        rows.append(row | {"mistaken": mistaken(weak, folds), "by others": mistaken(weak, [strange] * FOLDS)})
    cleans = [sample for sample in samples if not sample.level]
    rows.append({"noise": "clean", "pictures": len(cleans), "mistaken": mistaken(cleans, folds)})
    odds = torch.tensor([applied(sample, folds).odds for sample in samples])
    right = {"mistaken": mistaken(samples, folds), "expected": float((-odds.abs()).sigmoid().mean())}
    rows.append({"noise": "all", "pictures": len(samples)} | right)
    return rows


def residual(sample: Sample, weights: Sequence[Weights] | None) -> list[float]:
    if weights is None:
        return list(sample.error)
    known = applied(sample, weights)
    return [sample.error[0] - known.level, sample.error[1] - known.energy]


def mistaken(samples: Sequence[Sample], weights: Sequence[Weights]) -> float:
    """Share of those with noise that are taken for clean, and of clean ones that are not."""
    wrong = [(applied(sample, weights).odds < 0) == (sample.level > 0) for sample in samples]
    return sum(wrong) / max(len(wrong), 1)


def applied(sample: Sample, weights: Sequence[Weights]) -> Weight:
    return weighed(weights[sample.fold], sample.seen)


if __name__ == "__main__":
    main()

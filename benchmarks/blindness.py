"""What is lost by not being told the noise: `python -m benchmarks.blindness`.

Crops of clean photographs, at half size so that their own noise and JPEG are gone, are photographed by the simulated
cameras of `benchmarks.cameras`, given white noise, or left clean. A row for each: the level of the noise and its
estimate on [0, 255], b8, the share that comes back as it is, PSNR as it came, after one pass at the estimated level, as
ScoreDVI restores it (`fast`), and with the best of a few beta0 and numbers of sweeps in hindsight, picture by picture,
and the share of the errors in the interval that is claimed for 90 %. With white noise `best` is one pass that is told
the level. Of clean crops, and of whole pictures in the folders named by `--clean`: the share that comes back as it is,
that which is changed by less than a half, and the largest change, root mean square on [0, 255]. The noise is read by
weights that were fitted to the photographs of the crops among others.
"""

import argparse
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.cameras import CAMERAS, Camera, compressed, expose, grey, rounded
from benchmarks.degradations import centre_crop
from benchmarks.photographs import covered, whole
from benchmarks.report import Row, means, publish
from benchmarks.served import reading_of, served
from priors.base import Prior
from priors.evaluation import denoise_full, psnr, read_image
from priors.photographs import photographs
from service.settings import Settings
from solvers.drive import answer, converse
from solvers.noise import NoiseStream
from solvers.noise_reading import read_noise
from solvers.operators.identity import Identity
from solvers.query import Problem, Query, Solution
from solvers.score_dvi import ScoreDviParameters, score_dvi, settings_of

TRAIN = Path(__file__).parents[2] / "shared" / "data" / "train" / "open_photos"
FACTORS = (1.0, 0.5, 2.0)
"""Of beta0, for the settings that are tried in hindsight; lambda acts as beta0 does."""
SWEEPS = 8
LITTLE = 0.5
"""Change, root mean square on [0, 255], that a clean picture may have."""
LARGEST = 768
"""Side in pixels of a clean picture; of larger ones the centre is taken."""
WHITE_LEVELS = (5, 15, 25, 50)
CLEAN: dict[str, Callable[[Tensor], Tensor]] = {
    "clean": lambda x: x,
    "clean, grey": grey,
    "clean, JPEG 95": lambda x: compressed(x, 95),
    "clean, demosaiced": lambda x: expose(Camera("without noise", 0.0, 0.0, blur=0.5), x, 0)[0],
}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blindness", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=TRAIN, help="folder of clean photographs, read at half size")
    parser.add_argument("--prior", default=Settings().default_denoiser, help="name of a denoiser of the service")
    parser.add_argument("--side", type=int, default=128, help="of noisy crops; clean ones have twice that")
    parser.add_argument("--crops", type=int, default=3, help="photographs for each camera and white level")
    parser.add_argument("--clean", type=Path, nargs="*", default=[], help="folders of clean pictures to leave alone")
    parser.add_argument("--first", type=int, default=0, help="number of the photograph to begin with")
    arguments = parser.parse_args()
    prior, paths = served(arguments.prior), photographs(arguments.data)[arguments.first :]
    crops = read(paths, arguments.side)
    rows = []
    for camera in CAMERAS:
        pairs = [expose(camera, clean, seed) for seed, clean in enumerate(islice(crops, arguments.crops))]
        rows.append(row(camera.name, [photographed(*pair, prior) for pair in pairs]))
    for level in WHITE_LEVELS:
        cleans = list(islice(crops, arguments.crops))
        rows.append(row(f"white, {level}", [whitened(clean, level, prior) for clean in cleans]))
    for name, make in CLEAN.items():
        rows.append({"noise": name} | untouched(map(make, read(paths, 2 * arguments.side)), prior))
    rows += [{"noise": f"clean, {folder.name}"} | untouched(wholes(folder), prior) for folder in arguments.clean]
    settings = {key: getattr(arguments, key) for key in ("prior", "side", "crops", "first")}
    publish("blindness", rows, settings | {"weights": prior.info.digest})


def read(paths: Sequence[Path], side: int) -> Iterator[Tensor]:
    """The centre of each photograph at half size, (1, 3, side, side) on [-1, 1]."""
    for path in paths:
        image = Image.open(path).convert("RGB")
        small = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
        pixels = centre_crop(np.asarray(small, np.float32), side)
        yield torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous() / 127.5 - 1


def wholes(folder: Path) -> Iterator[Tensor]:
    """Every picture of a folder, cut to a size that the network takes."""
    for path in photographs(folder):
        yield whole(read_image(path, max_side=LARGEST))


def row(noise: str, found: Sequence[Row]) -> Row:
    return {"noise": noise} | means(found) | {"crops": len(found)}


def photographed(noisy: Tensor, truth: Tensor, prior: Prior) -> Row:
    found = measured(noisy, truth, prior)
    return found | {"best": max(found["fast"], *hindsight(noisy, truth, prior))}


def whitened(clean: Tensor, level: float, prior: Prior) -> Row:
    sigma = level / 127.5
    noisy = rounded(clean + sigma * NoiseStream(level).normal(0, like=clean))
    return measured(noisy, clean, prior) | {"best": psnr(denoise_full(prior, noisy, sigma).clamp(-1, 1), clean)}


def measured(noisy: Tensor, truth: Tensor, prior: Prior) -> Row:
    solution = restored(noisy, prior)
    sigma = solution.metrics["noise_sigma"]
    return {
        "sigma": 127.5 * float((noisy - truth).std()),
        "estimate": 127.5 * sigma,
        "b8": solution.metrics["noise_b8"],
        "left alone": float(torch.equal(solution.x, noisy)),
        "sweeps": solution.metrics["sweeps"],
        "noisy": psnr(noisy, truth),
        "one pass": psnr(denoise_full(prior, noisy, max(sigma, prior.info.sigma_min)).clamp(-1, 1), truth),
        "fast": psnr(solution.x.clamp(-1, 1), truth),
    } | covered(solution, truth)


def restored(noisy: Tensor, prior: Prior, **params: Any) -> Solution:
    """As the service does."""
    options = {"symmetry": prior.info.symmetries} | params
    solver = score_dvi(problem_of(noisy), ScoreDviParameters(**options), NoiseStream(0), reading_of(prior))
    return converse(solver, lambda query: answer(query, prior.denoise))


def problem_of(noisy: Tensor) -> Problem:
    return Problem(noisy, Identity(tuple(noisy.shape[1:])), sigma_y=0)


def hindsight(noisy: Tensor, truth: Tensor, prior: Prior) -> Iterator[float]:
    """PSNR of every number of sweeps, which a given beta0 asks for alone, under all settings that are tried."""
    problem, symmetry = problem_of(noisy), prior.info.symmetries
    found = converse(read_noise(problem, reading_of(prior)), lambda query: answer(query, prior.denoise))
    chosen = settings_of(ScoreDviParameters(), problem, found)

    def reply(query: Query) -> Tensor:
        estimates.append(query.estimate)
        return answer(query, prior.denoise)

    for factor in FACTORS:
        params = ScoreDviParameters(
            beta0=max(factor * chosen.beta0, 1e-6), sweeps=SWEEPS, tolerance=0.0, symmetry=symmetry
        )
        estimates: list[Tensor] = []
        estimates.append(converse(score_dvi(problem, params, NoiseStream(0)), reply).x)
        yield from (psnr(estimate.clamp(-1, 1), truth) for estimate in estimates)


def untouched(cleans: Iterable[Tensor], prior: Prior) -> Row:
    changes = [127.5 * float((restored(clean, prior).x - clean).square().mean().sqrt()) for clean in cleans]
    return {
        "left alone": statistics.mean(change == 0 for change in changes),
        "changed by less": statistics.mean(change < LITTLE for change in changes),
        "crops": len(changes),
        "largest change": max(changes),
    }


if __name__ == "__main__":
    main()

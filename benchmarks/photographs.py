"""Blind denoising of photographs with the noise of their camera: `python -m benchmarks.photographs --sets cc15 sidd20`.

A set is a folder of pairs, NAME_real.png with the noise and NAME_mean.png, the mean of many exposures or the published
reference. Every picture is cropped at its centre and restored as the service would, with nothing known about the noise;
PSNR and SSIM are of the clipped picture. `--denoisers` takes files as they were published, by way of
`priors.conversion`: each is measured alone, and all of them together as the components of one mixture.

`--white` adds noise to sets of clean pictures instead; the one pass is then told its level, ScoreDVI is not.
`--modes` are those of `solvers.score_dvi`. `paper` takes 2,000 passes or 4,000 for each denoiser and trains networks
beside them: on a CPU, crops of some 64 pixels (`--side 64`) are what it can do. `--classical` needs scikit-image and
bm3d, which takes minutes for 512 pixels a side.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import baselines
from benchmarks.coverage import QUANTILE
from benchmarks.report import Row, means, publish
from benchmarks.served import reading_of, served, served_dtype
from priors.base import Prior
from priors.conversion.convert import convert_file
from priors.evaluation import denoise_full, read_image
from priors.manifest import SYMMETRIES
from priors.photographs import photographs
from priors.store import load_prior
from service.settings import Settings
from solvers.drive import answer, converse
from solvers.metrics import psnr, ssim
from solvers.noise import NoiseStream
from solvers.operators.identity import Identity
from solvers.query import Problem, Query, Solution, Solver
from solvers.score_dvi import MODES, ScoreDviParameters, score_dvi

EVAL = Path(__file__).parents[2] / "shared" / "data" / "eval"
CPU = torch.device("cpu")
INTERVAL = "90 % interval"
WHOLE = 32
"""What sides are a multiple of: four times the 8 of the networks."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photographs", description=__doc__.split("\n")[0])
    parser.add_argument("--sets", nargs="+", default=["cc15", "sidd20"], help="folders below --data")
    parser.add_argument("--data", type=Path, default=EVAL, help="folder of the sets")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of each set")
    parser.add_argument("--side", type=int, default=512, help="larger pictures are cropped to their centre")
    parser.add_argument("--modes", nargs="+", default=["fast"], choices=list(MODES), help="of ScoreDVI")
    parser.add_argument(
        "--priors",
        nargs="+",
        default=[Settings().default_denoiser],
        help="names of priors of the service, those of a mixture joined by +; default: what it takes for photographs",
    )
    parser.add_argument("--denoisers", type=Path, nargs="+", default=[], help="released files to compare with")
    parser.add_argument(
        "--white", type=float, nargs="+", default=[], help="levels on [0, 255] of white noise on sets of clean pictures"
    )
    parser.add_argument("--classical", action="store_true", help="non-local means and BM3D, at the estimated level")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="photographs", help="of the file of results")
    arguments = parser.parse_args()
    own = [[served(name) for name in names.split("+")] for names in arguments.priors]
    with tempfile.TemporaryDirectory() as folder:
        released = [convert(path, Path(folder)) for path in arguments.denoisers]
    mixtures = own + [[prior] for prior in released] + ([released] if len(released) > 1 else [])
    rows = [
        measure(pairs, level, mixture, mode, arguments)
        for pairs in arguments.sets
        for level in arguments.white or [0.0]
        for mixture in mixtures
        for mode in arguments.modes
        if mode != "diffusion" or len(mixture) == 1  # which has no components
    ]
    publish(arguments.name, rows, {key: getattr(arguments, key) for key in ("every", "side", "seed")})


def convert(path: Path, models_dir: Path) -> Prior:
    """A released file as a prior, named after its folder and itself."""
    name = re.sub("[^a-z0-9._-]", "-", f"{path.parent.name}-{path.stem}".lower())
    convert_file(path, models_dir / name, licence="not for the table to say")
    return load_prior(models_dir, name, CPU, served_dtype())


def read_pairs(folder: Path, every: int, side: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Noisy picture and reference, (1, 3, H, W) on [-1, 1] each."""
    for path in sorted(folder.glob("*_real.png"))[::every]:
        noisy, truth = read_image(path, side), read_image(path.with_name(path.name.replace("_real", "_mean")), side)
        yield whole(noisy), whole(truth)


def whole(picture: Tensor) -> Tensor:
    """So much of it as every network takes, at a quarter of its size, too."""
    height, width = (size // WHOLE * WHOLE for size in picture.shape[-2:])
    return picture[..., :height, :width]


def whitened(folder: Path, every: int, side: int, level: float, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Clean pictures with white noise of `level` on [0, 255], not rounded, and as they are."""
    for number, path in enumerate(photographs(folder)[::every]):
        clean = whole(read_image(path, side))
        yield clean + level / 127.5 * NoiseStream(seed + number).normal(0, like=clean), clean


@torch.no_grad()
def measure(pairs: str, level: float, mixture: Sequence[Prior], mode: str, arguments: argparse.Namespace) -> Row:
    """Means over the pictures of one set; levels of the noise on [0, 255]. level: of white noise on clean pictures."""
    folder, every, side = arguments.data / pairs, arguments.every, arguments.side
    pictures = whitened(folder, every, side, level, arguments.seed) if level else read_pairs(folder, every, side)
    found: list[Row] = []
    params, reading = ScoreDviParameters(mode, **options_of(mode, mixture)), reading_of(mixture[0])
    for noisy, truth in pictures:
        problem = Problem(noisy, Identity(tuple(noisy.shape[1:])), sigma_y=0)
        began = time.perf_counter()
        solver = score_dvi(problem, params, NoiseStream(arguments.seed), reading)
        solution, passes = restore(solver, mixture)
        seconds = time.perf_counter() - began
        sigma = solution.metrics["noise_sigma"]
        once = denoise_full(mixture[0], noisy, max(level / 127.5 or sigma, mixture[0].info.sigma_min))
        found.append(
            score("noisy", noisy, truth)
            | score("one pass", once, truth)
            | score("restored", solution.x, truth)
            | {
                "passes": passes / noisy.numel(),
                "seconds": seconds,
                "sigma": 127.5 * float((noisy - truth).std()),
                "estimated": 127.5 * sigma,
                "b8": solution.metrics["noise_b8"],
            }
            | covered(solution, truth)
            | (classical(noisy, truth, 127.5 * sigma) if arguments.classical else {})
        )
    clean = sum(INTERVAL not in row for row in found)  # a picture that was left as it is has none
    denoisers = " + ".join(prior.info.name for prior in mixture)
    name = f"{pairs}, white {level:g}" if level else pairs
    return (
        {"set": name, "pictures": len(found), "denoisers": denoisers, "mode": mode}
        | means(found)
        | {"found clean": clean}
    )


def options_of(mode: str, mixture: Sequence[Prior]) -> dict[str, Any]:
    """What the service gives the solver besides the picture."""
    options: dict[str, Any] = {} if mode == "diffusion" else {"components": len(mixture)}
    if mode == "fast":  # under symmetries that all of them have learnt
        options["symmetry"] = min((prior.info.symmetries for prior in mixture), key=SYMMETRIES.index)
    return options


def restore(solver: Solver, mixture: Sequence[Prior]) -> tuple[Solution, int]:
    """Each query to the denoiser of its component; and how many values have been denoised."""
    denoised = 0

    def reply(query: Query) -> Tensor:
        nonlocal denoised
        denoised += query.x.numel()
        return answer(query, mixture[query.component].denoise)

    return converse(solver, reply), denoised


def score(label: str, x: Tensor, truth: Tensor) -> Row:
    clipped = x.clamp(-1, 1)
    return {
        label: float(psnr(clipped, truth, data_range=2)),
        f"{label} SSIM": float(ssim(clipped, truth, data_range=2)),
    }


def classical(noisy: Tensor, truth: Tensor, sigma_255: float) -> Row:
    """Of methods for white noise, which are told the level that was found."""
    rgb01, row = (noisy[0].permute(1, 2, 0).double().numpy() + 1) / 2, {}
    for label, method in (("non-local means", baselines.non_local_means), ("BM3D", baselines.block_matching)):
        began = time.perf_counter()
        restored = torch.from_numpy(method(rgb01, sigma_255)).permute(2, 0, 1)[None].to(noisy) * 2 - 1
        row |= score(label, restored, truth) | {f"{label} seconds": time.perf_counter() - began}
    return row


def covered(solution: Solution, truth: Tensor) -> Row:
    """Share of the values whose 90 % interval holds the reference; none for a picture that was left as it is."""
    if solution.deviation is None:
        return {}
    inside = (solution.x - truth).abs() <= QUANTILE * solution.deviation
    return {INTERVAL: float(inside.float().mean())}


if __name__ == "__main__":
    main()

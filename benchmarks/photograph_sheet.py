"""The sheet of denoised photographs in the README: `python -m benchmarks.photograph_sheet`.

A row a photograph: as it came, after one pass of the denoiser, as ScoreDVI restores it, the reference, four times the
error and the standard deviation that is claimed, and the noise map. Crops are of the centre, pixels are doubled.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.photographs import EVAL, options_of, read_pairs, restore
from benchmarks.served import reading_of, served
from benchmarks.sheet import GAIN, header, pixels
from priors.base import Prior
from priors.evaluation import denoise_full
from service.settings import Settings
from solvers.noise import NoiseStream
from solvers.operators.identity import Identity
from solvers.query import Problem
from solvers.score_dvi import ScoreDviParameters, score_dvi

TITLES = ["photograph", "one pass", "score_dvi", "reference", f"error x{GAIN}", f"deviation x{GAIN}", "noise map"]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photograph_sheet", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=EVAL, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", default=["cc15", "sidd20"], help="folders below --data")
    parser.add_argument("--every", type=int, default=8, help="take every n-th picture of each set")
    parser.add_argument("--side", type=int, default=96, help="of what is shown; all of the photograph is restored")
    parser.add_argument("--prior", default=Settings().default_denoiser)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "photographs.png")
    arguments = parser.parse_args()
    prior = served(arguments.prior)
    rows = [
        row(prior, noisy, truth, arguments.side)
        for pairs in arguments.sets
        for noisy, truth in read_pairs(arguments.data / pairs, arguments.every, 512)
    ]
    shown = np.concatenate(rows).repeat(2, axis=0).repeat(2, axis=1)
    Image.fromarray(np.concatenate([header(TITLES, 2 * arguments.side), shown])).save(arguments.out, optimize=True)


def row(prior: Prior, noisy: torch.Tensor, truth: torch.Tensor, side: int) -> np.ndarray:
    """(side, 7 side, 3) uint8."""
    problem = Problem(noisy, Identity(tuple(noisy.shape[1:])), sigma_y=0)
    params = ScoreDviParameters(**options_of("fast", [prior]))
    solution, _ = restore(score_dvi(problem, params, NoiseStream(0), reading_of(prior)), [prior])
    once = denoise_full(prior, noisy, max(solution.metrics["noise_sigma"], prior.info.sigma_min))
    none = torch.zeros_like(noisy)  # what a photograph that was found clean has for maps
    deviation = none if solution.deviation is None else solution.deviation
    noise_map = none if solution.noise_map is None else solution.noise_map
    maps = [GAIN * (solution.x - truth).abs() - 1, GAIN * deviation - 1, noise_map - 1]  # black is none
    shown = [noisy, once, solution.x, truth, *maps]
    top, left = (noisy.shape[-2] - side) // 2, (noisy.shape[-1] - side) // 2
    return np.concatenate([pixels(x[..., top : top + side, left : left + side]) for x in shown], axis=1)


if __name__ == "__main__":
    main()

"""Denoises large pictures with a prior of one frame, as networks with attention are: `test_sizes` runs it.

    python -m tests.service.engine.large_picture ROWS HEIGHT WIDTH

Prints by how many times the size of its only query the memory of this process has grown at its peak.
"""

import dataclasses
import sys

import torch

from benchmarks.processes import peak_mib
from priors.analytic import GaussianPrior
from service.engine.engine import Engine
from tests.service.engine.parts import image, levels

LEVEL = 0.5


def main(rows: int, height: int, width: int) -> None:
    torch.set_num_threads(1)
    prior = GaussianPrior(variance=0.3, mean=0.1)
    prior.info = dataclasses.replace(prior.info, native_size=256, multiple_of=32, fully_convolutional=False)
    x = image(height, width).repeat(rows, 1, 1, 1)
    before = peak_mib()
    engine = Engine(lambda name: prior, "cpu")
    answer = engine.submit("job", lambda: levels(x, [LEVEL]), "p").result().solution.x
    growth = (peak_mib() - before) * 2**20
    engine.stop(drain=True)
    for row in answer.split(1):
        assert (row - prior.denoise(x[:1], torch.tensor([LEVEL]))).abs().max() < 1e-5
    print(growth / (x.numel() * x.element_size()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

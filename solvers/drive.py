"""Run one solver against one denoiser: the reference that the service's engine must equal."""

from collections.abc import Callable

import torch
from torch import Tensor

from solvers.query import Solution, Solver

Denoise = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def drive(solver: Solver, denoise: Denoise) -> Solution:
    """Answer every query of `solver` with `denoise(x, sigma)` and return its solution."""
    try:
        query = next(solver)
        while True:
            query = solver.send(denoise(query.x, query.sigma))
    except StopIteration as end:
        return end.value

"""Run one solver against one denoiser: the reference that the service's engine must equal."""

from collections.abc import Callable

import torch
from torch import Tensor

from solvers.query import Query, Solution, Solver

Denoise = Callable[[Tensor, Tensor], Tensor]


Reply = Callable[[Query], Tensor]


def drive(solver: Solver, denoise: Denoise) -> Solution:
    """Answer every query of `solver` with `denoise(x, sigma)` and return its solution."""
    return converse(solver, lambda query: answer(query, denoise))


@torch.no_grad()
def converse(solver: Solver, reply: Reply) -> Solution:
    """`drive` where the answer depends on more of the query than its picture."""
    try:
        query = next(solver)
        while True:
            query = solver.send(reply(query))
    except StopIteration as end:
        return end.value


def answer(query: Query, denoise: Denoise) -> Tensor:
    """D(x, sigma), or J^T cotangent by reverse differentiation of `denoise`."""
    if query.cotangent is None:
        return denoise(query.x, query.sigma)
    with torch.enable_grad():
        x = query.x.detach().requires_grad_()
        return torch.autograd.grad(denoise(x, query.sigma), x, query.cotangent)[0]

"""Several pictures through one method side by side, and what they took."""

import ctypes
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.processes import peak_mib, resident_mib
from priors.base import Prior
from solvers.query import Query, Solution, Solver


@dataclass
class Counted:
    """A denoiser that counts what it is asked, a picture being one call.

    A vector-Jacobian product takes the graph of the call before it, as the methods' own programs do, where the engine
    computes the denoised picture twice.
    """

    prior: Prior
    differentiated: bool = False
    """Whether products will be asked for."""
    calls: int = 0
    gradients: int = 0
    _graph: tuple[Tensor, Tensor] | None = None
    """Input and answer of the last call."""

    def reply(self, query: Query) -> Tensor:
        if query.cotangent is not None:
            self.gradients += len(query.x)
            x, denoised = self._graph
            self._graph = None
            assert torch.equal(x, query.x), "a product at another place than the call before it"
            return torch.autograd.grad(denoised, x, query.cotangent)[0]
        self.calls += len(query.x)
        with torch.set_grad_enabled(self.differentiated):
            x = query.x.detach().requires_grad_(self.differentiated)
            denoised = self.prior.denoise(x, query.sigma)
        self._graph = (x, denoised) if self.differentiated else None
        return denoised.detach()


@dataclass(frozen=True)
class Spent:
    """For each picture; many pictures share the fixed cost of a call."""

    calls: float
    gradients: float
    seconds: float
    """Of one core."""
    mib: float
    """Memory at its peak beyond what the process held before."""


@torch.no_grad()
def restore_together(solvers: list[Solver], denoiser: Counted) -> tuple[list[Solution], Spent]:
    """`solvers.drive.converse` for solvers that all make as many queries, with one denoiser call for all of them."""
    held, began, count = restart_peak(), time.process_time(), len(solvers)
    states: list[Query | Solution] = [next(solver) for solver in solvers]
    while not any(isinstance(state, Solution) for state in states):
        answers = denoiser.reply(together(states)).split([len(query.x) for query in states])
        states = [advance(solver, answer) for solver, answer in zip(solvers, answers, strict=True)]
    seconds, mib = time.process_time() - began, peak_mib() - held
    return states, Spent(*(each / count for each in (denoiser.calls, denoiser.gradients, seconds, mib)))


def together(queries: list[Query]) -> Query:
    """One query with the rows of all."""
    first, cotangent = queries[0], None
    if first.cotangent is not None:
        cotangent = torch.cat([query.cotangent for query in queries])
    x, sigma = (torch.cat(rows) for rows in zip(*((query.x, query.sigma) for query in queries), strict=True))
    return Query(x, sigma, first.step, first.total, cotangent=cotangent)


def advance(solver: Solver, answer: Tensor) -> Query | Solution:
    try:
        return solver.send(answer)
    except StopIteration as end:
        return end.value


def restart_peak() -> float:
    """Forget the peak memory of this process; what it holds now in MiB. Linux with glibc."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # see proc(5)
    return resident_mib()

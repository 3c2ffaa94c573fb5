"""Noise levels: the discrete table of the paper, its weightings, and a geometric schedule.

Everything in float64. A level is sigma = sqrt(1 - abar) / sqrt(abar), the noise on the scale of the clean image.
"""

import math

import torch
from torch import Tensor

TIMESTEPS = 1000
WEIGHTINGS = ("linear", "sqrt", "square", "log", "trunc_linear", "power2over3", "const")
ORDERS = ("descending", "ascending", "random")


def vp_alpha_bar() -> Tensor:
    """Cumulative product of 1 - beta, beta linear from 1e-4 to 2e-2 (Ho et al. 2020): (1000,)."""
    return (1 - torch.linspace(1e-4, 2e-2, TIMESTEPS, dtype=torch.float64)).cumprod(0)


def vp_sigmas() -> Tensor:
    """The level of each timestep, 0.01 to 157: (1000,)."""
    abar = vp_alpha_bar()
    return ((1 - abar) / abar).sqrt()


def timesteps(steps: int, order: str = "descending", generator: torch.Generator | None = None) -> list[int]:
    """Timesteps in the order of their visit, as the official code spaces them: every (1000 // steps)-th from 0.

    Their number is ceil(1000 / (1000 // steps)), not always `steps`: 300 gives 334, 600 gives 1000. `random` is the
    same list shuffled by `generator`.
    """
    visited = list(range(0, TIMESTEPS, TIMESTEPS // steps))
    match order:
        case "descending":
            return visited[::-1]
        case "ascending":
            return visited
        case "random":
            return [visited[i] for i in torch.randperm(len(visited), generator=generator)]
        case _:
            raise ValueError(f"unknown order {order!r}; there are {', '.join(ORDERS)}")


def weight(name: str, sigma: float) -> float:
    """w(sigma), the weight of eps_hat - eps."""
    match name:
        case "linear":
            return sigma
        case "sqrt":
            return math.sqrt(sigma)
        case "square":
            return sigma**2
        case "log":
            return math.log1p(sigma)
        case "trunc_linear":
            return min(sigma, 1.0)
        case "power2over3":
            return sigma ** (2 / 3)
        case "const":
            return 1.0
        case _:
            raise ValueError(f"unknown weighting {name!r}; there are {', '.join(WEIGHTINGS)}")


def geometric_levels(first: float, last: float, count: int) -> list[float]:
    """`count` levels from `first` to `last` at a constant ratio; the last one alone when only one is wanted."""
    if count == 1:
        return [last]
    return [first * (last / first) ** (i / (count - 1)) for i in range(count)]

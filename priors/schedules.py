"""Discrete noise schedules of pretrained networks: from a noise level to the timestep that a network knows.

A level is sigma on the scale of the clean image: sqrt(1 - abar) / sqrt(abar) for a variance-preserving (VP) schedule
with abar = prod(1 - beta) (Ho et al. 2020), the standard deviation itself for a variance-exploding (VE) one (Song et
al. 2021). All in float64: tables in float32 would be wrong by 2e-4 in the clean image at the last timestep, where
sqrt(abar) is 0.006.
"""

import math
from typing import Any

import torch
from torch import Tensor


class Schedule:
    """The level of every timestep: (T,) float64, strictly ascending, finite."""

    def __init__(self, sigmas: Tensor):
        if sigmas.ndim != 1 or len(sigmas) < 2 or not sigmas.isfinite().all():
            raise ValueError("a schedule needs at least two finite levels")
        if not sigmas[0] > 0 or not (sigmas.diff() > 0).all():
            raise ValueError("the levels of a schedule must be positive and ascending")
        self.sigmas = sigmas.double()
        self._log_sigmas = self.sigmas.log()

    @property
    def sigma_min(self) -> float:
        """The lowest level that the network was trained on: timestep 0."""
        return float(self.sigmas[0])

    @property
    def sigma_max(self) -> float:
        """The highest finite level."""
        return float(self.sigmas[-1])

    def timestep(self, sigma: Tensor) -> Tensor:
        """The fractional timestep of each level (N,), linear in log sigma between two timesteps, clamped to the table.

        The nearest timestep instead would be wrong by up to a fifth of the level at low noise.
        """
        # on the CPU: there are N numbers only, and not every device has float64
        log_sigma = sigma.detach().to("cpu", torch.float64).log()
        upper = torch.searchsorted(self._log_sigmas, log_sigma).clamp(1, len(self.sigmas) - 1)
        low, high = self._log_sigmas[upper - 1], self._log_sigmas[upper]
        position = upper - 1 + (log_sigma - low) / (high - low)
        return position.clamp(0, len(self.sigmas) - 1).to(sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The level of each fractional timestep (N,): the inverse of `timestep`."""
        position = timestep.detach().to("cpu", torch.float64).clamp(0, len(self.sigmas) - 1)
        lower = position.floor().long().clamp(max=len(self.sigmas) - 2)
        log_sigma = torch.lerp(self._log_sigmas[lower], self._log_sigmas[lower + 1], position - lower)
        return log_sigma.exp().to(timestep)


def linear_alpha_bar(steps: int, beta_start: float, beta_end: float) -> Tensor:
    """beta linear in t (Ho et al. 2020): (steps,)."""
    return (1 - torch.linspace(beta_start, beta_end, steps, dtype=torch.float64)).cumprod(0)


def scaled_linear_alpha_bar(steps: int, beta_start: float, beta_end: float) -> Tensor:
    """sqrt(beta) linear in t (Rombach et al. 2022): (steps,)."""
    roots = torch.linspace(math.sqrt(beta_start), math.sqrt(beta_end), steps, dtype=torch.float64)
    return (1 - roots**2).cumprod(0)


def cosine_alpha_bar(steps: int) -> Tensor:
    """Nichol and Dhariwal 2021, equation 17, beta capped at 0.999; `squaredcos_cap_v2` in diffusers: (steps,)."""
    ends = torch.arange(steps + 1, dtype=torch.float64) / steps
    curve = torch.cos((ends + 0.008) / 1.008 * math.pi / 2) ** 2
    betas = (1 - curve[1:] / curve[:-1]).clamp(max=0.999)
    return (1 - betas).cumprod(0)


def with_zero_terminal_snr(alpha_bar: Tensor) -> Tensor:
    """Lin et al. 2024, algorithm 1: shift and scale sqrt(abar) so that the last one is 0 and the first one stays."""
    root = alpha_bar.sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def vp_schedule(alpha_bar: Tensor) -> Schedule:
    """The levels of a VP network. A last timestep of pure noise (abar = 0) has no finite level and is left out."""
    alpha_bar = alpha_bar[alpha_bar > 0]
    return Schedule(((1 - alpha_bar) / alpha_bar).sqrt())


def ve_schedule(steps: int, sigma_min: float, sigma_max: float) -> Schedule:
    """Geometric levels (Song et al. 2021, appendix C)."""
    return Schedule(torch.linspace(math.log(sigma_min), math.log(sigma_max), steps, dtype=torch.float64).exp())


def build_schedule(declared: dict[str, Any]) -> Schedule:
    """The schedule that `prior.json` declares; `priors.declaration` has checked its fields.

    Raises ValueError for numbers that make no schedule.
    """
    match declared["kind"]:
        case "ve":
            return ve_schedule(declared["steps"], declared["sigma_min"], declared["sigma_max"])
        case "linear":
            alpha_bar = linear_alpha_bar(declared["steps"], declared["beta_start"], declared["beta_end"])
        case "scaled_linear":
            alpha_bar = scaled_linear_alpha_bar(declared["steps"], declared["beta_start"], declared["beta_end"])
        case "squaredcos_cap_v2":
            alpha_bar = cosine_alpha_bar(declared["steps"])
        case kind:
            raise ValueError(f"unknown schedule {kind!r}")
    return vp_schedule(with_zero_terminal_snr(alpha_bar) if declared.get("zero_terminal_snr", False) else alpha_bar)

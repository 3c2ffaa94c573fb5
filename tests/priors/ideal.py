"""Ideally trained networks of every parameterisation, written from its definition."""

import torch
from torch import Tensor, nn

from priors.analytic import DenseGaussianPrior
from priors.declaration import Declaration
from priors.manifest import PriorInfo
from priors.schedules import build_schedule

DDPM = {"kind": "linear", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
COSINE = {"kind": "squaredcos_cap_v2", "steps": 1000, "zero_terminal_snr": True}
VE = {"kind": "ve", "steps": 1000, "sigma_min": 0.005, "sigma_max": 100.0}
FLOWS = {
    "q": lambda time: time / (1 - time),
    "1000*q": lambda time: time / (1000 - time),
    "1-q": lambda time: (1 - time) / time,
    "1000*(1-q)": lambda time: (1000 - time) / time,
}
"""The level of each time of a flow network."""
DECLARED: dict[str, Declaration] = {
    "eps linear": Declaration("eps", "index", schedule=DDPM),
    "eps cosine": Declaration("eps", "index", schedule=COSINE),
    "v": Declaration("v", "index", schedule=DDPM),
    "x0": Declaration("x0", "index", schedule=DDPM),
    "score": Declaration("score", "sigma", data_range=(0.0, 1.0)),
    "score index": Declaration("score", "index", schedule=VE),
    "denoised": Declaration("denoised", "sigma", data_range=(0.0, 1.0)),
} | {
    f"flow {time} {velocity}": Declaration("flow", time, flow_velocity=velocity)
    for time in FLOWS
    for velocity in ("noise-data", "data-noise")
}
BLIND = Declaration("residual", "none", data_range=(0.0, 1.0))


def prediction(declared: Declaration, x0: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
    """What the network is trained to answer at x0 + sigma eps, by definition."""
    a = 1 / (1 + sigma**2).sqrt()
    return {
        "eps": eps,
        "v": a * eps - a * sigma * x0,
        "x0": x0,
        "score": -eps / sigma,
        "denoised": x0,
        "residual": sigma * eps,
        "flow": x0 - eps if declared.flow_velocity == "data-noise" else eps - x0,
    }[declared.parameterisation]


class Ideal(nn.Module):
    """An ideally trained network, written from the definitions of its state and of its prediction.

    It goes back from the state to (x, sigma), asks the exact denoiser for x0 and forms its prediction from x0 and eps.
    """

    def __init__(self, denoiser: DenseGaussianPrior, declared: Declaration):
        super().__init__()
        self.denoiser = denoiser
        self.declared = declared
        if declared.schedule is not None:
            self.sigma = build_schedule(declared.schedule).sigma
        else:
            self.sigma = (FLOWS | {"sigma": lambda time: time})[declared.time_map]

    def forward(self, state: Tensor, time: Tensor) -> Tensor:
        level = self.sigma(time)
        sigma = level.reshape(-1, 1, 1, 1)
        a, q = 1 / (1 + sigma**2).sqrt(), sigma / (1 + sigma)
        name = self.declared.parameterisation
        x = {"flow": state / (1 - q), "score": state, "denoised": state}.get(name, state / a)
        x0 = self._clean(x, level)
        return prediction(self.declared, x0, (x - x0) / sigma, sigma)

    def _clean(self, x: Tensor, level: Tensor) -> Tensor:
        low, high = self.declared.data_range
        half, middle = (high - low) / 2, (high + low) / 2
        return middle + half * self.denoiser.denoise((x - middle) / half, level / half)


class Blind(nn.Module):
    """An ideal network that is told no level: it answers state - x0.

    A real one reads the level off the picture, which none can do on twelve numbers; this one knows it beforehand.
    """

    def __init__(self, told: Ideal, levels: Tensor):
        super().__init__()
        self.told = told
        self.levels = levels

    def forward(self, state: Tensor, _time: Tensor) -> Tensor:
        return state - self.told(state, self.levels)


INFO = PriorInfo(name="exact", sigma_min=0.011, sigma_max=99.0)
WITHIN = torch.tensor([0.013, 0.1, 0.5, 1.0, 8.0, 50.0], dtype=torch.float64)
"""Levels that every network here knows, none of them a timestep of a schedule."""

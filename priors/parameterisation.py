"""From what a network predicts to the denoiser contract of `priors.base`.

Symbols as in Karras et al. 2022 (EDM), "Elucidating the Design Space of Diffusion-Based Generative Models", table 1.
Whatever a network predicts, the clean image is linear in its input and its output, so that one class serves all of
them. With x = x0 + sigma eps, the state that a variance-preserving (VP) network knows is a x0 + s eps = a x, where
a = 1 / sqrt(1 + sigma^2) and s = a sigma; that of a flow is (1 - q) x0 + q eps = (1 - q) x, where
q = sigma / (1 + sigma).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from priors.declaration import Declaration
from priors.manifest import PriorError, PriorInfo
from priors.precision import with_rows_apart
from priors.schedules import Schedule, build_schedule


class Preconditioning(NamedTuple):
    """D(x, sigma) = c_skip * x + c_out * F(c_in * x, c_noise); each is (N, 1, 1, 1)."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor


def _column(sigma: Tensor) -> Tensor:
    """Levels in the shape that multiplies pictures: (N,) as (N, 1, 1, 1), maps (N, 1, H, W) as they are."""
    return sigma.reshape(-1, 1, 1, 1) if sigma.ndim == 1 else sigma


def edm_preconditioning(sigma: Tensor, sigma_data: float) -> Preconditioning:
    """EDM, table 1: unit-variance input and training target at every level. sigma: (N,)."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    variance = sigma**2 + sigma_data**2
    return Preconditioning(
        c_skip=sigma_data**2 / variance,
        c_out=sigma * sigma_data / variance.sqrt(),
        c_in=1 / variance.sqrt(),
    )


def eps_preconditioning(sigma: Tensor) -> Preconditioning:
    """F = eps from the VP state: x0 = x - sigma eps. sigma: (N,)."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    return Preconditioning(c_skip=torch.ones_like(sigma), c_out=-sigma, c_in=1 / (1 + sigma**2).sqrt())


def v_preconditioning(sigma: Tensor) -> Preconditioning:
    """F = v = a eps - s x0 (Salimans and Ho 2022) from the VP state: x0 = a (a x) - s v. sigma: (N,)."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    a = 1 / (1 + sigma**2).sqrt()
    return Preconditioning(c_skip=a**2, c_out=-a * sigma, c_in=a)


def x0_preconditioning(sigma: Tensor) -> Preconditioning:
    """F = x0 itself from the VP state. sigma: (N,)."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    return Preconditioning(c_skip=torch.zeros_like(sigma), c_out=torch.ones_like(sigma), c_in=1 / (1 + sigma**2).sqrt())


def flow_preconditioning(sigma: Tensor, velocity: str) -> Preconditioning:
    """F = eps - x0 (`noise-data`) or x0 - eps (`data-noise`) from the flow's state: x0 = (1 - q) x - q (eps - x0).

    Rectified flow (Liu et al. 2023). sigma: (N,).
    """
    sigma = sigma.reshape(-1, 1, 1, 1)
    q = sigma / (1 + sigma)
    return Preconditioning(c_skip=1 - q, c_out={"noise-data": -q, "data-noise": q}[velocity], c_in=1 - q)


def score_preconditioning(sigma: Tensor) -> Preconditioning:
    """F = grad log p_sigma from x itself (Song et al. 2021, VE): x0 = x + sigma^2 F, Tweedie's formula. sigma: (N,)."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    return Preconditioning(c_skip=torch.ones_like(sigma), c_out=sigma**2, c_in=torch.ones_like(sigma))


def residual_preconditioning(sigma: Tensor) -> Preconditioning:
    """F = sigma eps, the noise itself, from x: x0 = x - F (Zhang et al. 2017, DnCNN). sigma: (N,) or a map."""
    ones = torch.ones_like(_column(sigma))
    return Preconditioning(c_skip=ones, c_out=-ones, c_in=ones)


def denoised_preconditioning(sigma: Tensor) -> Preconditioning:
    """F = x0 from x: nothing to adapt (Zhang et al. 2018, FFDNet). sigma: (N,) or a map."""
    ones = torch.ones_like(_column(sigma))
    return Preconditioning(c_skip=torch.zeros_like(ones), c_out=ones, c_in=ones)


TIME_MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "250*ln(sigma)": lambda sigma: 250 * sigma.log(),
    "ln(sigma)/4": lambda sigma: sigma.log() / 4,
}
"""How an EDM network wants to be told the level; the key is what `prior.json` says."""
OTHER_TIME_MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigma": lambda sigma: sigma,
    "q": lambda sigma: sigma / (1 + sigma),
    "1000*q": lambda sigma: 1000 * sigma / (1 + sigma),
    "1-q": lambda sigma: 1 / (1 + sigma),
    "1000*(1-q)": lambda sigma: 1000 / (1 + sigma),
    "none": torch.zeros_like,
}
"""The same for all others. `index` asks a `Schedule` instead; a network with `none` ignores what it is told."""


SIGNAL = 10.0
"""The level at which half of the stretched answer is the best: with the three denoisers of `priors.conversion.gaussian`
and photographs it is 8 to 17. As large as this because a network averages over many pixels."""


class NetworkPrior:
    """A network behind its preconditioning: D(x, sigma) = c_skip x + c_out F(c_in x, time).

    network: maps (N, C, H, W) and times (N,), of the dtype of sigma, to (N, C, H, W). precondition and time: of levels
    (N,). data_range: what black and white are for the network, which is converted from and to [-1, 1]. dtype: what the
    network computes in.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        info: PriorInfo,
        precondition: Callable[[Tensor], Preconditioning],
        time: Callable[[Tensor], Tensor],
        data_range: tuple[float, float] = (-1.0, 1.0),
        dtype: torch.dtype = torch.float32,
    ):
        self.network = network if dtype == torch.float32 else with_rows_apart(network)
        self.info = info
        self.precondition = precondition
        self.time = time
        self.middle = (data_range[0] + data_range[1]) / 2
        self.half = (data_range[1] - data_range[0]) / 2
        self.dtype = dtype

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        if sigma.ndim > 1 and not getattr(self.network, "takes_maps", False):
            sigma = sigma.square().mean((1, 2, 3)).sqrt()
        # A network knows nothing outside the levels of its training. Below them, ask for the smallest. Above them,
        # shrink the input until its noise is of the largest, and stretch the answer.
        level = sigma.clamp(self.info.sigma_min, self.info.sigma_max)
        x = x * _column((level / sigma).clamp(max=1))
        stretch = _column(_stretch(sigma, level))
        x, level = self.middle + self.half * x, self.half * level
        c_skip, c_out, c_in = self.precondition(level)
        x0 = c_skip * x + c_out * self._predict(c_in * x, self.time(level))
        return stretch * (x0 - self.middle) / self.half

    def _predict(self, x: Tensor, time: Tensor) -> Tensor:
        if self.dtype == torch.float32:
            return self.network(x, time)
        with torch.autocast(x.device.type, self.dtype):
            return self.network(x, time).to(x.dtype)


def _stretch(sigma: Tensor, level: Tensor) -> Tensor:
    """What the answer at `level` to an input shrunk by level / sigma must be multiplied by, at least 1. All (N,).

    Wiener's answer to a signal of deviation S = `SIGNAL` is S^2 / (S^2 + sigma^2) x, and a network that answers so at
    `level` gives level / sigma times S^2 / (S^2 + level^2) x. The shrinking is thus undone until noise drowns the
    signal. A level above S needs none of this: beside so much noise the size of a picture hardly matters.
    """
    return (sigma * (SIGNAL**2 + level**2) / (level * (SIGNAL**2 + sigma**2))).clamp(min=1)


class EdmPrior(NetworkPrior):
    """A network behind EDM preconditioning."""

    def __init__(self, network: torch.nn.Module, info: PriorInfo, *, sigma_data: float, time_map: str):
        super().__init__(network, info, partial(edm_preconditioning, sigma_data=sigma_data), TIME_MAPS[time_map])


def adapt(
    network: torch.nn.Module, info: PriorInfo, declared: Declaration, dtype: torch.dtype = torch.float32
) -> NetworkPrior:
    """The prior that `network` makes when adapted as its `prior.json` says, computing in `dtype`.

    Raises PriorError for a contradiction."""
    precondition: Callable[[Tensor], Preconditioning]
    match declared.parameterisation:
        case "edm":
            precondition = partial(edm_preconditioning, sigma_data=declared.sigma_data)
        case "flow":
            precondition = partial(flow_preconditioning, velocity=declared.flow_velocity)
        case name:
            precondition = {
                "eps": eps_preconditioning,
                "v": v_preconditioning,
                "x0": x0_preconditioning,
                "score": score_preconditioning,
                "residual": residual_preconditioning,
                "denoised": denoised_preconditioning,
            }[name]
    if declared.schedule is None:
        time = (TIME_MAPS | OTHER_TIME_MAPS)[declared.time_map]
    else:
        time = _schedule(info, declared).timestep
    return NetworkPrior(network, info, precondition, time, declared.data_range, dtype)


def _schedule(info: PriorInfo, declared: Declaration) -> Schedule:
    """The declared schedule, which must reach over the declared levels: a network knows no others."""
    try:
        schedule = build_schedule(declared.schedule or {})
    except ValueError as error:
        raise PriorError(f"prior {info.name}: its schedule is none: {error}") from error
    half = (declared.data_range[1] - declared.data_range[0]) / 2
    low, high = schedule.sigma_min / half, schedule.sigma_max / half
    if info.sigma_min < low * 0.999 or info.sigma_max > high * 1.001:  # numbers in a manifest are rounded
        raise PriorError(
            f"prior {info.name}: levels {info.sigma_min:g} to {info.sigma_max:g} are declared, but its schedule knows "
            f"{low:g} to {high:g}"
        )
    return schedule

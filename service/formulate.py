"""From a request to an inverse problem: the only place where the wire's words become mathematics.

The wire speaks of pictures on [0, 1] and noise levels as standard deviations on that scale; solvers work on [-1, 1],
where the same level is twice as large. It is doubled here and nowhere else.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from service.queue.base import Json
from solvers.noise import NoiseStream
from solvers.noise_level import estimate_sigma
from solvers.operators.base import Operator
from solvers.operators.downsample import Downsample
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask
from solvers.presets import preset
from solvers.query import Problem, Solver
from solvers.red_diff import RedDiffParameters, red_diff


@dataclass(frozen=True)
class Formulation:
    """Everything that decides the picture: the problem, the solver's parameters and the seed."""

    problem: Problem
    parameters: RedDiffParameters
    seed: int
    sigma01: float
    """The noise level on the wire's scale, given or estimated."""
    noise_was_estimated: bool

    def start(self) -> Solver:
        """A fresh solver; equal formulations give equal pictures."""
        return red_diff(self.problem, self.parameters, NoiseStream(self.seed))


def formulate(
    request: Json, rgb01: np.ndarray, observed: np.ndarray | None, device: torch.device, symmetry: str
) -> Formulation:
    """Build the inverse problem of a resolved request.

    rgb01: (H, W, 3) float32 in [0, 1]. observed: (H, W) bool, True where a pixel is known; for inpainting only.
    symmetry: what the prior of the request declares, for a request that leaves it open.
    """
    measurement = to_solver_range(rgb01, device)  # (1, 3, h, w)
    known = None if observed is None else torch.from_numpy(observed).to(device)
    estimated = request["noise"] == "auto"
    sigma01 = estimate_sigma(measurement, known) / 2 if estimated else sigma01_of(request["noise"])
    # The three channels of a grey picture are one measurement, not three: together they may weigh no more than one.
    sigma_y = 2 * sigma01 * (math.sqrt(3) if is_grey(rgb01 if observed is None else rgb01[observed]) else 1)
    operator = build_operator(request, measurement, known)
    if known is not None:
        measurement = operator.forward(measurement)  # nothing of what lies in the hole may reach the solver
    parameters = resolve_parameters(request, sigma_y, symmetry)
    return Formulation(Problem(measurement, operator, sigma_y), parameters, int(request["seed"]), sigma01, estimated)


def build_operator(request: Json, measurement: Tensor, known: Tensor | None) -> Operator:
    _, channels, height, width = measurement.shape
    match request["task"]:
        case "inpaint":
            if known is None:
                raise ValueError("inpainting needs a mask")
            return Mask(known, channels)
        case "super_resolution":
            scale = request["scale"]
            return Downsample((channels, height * scale, width * scale), scale, request["kernel"])
        case "denoise":
            return Identity((channels, height, width))
        case task:
            raise ValueError(f"no operator for task {task!r}")


def resolve_parameters(request: Json, sigma_y: float, symmetry: str) -> RedDiffParameters:
    """The preset of the task and the symmetry of the prior, under what the client gave.

    The paper's mode has its own defaults in place of presets.
    """
    given: dict[str, Any] = {key: value for key, value in request["params"].items() if value is not None}
    if given["mode"] == "paper":
        return RedDiffParameters(**given)
    return dataclasses.replace(preset(request["task"], request["preset"], sigma_y), **({"symmetry": symmetry} | given))


def sigma01_of(noise: Json) -> float:
    """The level of a wire `NoiseLevel` on the [0, 1] scale."""
    return noise["sigma"] if noise["sigma"] is not None else noise["sigma_255"] / 255


def is_grey(rgb01: np.ndarray) -> bool:
    """Whether every pixel of (..., 3) has three equal values."""
    return bool((rgb01[..., 0] == rgb01[..., 1]).all() and (rgb01[..., 1] == rgb01[..., 2]).all())


def to_solver_range(rgb01: np.ndarray, device: torch.device) -> Tensor:
    """(H, W, 3) in [0, 1] to (1, 3, H, W) in [-1, 1], plane by plane in memory as all that a solver adds to it."""
    planes = torch.from_numpy(rgb01).to(device).permute(2, 0, 1)[None]
    return planes.clone(memory_format=torch.contiguous_format).mul_(2).sub_(1)


def to_image_range(x: Tensor) -> np.ndarray:
    """(1, 3, H, W) in [-1, 1] to (H, W, 3) float32 in [0, 1], not clipped."""
    return x[0].float().add(1).div_(2).permute(1, 2, 0).cpu().numpy()

"""From a request to an inverse problem: the only place where the wire's words become mathematics.

The wire speaks of pictures on [0, 1] and noise levels as standard deviations on that scale; solvers work on [-1, 1],
where the same level is twice as large. It is doubled here and nowhere else.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from service.operators import Load, build
from service.queue.base import Json
from service.shapes import from_measurement, measured_channels, operator_of
from service.storage import BlobMissing
from solvers.calibration import DEFAULTS, Calibration
from solvers.catalogue import DENOISERS, SOLVERS
from solvers.noise import NoiseStream
from solvers.noise_level import estimate_sigma
from solvers.noise_weights import Reading
from solvers.operators.base import AnyOperator
from solvers.operators.blur import Blur
from solvers.operators.composition import Composition
from solvers.operators.downsample import Downsample
from solvers.operators.mask import Mask
from solvers.operators.matrix import Matrix
from solvers.operators.series import last_part
from solvers.presets import nearest_task, preset
from solvers.query import Problem, Solution, Solver
from solvers.uncertainty import UncertaintySettings, with_uncertainty

LEAST_MEMBERS = 2
"""Of an ensemble, or of particles."""
MIXING = (Blur, Downsample, Composition, Matrix)
"""Operators that all but lose some patterns: undone exactly, the rounding of a file becomes more than the picture."""
DEPTHS = (8, 16)
"""Bits of a sample that is a whole number."""


@dataclass(frozen=True)
class PriorFacts:
    """What belongs to the prior of a request."""

    symmetry: str = "none"
    """That it declares, for a request that leaves it open."""
    calibrations: Mapping[str, Calibration] = field(default_factory=lambda: DEFAULTS)
    """Of its uncertainty, by task."""
    reading: Reading | None = None
    """Of the noise, where it was fitted."""


@dataclass(frozen=True)
class Formulation:
    """Everything that decides the picture: the problem, the solver, its parameters and the seed."""

    problem: Problem
    solver: str
    parameters: Any
    """The dataclass of the solver in `solvers.catalogue`."""
    seed: int
    sigma01: float
    """The noise level on the wire's scale, given or estimated, and no less than the rounding of the file where that
    matters; 0 where it is left to the solver."""
    noise_was_estimated: bool
    ensemble: UncertaintySettings | None = None
    reading: Reading | None = None
    """How the denoiser shows the noise, for a solver that asks."""

    def start(self) -> Solver:
        """A fresh solver; equal formulations give equal pictures."""
        noise = NoiseStream(self.seed)
        asks = {"reading": self.reading} if self.solver in DENOISERS else {}
        solver = SOLVERS[self.solver].solve(self.problem, self.parameters, noise, **asks)
        return solver if self.ensemble is None else with_uncertainty(solver, self.problem, self.ensemble, noise)

    def estimated01(self, solution: Solution) -> float | None:
        """The noise level on the wire's scale, by the solver where that estimates it; None where it was given."""
        by_solver = solution.metrics.get("noise_sigma")
        estimate = self.sigma01 if by_solver is None else by_solver / 2
        return estimate if self.noise_was_estimated else None


def nothing_stored(sha256: str) -> bytes:
    """For requests whose operator needs no stored input."""
    raise BlobMissing(f"{sha256} is not at hand")


def formulate(
    request: Json,
    rgb01: np.ndarray,
    observed: np.ndarray | None,
    device: torch.device,
    prior: PriorFacts,
    load: Load = nothing_stored,
    bits: int | None = None,
) -> Formulation:
    """Build the inverse problem of a resolved request. Raises OperatorError.

    rgb01: (H, W, 3) float32 in [0, 1], what was sent. observed: (H, W) bool, True where a pixel is known; for
    inpainting only. load: gives the stored inputs of the operator. bits: of a sample of the file, None for floating
    point, whose values may show that they once had fewer.
    """
    measurement = to_solver_range(rgb01, device)  # (1, 3, h, w)
    known = None if observed is None else torch.from_numpy(observed).to(device)
    operator = build_operator(request, measurement.shape[-2:], known, load, device)
    measurement = measurement[:, : operator.output_shape[0]]
    last = last_part(operator)
    if isinstance(last, Mask):
        known = last.observed
        measurement = last.forward(measurement)  # nothing of what lies in the hole may reach the solver
    reads = request["solver"] in DENOISERS  # the noise, by itself, and what the channels share of it
    estimated = request["noise"] == "auto"
    if not estimated:
        sigma01 = sigma01_of(request["noise"])
    elif reads:
        sigma01 = 0.0
    else:
        sigma01 = estimate_sigma(measurement, known) / 2
    if isinstance(operator, MIXING):
        sigma01 = max(sigma01, rounding01(rgb01, bits))
    sigma_y = 2 * sigma01
    if not reads and measurement.shape[1] == 3 and is_grey(rgb01 if known is None else rgb01[known.cpu().numpy()]):
        # the three channels are one measurement, not three: together they may weigh no more than one
        sigma_y *= math.sqrt(3)
    return Formulation(
        problem=Problem(measurement, operator, sigma_y),
        solver=request["solver"],
        parameters=resolve_parameters(request, operator, sigma_y, prior.symmetry),
        seed=int(request["seed"]),
        sigma01=sigma01,
        noise_was_estimated=estimated,
        ensemble=resolve_ensemble(request, operator, prior),
        reading=prior.reading,
    )


def build_operator(
    request: Json, size: tuple[int, int], known: Tensor | None, load: Load, device: torch.device
) -> AnyOperator:
    """size: (h, w) of the measurement."""
    described = operator_of(request)
    if described is None:
        if known is None:
            raise ValueError("inpainting needs a mask")
        return Mask(known)
    shapes = from_measurement(described, (measured_channels(described), *size))
    return build(described, shapes, load, device)


def resolve_parameters(request: Json, operator: AnyOperator, sigma_y: float, symmetry: str) -> Any:
    """Of RED-Diff: the preset of what the operator has done and the symmetry of the prior, under what the client gave;
    the paper's mode has its own defaults in place of presets. Solvers that sample, and particles, are told how many are
    wanted; a mixture, how many denoisers it has.
    """
    given: dict[str, Any] = {key: value for key, value in request["params"].items() if value is not None}
    parameters = SOLVERS[request["solver"]].parameters
    if request["solver"] in DENOISERS:
        of_prior = {"symmetry": symmetry} if given["mode"] == "fast" else {}
        further = given.pop("components")
        return parameters(**(of_prior | given), components=1 + len(further) if further else None)
    if request["solver"] != "red_diff":
        return parameters(**given, num_samples=max(1, request["num_samples"]))
    if given["mode"] == "paper":
        return parameters(**given)
    if given["mode"] == "particles" and request["num_samples"]:
        given = {"particles": max(LEAST_MEMBERS, request["num_samples"])} | given
    chosen = preset(request["task"], request["preset"], sigma_y, operator)
    return dataclasses.replace(chosen, **({"symmetry": symmetry} | given))


def resolve_ensemble(request: Json, operator: AnyOperator, prior: PriorFacts) -> UncertaintySettings | None:
    """None where neither uncertainty nor samples were asked for, and where the solver has its own."""
    uncertainty, samples = request["uncertainty"], request["num_samples"]
    has_its_own = request["solver"] != "red_diff" or request["params"]["mode"] == "particles"
    if request["solver"] in DENOISERS or (uncertainty is None and (has_its_own or not samples)):
        return None
    members = max(LEAST_MEMBERS, samples, uncertainty["samples"] if uncertainty else 0)
    task = nearest_task(request["task"], operator)
    return UncertaintySettings(task, samples=members, calibration=prior.calibrations.get(task, Calibration()))


def sigma01_of(noise: Json) -> float:
    """The level of a wire `NoiseLevel` on the [0, 1] scale."""
    return noise["sigma"] if noise["sigma"] is not None else noise["sigma_255"] / 255


def rounding01(rgb01: np.ndarray, bits: int | None) -> float:
    """Standard deviation of the rounding to `bits`, or to the fewest of `DEPTHS` that hold the values; else 0.

    Values that were saved with 8 bits and sent with more, or as floating point, are as coarse as before.
    """
    fewer = [depth for depth in DEPTHS if bits is None or depth < bits]
    depth = next((depth for depth in fewer if is_whole(rgb01, 2**depth - 1)), bits)
    return 0.0 if depth is None else 1 / (2**depth - 1) / math.sqrt(12)


def is_whole(rgb01: np.ndarray, top: int) -> bool:
    """Whether all values of (H, W, 3) are whole multiples of 1 / top, to single precision."""
    tolerance = 2 * np.finfo(np.float32).eps * top
    scaled = (np.float64(top) * row for row in rgb01)  # of a large picture a row at a time, and none after the first
    return all((np.abs(row - np.rint(row)) <= tolerance).all() for row in scaled)


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

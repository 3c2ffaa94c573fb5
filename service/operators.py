"""From the operators of the wire to those of the solvers.

Runs in workers: what `service.operands` has checked and stored is built here. Knows torch.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from api_schemas.operators import mask_words, parts_of
from service import imaging
from service.arrays import npy_array
from service.queue.base import Json
from service.shapes import GAUSSIAN_REACH, Shape
from solvers.operators import holes, kernels
from solvers.operators.base import AnyOperator, is_linear
from solvers.operators.blur import Blur
from solvers.operators.chain import Chain
from solvers.operators.clip import Clip
from solvers.operators.composition import Composition
from solvers.operators.downsample import Downsample
from solvers.operators.gamma import Gamma
from solvers.operators.grey import Grey
from solvers.operators.identity import Identity
from solvers.operators.jpeg import Jpeg
from solvers.operators.mask import Mask
from solvers.operators.matrix import Matrix
from solvers.operators.phase import PhaseRetrieval
from solvers.operators.quantise import Quantise

Load = Callable[[str], bytes]
"""The stored input of a SHA-256."""
STORED = imaging.ImageLimits(max_bytes=2**62, max_pixels=2**31, min_side=1)
"""Of pictures that were checked when they were stored."""
OF_NUMBERS: dict[str, Callable[[Shape, Json], AnyOperator]] = {
    "identity": lambda shape, part: Identity(shape),
    "grey": lambda shape, part: Grey(shape),
    "clip": lambda shape, part: Clip(shape, part["gain"]),
    "jpeg": lambda shape, part: Jpeg(shape, part["quality"], part["subsampling"]),
    "quantise": lambda shape, part: Quantise(shape, part["bits"]),
    "gamma": lambda shape, part: Gamma(shape, part["gamma"]),
    "phase": lambda shape, part: PhaseRetrieval(shape, part["oversampling"]),
}
"""Kinds that a few numbers decide."""


def build(operator: Json, shapes: list[Shape], load: Load, device: torch.device) -> AnyOperator:
    """The operator of a resolved request. shapes: before, between and after its parts. Raises OperatorError."""
    parts = [part for _, part in parts_of(operator)]
    built = [build_part(part, *around, load, device) for part, around in zip(parts, pairwise(shapes), strict=True)]
    if len(built) == 1:
        return built[0]
    return Composition(tuple(built)) if all(map(is_linear, built)) else Chain(tuple(built))


def build_part(part: Json, shape: Shape, following: Shape, load: Load, device: torch.device) -> AnyOperator:
    """shape: what it acts on; following: what it gives."""
    match part["kind"]:
        case "mask":
            return Mask(observed(part, shape, load).to(device), shape[0])
        case "downsample":
            kernel, scale = part["kernel"], part["scale"]
            return Downsample(shape, scale, kernel if isinstance(kernel, str) else build_kernel(kernel, load, scale))
        case "blur":
            return Blur(shape, build_kernel(part["kernel"], load), part["boundary"])
        case "matrix":
            matrix = torch.from_numpy(npy_array(load(part["sha256"]))).to(device)
            if part.get("sparse"):
                matrix = from_entries(matrix, shape, following)
            return Matrix(matrix, shape, following)
        case kind:
            return OF_NUMBERS[kind](shape, part)


def from_entries(entries: Tensor, shape: Shape, following: Shape) -> Tensor:
    """The sparse matrix of (k, 3) entries, row, column and value, that maps every plane of `shape` to `following`."""
    size = math.prod(following[1:]), math.prod(shape[1:])
    index, values = entries[:, :2].T.long(), entries[:, 2]
    return torch.sparse_coo_tensor(index, values, size, check_invariants=True).coalesce()


def observed(part: Json, shape: Shape, load: Load) -> Tensor:
    """(H, W) bool, True where a mask leaves a pixel known."""
    _, height, width = shape
    if part["mask"] is not None:
        mask = load(part["mask"]["sha256"])
        return torch.from_numpy(imaging.observed_at(mask, width, height, limits=STORED, **mask_words(part)))
    pattern = part["pattern"]
    match pattern["kind"]:
        case "random":
            return holes.random_pixels(height, width, pattern["missing"], pattern["seed"])
        case "free_form":
            return holes.free_form(height, width, pattern["missing"], pattern["seed"])
        case "box":
            return holes.box(height, width, pattern["height"], pattern["width"], pattern["top"], pattern["left"])
        case _:
            return ~torch.from_numpy(imaging.lettering(width, height, pattern["text"], pattern["size"]).copy())


def build_kernel(kernel: Json, load: Load, scale: int = 1) -> Tensor:
    """(h, w) float64. scale: of the decimation after it; a Gaussian has the side that keeps pictures in place."""
    match kernel["kind"]:
        case "gaussian":
            return kernels.gaussian(kernel["width"], 2 * int(np.ceil(GAUSSIAN_REACH * kernel["width"])) + scale % 2)
        case "motion":
            return kernels.line(kernel["length"], kernel["angle"])
        case "path":
            return kernels.motion(kernel["size"], kernel["intensity"], kernel["seed"])
        case "disk":
            return kernels.disk(kernel["radius"])
        case "box":
            return kernels.box(kernel["size"])
        case _:
            return kernels.normalised(torch.from_numpy(imaging.kernel_picture(load(kernel["sha256"]), STORED)))

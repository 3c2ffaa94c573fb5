"""An operator applied to a picture, without any solver: task `apply`."""

import numpy as np
import torch

from service.formulate import sigma01_of, to_image_range, to_solver_range
from service.operators import Load, build
from service.queue.base import Json
from service.shapes import from_image, from_measurement, measured_channels
from solvers.noise import NoiseStream
from solvers.operators.base import OperatorError


@torch.no_grad()
def apply(request: Json, rgb01: np.ndarray, load: Load, device: torch.device) -> np.ndarray:
    """(H, W, C) float32 on the [0, 1] scale, not clipped: what the operator makes of (h, w, 3), with its noise.

    On the [-1, 1] scale, as everywhere below the wire: the adjoint is that of the operator there. Raises OperatorError.
    """
    described, x = request["operator"], to_solver_range(rgb01, device)
    if request["direction"] == "forward":
        operator = build(described, from_image(described, tuple(x.shape[1:])), load, device)
        y = operator.forward(x)
    else:
        x = x[:, : measured_channels(described)]
        operator = build(described, from_measurement(described, tuple(x.shape[1:])), load, device)
        y = operator.adjoint(x) if request["direction"] == "adjoint" else operator.pseudoinverse(x)
    if not y.isfinite().all():
        raise OperatorError("what it gives is not finite")
    sigma = 2 * sigma01_of(request["noise"])
    return to_image_range(y + sigma * NoiseStream(request["seed"]).normal(0, like=y) if sigma else y)

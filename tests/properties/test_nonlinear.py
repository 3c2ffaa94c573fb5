"""What every non-linear operator of the registry promises (algorithms.md 10.8h). A new one adds its examples below."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from solvers.operators.base import Nonlinear, data_gradient, first_image, is_linear
from solvers.operators.chain import Chain
from solvers.operators.clip import Clip
from solvers.operators.downsample import Downsample
from solvers.operators.gamma import Gamma
from solvers.operators.jpeg import Jpeg
from solvers.operators.mask import Mask
from solvers.operators.nonlinear import NONLINEAR
from solvers.operators.phase import PhaseRetrieval
from solvers.operators.quantise import Quantise

HALF = Downsample((3, 18, 26), 2)
KNOWN = Mask(torch.rand(7, 5, generator=torch.Generator().manual_seed(3)) < 0.7, 1)
EXAMPLES: dict[str, list[Nonlinear]] = {
    "clip": [Clip((3, 5, 8)), Clip((1, 7, 1), gain=0.7)],
    "jpeg": [Jpeg((3, 13, 22), 50), Jpeg((3, 11, 17), 80, "4:4:4"), Jpeg((1, 9, 7), 30)],
    "quantise": [Quantise((3, 5, 8), 3), Quantise((1, 7, 4), 1), Quantise((1, 3, 5), 8)],
    "gamma": [Gamma((3, 5, 8), 2.2), Gamma((1, 7, 5), 1 / 2.2)],
    "phase_retrieval": [PhaseRetrieval((3, 9, 14)), PhaseRetrieval((1, 7, 11), 4.0)],
    "chain": [
        Chain((HALF, Gamma((3, 9, 13), 1.5))),
        Chain((Gamma((3, 6, 5), 0.6), Clip((3, 6, 5), 1.5))),
        Chain((HALF, Jpeg((3, 9, 13), 60))),
        Chain((Quantise((1, 7, 5), 4), KNOWN)),
    ],
}
CASES = [pytest.param(op, id=f"{name}{i}") for name, ops in EXAMPLES.items() for i, op in enumerate(ops)]
every_operator = pytest.mark.parametrize("operator", CASES)
SMOOTH = [case for case in CASES if case.id.rstrip("0123456789") in ("clip", "gamma", "phase_retrieval")] + [
    case for case in CASES if case.id in ("chain0", "chain1")
]


def picture(operator: Nonlinear, rows: int = 2, dtype: torch.dtype = torch.float64, noise: float = 0.1) -> Tensor:
    """Waves with a little noise, most of it within [-1, 1]."""
    channels, height, width = operator.input_shape
    rng = torch.Generator().manual_seed(5)
    phase = torch.rand(rows, channels, 1, 1, generator=rng, dtype=torch.float64) * 6
    waves = torch.sin(phase + torch.arange(height)[:, None] / 3 + torch.arange(width) / 5) * 0.8
    return (waves + noise * torch.randn(waves.shape, generator=rng, dtype=torch.float64)).to(dtype)


def normal(shape: tuple[int, ...], rows: int = 2, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(rows, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def problem(operator: Nonlinear, rows: int = 2, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A measurement and a picture that does not fit it."""
    x = picture(operator, rows, dtype)
    return operator.forward(x), x + 0.3 * normal(operator.input_shape, rows, dtype)


def objective(operator: Nonlinear, x: Tensor, y: Tensor, v: Tensor, rho: float) -> Tensor:
    """Of each row."""
    return 0.5 * (operator.forward(x) - y).square().sum((1, 2, 3)) + 0.5 * rho * (x - v).square().sum((1, 2, 3))


def directly(operator: Nonlinear, x: np.ndarray) -> np.ndarray:
    """f of one image (C, H, W), without torch."""
    match operator:
        case Clip():
            return np.minimum(np.maximum(operator.gain * x, -1), 1)
        case Quantise():
            levels = np.linspace(-1, 1, 2**operator.bits)
            return levels[np.abs(x[..., None] - levels).argmin(-1)]
        case Gamma():
            return 2 * ((np.clip(x, -1, 1) + 1) / 2) ** operator.gamma - 1
        case PhaseRetrieval():
            pads = [(0, 0)] + [(int(operator.oversampling * n / 8),) * 2 for n in x.shape[1:]]
            z = np.fft.fft2(np.pad(x, pads), axes=(1, 2))
            return np.abs(np.fft.fftshift(z, axes=(1, 2))) / np.sqrt(z[0].size)
        case Jpeg():
            pixels = np.rint((np.clip(x, -1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
            file = io.BytesIO()
            image = Image.fromarray(pixels if len(x) == 3 else pixels[..., 0])
            image.save(file, "JPEG", quality=operator.quality, subsampling=operator.subsampling)
            decoded = np.asarray(Image.open(file), dtype=float).reshape(pixels.shape)
            return decoded.transpose(2, 0, 1) / 127.5 - 1
        case Chain():
            for part in operator.operators:
                x = part.forward(torch.from_numpy(x)[None])[0].numpy() if is_linear(part) else directly(part, x)
            return x


def test_every_operator_has_examples_of_its_own_kind():
    assert EXAMPLES.keys() == NONLINEAR.keys()
    assert all(isinstance(op, NONLINEAR[name]) and not is_linear(op) for name, ops in EXAMPLES.items() for op in ops)


@every_operator
def test_forward_is_its_definition(operator):
    x = picture(operator).clamp(-1, 1)
    expected = np.stack([directly(operator, row) for row in x.numpy()])
    error = np.abs(operator.forward(x).numpy() - expected)
    jpeg = any(isinstance(part, Jpeg) for part in getattr(operator, "operators", (operator,)))
    assert error.max() < (2.5 / 127.5 if jpeg else 1e-12)  # two bytes; see `test_jpeg.py` for how often


@every_operator
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_shapes_and_types(operator, dtype):
    (y, v), r = problem(operator, dtype=dtype), normal(operator.output_shape, dtype=dtype)
    images = [operator.pull_back(v, r), operator.start(y), operator.prox(y, v, 0.1), data_gradient(operator, v, r)]
    assert y.dtype == dtype and y.shape[1:] == operator.output_shape
    assert all(x.dtype == dtype and x.shape == v.shape for x in images)
    assert first_image(operator, y).data_ptr() != y.data_ptr()


@pytest.mark.parametrize("operator", SMOOTH)
def test_pull_back_is_the_gradient(operator):
    """Central differences of the data term, in directions that go with no value across a kink."""
    (y, x), h = problem(operator), 1e-6
    gradient = operator.pull_back(x, operator.forward(x) - y)
    for seed in range(3):
        d = normal(operator.input_shape, seed=seed + 7)
        slope = (objective(operator, x + h * d, y, x, 0) - objective(operator, x - h * d, y, x, 0)) / (2 * h)
        assert torch.allclose((gradient * d).sum((1, 2, 3)), slope, rtol=1e-6, atol=1e-7)


@every_operator
def test_pull_back_is_linear(operator):
    x, r, s = picture(operator), normal(operator.output_shape), normal(operator.output_shape, seed=1)
    together = operator.pull_back(x, 2 * r - 3 * s)
    assert torch.allclose(together, 2 * operator.pull_back(x, r) - 3 * operator.pull_back(x, s), atol=1e-12)


@every_operator
def test_calls_repeat(operator):
    y, v = problem(operator)
    for call in (lambda: operator.forward(v), lambda: operator.start(y), lambda: operator.prox(y, v, 0.1)):
        assert torch.equal(call(), call())


@every_operator
def test_rows_do_not_meet(operator):
    y, v = problem(operator, rows=3)
    v[1] = 5 * v[1]  # a row that takes other steps than its neighbours
    for call in (
        lambda r: operator.forward(v[r]),
        lambda r: operator.pull_back(v[r], y[r]),
        lambda r: operator.start(y[r]),
        lambda r: operator.prox(y[r], v[r], 0.3),
    ):
        together = call(slice(None))
        alone = torch.cat([call(slice(i, i + 1)) for i in range(3)])
        assert torch.allclose(together, alone, atol=1e-9)


@every_operator
def test_nothing_is_changed_in_place(operator):
    y, v = problem(operator)
    before = y.clone(), v.clone()
    operator.forward(v), operator.pull_back(v, y), operator.start(y).zero_(), operator.prox(y, v, 0.1).zero_()
    assert torch.equal(y, before[0])
    assert torch.equal(v, before[1])


@every_operator
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("rho", [1e-3, 0.1, 3.0, 100.0])
def test_prox_never_rises(operator, rho, dtype):
    y, v = problem(operator, dtype=dtype)
    before, after = (objective(operator, x, y, v, rho) for x in (v, operator.prox(y, v, rho)))
    assert (after <= before * (1 + 1e-6)).all()
    assert rho > 1 or (after <= 0.7 * before).all()


@every_operator
def test_prox_between_its_limits(operator):
    y, v = problem(operator)
    assert torch.allclose(operator.prox(y, v, 1e12), v, atol=1e-9)
    fitting = picture(operator)
    assert torch.allclose(operator.prox(y, fitting, 0.1), fitting, atol=1e-12)


@pytest.mark.parametrize("operator", SMOOTH)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-3), (torch.float32, 2e-3)])
@pytest.mark.parametrize("rho", [0.1, 1.0])
def test_prox_is_stationary(operator, rho, dtype, tolerance):
    y, v = problem(operator, dtype=dtype)
    x = operator.prox(y, v, rho)
    inside = operator.pull_back(x, torch.ones_like(y)) != 0  # at the edge of a cut there is a kink, not a slope
    gradient = (operator.pull_back(x, operator.forward(x) - y) + rho * (x - v)) * inside
    at_v = operator.pull_back(v, operator.forward(v) - y)
    assert gradient.norm() < tolerance * at_v.norm()


@every_operator
def test_a_simple_prior_and_the_prox_fit_the_measurement(operator):
    """Posterior mode under N(0, 1), by turns."""
    y, x = problem(operator)
    residuals = [(operator.forward(x) - y).norm()]
    for _ in range(6):
        x = operator.prox(y, x / (1 + 0.02), 0.02)
        residuals.append((operator.forward(x) - y).norm())
    assert residuals[-1] < 0.5 * residuals[0]

"""What every operator of the registry promises (algorithms.md 10.8). A new operator adds its examples below."""

import pytest
import torch
from torch import Tensor

from solvers.operators import OPERATORS, Blur, Composition, Downsample, Grey, Identity, Mask, Matrix, Operator, kernels
from solvers.operators.borders import BOUNDARIES

SEED = torch.Generator().manual_seed(11)


def mild(height: int, width: int) -> Tensor:
    """A kernel without symmetry, of sum 1 and partly negative, that no pattern of the picture gets lost in."""
    kernel = torch.rand(height, width, generator=SEED, dtype=torch.float64) - 0.3
    kernel *= 0.4 / kernel.abs().sum()
    kernel[height // 2, width // 2] += 1 - kernel.sum()
    return kernel


def gaussian_matrix(m: int, n: int) -> Tensor:
    return torch.randn(m, n, generator=SEED, dtype=torch.float64)


SYMMETRIC = torch.tensor([[0.02, 0.05, 0.02], [0.06, 0.7, 0.06], [0.02, 0.05, 0.02]], dtype=torch.float64)
TAPS = torch.tensor([0.1, 0.3, 0.5, 0.1], dtype=torch.float64)
EXAMPLES: dict[str, list[Operator]] = {
    "identity": [Identity((3, 5, 8)), Identity((1, 1, 1))],
    "mask": [Mask(torch.rand(7, 10, generator=SEED) < 0.6, 3), Mask(torch.rand(9, 4, generator=SEED) < 0.1, 1)],
    "downsample": [
        *(
            Downsample((channels, height * scale, width * scale), scale, kernel)
            for kernel in ("box", "bicubic")
            for scale in (2, 3, 4, 8)
            for channels, height, width in ((3, 5, 4), (1, 1, 7))
        ),
        Downsample((3, 9, 6), 3, kernels.gaussian(1.0, 5), damping=0.0),
        Downsample((1, 8, 12), 4, TAPS, damping=0.0),
        Downsample((3, 6, 8), 2, mild(3, 4), damping=0.0),
        Downsample((1, 16, 24), 8, kernels.motion(11, 0.5, 2), damping=0.0),
        Downsample((1, 10, 8), 2, kernels.disk(2.2)),
    ],
    "blur": [
        *(Blur((3, 7, 6), mild(3, 4), boundary, damping=0.0) for boundary in BOUNDARIES),
        *(Blur((1, 4, 9), mild(8, 11), boundary, damping=0.0) for boundary in BOUNDARIES),  # more than the picture
        *(Blur((1, 5, 8), SYMMETRIC, boundary, damping=0.0) for boundary in BOUNDARIES),
        *(Blur((1, 8, 7), kernels.motion(9, 0.5, 1), boundary) for boundary in BOUNDARIES),
        *(Blur((3, 9, 8), kernels.gaussian(1.2), boundary) for boundary in BOUNDARIES),
    ],
    "grey": [Grey((3, 5, 4)), Grey((3, 1, 1))],
    "matrix": [
        Matrix(gaussian_matrix(20, 60), (3, 4, 5), damping=0.0),
        Matrix(gaussian_matrix(70, 24), (3, 2, 4), (7, 2, 5), damping=0.0),
        Matrix(gaussian_matrix(9, 20), (3, 4, 5), (3, 3, 3), damping=0.0),  # each channel alone
        Matrix(gaussian_matrix(9, 20), (1, 4, 5)),
        Matrix((gaussian_matrix(16, 36) * (torch.rand(16, 36, generator=SEED) < 0.2)).to_sparse_coo(), (1, 6, 6)),
        Matrix(torch.eye(12, dtype=torch.float64)[[1, 5, 6, 2]].mul(2).to_sparse_csr(), (3, 4, 3), damping=0.0),
    ],
    "composition": [
        Composition((Blur((3, 8, 6), mild(5, 3)), Downsample((3, 8, 6), 2)), damping=0.0),
        Composition((Grey((3, 5, 6)), Mask(torch.rand(5, 6, generator=SEED) < 0.5, 1)), damping=0.0),
        Composition((Identity((1, 4, 5)),), damping=0.0),
        Composition((Downsample((3, 8, 8), 2, "box"), Grey((3, 4, 4)), Blur((1, 4, 4), mild(3, 3), "circular"))),
        Composition((Blur((1, 7, 9), kernels.line(4, 30)), Mask(torch.rand(7, 9, generator=SEED) < 0.7, 1))),
    ],
}


def damping(operator: Operator) -> float:
    """0 for those that promise the Moore-Penrose inverse."""
    return getattr(operator, "damping", 0.0)


CASES = [pytest.param(op, id=f"{name}{i}") for name, ops in EXAMPLES.items() for i, op in enumerate(ops)]
every_operator = pytest.mark.parametrize("operator", CASES)
every_exact_operator = pytest.mark.parametrize("operator", [c for c in CASES if not damping(c.values[0])])
every_damped_operator = pytest.mark.parametrize("operator", [c for c in CASES if damping(c.values[0])])


def normal(shape: tuple[int, ...], rows: int = 2, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(rows, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def test_every_operator_has_examples_of_its_own_kind():
    assert EXAMPLES.keys() == OPERATORS.keys()
    assert all(isinstance(op, OPERATORS[name]) for name, ops in EXAMPLES.items() for op in ops)


@every_operator
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_adjoint(operator, dtype, tolerance):
    x, y = normal(operator.input_shape, dtype=dtype), normal(operator.output_shape, dtype=dtype, seed=1)
    forward, backward = operator.forward(x), operator.adjoint(y)
    assert forward.dtype == backward.dtype == dtype
    assert (forward.shape, backward.shape) == (y.shape, x.shape)
    scale = x.flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)
    assert ((inner(forward, y) - inner(x, backward)).abs() <= tolerance * scale).all()


@every_operator
def test_linearity(operator):
    a, b = normal(operator.input_shape), normal(operator.input_shape, seed=1)
    combined = operator.forward(2 * a - 3 * b)
    assert torch.allclose(combined, 2 * operator.forward(a) - 3 * operator.forward(b), atol=1e-12)


@every_operator
def test_rows_do_not_meet(operator):
    x, y = normal(operator.input_shape, rows=3), normal(operator.output_shape, rows=3, seed=1)
    for call in (
        lambda r: operator.forward(x[r]),
        lambda r: operator.adjoint(y[r]),
        lambda r: operator.pseudoinverse(y[r]),
        lambda r: operator.prox(y[r], x[r], 0.3),
    ):
        together = call(slice(None))
        alone = torch.cat([call(slice(i, i + 1)) for i in range(3)])
        assert torch.allclose(together, alone, atol=1e-13)


@every_exact_operator
def test_moore_penrose(operator):
    x, y = normal(operator.input_shape), normal(operator.output_shape, seed=1)
    forward, inverse = operator.forward, operator.pseudoinverse
    assert torch.allclose(forward(inverse(forward(x))), forward(x), atol=1e-10)
    assert torch.allclose(inverse(forward(inverse(y))), inverse(y), atol=1e-10)
    # both projections are symmetric, which tells the Moore-Penrose inverse from any other
    u, w = normal(operator.input_shape, seed=2), normal(operator.output_shape, seed=3)
    assert torch.allclose(inner(inverse(forward(x)), u), inner(x, inverse(forward(u))), atol=1e-10)
    assert torch.allclose(inner(forward(inverse(y)), w), inner(y, forward(inverse(w))), atol=1e-10)


@every_damped_operator
def test_damped_inverse(operator):
    """(H^T H + rho) x = H^T y with one rho for every y, whose root is the damping times the norm, roughly."""
    y = normal(operator.output_shape, rows=3)
    x = operator.pseudoinverse(y)
    slope = operator.adjoint(y - operator.forward(x))  # rho x
    rho = inner(slope, x) / inner(x, x)
    assert torch.allclose(slope, rho.mean() * x, atol=1e-10)
    assert 0.7 < rho.mean().sqrt() / (damping(operator) * operator.norm) < 1.3
    assert (x.flatten(1).norm(dim=1) <= y.flatten(1).norm(dim=1) / (2 * rho.sqrt())).all()


@every_operator
def test_norm_is_the_largest_singular_value(operator):
    count = torch.tensor(operator.input_shape).prod().item()
    basis = torch.eye(count, dtype=torch.float64).reshape(count, *operator.input_shape)
    matrix = operator.forward(basis).reshape(count, -1).T
    assert operator.norm == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)), rel=1e-10)


@every_operator
@pytest.mark.parametrize("rho", [1e-3, 0.1, 3.0])
def test_prox_is_stationary(operator, rho):
    y, v = normal(operator.output_shape), normal(operator.input_shape, seed=1)
    x = operator.prox(y, v, rho)
    gradient = operator.adjoint(operator.forward(x) - y) + rho * (x - v)
    assert gradient.abs().max() < 1e-10


@every_operator
def test_prox_in_single_precision(operator):
    y, v = normal(operator.output_shape, dtype=torch.float32), normal(operator.input_shape, dtype=torch.float32, seed=1)
    exact = operator.prox(y.double(), v.double(), 1e-3)
    assert operator.prox(y, v, 1e-3).dtype == torch.float32
    assert (operator.prox(y, v, 1e-3) - exact).abs().max() < 1e-4 * exact.abs().max()


@every_operator
def test_prox_of_a_heavy_prior(operator):
    y, v = normal(operator.output_shape), normal(operator.input_shape, seed=1)
    assert torch.allclose(operator.prox(y, v, 1e12), v, atol=1e-9)


@every_exact_operator
def test_prox_of_a_light_prior(operator):
    y, v = normal(operator.output_shape), normal(operator.input_shape, seed=1)
    # rho -> 0: the point nearest to v among those that fit best, v + H^+ (y - H v)
    nearest = v + operator.pseudoinverse(y - operator.forward(v))
    assert torch.allclose(operator.prox(y, v, 1e-12), nearest, atol=1e-7)


def keeps_constants(operator: Operator) -> bool:
    """Beyond zero borders it is dark, and a matrix may do anything."""
    if isinstance(operator, Composition):
        return all(keeps_constants(part) and not isinstance(part, Mask) for part in operator.operators)
    return not isinstance(operator, Matrix) and getattr(operator, "boundary", None) != "zero"


@pytest.mark.parametrize("operator", [case for case in CASES if keeps_constants(case.values[0])])
def test_a_constant_picture_gives_a_constant_measurement(operator):
    measured = operator.forward(torch.ones(1, *operator.input_shape, dtype=torch.float64))
    if isinstance(operator, Mask):
        measured = measured[..., operator.observed]
    assert torch.allclose(measured, torch.ones_like(measured), atol=1e-14)


@every_operator
def test_nothing_is_changed_in_place(operator):
    x, y = normal(operator.input_shape), normal(operator.output_shape, seed=1)
    before = x.clone(), y.clone()
    operator.forward(x), operator.adjoint(y), operator.pseudoinverse(y), operator.prox(y, x, 0.1)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


@pytest.mark.parametrize(
    ("operator", "ratio"),
    [
        (Identity((3, 8, 8)), 1),
        (Mask(torch.eye(8, dtype=torch.bool), 3), 1),
        (Downsample((3, 16, 16), 4), 1 / 16),
        (Downsample((3, 16, 16), 8, "box"), 1 / 64),
        (Blur((3, 8, 8), SYMMETRIC), 1),
        (Grey((3, 8, 8)), 1 / 3),
        (Matrix(torch.ones(16, 64), (3, 8, 8)), 1 / 4),
        (Composition((Downsample((3, 8, 8), 2), Grey((3, 4, 4)))), 1 / 12),
    ],
)
def test_measured_values_a_pixel(operator, ratio):
    """m / n of algorithms.md 1.3, which converts the paper's lambda."""
    measured, pixels = (torch.tensor(shape).prod().item() for shape in (operator.output_shape, operator.input_shape))
    assert measured / pixels == ratio

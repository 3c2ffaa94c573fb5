"""Shapes of kernels."""

import math

import pytest
import torch

from solvers.operators import kernels
from solvers.operators.base import OperatorError
from solvers.operators.convolution import is_symmetric

EVERY = {
    "gaussian": kernels.gaussian(3.0, 61),
    "narrow gaussian": kernels.gaussian(0.05),
    "even gaussian": kernels.gaussian(1.2, 6),
    "box": kernels.box(4),
    "disk": kernels.disk(3.7),
    "point": kernels.disk(0.2),
    "line": kernels.line(9.5, 33),
    "short line": kernels.line(0.3, 33),
    "motion": kernels.motion(61, 0.5, 0),
    "straight motion": kernels.motion(15, 0.0, 1),
    "small motion": kernels.motion(1, 1.0, 2),
    "even motion": kernels.motion(8, 1.0, 3),
}


@pytest.mark.parametrize("kernel", EVERY.values(), ids=EVERY)
def test_every_kernel_is_a_mean(kernel):
    assert kernel.ndim == 2
    assert kernel.dtype == torch.float64
    assert (kernel >= 0).all()
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-14)


def moments(kernel: torch.Tensor) -> tuple[float, float, float, float]:
    """Mean row and column from the middle, and their variances."""
    height, width = kernel.shape
    rows = torch.arange(height, dtype=torch.float64) - height // 2
    columns = torch.arange(width, dtype=torch.float64) - width // 2
    down, right = float(kernel.sum(1) @ rows), float(kernel.sum(0) @ columns)
    return down, right, float(kernel.sum(1) @ (rows - down) ** 2), float(kernel.sum(0) @ (columns - right) ** 2)


@pytest.mark.parametrize("width", [0.8, 1.6, 3.0])
def test_gaussian_has_its_width(width):
    kernel = kernels.gaussian(width)
    down, right, high, wide = moments(kernel)
    assert (down, right) == pytest.approx((0, 0), abs=1e-14)
    assert (high**0.5, wide**0.5) == pytest.approx((width, width), rel=2e-3)
    middle = kernel.shape[0] // 2
    assert float(kernel[middle, middle + 1] / kernel[middle, middle]) == pytest.approx(math.exp(-0.5 / width**2))
    assert kernels.gaussian(width, 5).shape == (5, 5)


def test_box_is_flat():
    assert torch.equal(kernels.box(4), torch.full((4, 4), 1 / 16, dtype=torch.float64))


@pytest.mark.parametrize("radius", [2.0, 3.7, 8.25])
def test_disk_is_flat_inside_and_has_the_area_of_a_disk(radius):
    kernel = kernels.disk(radius)
    area = 1 / float(kernel.max())
    assert area == pytest.approx(math.pi * (radius**2 + 1 / 12), rel=0.03)  # the integral of its profile
    assert is_symmetric(kernel)
    assert kernel.shape[0] == 2 * math.ceil(radius) + 1


def test_line_along_the_axes():
    assert kernels.line(5, 0)[2].tolist() == pytest.approx([0.2] * 5)
    assert float(kernels.line(5, 0)[[0, 1, 3, 4]].sum()) == 0
    assert torch.allclose(kernels.line(5, 90), kernels.line(5, 0).T, atol=1e-15)
    assert kernels.line(4, 0)[2].tolist() == pytest.approx([0.125, 0.25, 0.25, 0.25, 0.125])
    assert kernels.line(0.5, 70).tolist() == [[1.0]]


@pytest.mark.parametrize("degrees", [10, 30, 45, 135])
def test_line_points_anticlockwise(degrees):
    kernel = kernels.line(21, degrees)
    rows = torch.arange(len(kernel), dtype=torch.float64) - len(kernel) // 2
    down, right = rows[:, None], rows[None, :]
    up_right = float(-(kernel * down * right).sum())
    spread = float((kernel * (right**2 - down**2)).sum())
    assert math.degrees(math.atan2(2 * up_right, spread)) / 2 % 180 == pytest.approx(degrees, abs=0.5)
    assert torch.allclose(kernel, kernel.flip(0, 1), atol=1e-15)  # it stays in place


def test_motion_is_a_connected_path_about_the_middle():
    for seed in range(10):
        kernel = kernels.motion(31, 0.5, seed)
        assert kernel.shape == (31, 31)
        down, right, _, _ = moments(kernel)
        assert (down, right) == pytest.approx((0, 0), abs=1e-9)
        drawn = {(i, j) for i, j in kernel.nonzero().tolist()}
        edge = [next(iter(drawn))]
        while edge:
            i, j = edge.pop()
            if (i, j) in drawn:
                drawn.remove((i, j))
                edge += [(i + a, j + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        assert not drawn


def test_motion_depends_on_its_seed_alone():
    assert torch.equal(kernels.motion(25, 0.5, 7), kernels.motion(25, 0.5, 7))
    assert not torch.equal(kernels.motion(25, 0.5, 7), kernels.motion(25, 0.5, 8))


def test_motion_without_intensity_is_straight():
    for seed in range(5):
        kernel = kernels.motion(31, 0.0, seed)
        rows = torch.arange(31, dtype=torch.float64) - 15
        down, right = rows[:, None], rows[None, :]
        spread = torch.stack([(kernel * down * down).sum(), (kernel * down * right).sum(), (kernel * right**2).sum()])
        across, along = torch.linalg.eigvalsh(spread[[0, 1, 1, 2]].reshape(2, 2))
        assert across < 0.3  # a pixel's width
        assert (12 * along).sqrt() + 1 >= 31 / 2 and (12 * along).sqrt() <= 32  # a uniform line has length^2 / 12


def test_the_wilder_the_more_compact():
    """Length is spent on turns: the extent of the path falls with the intensity."""
    extent = [
        sum(sum(moments(kernels.motion(41, intensity, seed))[2:]) for seed in range(20)) for intensity in (0, 0.5, 1)
    ]
    assert extent[0] > extent[1] > extent[2]


def test_an_uploaded_kernel_is_scaled_to_sum_one():
    assert kernels.normalised(torch.tensor([[1, 3], [0, 4]])).tolist() == [[0.125, 0.375], [0, 0.5]]
    assert float(kernels.normalised(torch.full((3, 3), 1e308, dtype=torch.float64)).sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("weights", "why"),
    [
        (torch.tensor([[1.0, -0.1]]), "not negative"),
        (torch.tensor([[1.0, torch.nan]]), "finite"),
        (torch.zeros(2, 2), "zero"),
        (torch.ones(4), "h, w"),
        (torch.ones(0, 4), "h, w"),
    ],
)
def test_what_is_not_a_kernel(weights, why):
    with pytest.raises(OperatorError, match=why):
        kernels.normalised(weights)


@pytest.mark.parametrize(
    "make",
    [
        lambda: kernels.gaussian(0),
        lambda: kernels.gaussian(math.nan),
        lambda: kernels.gaussian(1, 0),
        lambda: kernels.box(0),
        lambda: kernels.disk(-1),
        lambda: kernels.line(math.inf, 0),
        lambda: kernels.line(3, math.inf),
        lambda: kernels.motion(0),
        lambda: kernels.motion(9, 1.5),
    ],
)
def test_measures_out_of_range(make):
    with pytest.raises(OperatorError):
        make()

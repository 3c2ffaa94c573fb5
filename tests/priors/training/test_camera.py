"""What denoisers of photographs are trained on: noise that is correlated, of a sensor, and compressed."""

import math

import pytest
import torch
from torch import Tensor

from priors.training import camera, sensor
from priors.training.camera import brightness, correlated, jpeg, photographs, sensed, sharpened, softened


def draws(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def picture(rows: int, side: int = 64) -> Tensor:
    """Smooth, and off the ends of the range."""
    waves = torch.sin(torch.arange(side) / 9)
    return (0.5 * torch.outer(waves, waves)).expand(rows, 3, side, side).contiguous()


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_photograph_is_its_truth_with_noise_of_about_the_level(rows: int) -> None:
    sigma, clean = torch.linspace(0.05, 0.2, rows), picture(rows)
    noisy, truth, told = photographs(clean, sigma, torch.randn(clean.shape), draws(rows, camera.DRAWS))
    level = (noisy - truth).square().mean((1, 2, 3)).sqrt()
    assert noisy.abs().max() <= 1
    assert ((level / sigma - 1).abs() < 0.5).all()
    assert ((told / level).log().abs() < 4 * camera.TOLD).all()
    assert ((truth - clean).square().mean((1, 2, 3)).sqrt() < 0.03).all()  # softened, no more


def test_the_draws_and_the_noise_decide_all() -> None:
    clean, white = picture(4), torch.randn(4, 3, 64, 64)
    first, second = (photographs(clean, torch.full((4,), 0.1), white, draws(4, camera.DRAWS)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    other = photographs(clean, torch.full((4,), 0.1), white, draws(4, camera.DRAWS, seed=1))[0]
    assert not torch.equal(first[0], other)


def test_correlated_noise_has_deviation_one_and_the_correlation_of_a_gaussian() -> None:
    """Smoothing white noise by a Gaussian of deviation s leaves exp(-1 / 4 s^2) between neighbours."""
    chosen = torch.zeros(1, 11)
    chosen[:, 0], chosen[:, 2:4] = 10, -10  # in red, green and blue; nothing more in the colours, nothing white on top
    noise = correlated(torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)), chosen)
    assert float(noise.square().mean()) == pytest.approx(1, rel=1e-4)
    neighbours = float((noise * noise.roll(1, -1)).mean())
    assert neighbours == pytest.approx(math.exp(-1 / (4 * (0.5 * camera.BLUR) ** 2)), abs=0.02)


def test_noise_in_the_colours_is_smoother_and_another_strength() -> None:
    chosen = torch.zeros(1, 11)
    chosen[:, 0], chosen[:, 1], chosen[:, 2], chosen[:, 3], chosen[:, 7] = -10, -10, 10, -10, 1
    noise = correlated(torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)), chosen)
    grey, colour = noise.mean(1), noise[:, 0] - noise[:, 2]
    lags = [float((x * x.roll(1, -1)).mean() / x.square().mean()) for x in (grey, colour)]
    assert lags[0] == pytest.approx(0, abs=0.05)
    assert lags[1] == pytest.approx(math.exp(-1 / (4 * camera.COLOUR_BLUR**2)), abs=0.02)
    # of orthonormal axes: grey has a third of sqrt(3) squared, the difference of two colours twice one axis
    assert float(colour.square().mean() / 2 / (3 * grey.square().mean())) == pytest.approx(
        math.exp(2 * camera.COLOUR), rel=0.05
    )


def test_brightness_is_that_of_the_neighbourhood() -> None:
    flat = torch.tensor([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 3, 20, 28)
    expected = torch.tensor([0.1, 0.6, 1.1]).reshape(3, 1, 1, 1).expand(3, 1, 20, 28) / 0.6
    torch.testing.assert_close(brightness(flat), expected)


def test_a_sensor_without_noise_gives_a_flat_picture_back() -> None:
    """Through gamma, gains, matrix, mosaic and all the way back."""
    flat = torch.tensor([0.1, -0.2, 0.0]).reshape(1, 3, 1, 1).expand(16, 3, 16, 16)
    made = sensor.sensors(draws(16, sensor.DRAWS), 16, 16)
    torch.testing.assert_close(made.developed(made.light(flat)), flat, atol=2e-5, rtol=0)


def test_every_pixel_of_a_sensor_reads_one_colour_green_twice_as_often() -> None:
    sites = sensor.sensors(draws(32, sensor.DRAWS), 16, 16).sites
    assert torch.equal(sites.sum(1), torch.ones(32, 16, 16))
    assert torch.equal(sites.mean((2, 3)), torch.tensor([0.25, 0.5, 0.25]).expand(32, 3))
    assert len({tuple(row.flatten().tolist()) for row in sites[:, 0, :2, :2]}) == 4  # phases of the mosaic


def test_shot_noise_has_the_variance_of_the_light() -> None:
    made = sensor.sensors(draws(1, sensor.DRAWS), 16, 16)
    grey = made.light(torch.zeros(1, 3, 16, 16))
    noise = made.noise(4 * grey, torch.ones(1, 3, 16, 16))
    unmixed = grey * made.gains / 0.5**made.gamma  # 1, where the matrix leaves grey alone
    expected = (made.shot * 4 * unmixed + 1 - made.shot).sqrt().expand_as(noise)
    torch.testing.assert_close(noise, expected)


def test_a_developed_picture_is_softened_with_its_noise() -> None:
    clean = picture(2)
    chosen = draws(2, 2 + sensor.DRAWS)
    chosen[:, 0], chosen[:, 1] = torch.tensor([-10.0, 10.0]), -10
    white = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    chosen[1, 1:] = chosen[0, 1:]
    noisy, truth = sensed(clean, torch.full((2,), 0.1), white[:1].expand(2, -1, -1, -1), chosen)
    levels = (noisy - truth).square().mean((1, 2, 3)).sqrt()
    assert float(levels[0]) == pytest.approx(0.1, rel=0.2)
    assert levels[1] < 0.7 * levels[0]


def test_a_sharpened_picture_has_more_noise_of_the_finest_scale() -> None:
    """An unsharp mask of factor k raises the highest frequency 1 + k times, and leaves the mean."""
    checks = 0.3 + 0.1 * (torch.arange(32)[:, None] + torch.arange(32)).fmod(2).mul(2).sub(1).expand(2, 3, -1, -1)
    made = sharpened(checks, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(made[0], checks[0])
    torch.testing.assert_close(made[1], 0.3 + 2 * (checks[1] - 0.3), atol=1e-3, rtol=0)


def test_softening_keeps_the_mean_and_the_size() -> None:
    x = torch.full((1, 3, 17, 24), 0.3)
    torch.testing.assert_close(softened(x, torch.full((1, 3), 1.0)), x)


def test_a_jpeg_is_close_and_not_the_same() -> None:
    clean = picture(1)[0] + 0.05 * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    errors = [float((jpeg(clean, quality) - clean).square().mean().sqrt()) for quality in (80, 99)]
    assert 0.05 > errors[0] > errors[1] > 0.001

"""PSNR and SSIM against closed forms and scikit-image."""

import pytest
import torch

from solvers.metrics import psnr, ssim


def pair(seed: int = 0, size: tuple[int, int] = (40, 33)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    truth = torch.rand(2, 3, *size, generator=rng, dtype=torch.float64)
    return (truth + 0.1 * torch.randn(truth.shape, generator=rng, dtype=torch.float64)).clamp(0, 1), truth


def test_psnr_of_a_known_error():
    truth = torch.zeros(2, 3, 4, 5)
    x = torch.stack([torch.full((3, 4, 5), 0.1), torch.full((3, 4, 5), 0.01)])
    assert psnr(x, truth).tolist() == pytest.approx([20.0, 40.0])
    assert psnr(2 * x, 2 * truth, data_range=2).tolist() == pytest.approx([20.0, 40.0])


def test_ssim_of_equal_pictures_is_one():
    _, truth = pair()
    assert ssim(truth, truth).tolist() == pytest.approx([1.0, 1.0])


def test_ssim_of_two_flat_pictures():
    """Variances vanish: (2 a b + c1) / (a^2 + b^2 + c1)."""
    a, b = torch.full((1, 1, 20, 20), 0.25, dtype=torch.float64), torch.full((1, 1, 20, 20), 0.75, dtype=torch.float64)
    c1 = 0.01**2
    assert float(ssim(a, b)) == pytest.approx((2 * 0.25 * 0.75 + c1) / (0.25**2 + 0.75**2 + c1))


def test_ssim_against_the_definition_at_one_position():
    """A picture of the size of the window has one position: weighted moments written out."""
    x, truth = (z[:1, :1, :11, :11] for z in pair(3))
    d = torch.arange(11, dtype=torch.float64) - 5
    g = torch.exp(-(d[:, None] ** 2 + d[None, :] ** 2) / (2 * 1.5**2))
    g = g / g.sum()
    mx, my = (g * x).sum(), (g * truth).sum()
    vx, vy, cov = (g * (x - mx) ** 2).sum(), (g * (truth - my) ** 2).sum(), (g * (x - mx) * (truth - my)).sum()
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert float(ssim(x, truth)) == pytest.approx(float(expected), rel=1e-10)


def test_against_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    x, truth = pair(1)
    for row in range(2):
        a, b = x[row].permute(1, 2, 0).numpy(), truth[row].permute(1, 2, 0).numpy()
        assert float(psnr(x, truth)[row]) == pytest.approx(metrics.peak_signal_noise_ratio(b, a, data_range=1))
        expected = metrics.structural_similarity(
            a, b, data_range=1, channel_axis=-1, gaussian_weights=True, use_sample_covariance=False
        )
        assert float(ssim(x, truth)[row]) == pytest.approx(expected, rel=1e-6)


def test_a_picture_smaller_than_the_window_is_an_error():
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))

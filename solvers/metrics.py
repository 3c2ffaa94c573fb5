"""How close a restored picture is to the truth."""

import torch
from torch import Tensor
from torch.nn import functional


def psnr(x: Tensor, truth: Tensor, data_range: float = 1.0) -> Tensor:
    """Peak signal to noise ratio in dB over all channels and pixels of each row. (N, C, H, W) to (N,)."""
    error = (x - truth).square().flatten(1).mean(1)
    return 10 * torch.log10(data_range**2 / error)


def ssim(x: Tensor, truth: Tensor, data_range: float = 1.0, window: int = 11, width: float = 1.5) -> Tensor:
    """Structural similarity (Wang et al. 2004), mean over channels and pixels of each row. (N, C, H, W) to (N,).

    Gaussian window of standard deviation `width` in `window` x `window` pixels, constants 0.01 and 0.03, population
    variances, and only positions where the window lies inside the picture: scikit-image's result with
    `gaussian_weights=True, use_sample_covariance=False`. Raises ValueError for a picture smaller than the window.
    """
    if min(x.shape[-2:]) < window:
        raise ValueError(f"structural similarity needs at least {window} x {window} pixels, not {tuple(x.shape[-2:])}")
    mean_x, mean_y = _blur(x, window, width), _blur(truth, window, width)
    var_x = _blur(x * x, window, width) - mean_x**2
    var_y = _blur(truth * truth, window, width) - mean_y**2
    cov = _blur(x * truth, window, width) - mean_x * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.flatten(1).mean(1)


def _blur(x: Tensor, window: int, width: float) -> Tensor:
    """Separable Gaussian, valid part only: (N, C, H - window + 1, W - window + 1)."""
    distance = torch.arange(window, dtype=x.dtype, device=x.device) - (window - 1) / 2
    kernel = torch.exp(-0.5 * (distance / width) ** 2)
    kernel = kernel / kernel.sum()
    n, c, h, w = x.shape
    rows = functional.conv2d(x.reshape(n * c, 1, h, w), kernel.reshape(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.reshape(1, 1, 1, -1)).reshape(n, c, h - window + 1, w - window + 1)

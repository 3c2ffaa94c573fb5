"""A prior of smooth pictures whose answers are exact, and pictures of it."""

import numpy as np
import torch
from torch import Tensor

from priors.manifest import PriorInfo

FLOOR = 0.02
"""Deviation of the finest details on the [-1, 1] scale."""
COLOUR = 0.01
"""Variance of each colour difference, as a fraction of that of the brightness."""


class SmoothPrior:
    """A stationary Gaussian on a torus. Every tile of its own is taken for one: made for pictures of one tile."""

    def __init__(self, name: str = "smooth", deviation: float = 0.3):
        self.deviation = deviation
        self.info = PriorInfo(name=name, sigma_min=0.004, sigma_max=0.8)

    def shape(self, height: int, width: int) -> Tensor:
        """(h, w) variance of each frequency, of mean `deviation`^2, without the floor."""
        fy, fx = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)
        shape = torch.exp(-(fy**2 + fx**2) / (2 * 0.008**2))
        return self.deviation**2 * shape / shape.mean()

    def gains(self, height: int, width: int, noise: Tensor) -> tuple[Tensor, Tensor]:
        """What noise of this variance leaves of the brightness and of a colour difference, by frequency."""
        brightness = 3 * (self.shape(height, width) + FLOOR**2)  # of (r + g + b) / sqrt(3)
        return brightness / (brightness + noise), COLOUR * brightness / (COLOUR * brightness + noise)

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        noise = sigma.square() if sigma.ndim == 1 else sigma.square().mean((1, 2, 3))
        brightness, colour = self.gains(*x.shape[-2:], noise.reshape(-1, 1, 1, 1))
        mean = x.mean(1, keepdim=True)
        return shrink(mean, brightness) + shrink(x - mean, colour)

    def deviation_of(self, height: int, width: int, sigma: float) -> float:
        """Of each value of the posterior, where white noise of `sigma` is in the picture."""
        brightness, colour = (gain.mean() for gain in self.gains(height, width, torch.tensor(sigma**2)))
        return sigma * float((brightness + 2 * colour) / 3) ** 0.5

    def scene01(self, height: int, width: int, seed: int = 0) -> np.ndarray:
        """(H, W, 1) on the [0, 1] scale: one draw, in shades of grey and without the finest details."""
        white = torch.randn(height, width, generator=torch.Generator().manual_seed(seed))
        x = shrink(white, self.shape(height, width).sqrt())
        return (x.clamp(-0.9, 0.9)[..., None].numpy() + 1) / 2


def shrink(x: Tensor, gain: Tensor) -> Tensor:
    return torch.fft.ifft2(torch.fft.fft2(x) * gain).real


def pixels(image01: np.ndarray) -> np.ndarray:
    """(H, W, 3) 8 bit."""
    return np.round(255 * np.clip(image01, 0, 1)).astype(np.uint8)

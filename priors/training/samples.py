"""What a denoiser of photographs is shown: white noise, cameras, and what ScoreDVI asks while it works.

ScoreDVI adds white noise to an estimate, with a level of its own at every pixel, and tells the denoiser that level. In
the estimate there is still some of the camera's noise, of which nothing is told: it is to go as well. A network that
has seen one level a picture, and nothing but the noise that it is told of, answers such questions less well.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from priors.training import camera
from priors.training.camera import photographs, smoothed, softened

DRAWS = 6 + camera.DRAWS
"""Standard normal draws that a sample is chosen by."""
WHITE, UNEVEN, PHOTOGRAPHS = 0.25, 0.2, 0.25
"""Shares of white noise of one level, of white noise with a level for every pixel, and of photographs. The rest are
estimates of ScoreDVI."""
VARIATION = 0.6
"""Standard deviation of the strength of ln of the level from pixel to pixel."""
SMOOTH = (3.0, 8.0)
"""Range of the standard deviation in pixels of the smoothing of that; ScoreDVI's is 4."""
DETAIL = 0.02
"""Deviation of the picture that counts as none, where the level goes with the detail."""
ENLARGED, LARGEST = 0.5, 2.5
"""Share of the photographs and estimates that are enlarged first, and by how much at most. Photographs to train on are
mostly reduced ones, crisper than any that comes from a camera in full size."""
LEFT = 0.6
"""Most of the camera's noise in an estimate, over the level that is added."""


@dataclass(frozen=True)
class Samples:
    """noisy, truth: (N, C, H, W). told: (N, 1, H, W), levels."""

    noisy: Tensor
    truth: Tensor
    told: Tensor


def samples(clean: Tensor, sigma: Tensor, white: Tensor, draws: Tensor) -> Samples:
    """clean: (N, C, H, W) on [-1, 1]. sigma: (N,), of the noise. white: as clean, of deviation 1. draws: (N, DRAWS)
    standard normal."""
    kind, share = torch.special.ndtr(draws[:, :2]).unbind(1)
    ends = WHITE, WHITE + UNEVEN, WHITE + UNEVEN + PHOTOGRAPHS
    seen, estimate = kind >= ends[1], kind >= ends[2]
    uneven, photograph = (kind >= ends[0]) & ~seen, seen & ~estimate
    clean = enlarged(clean, torch.special.ndtr(draws[:, 5]), seen)
    other = white.flip(0, 2, 3)  # independent of the noise of the same pixel
    strength = VARIATION * draws[:, 2] * (uneven | estimate)
    level = sigma[:, None, None, None] * profile(clean, other, strength, draws[:, 3:5])
    noisy, truth = clean.clone(), clean.clone()
    if seen.any():
        deviation = torch.where(estimate, LEFT * share * sigma, sigma)
        noisy[seen], truth[seen], told = photographs(clean[seen], deviation[seen], other[seen], draws[seen, 6:])
        level[photograph] = told[photograph[seen], None, None, None].expand_as(level[photograph])
    noisy[~photograph] += (level * white)[~photograph]
    return Samples(noisy, truth, level)


def enlarged(clean: Tensor, uniform: Tensor, which: Tensor) -> Tensor:
    """The middle of the pictures `which` (N,) in the size of the whole: of ENLARGED of them, as `uniform` (N,) says."""
    factor = 1 + (LARGEST - 1) * (uniform / ENLARGED).clamp(max=1)
    chosen = which & (uniform < ENLARGED)
    zoom = torch.diag_embed(torch.stack([1 / factor, 1 / factor], 1))  # (N, 2, 2)
    grid = functional.affine_grid(functional.pad(zoom, (0, 1)), list(clean.shape), align_corners=False)
    middle = functional.grid_sample(clean, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return torch.where(chosen[:, None, None, None], middle.clamp(-1, 1), clean)


def profile(clean: Tensor, white: Tensor, strength: Tensor, draws: Tensor) -> Tensor:
    """(N, 1, H, W) of rms 1, levels that vary smoothly: at random, or as the detail of the picture does.

    strength: (N,), standard deviation of ln of the level, with a sign. draws: (N, 2), how smoothly, and which.
    """
    uniform = torch.special.ndtr(draws)
    low, high = SMOOTH
    width = (low + (high - low) * uniform[:, :1]).clamp(max=min(clean.shape[-2:]) / 4)
    field = smoothed(white[:, :1], width)
    widths = width.expand(-1, clean.shape[1])
    detail = softened((clean - softened(clean, widths)).square(), widths)
    edges = (detail.mean(1, keepdim=True).clamp(min=0).sqrt() + DETAIL).log()
    edges = edges - edges.mean((2, 3), keepdim=True)
    edges = edges / edges.square().mean((2, 3), keepdim=True).sqrt().clamp(min=1e-3)
    chosen = torch.where((uniform[:, 1] < 0.5)[:, None, None, None], field, edges)
    levels = (strength[:, None, None, None] * chosen).exp()
    return levels / levels.square().mean((2, 3), keepdim=True).sqrt()

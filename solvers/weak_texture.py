"""The level of noise in patches of weak texture, as ScoreDVI as published takes it for its lambda.

Liu, Tanaka and Okutomi 2014, "Practical Signal-Dependent Noise Parameter Estimation From a Single Noisy Image", on
every fourth pixel each way (algorithms.md 4.6, 4.7).

In one plane, for all patches of 7 x 7 pixels, of which larger planes are read at 16,384 that lie evenly: those whose
gradients hold less energy than white noise would but once in a million are kept; the direction in which the kept ones
differ least holds noise alone; the squares along it, by the mean of the patch, give

    var(x) = s_u^2 x^(2 gamma) + s_w^2

by maximum likelihood, which says anew what white noise would hold. Three rounds of this, from all patches on. What is
told is the mean of the squares, not the curve. Noise that is correlated is found too low, by a tenth to a half.

Two departures. The likelihood is that of 64 groups of patches of like brightness, not of each patch. Where the original
calls Powell's minimiser, gamma is taken from a grid here, and s_u^2 and s_w^2, in which the variance is linear, by
Fisher scoring: for all planes at once, and without a start that it could depend on.
"""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 7
SPLIT = 4
"""Every fourth pixel each way is a plane of its own, in which neighbours are hardly correlated."""
FEWEST = 1000
"""Patches of a plane. Along the best of 49 directions fewer of them differ by far less than the noise: white noise is
found 6 % too low from 15,000, 15 % from 3,400, a fifth and more from 700."""
MOST = 2**14
"""Patches of a plane that are read, evenly spaced in larger ones: an engine's other jobs wait meanwhile."""
ROUNDS = 3
CERTAINTY = 1e-6
"""Share of patches of pure noise above the threshold."""
RANK, TRACE = 45, 35
"""Of D_h' D_h + D_v' D_v, the gradients of a patch."""
GROUPS = 64
GAMMAS = tuple(0.125 * i for i in range(1, 13))
SCORINGS = 20
TINY = 1e-30


def weak_texture_sigma(image: Tensor) -> float | None:
    """Standard deviation of the noise of `image`, (1, C, H, W) on the [-1, 1] scale, from its 16 C planes.

    None for a picture below some 150 pixels a side, whose planes are too small to tell.
    """
    height, width = (size // SPLIT for size in image.shape[-2:])
    if min(height, width) < SIDE or (height - SIDE + 1) * (width - SIDE + 1) < FEWEST:
        return None
    light = (image[..., : SPLIT * height, : SPLIT * width].float() + 1) / 2  # the curve begins at black
    planes = functional.pixel_unshuffle(light, SPLIT)[0]
    return 2 * math.sqrt(sum(plane_variance(plane) for plane in planes) / len(planes))


def plane_variance(plane: Tensor) -> float:
    """Of the noise of one plane, (H, W) on [0, 1] of 7 pixels a side and more."""
    count = math.prod(size - SIDE + 1 for size in plane.shape)
    stride = math.ceil(math.sqrt(count / MOST))
    patches = functional.unfold(plane[None, None], SIDE, stride=stride)[0].T.double()  # (P, 49)
    strength, brightness = _strength(plane, stride), patches.mean(1)
    threshold = torch.full_like(strength, math.inf)
    variance = 0.0
    for _ in range(ROUNDS):
        kept = strength < threshold
        if not kept.any():  # a plane without any noise
            break
        squares = _least_squares(patches[kept])
        variance = float(squares.mean())
        threshold = tau0() * fitted(brightness[kept], squares, brightness)
    return variance


def _strength(plane: Tensor, stride: int) -> Tensor:
    """Xi of every patch, (P,): the energy of its gradients, as far as they lie inside."""
    half = plane[None, None].double() / 2
    across, down = half[..., 2:] - half[..., :-2], half[..., 2:, :] - half[..., :-2, :]
    sums = [
        functional.avg_pool2d(gradient.square(), window, stride) * math.prod(window)
        for gradient, window in ((across, (SIDE, SIDE - 2)), (down, (SIDE - 2, SIDE)))
    ]
    return sum(sums).flatten()


def _least_squares(patches: Tensor) -> Tensor:
    """Squares along the direction in which the patches hold least, (P,)."""
    direction = torch.linalg.eigh(patches.T @ patches)[1][:, 0]
    return (patches @ direction).square()


def fitted(brightness: Tensor, squares: Tensor, at: Tensor) -> Tensor:
    """var(x) at `at`, by maximum likelihood of `squares`, which are of the brightness x, both (P,)."""
    groups = brightness.argsort().chunk(GROUPS)
    count = torch.tensor([len(group) for group in groups], dtype=torch.float64)
    x = torch.stack([brightness[group].mean() for group in groups]).clamp(min=0)  # (G,)
    found = torch.stack([squares[group].mean() for group in groups]).clamp(min=TINY)
    exponents = 2 * torch.tensor(GAMMAS, dtype=torch.float64)[:, None]
    basis = x**exponents  # (gammas, G)
    signal, white = _scored(basis, found, count)
    variance = (signal * basis + white).clamp(min=TINY)
    best = int((count * (variance.log() + found / variance)).sum(1).argmin())
    return signal[best] * at.clamp(min=0) ** exponents[best] + white[best]


def _scored(basis: Tensor, found: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """s_u^2 and s_w^2, (gammas, 1), neither below 0, of greatest likelihood for variances s_u^2 basis + s_w^2."""
    variance = found.mean().expand_as(basis)
    for _ in range(SCORINGS):
        weight = count / variance.square()
        bb, b, one, fb, f = (
            (weight * product).sum(1, keepdim=True) for product in (basis**2, basis, 1, basis * found, found)
        )
        rest = (bb * one - b * b).clamp(min=TINY)
        signal, white = (fb * one - f * b) / rest, (f * bb - fb * b) / rest
        signal, white = torch.where(white < 0, fb / bb, signal), white.clamp(min=0)
        signal, white = signal.clamp(min=0), torch.where(signal < 0, f / one, white)
        variance = (signal * basis + white).clamp(min=TINY)
    return signal, white


@cache
def tau0() -> float:
    """The threshold for noise of variance 1, 81.82: a quantile of Gamma(RANK / 2, scale 2 TRACE / RANK)."""
    low, high = torch.tensor(0.0, dtype=torch.float64), torch.tensor(200.0, dtype=torch.float64)
    shape = torch.tensor(RANK / 2, dtype=torch.float64)
    for _ in range(60):
        middle = (low + high) / 2
        above = torch.special.gammaincc(shape, middle) > CERTAINTY
        low, high = (middle, high) if above else (low, middle)
    return 2 * TRACE / RANK * float(low)

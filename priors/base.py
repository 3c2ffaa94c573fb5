"""The one contract of this project: a prior is a denoiser in the variance-exploding frame.

`x0 = prior.denoise(x, sigma)` with `x = clean + sigma * white noise`, clean in [-1, 1]. Whatever a network was trained
to predict (eps, v, x0, flow) and on whatever schedule is adapted to this once, in `priors.parameterisation`.

A prior of kind `latent` has another in its place, `denoise_split`, since its encoder can make nothing of noise.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

from priors.manifest import PriorInfo


@runtime_checkable
class Prior(Protocol):
    """Anything that can play the part of a prior."""

    info: PriorInfo

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the clean image.

        x: (N, C, H, W) float32, clean image in [-1, 1] plus `sigma` times white noise. sigma: (N,) float32, one level
        for each sample, or (N, 1, H, W), where the level differs from pixel to pixel: what cannot be told so much is
        told the root mean square. Returns (N, C, H, W) float32. Rows never influence each other. Not clipped.

        Where `info.differentiable`, autograd can go through it to `x`. Weights are frozen, so that it keeps no more
        than activations.
        """
        ...


@runtime_checkable
class SplitPrior(Prior, Protocol):
    """A prior of kind `latent`, which has to see the picture without its noise. Its `denoise` raises PriorError."""

    def denoise_split(self, mean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the clean image of mean + sigma * noise.

        mean, noise: (N, C, H, W) float32, the noise white with a standard deviation of 1; H and W multiples of
        `info.latent_factor`. sigma: (N,) float32. Returns (N, C, H, W) float32. Rows never influence each other.
        """
        ...

"""The prior calls: the only file that loads priors and calls them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from priors.base import Prior, SplitPrior
from priors.manifest import PriorError, PriorInfo
from service.engine.residency import PriorId
from service.engine.scheduler import Kind

_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "ALLOC_FAILED")
"""Words of the CPU allocator (Windows, elsewhere), of the MPS allocator, and of cuDNN and cuBLAS."""
WARM_SIGMA = 0.5
"""Level of the call that warms a prior up, or the nearest level that it was trained on."""


class Runner:
    """Holds the warm priors and runs batches on one device."""

    def __init__(self, load_prior: Callable[[str], Prior], device: torch.device):
        self.device = device
        self._load_prior = load_prior
        self._priors: dict[PriorId, Prior] = {}

    def load(self, wanted: PriorId) -> Prior:
        """A prior that has answered one call, so that its kernels are chosen. In any thread; holds nothing.

        Raises PriorError where the folder holds other weights than `wanted`, and where the answer is no picture; and
        whatever a damaged file makes the loader raise.
        """
        prior = self._load_prior(wanted.name)
        if wanted.digest and prior.info.digest != wanted.digest:
            asked, found = wanted.digest[:12], prior.info.digest[:12]
            raise PriorError(f"the weights with the SHA-256 {asked}.. are gone; those that are there have {found}..")
        self._warm_up(prior)
        return prior

    def add(self, name: PriorId, prior: Prior) -> None:
        """From now on it can be called."""
        self._priors[name] = prior

    def remove(self, name: PriorId) -> None:
        """Let go of a warm prior and of its memory."""
        del self._priors[name]
        self.release()

    def info(self, name: PriorId) -> PriorInfo:
        """Of a warm prior."""
        return self._priors[name].info

    def _warm_up(self, prior: Prior) -> None:
        info = prior.info
        sigma = torch.tensor([min(max(WARM_SIGMA, info.sigma_min), info.sigma_max)])
        shape = (1, info.channels, info.native_size, info.native_size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        alone = Runner(self._load_prior, self.device)
        alone.add(PriorId(info.name), prior)
        if not alone.run(PriorId(info.name), [sigma * noise], [sigma], [torch.zeros(shape)]).isfinite().all():
            raise PriorError("it answers with numbers that are not finite")

    def run(
        self,
        name: PriorId,
        tiles: Sequence[Tensor],
        sigmas: Sequence[Tensor],
        means: Sequence[Tensor | None] = (),
        cotangents: Sequence[Tensor | None] = (),
        kind: Kind = Kind.DENOISE,
    ) -> Tensor:
        """One call of a warm prior.

        tiles: (1, C, t, t) each. sigmas: (1,) or (1, 1, t, t) each. means: the tiles without their noise, of which only
        a prior on latents wants to know. cotangents: of the kind VJP, like the tiles. Returns (N, C, t, t) float32 on
        the device: normal tensors, which solvers may change in place. Raises what the prior raises; see
        `is_out_of_memory`.
        """
        prior = self._priors[name]
        if kind is Kind.VJP:
            answer = self._pull_back(prior, tiles, sigmas, cotangents)
        else:
            answer = self._denoise(prior, tiles, sigmas, means)
        answer = answer.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # so that what fails here, fails here, and seconds are true
        return answer

    @torch.inference_mode()
    def _denoise(
        self, prior: Prior, tiles: Sequence[Tensor], sigmas: Sequence[Tensor], means: Sequence[Tensor | None]
    ) -> Tensor:
        """D(x, sigma)."""
        x = self._gather(tiles)  # (N, C, t, t)
        sigma = self._levels(x, sigmas)
        if isinstance(prior, SplitPrior):
            mean = self._gather(means)
            return _checked(prior, x, prior.denoise_split(mean, (x - mean) / sigma.reshape(-1, 1, 1, 1), sigma))
        return _checked(prior, x, prior.denoise(x, sigma))

    @torch.no_grad()
    def _pull_back(
        self, prior: Prior, tiles: Sequence[Tensor], sigmas: Sequence[Tensor], cotangents: Sequence[Tensor | None]
    ) -> Tensor:
        """J^T v; the graph in between is gone when this returns. Inference tensors could not be saved in it."""
        x, v = self._gather(tiles), self._gather(cotangents)
        sigma = self._levels(x, sigmas)
        with torch.enable_grad():
            denoised = _checked(prior, x, prior.denoise(x.requires_grad_(), sigma))
        return torch.autograd.grad(denoised, x, v)[0]

    def _levels(self, x: Tensor, sigmas: Sequence[Tensor]) -> Tensor:
        """(N,); or (N, 1, t, t) where one of them is a map, as then all of them are."""
        if any(sigma.ndim > 1 for sigma in sigmas):
            sigmas = [sigma if sigma.ndim > 1 else sigma.expand(1, 1, *x.shape[-2:]) for sigma in sigmas]
        return self._gather(sigmas)

    def _gather(self, parts: Sequence[Tensor]) -> Tensor:
        """Along the batch axis, float32, on the device; pictures channel by channel last in memory."""
        whole = torch.cat([part.to(self.device, torch.float32) for part in parts])
        return whole.contiguous(memory_format=torch.channels_last) if whole.ndim == 4 else whole

    def release(self) -> None:
        """Give memory that nobody uses back to the device."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _checked(prior: Prior, x: Tensor, denoised: Tensor) -> Tensor:
    if denoised.shape != x.shape:
        raise PriorError(f"the prior {prior.info.name} answered {tuple(x.shape)} with {tuple(denoised.shape)}")
    return denoised


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed where this one raised `error`."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def is_fatal(error: BaseException) -> bool:
    """Whether the device is lost to this process: after a fault in a kernel every later call fails, too."""
    return isinstance(error, torch.AcceleratorError)

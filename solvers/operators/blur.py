"""Deblurring: the measurement is the picture convolved with a known kernel."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.operators.base import OperatorError, Shape
from solvers.operators.borders import BOUNDARIES
from solvers.operators.convolution import Convolution, centred, check_kernel, is_symmetric, wrapped
from solvers.operators.damping import DAMPING, reciprocal, tikhonov
from solvers.operators.dct import cosine_response, dct2d, idct2d
from solvers.operators.lanczos import largest_eigenvalue

VALUES_AT_ONCE = 2**22
"""Planes are handled together up to so many values, and one by one beyond: memory is that of a plane."""


@dataclass(frozen=True, eq=False)
class Blur:
    """y = k * x in each channel, true convolution, of the size of x; the pixel k[h // 2, w // 2] stays in place.

    Kernels may have any size and sum. With circular borders H is diagonal in the Fourier transform; with reflecting
    ones and a kernel that is symmetric about that pixel, left to right and top to bottom, in the cosine transform: the
    prox is then exact. Otherwise it is found by conjugate gradients. The pseudo-inverse is damped, see `damping`.
    """

    input_shape: Shape
    kernel: Tensor
    """(h, w), finite and not all zero."""
    boundary: str = "reflect"
    damping: float = DAMPING
    """Relative to the sum of |k|, which no gain of a frequency exceeds; 0 for the Moore-Penrose inverse."""

    def __post_init__(self) -> None:
        if self.boundary not in BOUNDARIES:
            raise OperatorError(f"unknown boundary {self.boundary!r}; there are {', '.join(BOUNDARIES)}")
        check_kernel(self.kernel)

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    @cached_property
    def norm(self) -> float:
        """Exact where H is diagonal, else to the precision of `lanczos`."""
        if self._diagonal:
            return float(self._response(torch.empty(0, dtype=torch.float64)).abs().max())
        h = self._convolution
        return largest_eigenvalue(lambda x: h.adjoint(h.forward(x)), self.input_shape[1:]) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return self._each_plane(self._convolution.forward, x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._each_plane(self._convolution.adjoint, y)

    def pseudoinverse(self, y: Tensor) -> Tensor:
        """(H^T H + rho)^-1 H^T y, see `damping`."""
        rho = (self.damping * float(self.kernel.abs().sum())) ** 2
        return self._each_plane(lambda y: self._tikhonov(y, rho), y)

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """v + (H^T H + rho)^-1 H^T (y - H v)."""
        return self._each_plane(lambda y, v: self._tikhonov(y - self._convolution.forward(v), rho).add_(v), y, v)

    def _each_plane(self, act: Callable[..., Tensor], *images: Tensor) -> Tensor:
        """`act` on (P, H, W), a few planes at a time, put together as the first of the images (N, C, H, W)."""
        out = torch.empty_like(images[0], memory_format=torch.contiguous_format)
        step = max(1, VALUES_AT_ONCE // (out.shape[-2] * out.shape[-1]))
        planes = [image.flatten(0, 1).split(step) for image in images]
        for target, *sources in zip(out.flatten(0, 1).split(step), *planes, strict=True):
            target.copy_(act(*sources))
        return out

    def _tikhonov(self, y: Tensor, rho: float) -> Tensor:
        """(H^T H + rho)^-1 H^T y on (P, H, W)."""
        if not self._diagonal:
            return tikhonov(self._convolution.forward, self._convolution.adjoint, y, rho)
        response = self._response(y)
        if self.boundary == "reflect":
            return idct2d(dct2d(y).mul_(response.mul_(reciprocal(response.square(), rho))))
        response = response.conj() * reciprocal(response.abs().square_(), rho)
        return torch.fft.irfft2(torch.fft.rfft2(y).mul_(response), s=y.shape[-2:])

    def _response(self, like: Tensor) -> Tensor:
        """Gain of each frequency where H is diagonal: (H, W) of the cosine transform for reflecting borders, complex
        (H, W // 2 + 1) of the real Fourier transform for circular ones."""
        if self.boundary == "reflect":
            return cosine_response(self._centred, self.input_shape[1:], like)
        return torch.fft.rfft2(wrapped(self._centred, self.input_shape[1:]).to(like))

    @cached_property
    def _convolution(self) -> Convolution:
        return Convolution(self.input_shape[1:], self._centred, self.boundary)

    @cached_property
    def _centred(self) -> Tensor:
        """(2 a + 1, 2 b + 1) float64, the pixel that stays in place in the middle."""
        return centred(self.kernel)

    @cached_property
    def _diagonal(self) -> bool:
        return self.boundary == "circular" or (self.boundary == "reflect" and is_symmetric(self._centred))

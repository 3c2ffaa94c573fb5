"""True convolution of planes with a small or a large kernel, and its transpose."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from solvers.operators.base import OperatorError
from solvers.operators.borders import extend, fold

FEW_TAPS = 49
"""Up to so many the planes are shifted and added, which is faster than transforms, and in place."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """y[i] = sum over m of k[m] x[i - (m - c)] on (P, H, W), c being the middle of k."""

    size: tuple[int, int]
    """(H, W)."""
    kernel: Tensor
    """(2 a + 1, 2 b + 1) float64, of any size."""
    boundary: str

    def forward(self, x: Tensor) -> Tensor:
        (height, width), (a, b) = self.size, self.margins
        extended = extend(extend(x, -2, a, self.boundary), -1, b, self.boundary)  # (P, H + 2 a, W + 2 b)
        if len(self._taps) > FEW_TAPS:
            spectrum = torch.fft.rfft2(extended, s=self._grid).mul_(self._spectrum(x))
            # what wraps around falls into the first 2 a rows and 2 b columns
            return torch.fft.irfft2(spectrum, s=self._grid)[:, 2 * a : 2 * a + height, 2 * b : 2 * b + width]
        y = torch.zeros_like(x, memory_format=torch.contiguous_format)
        for row, column, tap in self._taps:
            y.add_(self._shifted(extended, row, column), alpha=tap)
        return y

    def adjoint(self, y: Tensor) -> Tensor:
        (height, width), (a, b) = self.size, self.margins
        if len(self._taps) > FEW_TAPS:
            extended = functional.pad(y, (2 * b, 0, 2 * a, 0))
            spectrum = torch.fft.rfft2(extended, s=self._grid).mul_(self._spectrum(y).conj())
            extended = torch.fft.irfft2(spectrum, s=self._grid)[:, : height + 2 * a, : width + 2 * b]
        else:
            extended = y.new_zeros(len(y), height + 2 * a, width + 2 * b)
            for row, column, tap in self._taps:
                self._shifted(extended, row, column).add_(y, alpha=tap)
        return fold(fold(extended, -1, b, self.boundary), -2, a, self.boundary)

    @property
    def margins(self) -> tuple[int, int]:
        """(a, b): how far the kernel reaches."""
        return self.kernel.shape[0] // 2, self.kernel.shape[1] // 2

    def _shifted(self, extended: Tensor, row: int, column: int) -> Tensor:
        """A view of what the tap k[row, column] meets."""
        (height, width), (a, b) = self.size, self.margins
        return extended[:, 2 * a - row : 2 * a - row + height, 2 * b - column : 2 * b - column + width]

    @cached_property
    def _taps(self) -> list[tuple[int, int, float]]:
        """Row, column and value of those that are not 0."""
        return [(row, column, float(self.kernel[row, column])) for row, column in self.kernel.nonzero().tolist()]

    @cached_property
    def _grid(self) -> tuple[int, int]:
        (height, width), (a, b) = self.size, self.margins
        return fast_length(height + 2 * a), fast_length(width + 2 * b)

    def _spectrum(self, like: Tensor) -> Tensor:
        """Of the kernel on the grid of the transforms; kept, since an iteration asks for it again and again."""
        key = like.dtype, like.device
        if key not in self._spectra:
            self._spectra[key] = torch.fft.rfft2(self.kernel.to(like), s=self._grid)
        return self._spectra[key]

    @cached_property
    def _spectra(self) -> dict[tuple[torch.dtype, torch.device], Tensor]:
        return {}


def check_kernel(kernel: Tensor) -> None:
    """Raises OperatorError for what is not (h, w), not finite or nothing but zeros."""
    if kernel.ndim != 2 or not kernel.numel():
        raise OperatorError(f"a kernel is (h, w), not {tuple(kernel.shape)}")
    if not kernel.isfinite().all():
        raise OperatorError("the kernel is not finite")
    if not kernel.any():
        raise OperatorError("the kernel is zero")


def centred(kernel: Tensor) -> Tensor:
    """(2 a + 1, 2 b + 1) float64 on the CPU, k[h // 2, w // 2] in the middle: zeros follow where a side is even."""
    height, width = kernel.shape
    return functional.pad(kernel.detach().cpu().double(), (0, 1 - width % 2, 0, 1 - height % 2))


def is_symmetric(kernel: Tensor) -> bool:
    """Whether an odd kernel is its own mirror image, left to right and top to bottom, up to rounding."""
    rounding = 1e-14 * float(kernel.abs().max())
    return all(torch.allclose(kernel, kernel.flip(axis), rtol=0, atol=rounding) for axis in (0, 1))


def wrapped(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """An odd kernel on a grid (H, W) whose borders are circular, its middle at the origin. Float64."""
    rows, columns = ((torch.arange(side) - side // 2) % length for side, length in zip(kernel.shape, size, strict=True))
    grid = kernel.new_zeros(size)
    return grid.index_put_((rows[:, None], columns[None, :]), kernel, accumulate=True)


def fast_length(n: int) -> int:
    """The least length from n on whose only prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1

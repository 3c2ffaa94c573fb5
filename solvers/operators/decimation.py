"""Filter and keep every f-th sample, along one axis, with borders reflected about their edge (-1 -> 0, N -> N-1).

A symmetric filter with such borders is diagonal in the cosine transform of type II, and keeping every f-th sample
folds the frequencies m = p, 2h - p, 2h + p, ... onto p. Hence R R^T is diagonal in the cosine transform of the h kept
samples, and its eigenvalues are sums of f squares: the singular value decomposition of R in closed form, at any length.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from solvers.operators.borders import extend, fold


def box_taps(factor: int) -> tuple[float, ...]:
    """The mean of disjoint blocks."""
    return (1 / factor,) * factor


def bicubic_taps(factor: int) -> tuple[float, ...]:
    """Antialiased cubic kernel (a = -0.5) stretched by the factor, centred on the block, normalised to sum 1.

    For an even factor these are 4 f taps at half-integer distances; for an odd one 4 f - 1 at integer distances.
    """
    count = 4 * factor - factor % 2
    distances = [abs(i - (count - 1) / 2) / factor for i in range(count)]
    values = [_cubic(d) for d in distances]
    return tuple(value / math.fsum(values) for value in values)


def _cubic(d: float) -> float:
    """Keys 1981 with a = -0.5, d >= 0."""
    if d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def separated(kernel: Tensor, factor: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Taps along the height and along the width whose product is the kernel (h, w), as `Decimation` wants them.

    None where there are no such: a kernel that is not separable, not symmetric or not centred on the blocks.
    """
    if any((side - factor) % 2 for side in kernel.shape):
        return None
    rows, columns, total = kernel.sum(1), kernel.sum(0), float(kernel.sum())
    rounding = 1e-14 * float(kernel.abs().max())
    if abs(total) <= rounding * kernel.numel() or not torch.allclose(
        torch.outer(rows, columns / total), kernel, rtol=0, atol=rounding
    ):
        return None
    if not all(torch.allclose(taps, taps.flip(0), rtol=0, atol=rounding) for taps in (rows, columns)):
        return None
    return _at_least(factor, rows), _at_least(factor, columns / total)


def _at_least(count: int, taps: Tensor) -> tuple[float, ...]:
    """With as many zeros on either side as make it `count` long."""
    zeros = (0.0,) * max(0, (count - len(taps)) // 2)
    return (*zeros, *taps.tolist(), *zeros)


@dataclass(frozen=True)
class Decimation:
    """R: n = factor * kept samples to `kept`. `taps` is symmetric, of length congruent to the factor modulo 2."""

    kept: int
    factor: int
    taps: tuple[float, ...]

    @property
    def margin(self) -> int:
        """Samples that the filter reaches beyond a block, on either side."""
        return (len(self.taps) - self.factor) // 2

    def forward(self, x: Tensor, axis: int) -> Tensor:
        x = extend(x, axis, self.margin, "reflect")
        y = self._phase(x, axis, 0) * self.taps[0]
        for i, tap in enumerate(self.taps[1:], start=1):
            y.add_(self._phase(x, axis, i), alpha=tap)
        return y

    def adjoint(self, y: Tensor, axis: int) -> Tensor:
        shape = list(y.shape)
        shape[axis] = self.kept * self.factor + 2 * self.margin
        x = y.new_zeros(shape)
        for i, tap in enumerate(self.taps):
            self._phase(x, axis, i).add_(y, alpha=tap)
        return fold(x, axis, self.margin, "reflect")

    def _phase(self, padded: Tensor, axis: int, first: int) -> Tensor:
        """A view of every f-th of the padded samples: what tap number `first` meets."""
        index = [slice(None)] * padded.ndim
        index[axis] = slice(first, first + self.factor * (self.kept - 1) + 1, self.factor)
        return padded[tuple(index)]

    @cached_property
    def gram_eigenvalues(self) -> Tensor:
        """Of R R^T, (kept,) float64, in the order of the cosine transform of the kept samples."""
        n, count = self.kept * self.factor, len(self.taps)
        m = torch.arange(n, dtype=torch.float64)
        response = torch.zeros_like(m)  # of the filter at frequency m
        for i, tap in enumerate(self.taps):
            response += tap * torch.cos(math.pi * m * (i - (count - 1) / 2) / n)
        # The constant vector of the transform is scaled by 1 / sqrt(2): what else folds onto it weighs double.
        gain = response**2 / self.factor
        target = torch.arange(n) % (2 * self.kept)
        target = torch.where(target > self.kept, 2 * self.kept - target, target)
        gain[(target == 0) & (m > 0)] *= 2
        folded = torch.zeros(self.kept + 1, dtype=torch.float64).index_add_(0, target, gain)
        return folded[: self.kept]  # the cosine of frequency `kept` vanishes at every kept sample

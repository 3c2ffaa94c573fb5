"""The orthonormal discrete cosine transform of type II, which diagonalises convolutions with reflecting borders."""

import math

import torch
from torch import Tensor


def dct2d(x: Tensor) -> Tensor:
    """Transform the last two axes. Same shape and type."""
    return _dct(_dct(x).transpose(-1, -2)).transpose(-1, -2)


def idct2d(x: Tensor) -> Tensor:
    """Inverse, and transpose, of `dct2d`."""
    return _idct(_idct(x).transpose(-1, -2)).transpose(-1, -2)


def cosine_response(kernel: Tensor, size: tuple[int, int], like: Tensor) -> Tensor:
    """Eigenvalues (H, W) of the convolution of an (H, W) picture with a symmetric kernel, its borders reflected.

    kernel: (2 a + 1, 2 b + 1) float64. Mirrored without end a cosine of the transform goes on as the same cosine, which
    a symmetric kernel merely scales; so the kernel may be larger than the picture.
    """
    rows, columns = (_cosines(side, n) for side, n in zip(kernel.shape, size, strict=True))
    return (rows.mT @ kernel).to(like) @ columns.to(like)


def _cosines(side: int, n: int) -> Tensor:
    """cos(pi m (i - middle) / n) for tap i and frequency m, (side, n) float64."""
    distance = torch.arange(side, dtype=torch.float64) - side // 2
    return torch.cos(math.pi / n * torch.outer(distance, torch.arange(n, dtype=torch.float64)))


def _phase(n: int, x: Tensor) -> Tensor:
    """exp(-i pi k / 2n) with the orthonormal scale, (n,) complex."""
    k = torch.arange(n, dtype=torch.float64, device=x.device)
    scale = torch.full_like(k, math.sqrt(2 / n))
    scale[0] = math.sqrt(1 / n)
    return torch.polar(scale, -math.pi * k / (2 * n)).to(x.dtype.to_complex())


def _dct(x: Tensor) -> Tensor:
    """Along the last axis by one complex FFT of the samples in the order 0 2 4 ... 5 3 1 (Makhoul 1980)."""
    folded = torch.cat([x[..., ::2], x[..., 1::2].flip(-1)], dim=-1)
    return (torch.fft.fft(folded) * _phase(x.shape[-1], x)).real


def _idct(x: Tensor) -> Tensor:
    """The steps of `_dct` backwards; the spectrum of the folded samples is X_k - i X_{n-k} over the phase."""
    n = x.shape[-1]
    mirrored = torch.cat([torch.zeros_like(x[..., :1]), x[..., 1:].flip(-1)], dim=-1)
    spectrum = torch.complex(x, -mirrored) / _phase(n, x)
    folded = torch.fft.ifft(spectrum).real
    out = torch.empty_like(x)
    out[..., ::2] = folded[..., : (n + 1) // 2]
    out[..., 1::2] = folded[..., (n + 1) // 2 :].flip(-1)
    return out

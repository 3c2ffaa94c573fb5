"""JPEG against Pillow's encoder and decoder, and its data step."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from solvers.operators.base import OperatorError
from solvers.operators.jpeg import Jpeg

SIZES = ((64, 80), (37, 53), (17, 6), (8, 16))


def photograph(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, C) bytes with a spectrum that falls as in photographs, and colours that go together."""
    rng = np.random.default_rng(seed)
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    spectrum = np.fft.fft2(rng.standard_normal((channels, height, width))) / (frequencies + 1 / max(height, width))
    planes = np.fft.ifft2(spectrum).real
    planes = planes / planes.std() + 1.5 * planes[:1] / planes[:1].std()
    return np.clip(128 + 14 * planes, 0, 255).astype(np.uint8).transpose(1, 2, 0)


def as_values(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(float)).permute(2, 0, 1)[None] / 127.5 - 1


def by_pillow(pixels: np.ndarray, quality: int, **options: str) -> torch.Tensor:
    file = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0]).save(file, "JPEG", quality=quality, **options)
    return as_values(np.asarray(Image.open(file)).reshape(pixels.shape))


@pytest.mark.parametrize("quality", [5, 10, 30, 50, 75, 90, 100])
@pytest.mark.parametrize(("channels", "subsampling"), [(3, "4:2:0"), (3, "4:4:4"), (1, "4:2:0")])
def test_equal_to_pillow(channels, subsampling, quality):
    """Most bytes are equal, few are off by one, and a block now and then has a coefficient on its other side."""
    differences = []
    for size in SIZES:
        pixels = photograph(channels, *size)
        ours = Jpeg((channels, *size), quality, subsampling).forward(as_values(pixels))
        options = {"subsampling": subsampling} if channels == 3 else {}
        differences.append((ours - by_pillow(pixels, quality, **options)).abs().flatten() * 127.5)
    difference = torch.cat(differences)
    assert difference.mean() < 0.15  # measured: 0.005 at quality 5 to 0.10 at 75
    assert (difference > 1.5).double().mean() < 0.025  # 0 to 0.017


def test_pillow_halves_the_colours_by_default():
    pixels = photograph(3, 40, 40)
    assert torch.equal(by_pillow(pixels, 75), by_pillow(pixels, 75, subsampling="4:2:0"))


def test_values_beyond_black_and_white_are_cut():
    x = 3 * as_values(photograph(3, 16, 16))
    operator = Jpeg((3, 16, 16), 80)
    assert torch.equal(operator.forward(x), operator.forward(x.clamp(-1, 1)))
    assert operator.forward(x).abs().max() <= 1


def test_straight_through_without_subsampling():
    x, r = as_values(photograph(3, 9, 10)), torch.randn(1, 3, 9, 10, dtype=torch.float64)
    assert torch.equal(Jpeg((3, 9, 10), 30, "4:4:4").pull_back(x, r), r)


@pytest.mark.parametrize("size", [(9, 10), (8, 7), (1, 5)])
def test_straight_through_is_the_transpose_of_the_transform_without_rounding(size):
    """The colours pooled and interpolated, the brightness kept, by the decoder's equations of JFIF."""
    height, width = size
    rng = torch.Generator().manual_seed(0)
    d, r = (torch.randn(1, 3, height, width, generator=rng, dtype=torch.float64) for _ in range(2))
    brightness = 0.299 * d[:, :1] + 0.587 * d[:, 1:2] + 0.114 * d[:, 2:]
    blue, red = (d[:, 2:] - brightness) / 1.772, (d[:, :1] - brightness) / 1.402
    edges = functional.pad(torch.cat([blue, red], 1), (0, width % 2, 0, height % 2), mode="replicate")
    colours = functional.interpolate(functional.avg_pool2d(edges, 2), scale_factor=2, mode="bilinear")
    blue, red = colours[..., :height, :width].split(1, 1)
    green = brightness - 0.114 * 1.772 / 0.587 * blue - 0.299 * 1.402 / 0.587 * red
    smooth = torch.cat([brightness + 1.402 * red, green, brightness + 1.772 * blue], 1)
    assert torch.allclose((Jpeg((3, height, width), 30).pull_back(d, r) * d).sum(), (r * smooth).sum(), atol=1e-3)


@pytest.mark.parametrize(("channels", "subsampling"), [(3, "4:2:0"), (3, "4:4:4"), (1, "4:4:4")])
@pytest.mark.parametrize("quality", [10, 50])
def test_prox_gives_a_picture_that_the_file_could_be_of(channels, subsampling, quality):
    x = as_values(photograph(channels, 48, 40))
    operator = Jpeg((channels, 48, 40), quality, subsampling)
    y, v = operator.forward(x), x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    projected = operator.prox(y, v, 1e-3)
    misfit = (operator.forward(projected) - y).square().mean().sqrt() / (operator.forward(v) - y).square().mean().sqrt()
    assert misfit < 0.3
    assert (projected - x).norm() < (v - x).norm()  # near enough a projection onto a set with x in it


def test_prox_keeps_what_fits():
    x = as_values(photograph(3, 24, 40))
    operator = Jpeg((3, 24, 40), 40)
    y = operator.forward(x)
    assert torch.allclose(operator.prox(y, x, 1e-3), x, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "quality", "subsampling", "message"),
    [
        ((3, 8, 8), 0, "4:2:0", "quality"),
        ((3, 8, 8), 101, "4:2:0", "quality"),
        ((3, 8, 8), 50, "4:2:2", "4:2:2"),
        ((4, 8, 8), 50, "4:2:0", "channels"),
    ],
)
def test_bad_parameters(shape, quality, subsampling, message):
    with pytest.raises(OperatorError, match=message):
        Jpeg(shape, quality, subsampling)

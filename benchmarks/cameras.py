"""Simulated cameras: what becomes of a clean picture on a sensor with noise, demosaiced, developed and compressed.

A camera gives the same picture twice, without noise and with it, so that its noise is known though every step after
the sensor has spread it: Poisson and Gaussian noise on a linear Bayer mosaic (Foi et al. 2008, "Practical
Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data"), white balance, tone curve, blur, sharpening
and JPEG.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from priors.training.camera import jpeg
from priors.training.sensor import demosaiced

GAMMA = 2.2
BALANCE = (2.0, 1.0, 1.6)
"""Gains of the three channels in daylight."""
LUMA = (0.299, 0.587, 0.114)
HALO = 1.0
"""Standard deviation of the unsharp mask in pixels."""


@dataclass(frozen=True)
class Camera:
    """One way from light to file. shot, read: the noise's variance on the sensor is shot x + read^2, x on [0, 1]."""

    name: str
    shot: float
    read: float
    exposure: float = 1.0
    """Light that arrives, of what would have been right; the development makes up for it."""
    differences: bool = False
    """Red and blue are interpolated as differences from green, not by themselves."""
    blur: float = 0.0
    """Standard deviation in pixels of the smoothing of all channels alike."""
    colour_blur: float = 0.0
    """The same of the colours alone, against noise in them."""
    contrast: float = 0.0
    """Share of the S-curve 3 x^2 - 2 x^3 in the tone curve."""
    sharpening: float = 0.0
    """Factor of an unsharp mask of deviation 1 on grey."""
    quality: int | None = None
    """Of the JPEG, whose colours are at half size; None for none."""


CAMERAS = (
    Camera("phone, bright", 0.0006, 0.002, blur=0.5),
    Camera("phone, dusk", 0.002, 0.006),
    Camera("phone, night", 0.006, 0.012, exposure=0.5),
    Camera("SLR, low ISO", 0.0012, 0.002, differences=True, blur=0.7, quality=95),
    Camera("SLR, high ISO", 0.005, 0.006, differences=True, blur=0.9, quality=92),
    Camera("compact, JPEG", 0.003, 0.006, blur=0.6, colour_blur=1.5, quality=90),
    Camera(
        "SLR, sharpened JPEG",
        shot=0.003,
        read=0.004,
        differences=True,
        blur=0.7,
        colour_blur=2.0,
        contrast=0.7,
        sharpening=1.0,
        quality=96,
    ),
)


def expose(camera: Camera, clean: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The picture with noise and without, (1, 3, H, W) on [-1, 1] as `clean`, from a file of 8 bits each.

    H and W even. The one without noise is never compressed, as the mean of many photographs would not be.
    """
    rng = torch.Generator().manual_seed(seed)
    gains = torch.tensor(BALANCE)[:, None, None] / camera.exposure
    light = ((clean + 1) / 2).clamp(0, 1).pow(GAMMA) / gains  # (1, 3, H, W), linear
    deviation = (camera.shot * light + camera.read**2).sqrt()
    noisy = (light + deviation * torch.randn(light.shape, generator=rng)).clamp(0, 1)
    photograph, reference = (_develop(camera, sensor, gains) for sensor in (noisy, light))
    return rounded(photograph) if camera.quality is None else compressed(photograph, camera.quality), rounded(reference)


def rounded(x: Tensor) -> Tensor:
    """Through 8 bits."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def grey(picture: Tensor) -> Tensor:
    """Its luma, of 8 bits, in each of three channels."""
    luma = torch.einsum("nchw,c->nhw", picture, picture.new_tensor(LUMA))
    return rounded(luma[:, None]).repeat(1, 3, 1, 1)


def compressed(x: Tensor, quality: int) -> Tensor:
    return jpeg(x[0].clamp(-1, 1), quality)[None]


def _develop(camera: Camera, sensor: Tensor, gains: Tensor) -> Tensor:
    picture = _demosaic(sensor, camera.differences) * gains
    tone = picture.clamp(0, 1).pow(1 / GAMMA)
    picture = 2 * tone.lerp(tone.square() * (3 - 2 * tone), camera.contrast) - 1
    grey = picture.mean(1, keepdim=True)
    colours = _smooth(picture - grey, max(camera.blur, camera.colour_blur))
    grey = _smooth(grey, camera.blur)
    return grey + camera.sharpening * (grey - _smooth(grey, HALO)) + colours


def _demosaic(sensor: Tensor, differences: bool) -> Tensor:
    """Keeps one channel a pixel, RGGB, and interpolates the others."""
    sites = torch.zeros_like(sensor)
    sites[:, 0, ::2, ::2] = sites[:, 1, ::2, 1::2] = sites[:, 1, 1::2, ::2] = sites[:, 2, 1::2, 1::2] = 1
    return demosaiced(sensor * sites, sites, torch.tensor(differences).reshape(1, 1, 1, 1))


def _smooth(x: Tensor, deviation: float) -> Tensor:
    if deviation == 0:
        return x
    reach = int(3 * deviation) + 1
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    padded = functional.pad(x, (reach, reach, reach, reach), mode="reflect")
    rows = functional.conv2d(padded, kernel[:, :, None], groups=x.shape[1])
    return functional.conv2d(rows, kernel[..., None], groups=x.shape[1])

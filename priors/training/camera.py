"""Photographs as cameras hand them out, for the training of denoisers: their noise is neither white nor even.

Half of them come from the sensors of `priors.training.sensor`. For the other half what demosaicing, colour matrices,
gamma and noise filters leave is taken for Gaussian noise whose level depends on the brightness, smoothed over
neighbours, colours mostly more than grey, and with something white on top. Some are sharpened, some compressed. The
ranges are wide, so that a camera is somewhere within, and the level that a denoiser is told is off by what an estimate
may be off.
"""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from priors.training import sensor

DRAWS = 17 + sensor.DRAWS
"""Standard normal draws that a photograph is chosen by."""
BLUR, COLOUR_BLUR = 1.6, 2.0
"""Largest standard deviation in pixels of the smoothing of grey, and of what the colours have beyond it."""
OPPONENT_SHARE = 0.6
"""Of the photographs, whose noise is smoothed as grey and colours; the others' in red, green and blue."""
SPREAD = 0.3
"""Standard deviation of ln of the smoothing and the strength of each channel."""
COLOUR = 0.5
"""The same of the strength of noise in the colours."""
GAMMA = 0.3
"""Standard deviation of the exponent of brightness in the level. With shot noise alone it is 0.5 on a linear scale, and
-0.05 after a gamma of 2.2; below 0 where the sensor's own noise is seen."""
DARK, NEIGHBOURHOOD = 0.1, 8
"""What black counts as, of a brightness on [0, 1], and pixels over which it is averaged."""
TOLD = 0.25
"""Standard deviation of ln of the error in the level that is told."""
SOFTNESS = 1.0
"""Largest standard deviation in pixels of the smoothing of a developed picture."""
SHARPENED, HALO = 1.0, 1.2
"""Largest factor of the unsharp mask that half of the developed pictures get, and its standard deviation in pixels."""
COMPRESSED, QUALITIES = 0.3, (80, 99)
"""Share that is a JPEG, with the colours at half size."""
REACH = 4
"""Pixels of border that a softened picture gets."""
TRIAL = 0.02
"""Deviation of the light with which it is found out how much noise a camera makes of it."""
OPPONENT = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
"""Grey and the two differences of colour, each to be scaled to length 1."""


def photographs(clean: Tensor, sigma: Tensor, white: Tensor, draws: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`clean` with noise; as it should be, which demosaicing has softened; and the levels (N,) to tell a denoiser.

    clean: (N, 3, H, W) on [-1, 1], as the two that are returned. sigma: (N,), about the level of the noise. white: as
    clean, of deviation 1. draws: (N, DRAWS) standard normal.
    """
    noisy, truth = torch.empty_like(clean), clean.clone()
    if len(clean) > 1:
        profile = brightness(clean[1::2]).pow(GAMMA * draws[1::2, 0, None, None, None])
        noise = profile * correlated(white[1::2], draws[1::2, 1:12])
        noisy[1::2] = clean[1::2] + sigma[1::2, None, None, None] * noise
    noisy[::2], truth[::2] = sensed(clean[::2], sigma[::2], white[::2], draws[::2, 15:])
    noisy = noisy.clamp(-1, 1)
    uniform, (lowest, highest) = torch.special.ndtr(draws[:, 12:14]), QUALITIES
    for row in (uniform[:, 0] < COMPRESSED).nonzero().flatten().tolist():
        noisy[row] = jpeg(noisy[row], round(lowest + (highest - lowest) * float(uniform[row, 1])))
    level = (noisy - truth).square().mean((1, 2, 3)).sqrt()
    return noisy, truth, level * (TOLD * draws[:, 14]).exp()


def sensed(clean: Tensor, sigma: Tensor, white: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """With noise of about `sigma` (N,) on a sensor, and without."""
    camera = sensor.sensors(draws[:, 2:], *clean.shape[-2:])
    light = camera.light(clean)
    noise, truth = camera.noise(light, white), camera.developed(light)
    trial = (camera.developed(light + TRIAL * noise) - truth).square().mean((1, 2, 3)).sqrt()
    noisy = camera.developed(light + (TRIAL * sigma / trial.clamp(min=1e-4))[:, None, None, None] * noise)
    softness, sharpness = torch.special.ndtr(draws[:, :2]).unbind(1)
    blur, factor = (SOFTNESS * softness)[:, None].expand(-1, 3), SHARPENED * (2 * sharpness - 1).clamp(min=0)
    return sharpened(softened(noisy, blur), factor), sharpened(softened(truth, blur), factor)


def correlated(white: Tensor, draws: Tensor) -> Tensor:
    """Noise of deviation 1 over all channels, smoothed and weighted as eleven `draws` (N, 11) say."""
    uniform = torch.special.ndtr(draws[:, :4])
    opponent = functional.normalize(torch.tensor(OPPONENT, device=white.device), dim=1)
    axes = opponent.where((uniform[:, 0] < OPPONENT_SHARE)[:, None, None], torch.eye(3, device=white.device))
    blur = BLUR * uniform[:, 1, None] * (SPREAD * draws[:, 4:7]).exp()  # (N, 3)
    in_colour = COLOUR_BLUR * uniform[:, 2].square() * (uniform[:, 0] < OPPONENT_SHARE)
    blur[:, 1:] += in_colour[:, None]
    strength = torch.cat([torch.zeros_like(draws[:, :1]), (COLOUR * draws[:, 7:8]).expand(-1, 2)], 1)
    smooth = smoothed(torch.einsum("nij,njhw->nihw", axes, white), blur) * strength.exp()[:, :, None, None]
    share = uniform[:, 3].pow(3)[:, None, None, None]  # of the variance, in what is white; mostly little
    rest = white.roll(white.shape[-1] // 2, -1)  # as good as other draws: no smoothing reaches that far
    mixed = (1 - share).sqrt() * unit(torch.einsum("nij,nihw->njhw", axes, smooth)) + share.sqrt() * rest
    return unit(mixed * (SPREAD * draws[:, 8:11]).exp()[:, :, None, None])


def smoothed(planes: Tensor, deviation: Tensor) -> Tensor:
    """White noise by a Gaussian of `deviation` (N, C) pixels, circular; every plane has deviation 1 afterwards."""
    filtered = torch.fft.irfft2(torch.fft.rfft2(planes) * response(planes, deviation), s=planes.shape[-2:])
    return filtered / filtered.square().mean((2, 3), keepdim=True).sqrt()


def softened(pictures: Tensor, deviation: Tensor) -> Tensor:
    """As `smoothed`, but mirrored at the border and as bright as before."""
    reach = min(REACH, *(size - 1 for size in pictures.shape[-2:]))
    padded = functional.pad(pictures, (reach,) * 4, mode="reflect")
    filtered = torch.fft.irfft2(torch.fft.rfft2(padded) * response(padded, deviation), s=padded.shape[-2:])
    return filtered[..., reach:-reach, reach:-reach]


def sharpened(pictures: Tensor, factor: Tensor) -> Tensor:
    """By an unsharp mask of `factor` (N,)."""
    halo = pictures - softened(pictures, torch.full_like(pictures[:, :, 0, 0], HALO))
    return (pictures + factor[:, None, None, None] * halo).clamp(-1, 1)


def response(planes: Tensor, deviation: Tensor) -> Tensor:
    """Of a Gaussian, to the frequencies of `rfft2`: (N, C, H, W / 2 + 1)."""
    across = torch.fft.rfftfreq(planes.shape[-1], device=planes.device).square()
    squares = torch.fft.fftfreq(planes.shape[-2], device=planes.device).square()[:, None] + across
    return (-2 * (torch.pi * deviation[:, :, None, None]).square() * squares).exp()


def unit(noise: Tensor) -> Tensor:
    return noise / noise.square().mean((1, 2, 3), keepdim=True).sqrt()


def brightness(clean: Tensor) -> Tensor:
    """Of the neighbourhood of a pixel over that of mid-grey: (N, C, H, W) on [-1, 1] to (N, 1, H, W)."""
    grey = (clean.mean(1, keepdim=True) + 1) / 2
    small = functional.avg_pool2d(grey, NEIGHBOURHOOD, ceil_mode=True)
    smooth = functional.interpolate(small, size=clean.shape[-2:], mode="bilinear")
    return (smooth.clamp(min=0) + DARK) / (0.5 + DARK)


def jpeg(picture: Tensor, quality: int) -> Tensor:
    """(3, H, W) on [-1, 1], through a file."""
    pixels, buffer = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy(), io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    decoded = torch.from_numpy(np.array(Image.open(buffer))).to(picture.device)
    return decoded.permute(2, 0, 1).float() / 127.5 - 1

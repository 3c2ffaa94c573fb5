"""Colours: from the samples of a file to sRGB for the prior, and back.

Samples and sRGB are float32 in [0, 1]. Rows are converted in blocks, so that the extra memory does not grow with the
picture.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageCms

LUMA = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""Rec. 709, on encoded values: exact where the three channels agree, as they do for a grey picture."""
BLOCK_ROWS = 256


class Conversion(Protocol):
    """A pair of maps between the colour samples of a file (H, W, C) and sRGB (H, W, 3), all float32 in [0, 1]."""

    def to_srgb(self, samples: np.ndarray) -> np.ndarray: ...

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class SameColours:
    """The samples are sRGB."""

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        return samples

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray:
        return rgb


@dataclass(frozen=True)
class Grey:
    """One channel with the sRGB tone curve: replicated, and brought back as luma."""

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        return np.repeat(samples, 3, axis=2)

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray:
        return (rgb @ LUMA)[..., None]


@dataclass(frozen=True)
class UncalibratedInk:
    """CMYK without a profile: the textbook formula, with all common ink taken as black on the way back."""

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        return (1 - samples[..., :3]) * (1 - samples[..., 3:])

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray:
        light = rgb.max(axis=2, keepdims=True)
        ink = 1 - np.divide(rgb, light, out=np.ones_like(rgb), where=light > 0)
        return np.concatenate([ink, 1 - light], axis=2)


class LittleCms:
    """Any ICC profile by way of LittleCMS, relative colorimetric with black point compensation.

    Pillow hands LittleCMS 8-bit samples only, so this loses what lies below 1/255, in both directions. Matrix and grey
    profiles do not come here: `service.imaging.icc` converts those in floating point.
    """

    def __init__(self, profile: bytes, mode: str) -> None:
        """`mode` is Pillow's: RGB, L or CMYK. Raises ImageCms.PyCMSError or OSError for an unusable profile."""
        native = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        flags, intent = ImageCms.Flags.BLACKPOINTCOMPENSATION, ImageCms.Intent.RELATIVE_COLORIMETRIC
        self._mode = mode
        self._to = ImageCms.buildTransform(native, srgb, mode, "RGB", intent, flags)
        self._from = ImageCms.buildTransform(srgb, native, "RGB", mode, intent, flags)

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        return self._apply(self._to, samples, self._mode)

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray:
        return self._apply(self._from, rgb, "RGB")

    @staticmethod
    def _apply(transform: ImageCms.ImageCmsTransform, values: np.ndarray, mode: str) -> np.ndarray:
        source = np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
        image = Image.frombytes(mode, (source.shape[1], source.shape[0]), source.tobytes())
        answer = np.asarray(ImageCms.applyTransform(image, transform))
        return (answer if answer.ndim == 3 else answer[..., None]).astype(np.float32) / np.float32(255)


def by_blocks(source: np.ndarray, channels: int, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`convert` on blocks of rows of `source` (H, W, C), gathered as (H, W, channels) float32."""
    answer = np.empty((*source.shape[:2], channels), dtype=np.float32)
    for top in range(0, source.shape[0], BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        answer[rows] = convert(source[rows])
    return answer


def unit_samples(samples: np.ndarray) -> np.ndarray:
    """Integer samples as float32 in [0, 1]; floating point as it is."""
    if samples.dtype.kind == "f":
        return samples
    return samples.astype(np.float32) / np.float32(np.iinfo(samples.dtype).max)


def stored_samples(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values on the [0, 1] scale as samples of this type: floating point as it is, integers as `whole_samples`."""
    return values.astype(dtype) if dtype.kind == "f" else whole_samples(values, dtype)


def whole_samples(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in [0, 1] as integers: clipped, halves rounded up (in float64, which holds the half exactly)."""
    white = np.iinfo(dtype).max
    return np.floor(np.clip(values.astype(np.float64), 0, 1) * white + 0.5).astype(dtype)

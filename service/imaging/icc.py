"""ICC profiles that are a tone curve a channel and a matrix, converted in floating point (ICC.1:2022).

Nearly every camera, display and working space (sRGB, Adobe RGB, Display P3, ProPhoto) is of this kind. LittleCMS would
do it too, but Pillow gives it 8 bits a sample, and wide gamuts and 16-bit pictures would come back with steps.
"""

import struct
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import ImageCms

from service.imaging.colour import LUMA, Conversion, Grey, SameColours

HEADER, TAG_ENTRY = 128, 12
LOOK_UP_TABLES = (b"A2B0", b"A2B1", b"D2B0", b"D2B1")
SAME_WITHIN = 1 / 512
"""Profiles whose colours differ less from sRGB are sRGB, whatever rounding their maker used."""


class Curve(Protocol):
    """A tone curve on [0, 1]: encoded value to light, and back."""

    def light(self, value: np.ndarray) -> np.ndarray: ...

    def value(self, light: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class ParametricCurve:
    """`(a x + b)^g + e` from `x = d` on, `c x + f` below: the most general of the five kinds (10.18, type 4)."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def light(self, value: np.ndarray) -> np.ndarray:
        power = np.maximum(self.a * value + self.b, 0) ** self.g + self.e
        return np.where(value >= self.d, power, self.c * value + self.f)

    def value(self, light: np.ndarray) -> np.ndarray:
        power = (np.maximum(light - self.e, 0) ** (1 / self.g) - self.b) / self.a
        line = (light - self.f) / self.c if self.c else np.zeros_like(light)
        break_light = max(self.a * self.d + self.b, 0.0) ** self.g + self.e
        return np.where(light >= break_light, power, line)


@dataclass(frozen=True, eq=False)
class SampledCurve:
    """A rising table over equal steps, with straight lines between its entries."""

    table: np.ndarray

    def light(self, value: np.ndarray) -> np.ndarray:
        return np.interp(value, np.linspace(0, 1, len(self.table)), self.table).astype(np.float32)

    def value(self, light: np.ndarray) -> np.ndarray:
        return np.interp(light, self.table, np.linspace(0, 1, len(self.table))).astype(np.float32)


SRGB_CURVE = ParametricCurve(g=2.4, a=1 / 1.055, b=0.055 / 1.055, c=1 / 12.92, d=0.04045)


@dataclass(frozen=True, eq=False)
class MatrixProfile:
    """Three curves and the matrix from the profile's linear RGB to that of sRGB, relative colorimetric.

    sRGB values outside [0, 1] stand for colours that sRGB cannot show; the caller clips them.
    """

    curves: tuple[Curve, Curve, Curve]
    to_linear_srgb: np.ndarray
    """(3, 3) float32."""

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        light = np.stack([curve.light(samples[..., i]) for i, curve in enumerate(self.curves)], axis=-1)
        linear = light @ self.to_linear_srgb.T
        return np.sign(linear) * SRGB_CURVE.value(np.abs(linear))

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray:
        linear = np.sign(rgb) * SRGB_CURVE.light(np.abs(rgb))
        light = np.clip(linear @ np.linalg.inv(self.to_linear_srgb).T, 0, 1)
        return np.stack([curve.value(light[..., i]) for i, curve in enumerate(self.curves)], axis=-1)


@dataclass(frozen=True, eq=False)
class GreyProfile:
    """One channel with a tone curve of its own."""

    curve: Curve

    def to_srgb(self, samples: np.ndarray) -> np.ndarray:
        return np.repeat(SRGB_CURVE.value(self.curve.light(samples)), 3, axis=2)

    def from_srgb(self, rgb: np.ndarray) -> np.ndarray:
        return self.curve.value(SRGB_CURVE.light((rgb @ LUMA)[..., None]))


def floating_conversion(profile: bytes) -> Conversion | None:
    """The conversion of a matrix or grey profile, `SameColours` or `Grey` where it is sRGB.

    None for profiles that need look-up tables. Raises ValueError, struct.error or numpy.linalg.LinAlgError where the
    profile is damaged.
    """
    tags = _tags(profile)
    if any(name in tags for name in LOOK_UP_TABLES):
        return None
    if profile[16:20] == b"GRAY" and b"kTRC" in tags:
        grey = GreyProfile(_curve(tags[b"kTRC"]))
        return Grey() if _differs(grey, Grey(), 1) < SAME_WITHIN else grey
    if profile[16:20] == b"RGB " and {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"} <= tags.keys():
        red, green, blue = (_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        srgb = _colorants(_tags(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()))
        matrix = MatrixProfile((red, green, blue), _between(_colorants(tags), srgb))
        return SameColours() if _differs(matrix, SameColours(), 3) < SAME_WITHIN else matrix
    return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    count = struct.unpack_from(">I", profile, HEADER)[0]
    if count > (len(profile) - HEADER) // TAG_ENTRY:
        raise ValueError("the tag table is longer than the profile")
    entries = struct.iter_unpack(">4sII", profile[HEADER + 4 : HEADER + 4 + count * TAG_ENTRY])
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _colorants(tags: dict[bytes, bytes]) -> np.ndarray:
    """(3, 3) with the XYZ of red, green and blue as columns."""
    columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    return np.array(columns, dtype=np.float64).T / 65536


def _between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    if np.linalg.cond(source) > 1e4:
        raise ValueError("the colorants do not span the colours")
    return np.linalg.solve(target, source).astype(np.float32)


def _curve(tag: bytes) -> Curve:
    """`curv` (10.6) or `para` (10.18)."""
    if tag[:4] == b"curv":
        count = struct.unpack_from(">I", tag, 8)[0]
        if count == 0:
            return ParametricCurve(1.0)
        if count == 1:
            return ParametricCurve(_positive(struct.unpack_from(">H", tag, 12)[0] / 256))
        table = np.frombuffer(tag, ">u2", count, 12).astype(np.float64) / 65535
        if (np.diff(table) < 0).any() or table[-1] <= table[0]:
            raise ValueError("a tone curve does not rise")
        return SampledCurve(table)
    if tag[:4] != b"para":
        raise ValueError("unknown kind of tone curve")
    kind = struct.unpack_from(">H", tag, 8)[0]
    values = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[min(kind, 4)]}i", tag, 12)]
    g, a, b, c, d, e, f = values + [0.0] * (7 - len(values))
    a = a if kind else 1.0
    _positive(g), _positive(a)
    if kind in (0, 1, 2):
        return ParametricCurve(g, a, b, d=-b / a, e=c, f=c)
    return ParametricCurve(g, a, b, c, d, e, f)


def _positive(number: float) -> float:
    if number <= 0:
        raise ValueError("a tone curve does not rise")
    return number


def _differs(conversion: Conversion, plain: Conversion, channels: int) -> float:
    """The largest difference of two conversions over a grid of colours. Raises ValueError where one is not a number."""
    steps = np.linspace(0, 1, 17, dtype=np.float32)
    grid = np.stack(np.meshgrid(*[steps] * channels, indexing="ij"), axis=-1).reshape(1, -1, channels)
    rgb = conversion.to_srgb(grid)
    if not (np.isfinite(rgb).all() and np.isfinite(conversion.from_srgb(np.clip(rgb, 0, 1))).all()):
        raise ValueError("the profile does not lead to numbers")
    return float(np.abs(rgb - plain.to_srgb(grid)).max())

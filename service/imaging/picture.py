"""The values that this room hands out: what a file is, what is in it, and what was written."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.imaging.colour import Conversion, Grey, SameColours

ColourModel = Literal["grey", "rgb", "cmyk"]
Warning = tuple[str, str]
"""A stable code and a sentence for a person."""


@dataclass(frozen=True)
class ImageInfo:
    """What an accepted file says about itself."""

    width: int
    """After the EXIF turn, as `height`."""
    height: int
    mode: str
    """Pillow's mode of the stored picture: RGB, L, RGBA, P, CMYK, 1, I;16; 16-bit colour is RGB;16, RGBA;16, LA;16,
    floating point F and RGB;F."""
    format: str
    """PNG, JPEG, WEBP, TIFF, GIF, BMP or NPY."""
    bit_depth: int
    """Of one sample: 1, 8 or 16. Palettes and 2 or 4 bit grey count as 8, the depth of their colours. Floating point
    has 16, 32 or 64."""
    has_alpha: bool
    has_icc: bool
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Metadata:
    """What travels beside the pixels and is written back."""

    icc: bytes | None = None
    """The profile of the samples; None where there is none or it cannot be used."""
    exif: bytes | None = None
    """`Exif\\0\\0` and a TIFF block, Orientation 1, without the thumbnail, which would show the old picture."""
    dpi: tuple[float, float] | None = None


@dataclass(frozen=True)
class Picture:
    """A decoded picture, turned upright. The arrays are never written to."""

    rgb: np.ndarray
    """(H, W, 3) float32 in [0, 1], sRGB: what priors and solvers see. Of floating point, beyond it too."""
    alpha: np.ndarray | None
    """(H, W) float32 in [0, 1], 1 = opaque. The colours are not multiplied by it."""
    native: np.ndarray
    """(H, W, C) uint8, uint16 or float32, the samples of the file: colours as `model` has them, then alpha where there
    is one. Palettes are expanded to their colours; 1-bit pictures are 0 and 255; floating point is not limited."""
    model: ColourModel
    bit_depth: int
    """As in `ImageInfo`; 1 is held in uint8, all floating point in float32."""
    mode: str
    format: str
    conversion: Conversion
    """Between the colours of `native` and sRGB, both ways."""
    metadata: Metadata
    warnings: tuple[Warning, ...] = ()
    """What could not be taken over, such as `icc_unusable`."""

    @property
    def width(self) -> int:
        return self.rgb.shape[1]

    @property
    def height(self) -> int:
        return self.rgb.shape[0]

    @property
    def needs_profile(self) -> bool:
        """Whether the native colours mean something else without their profile."""
        return self.metadata.icc is not None and self.conversion not in (SameColours(), Grey())

    @property
    def colours(self) -> np.ndarray:
        """The native samples without alpha."""
        return self.native[..., :-1] if self.alpha is not None else self.native


@dataclass(frozen=True)
class Encoded:
    """A written file."""

    data: bytes
    media_type: str
    width: int
    height: int
    bit_depth: int
    known_pixels_equal: bool | None
    """Whether each kept pixel of the file has the samples of the source, at its bit depth; None without `keep`."""
    warnings: list[Warning]

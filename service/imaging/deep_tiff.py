"""TIFF layouts that Pillow's decoder can unpack but its table of modes does not list."""

import sys
from dataclasses import dataclass

from PIL.TiffImagePlugin import TiffImageFile

BITS, PHOTOMETRIC, CHANNELS, PLANAR, EXTRA = 258, 262, 277, 284, 338
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
PREMULTIPLIED, STRAIGHT = 1, 2


@dataclass(frozen=True)
class Layout:
    """How the file itself describes its samples."""

    bits: int
    """Of the first sample; the others have the same."""
    white_is_zero: bool
    separate: bool
    """One plane after the other."""
    premultiplied: bool
    grey_alpha16: bool
    """16-bit grey with alpha, which is opened as 8-bit RGBA: the same four bytes a pixel."""
    byteorder: str
    """Of the decoded samples, `little` or `big`: the machine's where libtiff decodes, else the file's."""


class DeepTiffFile(TiffImageFile):
    """A TIFF file that also opens as 16-bit grey with alpha and as 16-bit grey with white as zero."""

    layout: Layout

    def _setup(self) -> None:
        """Called for every page; shows Pillow an equivalent that it knows and notes the truth in `layout`."""
        tags = self.tag_v2
        bits = tags.get(BITS, (1,))
        extra = tags.get(EXTRA, ())
        photometric = tags.get(PHOTOMETRIC, WHITE_IS_ZERO)
        grey = photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)
        separate = tags.get(PLANAR, 1) == 2
        grey_alpha16 = grey and bits == (16, 16) and not separate
        if separate and len(bits) == 1:
            tags[PLANAR] = 1
        if grey_alpha16:
            tags[BITS], tags[CHANNELS], tags[EXTRA], tags[PHOTOMETRIC] = (8, 8, 8, 8), 4, (STRAIGHT,), RGB
            tags[339] = (1,)
        elif grey and bits == (16,):
            tags[PHOTOMETRIC] = BLACK_IS_ZERO
        super()._setup()
        self.layout = Layout(
            bits=bits[0],
            white_is_zero=photometric == WHITE_IS_ZERO and bits[0] == 16,
            separate=separate and len(bits) > 1,
            premultiplied=PREMULTIPLIED in extra,
            grey_alpha16=grey_alpha16,
            byteorder=sys.byteorder if self.use_load_libtiff else {b"II": "little", b"MM": "big"}[tags.prefix],
        )

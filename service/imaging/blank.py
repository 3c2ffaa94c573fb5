"""A source for pictures that come from no file: what `encode` takes where a result is unlike its input."""

import numpy as np

from service.imaging.colour import Grey, SameColours
from service.imaging.picture import Metadata, Picture


def blank(height: int, width: int, *, grey: bool, like: Picture | None = None) -> Picture:
    """A picture of this size without pixels of its own, which takes no memory; in the format and depth of `like`."""
    channels, dtype = (1 if grey else 3), (np.dtype(np.uint8) if like is None else like.native.dtype)
    return Picture(
        rgb=np.broadcast_to(np.float32(0), (height, width, 3)),
        alpha=None,
        native=np.broadcast_to(dtype.type(0), (height, width, channels)),
        model="grey" if grey else "rgb",
        bit_depth=8 * dtype.itemsize,
        mode="L" if grey else "RGB",
        format="PNG" if like is None else like.format,
        conversion=Grey() if grey else SameColours(),
        metadata=Metadata(),
    )

"""The photographs of a folder as arrays: found, surveyed by their headers, decoded when they are asked for."""

import contextlib
import io
import logging
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
"""What Pillow raises for a file that is damaged, no picture, or larger than any photograph."""

logger = logging.getLogger(__name__)


class NoPhotograph(Exception):
    """There is nothing to cut a crop from."""


class Photograph(NamedTuple):
    """A picture as its header describes it; width and height before any turn that its EXIF orders."""

    path: Path
    width: int
    height: int

    @property
    def bytes(self) -> int:
        """Size once it is decoded."""
        return 3 * self.width * self.height


def photographs(folder: Path) -> list[Path]:
    """Every picture below `folder`, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def survey(paths: Sequence[Path]) -> list[Photograph]:
    """The size of each picture, from its header. Those that are no picture are left out and named in one warning."""
    found, skipped = [], []
    for path in paths:
        try:
            with Image.open(path) as image:
                found.append(Photograph(path, *image.size))
        except UNREADABLE as error:
            skipped.append(f"{path} ({error})")
    if skipped:
        more = ", .." if len(skipped) > 3 else ""
        logger.warning("%d of %d pictures skipped: %s%s", len(skipped), len(paths), ", ".join(skipped[:3]), more)
    return found


def read_photograph(path: Path) -> np.ndarray:
    """Decode to (H, W, 3) uint8, sRGB, upright.

    16-bit grey loses its lower bits, an opaque alpha channel is dropped, a colour profile (also of CMYK) is honoured.
    Raises one of UNREADABLE for a damaged file, for transparent pixels, which hide no photograph, and for pixels
    without a known range (floats, 32-bit integers).
    """
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        return np.array(_to_srgb(upright))


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known range")
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
        raise ValueError("it has transparent pixels")
    if image.mode not in ("RGB", "L", "CMYK"):
        return image.convert("RGB")
    # a damaged profile, or one of other colours than the picture's, counts as none
    with contextlib.suppress(ImageCms.PyCMSError, OSError):
        if profile := image.info.get("icc_profile"):
            native, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, native, srgb, outputMode="RGB")
    return image.convert("RGB")


class Decoded:
    """Photographs by number, decoded when first asked for. At most `capacity` bytes of them are held.

    Threads may share it. What cannot be decoded is None, reported once.
    """

    def __init__(self, paths: Sequence[Path], capacity: int):
        self.paths = paths
        self.capacity = capacity
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()  # the one that was used last is the last
        self._bytes = 0
        self._unreadable: set[int] = set()
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> np.ndarray | None:
        """(H, W, 3) uint8."""
        with self._lock:
            if number in self._unreadable:
                return None
            if number in self._held:
                self._held.move_to_end(number)
                return self._held[number]
        try:
            pixels = read_photograph(self.paths[number])  # outside the lock: threads decode side by side
        except UNREADABLE as error:
            self._give_up(number, error)
            return None
        self._hold(number, pixels)
        return pixels

    def _give_up(self, number: int, error: Exception) -> None:
        with self._lock:
            if number not in self._unreadable:
                self._unreadable.add(number)
                message = "%s skipped, %d of %d pictures so far: %s"
                logger.warning(message, self.paths[number], len(self._unreadable), len(self.paths), error)

    def _hold(self, number: int, pixels: np.ndarray) -> None:
        with self._lock:
            if number in self._held:  # another thread was quicker
                return
            self._held[number] = pixels
            self._bytes += pixels.nbytes
            while self._bytes > self.capacity:
                self._bytes -= self._held.popitem(last=False)[1].nbytes

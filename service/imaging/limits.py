"""What a picture may cost, checked before anything is decoded."""

from dataclasses import dataclass

from service.imaging.errors import ImageRefused


@dataclass(frozen=True)
class ImageLimits:
    """Bounds on one picture; the service takes them from its settings."""

    max_bytes: int
    max_pixels: int
    min_side: int
    """Smallest width and height, in pixels."""

    def check_bytes(self, data: bytes) -> None:
        """Raises `file_too_large`."""
        if len(data) > self.max_bytes:
            raise ImageRefused(
                "file_too_large", f"The file has {len(data):,} bytes; at most {self.max_bytes:,} are accepted."
            )

    def check_size(self, width: int, height: int) -> None:
        """Raises `image_too_small` or `image_too_many_pixels`."""
        if width < self.min_side or height < self.min_side:
            raise ImageRefused(
                "image_too_small",
                f"The image is {width} x {height} pixels; each side needs at least {self.min_side}.",
            )
        if width * height > self.max_pixels:
            raise ImageRefused(
                "image_too_many_pixels",
                f"The image is {width} x {height}, {width * height:,} pixels; at most {self.max_pixels:,} are taken.",
            )

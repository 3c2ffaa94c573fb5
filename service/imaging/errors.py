"""The one exception of this room."""

from typing import Literal

RefusalCode = Literal[
    "unsupported_image",
    "image_too_many_pixels",
    "image_too_small",
    "file_too_large",
    "mask_size_mismatch",
    "mask_empty",
    "mask_full",
    "kernel_invalid",
]


class ImageRefused(Exception):
    """Bytes that are not taken as a picture or a mask; no other exception comes out of `decode` and `inspect`."""

    def __init__(self, code: RefusalCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        """A key of `api_schemas.problems.PROBLEMS`."""
        self.detail = detail
        """One or two sentences for the person who sent the file."""

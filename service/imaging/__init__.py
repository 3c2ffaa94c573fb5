"""Pixels: from the bytes that a user sends to arrays, and back to the same kind of file. numpy and Pillow only."""

from service.imaging.blank import blank
from service.imaging.decode import decode, inspect
from service.imaging.encode import encode
from service.imaging.errors import ImageRefused
from service.imaging.kernels import kernel_picture
from service.imaging.lettering import lettering
from service.imaging.limits import ImageLimits
from service.imaging.masks import observed_at, observed_mask
from service.imaging.opening import MEDIA_TYPES, sniff_media_type
from service.imaging.picture import Encoded, ImageInfo, Picture
from service.imaging.preview import preview_jpeg

__all__ = [
    "MEDIA_TYPES",
    "Encoded",
    "ImageInfo",
    "ImageLimits",
    "ImageRefused",
    "Picture",
    "blank",
    "decode",
    "encode",
    "inspect",
    "kernel_picture",
    "lettering",
    "observed_at",
    "observed_mask",
    "preview_jpeg",
    "sniff_media_type",
]

"""From the bytes of a file to an upright picture in sRGB."""

import hashlib
import struct
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageFile

from service.imaging import exif as exif_block
from service.imaging.colour import (
    BLOCK_ROWS,
    Conversion,
    Grey,
    LittleCms,
    SameColours,
    UncalibratedInk,
    by_blocks,
    unit_samples,
)
from service.imaging.icc import floating_conversion
from service.imaging.limits import ImageLimits
from service.imaging.opening import open_image, refusing_damage
from service.imaging.picture import ColourModel, ImageInfo, Metadata, Picture, Warning
from service.imaging.samples import Samples, read_samples

COLOUR_SPACES: dict[ColourModel, bytes] = {"grey": b"GRAY", "rgb": b"RGB ", "cmyk": b"CMYK"}
"""Our models as ICC headers name them."""
PILLOW_MODES: dict[ColourModel, str] = {"grey": "L", "rgb": "RGB", "cmyk": "CMYK"}
VISIBLE = 1 / 255
"""How far outside [0, 1] a value has to lie before its clipping is worth a warning."""
UNUSABLE = (OSError, ValueError, struct.error, np.linalg.LinAlgError, ImageCms.PyCMSError)
"""What a damaged profile raises, ours and LittleCMS's."""


def inspect(data: bytes, limits: ImageLimits) -> ImageInfo:
    """What the file is, after decoding all of it, so that a truncated file is found here and not in the worker.

    Raises ImageRefused: `file_too_large`, `unsupported_image`, `image_too_small`, `image_too_many_pixels`.
    """
    image, samples, _ = read_upright(data, limits)
    height, width = samples.values.shape[:2]
    return ImageInfo(
        width=width,
        height=height,
        mode=samples.mode,
        format=_format_of(image),
        bit_depth=samples.bit_depth,
        has_alpha=samples.has_alpha,
        has_icc=bool(image.info.get("icc_profile")),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def decode(data: bytes, limits: ImageLimits) -> Picture:
    """The picture of the file. Raises as `inspect` does; damaged EXIF or ICC is left out with a warning instead."""
    upright = read_upright(data, limits)
    image, samples, _ = upright
    native = np.ascontiguousarray(samples.values)
    warnings: list[Warning] = []
    model = _model_of(native.shape[2] - samples.has_alpha)
    icc, conversion = _colours(image.info.get("icc_profile"), model, warnings)
    colours = native[..., :-1] if samples.has_alpha else native
    rgb = by_blocks(colours, 3, lambda rows: conversion.to_srgb(unit_samples(rows)))
    if native.dtype.kind != "f":  # floating point is a measurement, which may lie beyond black and white
        _clip_to_srgb(rgb, warnings)
    return Picture(
        rgb=rgb,
        alpha=unit_samples(native[..., -1]) if samples.has_alpha else None,
        native=native,
        model=model,
        bit_depth=samples.bit_depth,
        mode=samples.mode,
        format=_format_of(image),
        conversion=conversion,
        metadata=Metadata(icc, _exif(upright, warnings), _dpi(image)),
        warnings=tuple(warnings),
    )


class Upright(NamedTuple):
    """A file that was read and turned as its EXIF says."""

    image: ImageFile.ImageFile
    samples: Samples
    exif: Image.Exif | None
    """None where it is damaged."""


def read_upright(data: bytes, limits: ImageLimits) -> Upright:
    """The header, samples and EXIF of a file. Raises as `inspect` does."""
    image = open_image(data, limits)
    with refusing_damage(f"The {image.format} file is truncated or damaged"):
        samples = read_samples(image, data)
    try:
        exif = image.getexif()
        turned = 1 if image.format == "TIFF" else exif_block.orientation_of(exif)  # Pillow turns TIFF as it loads
    except exif_block.UNREADABLE:
        exif, turned = None, 1
    return Upright(image, replace(samples, values=exif_block.turn(samples.values, turned)), exif)


def _exif(upright: Upright, warnings: list[Warning]) -> bytes | None:
    height, width = upright.samples.values.shape[:2]
    try:
        if upright.exif is not None:
            return exif_block.upright_block(upright.image, upright.exif, width, height)
    except exif_block.UNREADABLE:
        pass
    warnings.append(("exif_unreadable", "The EXIF block of the picture is damaged and was left out."))
    return None


def _model_of(channels: int) -> ColourModel:
    models: dict[int, ColourModel] = {1: "grey", 3: "rgb", 4: "cmyk"}
    return models[channels]


def _colours(profile: bytes | None, model: ColourModel, warnings: list[Warning]) -> tuple[bytes | None, Conversion]:
    """The usable profile and its conversion; without one, sRGB or its tone curve is assumed."""
    plain: dict[ColourModel, Conversion] = {"grey": Grey(), "rgb": SameColours(), "cmyk": UncalibratedInk()}
    if not profile:
        return None, plain[model]
    if isinstance(profile, bytes) and profile[16:20] == COLOUR_SPACES[model]:
        try:
            return profile, floating_conversion(profile) or LittleCms(profile, PILLOW_MODES[model])
        except UNUSABLE:
            pass
    warnings.append(("icc_unusable", "The colour profile is damaged or not for these colours; sRGB is assumed."))
    return None, plain[model]


def _clip_to_srgb(rgb: np.ndarray, warnings: list[Warning]) -> None:
    """Clips in place to what sRGB can show, and says so where it can be seen."""
    outside = 0
    for top in range(0, rgb.shape[0], BLOCK_ROWS):
        rows = rgb[top : top + BLOCK_ROWS]
        outside += int(((rows < -VISIBLE) | (rows > 1 + VISIBLE)).any(axis=2).sum())
        np.clip(rows, 0, 1, out=rows)
    share = 100 * outside / (rgb.shape[0] * rgb.shape[1])
    if share > 0.1:
        warnings.append(
            (
                "colours_clipped",
                f"{share:.1f} % of the pixels have colours outside sRGB, in which the restoration works.",
            )
        )


def _format_of(image: ImageFile.ImageFile) -> str:
    return "JPEG" if image.format == "MPO" else str(image.format)


def _dpi(image: ImageFile.ImageFile) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ArithmeticError):  # missing, or nonsense that a TIFF tag may hold
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None

"""From restored pixels to a file like the one that came in."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from service.imaging.colour import (
    BLOCK_ROWS,
    Conversion,
    Grey,
    SameColours,
    stored_samples,
    unit_samples,
    whole_samples,
)
from service.imaging.exif import resized_block
from service.imaging.opening import MEDIA_TYPES
from service.imaging.picture import ColourModel, Encoded, Metadata, Picture, Warning
from service.imaging.writers import WRITERS

Format = Literal["same", "png", "tiff", "webp", "jpeg", "npy"]
BitDepth = Literal["same", "8", "16"]
MODELS: dict[str, tuple[ColourModel, ...]] = {
    "PNG": ("grey", "rgb"),
    "TIFF": ("grey", "rgb", "cmyk"),
    "WEBP": ("rgb",),
    "JPEG": ("grey", "rgb", "cmyk"),
    "NPY": ("grey", "rgb"),
}
CHANNELS: dict[ColourModel, int] = {"grey": 1, "rgb": 3, "cmyk": 4}
LONGEST_SIDE = {"PNG": 2**31 - 1, "TIFF": 2**31 - 1, "WEBP": 16383, "JPEG": 65500, "NPY": 2**31 - 1}
MAX_JPEG_EXIF = 65533
DEEPEST = 16
"""Bits a channel of a picture: what floating point gets."""


@dataclass(frozen=True)
class _Plan:
    """How the file will be written."""

    format: str
    dtype: np.dtype
    model: ColourModel
    conversion: Conversion
    """From sRGB to the colours of the file."""
    native: bool
    """Whether the samples are those of the source; else they are sRGB."""
    alpha: bool
    lossless: bool


def encode(
    rgb01: np.ndarray,
    source: Picture,
    *,
    format: Format = "png",
    bit_depth: BitDepth = "same",
    quality: int = 95,
    keep_metadata: bool = True,
    keep_alpha: bool = True,
    keep: np.ndarray | None = None,
    scale: int = 1,
    same_scene: bool = False,
    opaque: np.ndarray | None = None,
) -> Encoded:
    """Writes `rgb01` (scale * H, scale * W, 3), sRGB in [0, 1], as the same kind of file as `source`.

    Size, depth, alpha, ICC profile, EXIF and resolution are those of the source; the colours go back into its profile,
    grey stays grey, and CMYK stays CMYK in TIFF and JPEG (elsewhere it becomes RGB). Palettes and 1-bit pictures come
    back with 8 bits a channel. `keep` (H, W) bool are the known pixels: after all conversion they are overwritten with
    the samples of the source. `same_scene` says that every pixel shows what the source shows there, as after denoising
    but not inside a hole: then what sRGB could not hold of a wide gamut is put back. `opaque` (H, W) bool are pixels
    whose alpha becomes full: holes that the alpha itself marked, and that are filled now. `npy` holds numbers only:
    float32 (H, W, C), sRGB or grey as `rgb01`, not clipped, without metadata and alpha.
    `warnings` say what cannot be kept: `lossy_format`, `mode_changed`, `bit_depth_changed`, `profile_converted`,
    `alpha_dropped`, `format_changed`, `metadata_dropped`.
    Raises ValueError for arrays whose shape does not fit, and for `keep`, `same_scene` or `opaque` with `scale` > 1.
    """
    _check(rgb01, source, (keep, opaque), scale, same_scene)
    height, width = rgb01.shape[:2]
    warnings: list[Warning] = []
    target = _format(source, max(width, height), format, warnings)
    keep_metadata = keep_metadata and target != "NPY"
    model, conversion, native = _colours(source, target, keep_metadata, warnings)
    dtype = _depth(source, target, bit_depth, warnings)
    alpha = _carries_alpha(source, target, keep_alpha, warnings)
    plan = _Plan(target, dtype, model, conversion, native, alpha, _lossless(target, quality, warnings))
    metadata = _metadata(source, plan, width, height, warnings) if keep_metadata else Metadata()
    samples = _samples(rgb01, source, plan, keep, scale, same_scene)
    if plan.alpha and opaque is not None:
        samples[opaque, -1] = np.iinfo(plan.dtype).max
    equal = None if keep is None else _equal(source, plan)
    data = WRITERS[target](samples, model, metadata, quality)
    return Encoded(data, MEDIA_TYPES[target], width, height, 8 * dtype.itemsize, equal, warnings)


def _check(
    rgb01: np.ndarray, source: Picture, regions: tuple[np.ndarray | None, ...], scale: int, same_scene: bool
) -> None:
    if rgb01.shape != (source.height * scale, source.width * scale, 3):
        raise ValueError(f"{rgb01.shape} is not {scale} x {(source.height, source.width)} with 3 channels")
    for region in regions:
        if region is not None and (scale != 1 or region.shape != (source.height, source.width)):
            raise ValueError("keep and opaque need scale 1 and the size of the source")
    if same_scene and scale != 1:
        raise ValueError("same_scene needs scale 1")


def _lossless(target: str, quality: int, warnings: list[Warning]) -> bool:
    if target in ("PNG", "TIFF", "NPY") or (target == "WEBP" and quality == 100):
        return True
    warnings.append(("lossy_format", f"{target} changes pixels a little when it compresses, known pixels too."))
    return False


def _format(source: Picture, longest: int, format: Format, warnings: list[Warning]) -> str:
    target = source.format if format == "same" else format.upper()
    if target not in WRITERS:
        warnings.append(("format_changed", f"{target} is not written here; the result is a PNG."))
        return "PNG"
    if longest > LONGEST_SIDE[target]:
        limit = LONGEST_SIDE[target]
        warnings.append(("format_changed", f"{target} ends at {limit} pixels a side; the result is a PNG."))
        return "PNG"
    return target


def _depth(source: Picture, target: str, bit_depth: BitDepth, warnings: list[Warning]) -> np.dtype:
    if target == "NPY":
        return np.dtype(np.float32)
    wanted = min(8 * source.native.dtype.itemsize, DEEPEST) if bit_depth == "same" else int(bit_depth)
    depth = wanted if target in ("PNG", "TIFF") else 8
    if depth < max(wanted, min(source.bit_depth, DEEPEST)):
        warnings.append(("bit_depth_changed", f"The {target} result has 8 bits a channel instead of 16."))
    return np.dtype(np.uint16 if depth == 16 else np.uint8)


def _colours(
    source: Picture, target: str, keep_metadata: bool, warnings: list[Warning]
) -> tuple[ColourModel, Conversion, bool]:
    """The colour model of the file, how sRGB gets there, and whether its samples are those of the source."""
    fits = source.model in MODELS[target]
    if not fits:
        warnings.append(("mode_changed", f"{target} cannot hold {source.model} pictures; the result is RGB."))
    elif source.bit_depth == 1 or source.mode in ("P", "PA"):
        warnings.append(("mode_changed", "The new colours need 8 bits a channel, which the source does not have."))
    if fits and (keep_metadata or not source.needs_profile):
        return source.model, source.conversion, True
    if source.needs_profile:
        warnings.append(("profile_converted", "The result is sRGB, without the colour profile of the source."))
    if fits and source.model == "grey":
        return "grey", Grey(), False
    return "rgb", SameColours(), source.model == "grey" and not source.needs_profile


def _carries_alpha(source: Picture, target: str, keep_alpha: bool, warnings: list[Warning]) -> bool:
    if source.alpha is None or not keep_alpha:
        return False
    if target in ("JPEG", "NPY"):
        warnings.append(("alpha_dropped", f"{target} has no transparency; the alpha channel was left out."))
        return False
    return True


def _equal(source: Picture, plan: _Plan) -> bool:
    """Whether the known pixels of the file have the samples of the source, at the depth of the source or deeper."""
    needed = max(8 * source.native.dtype.itemsize, source.bit_depth)
    return plan.lossless and plan.native and 8 * plan.dtype.itemsize >= needed


def _samples(
    rgb01: np.ndarray, source: Picture, plan: _Plan, keep: np.ndarray | None, scale: int, same_scene: bool
) -> np.ndarray:
    """(H, W, C): the new picture in the colours of the file, the known pixels and the alpha of the source."""
    channels = CHANNELS[plan.model]
    samples = np.empty((*rgb01.shape[:2], channels + plan.alpha), dtype=plan.dtype)
    for top in range(0, rgb01.shape[0], BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        new = rgb01[rows]
        if same_scene and plan.native and source.needs_profile:
            new = new + _beyond_srgb(source, rows)
        samples[rows, :, :channels] = stored_samples(plan.conversion.from_srgb(new), plan.dtype)
        if keep is not None:
            samples[rows, :, :channels][keep[rows]] = _known(source, plan, rows)[keep[rows]]
    if plan.alpha:
        samples[..., -1] = _alpha(source, plan, scale)
    return samples


def _beyond_srgb(source: Picture, rows: slice) -> np.ndarray:
    """(H, W, 3), what the clip to sRGB took from these rows of the source."""
    whole = source.conversion.to_srgb(unit_samples(source.colours[rows]))
    return whole - np.clip(whole, 0, 1)


def _known(source: Picture, plan: _Plan, rows: slice) -> np.ndarray:
    """The source's own samples of these rows, in the colours and the depth of the file."""
    if not plan.native:
        return stored_samples(plan.conversion.from_srgb(source.rgb[rows]), plan.dtype)
    return _at_depth(source.colours[rows], plan.dtype)


def _at_depth(samples: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if samples.dtype == dtype:
        return samples
    if samples.dtype == np.uint8 and dtype == np.uint16:
        return samples.astype(np.uint16) * np.uint16(257)  # 255 to 65535, exactly invertible
    return stored_samples(unit_samples(samples), dtype)


def _alpha(source: Picture, plan: _Plan, scale: int) -> np.ndarray:
    """(H, W) alpha of the source; resized by its own Lanczos filter, apart from the colours."""
    if scale == 1:
        return _at_depth(source.native[..., -1], plan.dtype)
    size = source.width * scale, source.height * scale
    resized = Image.fromarray(source.alpha).resize(size, Image.Resampling.LANCZOS)
    return whole_samples(np.asarray(resized), plan.dtype)


def _metadata(source: Picture, plan: _Plan, width: int, height: int, warnings: list[Warning]) -> Metadata:
    metadata = source.metadata if plan.model == source.model else replace(source.metadata, icc=None)
    if metadata.exif and (width, height) != (source.width, source.height):
        metadata = replace(metadata, exif=resized_block(metadata.exif, width, height))
    if plan.format == "JPEG" and metadata.exif and len(metadata.exif) > MAX_JPEG_EXIF:
        warnings.append(("metadata_dropped", "The EXIF block is longer than a JPEG can hold and was left out."))
        metadata = replace(metadata, exif=None)
    return metadata

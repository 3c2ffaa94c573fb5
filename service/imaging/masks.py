"""Masks: from the wire's polarity to `observed`, the only form that the rest of the house knows (True = known)."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from service.imaging.decode import decode
from service.imaging.errors import ImageRefused
from service.imaging.limits import ImageLimits
from service.imaging.picture import Picture

MaskMode = Literal["white_unknown", "black_unknown", "alpha_unknown"]


def observed_mask(
    mask_data: bytes | None,
    picture: Picture,
    *,
    mode: MaskMode,
    threshold: float,
    grow: int,
    limits: ImageLimits,
) -> np.ndarray:
    """(H, W) bool, True = known: the one place where the wire's polarity is converted.

    `white_unknown`: brightness above `threshold` is unknown; `black_unknown`: brightness at or below it is unknown;
    `alpha_unknown`: opacity at or below it is unknown, of the mask or, without one, of the picture itself. `grow` widens
    the unknown part by a disk of that radius, in pixels. Both sizes count after their EXIF turn.
    Raises ImageRefused: `mask_size_mismatch`, `mask_empty`, `mask_full`, and as `decode` for the mask's bytes.
    """
    mask = picture if mask_data is None else decode(mask_data, replace(limits, min_side=1))
    if (mask.width, mask.height) != (picture.width, picture.height):
        raise ImageRefused(
            "mask_size_mismatch",
            f"The mask is {mask.width} x {mask.height} pixels and the image is {picture.width} x {picture.height}, "
            "both after their EXIF rotation; they must be equal.",
        )
    unknown = _unknown(mask, mode, threshold, own=mask_data is None)
    size = f"{picture.width} x {picture.height}"
    if not unknown.any():
        raise ImageRefused(
            "mask_empty",
            f"The {size} mask marks no pixel as unknown with mask_mode {mode} and threshold {threshold:g}.",
        )
    if grow:
        unknown = grown(unknown, grow)
    if unknown.all():
        widened = f", grown by {grow} pixels" if grow else ""
        raise ImageRefused(
            "mask_full",
            f"The {size} mask marks every pixel as unknown with mask_mode {mode} and threshold {threshold:g}{widened}.",
        )
    return ~unknown


def _unknown(mask: Picture, mode: MaskMode, threshold: float, *, own: bool) -> np.ndarray:
    if mode == "alpha_unknown":
        if mask.alpha is None:
            raise ImageRefused(
                "mask_empty",
                f"mask_mode alpha_unknown needs {'a mask or an image' if own else 'a mask'} with an alpha channel, "
                f"and this {mask.width} x {mask.height} {mask.format} has none.",
            )
        return mask.alpha <= threshold
    if own:
        raise ImageRefused("mask_empty", f"mask_mode {mode} needs a mask; only alpha_unknown can do without.")
    brightness = mask.rgb.mean(axis=2)
    return brightness > threshold if mode == "white_unknown" else brightness <= threshold


def grown(unknown: np.ndarray, radius: int) -> np.ndarray:
    """(H, W) bool widened by a disk: every pixel within `radius` (Euclidean, in pixels) of an unknown one.

    First the distance to the nearest unknown pixel of the same column, then one comparison for each column offset of
    the disk: linear in the radius, whatever the shape of the hole.
    """
    height, width = unknown.shape
    far = np.uint16(min(radius, 65534) + 1)
    distance = np.where(unknown, np.uint16(0), far)
    for y in range(1, height):
        np.minimum(distance[y], distance[y - 1] + 1, out=distance[y])
    for y in range(height - 2, -1, -1):
        np.minimum(distance[y], distance[y + 1] + 1, out=distance[y])
    answer = unknown.copy()
    for offset in range(min(radius, width - 1) + 1):
        reached = distance <= math.isqrt(radius * radius - offset * offset)
        answer[:, offset:] |= reached[:, : width - offset]
        answer[:, : width - offset] |= reached[:, offset:]
    return answer

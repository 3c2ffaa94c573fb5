"""Masks: from the wire's polarity to `observed`, the only form that the rest of the house knows (True = known)."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from service.imaging.colour import UncalibratedInk, by_blocks, unit_samples
from service.imaging.decode import read_upright
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

    `white_unknown`: brightness above `threshold` is unknown; `black_unknown`: brightness at or below it is unknown.
    Where a mask is transparent nothing was painted, which is known in both. `alpha_unknown`: opacity at or below
    `threshold` is unknown, of the mask or, without one, of the picture itself. `grow` widens the unknown part by a disk
    of that radius, in pixels. Both sizes count after their EXIF turn.
    Raises ImageRefused: `mask_size_mismatch`, `mask_empty`, `mask_full`, and as `decode` for the mask's bytes.
    """
    mask = _own_alpha(picture, mode) if mask_data is None else _read_mask(mask_data, limits)
    return _observed(mask, (picture.width, picture.height), mode, threshold, grow)


def observed_at(
    mask_data: bytes, width: int, height: int, *, mode: MaskMode, threshold: float, grow: int, limits: ImageLimits
) -> np.ndarray:
    """`observed_mask` of a mask for pictures of this size, none of which is at hand."""
    return _observed(_read_mask(mask_data, limits), (width, height), mode, threshold, grow)


def _observed(mask: "_Mask", size: tuple[int, int], mode: MaskMode, threshold: float, grow: int) -> np.ndarray:
    width, height = size
    if mask.size != size:
        raise ImageRefused(
            "mask_size_mismatch",
            f"The mask is {mask.size[0]} x {mask.size[1]} pixels and the image is {width} x {height}, "
            "both after their EXIF rotation; they must be equal.",
        )
    unknown = _unknown(mask, mode, threshold)
    said = f"The {width} x {height} mask, read as {mode} with threshold {threshold:g},"
    if not unknown.any():
        raise ImageRefused("mask_empty", f"{said} marks no pixel as unknown.{_hint(mask, mode)}")
    if grow:
        unknown, said = grown(unknown, grow), f"{said} and grown by {grow} pixels"
    if unknown.all():
        raise ImageRefused("mask_full", f"{said} marks every pixel as unknown.{_hint(mask, mode)}")
    return ~unknown


@dataclass(frozen=True)
class _Mask:
    """What counts of a mask file, both (H, W) float32 in [0, 1]."""

    brightness: np.ndarray
    alpha: np.ndarray | None

    @property
    def size(self) -> tuple[int, int]:
        return self.brightness.shape[1], self.brightness.shape[0]


def _read_mask(data: bytes, limits: ImageLimits) -> _Mask:
    """Brightness is the mean of the stored channels: a mask is data, so its colour profile plays no part."""
    samples = read_upright(data, replace(limits, min_side=1)).samples
    colours = samples.values[..., : samples.values.shape[2] - samples.has_alpha]
    brightness = by_blocks(colours, 1, _brightness)[..., 0]
    return _Mask(brightness, unit_samples(samples.values[..., -1]) if samples.has_alpha else None)


def _brightness(colours: np.ndarray) -> np.ndarray:
    light = unit_samples(colours)
    return (UncalibratedInk().to_srgb(light) if light.shape[2] == 4 else light).mean(axis=2, keepdims=True)


def _own_alpha(picture: Picture, mode: MaskMode) -> _Mask:
    if mode != "alpha_unknown":
        raise ImageRefused("mask_empty", f"mask_mode {mode} needs a mask; only alpha_unknown can do without.")
    return _Mask(picture.rgb[..., 0], picture.alpha)


def _unknown(mask: _Mask, mode: MaskMode, threshold: float) -> np.ndarray:
    if mode == "alpha_unknown":
        if mask.alpha is None:
            width, height = mask.size
            raise ImageRefused(
                "mask_empty",
                f"mask_mode alpha_unknown needs an alpha channel, and the {width} x {height} picture it is taken from "
                "has none.",
            )
        return mask.alpha <= threshold
    painted = np.float32(1) if mask.alpha is None else mask.alpha
    if mode == "white_unknown":
        return mask.brightness * painted > threshold
    return mask.brightness * painted + (1 - painted) <= threshold


def _hint(mask: _Mask, mode: MaskMode) -> str:
    if mode != "alpha_unknown" and mask.alpha is not None:
        return " It has an alpha channel; mask_mode alpha_unknown would read that."
    return ""


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

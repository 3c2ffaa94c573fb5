"""A solution as pictures like the one that came in."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from service import imaging
from service.formulate import is_grey, to_image_range
from service.queue.base import Json
from service.shapes import measured_channels
from solvers.catalogue import DENOISERS
from solvers.query import Solution


@dataclass(frozen=True)
class Result:
    """How the solutions of one job are written."""

    request: Json
    picture: imaging.Picture
    """What was sent."""
    observed: np.ndarray | None
    """(H, W) bool, of inpainting."""

    def encode(self, x: Tensor) -> imaging.Encoded:
        """(1, 3, H, W) on [-1, 1] as a file: like the source, unless the operator changes what that could be."""
        rgb01 = to_image_range(x)
        if self._has_no_colours:
            rgb01 = np.broadcast_to(rgb01.mean(axis=-1, keepdims=True), rgb01.shape)
        source, scale = self._source(*rgb01.shape[:2])
        return imaging.encode(
            rgb01,
            source,
            **self.request["output"],
            keep=self.observed if self._is_exact else None,
            scale=scale,
            same_scene=self.request["task"] == "denoise",
            opaque=~self.observed if self.observed is not None and self._alpha_was_hole else None,
        )

    def maps01(self, solution: Solution) -> dict[str, np.ndarray]:
        """Standard deviations of each pixel by what they are of, (H, W, C) on the [0, 1] scale: `uncertainty`, where it
        was asked for or the solver always knows it, and `noise_map`.

        The uncertainty is 0 where what was sent comes back as it is.
        """
        maps = {}
        if solution.deviation is not None and (self.request["uncertainty"] or self.request["solver"] in DENOISERS):
            known = self.observed[..., None] if self._is_exact else False
            maps["uncertainty"] = np.where(known, np.float32(0), deviation01(solution.deviation))
        if solution.noise_map is not None:
            maps["noise_map"] = deviation01(solution.noise_map)
        return maps

    def _source(self, height: int, width: int) -> tuple[imaging.Picture, int]:
        """What the file is to be like, and how many times larger it is."""
        picture = self.picture
        scale = max(1, height // picture.height)
        fits = (height, width) == (picture.height * scale, picture.width * scale)
        if fits and not self._colours_were_lost:
            return picture, scale
        is_grey = picture.model == "grey" and not self._colours_were_lost
        return imaging.blank(height, width, grey=is_grey, like=picture), 1

    @cached_property
    def _colours_were_lost(self) -> bool:
        return self.request["task"] == "restore" and measured_channels(self.request["operator"]) == 1

    @cached_property
    def _has_no_colours(self) -> bool:
        """Whether what was sent is grey in three equal channels, which a network would tint a little."""
        seen = self.picture.rgb if self.observed is None else self.picture.rgb[self.observed]
        return not self._colours_were_lost and is_grey(seen)

    @cached_property
    def _is_exact(self) -> bool:
        return self.observed is not None and self.request["known_pixels"] == "exact"

    @cached_property
    def _alpha_was_hole(self) -> bool:
        return self.request["mask_mode"] == "alpha_unknown" and self.request["mask"] is None


def deviation01(deviation: Tensor) -> np.ndarray:
    """(1, C, H, W) on the [-1, 1] scale to (H, W, C) on [0, 1]."""
    return deviation[0].float().div(2).permute(1, 2, 0).cpu().numpy()

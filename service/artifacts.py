"""What a job makes, as files: the result, samples beside it, and maps of how sure it is and of the noise."""

import math
from dataclasses import dataclass

import numpy as np

from service import imaging
from service.arrays import npy_bytes
from service.queue.base import Claim, Json
from service.storage import Storage, artifact_key

RAW = "application/octet-stream"
SUFFIXES = {RAW: "npy", imaging.MEDIA_TYPES["NPY"]: "npy"}


@dataclass(frozen=True)
class Artifacts:
    """The files of one run of a job."""

    storage: Storage
    claim: Claim

    def picture(self, name: str, encoded: imaging.Encoded) -> Json:
        """Stores a picture; returns its entry among the artifacts."""
        return self.put(name, encoded.data, encoded.media_type, encoded.width, encoded.height)

    def put(self, name: str, data: bytes, media_type: str, width: int, height: int) -> Json:
        suffix = SUFFIXES.get(media_type) or media_type.split("/")[1]
        key = artifact_key(self.claim.id, self.claim.attempt, f"{name}.{suffix}")
        sha256 = self.storage.put(key, data)
        return {
            "name": name,
            "key": key,
            "media_type": media_type,
            "width": width,
            "height": height,
            "bytes": len(data),
            "sha256": sha256,
        }

    def map(self, name: str, deviation01: np.ndarray) -> tuple[list[Json], Json]:
        """The map as a grey picture, white where it is largest, and as numbers; and what its white means.

        deviation01: (H, W, C) standard deviations on the 0 to 1 scale.
        """
        height, width, _ = deviation01.shape
        pixels = np.sqrt(np.square(deviation01).mean(axis=2, keepdims=True))  # (H, W, 1)
        scale = float(pixels.max())
        shown = pixels / scale if scale > 0 else pixels
        encoded = imaging.encode(shown.repeat(3, axis=2), imaging.blank(height, width, grey=True))
        raw = npy_bytes(np.ascontiguousarray(deviation01, dtype=np.float32))
        made = [self.picture(name, encoded), self.put(f"{name}_raw", raw, RAW, width, height)]
        mean = math.sqrt(float(np.square(pixels, dtype=np.float64).mean()))
        return made, {f"{name}_scale": scale, f"{name}_rms": mean}

"""What an operator is given besides numbers: masks, kernels, matrices. Checked here, kept in the store.

Every size is known before anything is allocated for it. No torch: the worker builds the operators.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from api_schemas.images import ImageRef
from api_schemas.kernels import MAX_KERNEL_SIDE
from api_schemas.operators import mask_words, parts_of
from service import imaging
from service.arrays import npy_bytes
from service.intake import Intake, describe, naming
from service.matrices import matrix_of
from service.problems import wrong_field
from service.queue.base import Json
from service.shapes import Shape, ShapeMismatch, from_image, from_measurement, kernel_side
from service.storage import input_key

KERNEL_LIMITS = {"max_pixels": 2**20, "min_side": 1}
"""Of a picture of a kernel; `MAX_KERNEL_SIDE` decides, this bounds what is decoded before."""


@dataclass(frozen=True)
class Operands:
    """Blocking; safe to share between threads. Everything raises Refused, at pointers into the request."""

    intake: Intake

    def resolve(
        self, owner: str, operator: Json, shape: Shape, *, is_measured: bool = True
    ) -> tuple[Json, list[Shape]]:
        """The operator of a request with its pictures and matrices stored, and found to fit; and what it acts on and
        gives, part by part.

        shape: of the measurement, or of the image that it acts on. Raises `operator_shape_mismatch` and the like.
        """
        parts = [self._part(owner, part, f"operator{pointer}") for pointer, part in parts_of(operator)]
        resolved = parts[0] if operator["kind"] != "compose" else operator | {"operators": parts}
        try:
            shapes = (from_measurement if is_measured else from_image)(resolved, shape)
        except ShapeMismatch as error:
            raise mismatch(f"/operator{error.pointer}", error.detail) from None
        for (pointer, part), (_, height, width) in zip(parts_of(resolved), shapes, strict=False):
            self._check_size(part, f"operator{pointer}", height, width)
        return resolved, shapes

    def kernel(self, owner: str, kernel: Json, field: str) -> Json:
        """A kernel with its picture stored. Raises `kernel_invalid` for one that is too large, or black."""
        if kernel["kind"] != "image":
            return kernel
        limits = imaging.ImageLimits(self.intake.files.limits.max_bytes, **KERNEL_LIMITS)
        stored = self.intake.take(owner, reference(kernel), field, limits)
        if max(stored.info["width"], stored.info["height"]) > MAX_KERNEL_SIDE:
            detail = f"{stored.info['width']} x {stored.info['height']} pixels; a side has at most {MAX_KERNEL_SIDE}"
            raise wrong_field(f"/{field}", "too_large", detail, problem_code="kernel_invalid")
        with naming(field):
            imaging.kernel_picture(self.intake.content(stored), limits)
        return {"kind": "image", **describe(stored)}

    def check_kernel_size(self, kernel: Json, field: str, height: int, width: int) -> None:
        """A kernel that reaches across the picture blurs nothing that could be found again."""
        side = kernel_side(kernel)
        if side > min(height, width):
            detail = f"{side} pixels a side are more than those of the picture, {height} x {width}"
            code = "kernel_invalid" if field == "kernel" else "operator_shape_mismatch"
            raise wrong_field(f"/{field}", "too_large", detail, problem_code=code)

    def _part(self, owner: str, part: Json, field: str) -> Json:
        """With what it holds in the store."""
        if isinstance(part.get("kernel"), dict):
            return part | {"kernel": self.kernel(owner, part["kernel"], f"{field}/kernel")}
        if part.get("mask") is not None:
            return part | {"mask": describe(self.intake.take(owner, reference(part["mask"]), f"{field}/mask"))}
        return self._matrix(part, field) if part["kind"] == "matrix" else part

    def _matrix(self, part: Json, field: str) -> Json:
        height, width = part["height"], part["width"]
        size = {"output_height": part["output_height"] or height, "output_width": part["output_width"] or width}
        shape = size["output_height"] * size["output_width"], height * width
        data = npy_bytes(matrix_of(part, shape, field))
        kept = {name: value for name, value in part.items() if name not in ("rows", "entries", "npy")}
        kept["sparse"] = part["sparse"] or part["entries"] is not None
        return kept | size | {"sha256": self.intake.files.storage.put_input(data), "bytes": len(data)}

    def _check_size(self, part: Json, field: str, height: int, width: int) -> None:
        """Whether what a part holds fits the picture that the part acts on."""
        if isinstance(part.get("kernel"), dict):
            self.check_kernel_size(part["kernel"], f"{field}/kernel", height, width)
        if part["kind"] != "mask":
            return
        mask, pattern = part["mask"], part["pattern"]
        if mask is not None and (mask["height"], mask["width"]) != (height, width):
            detail = f"the mask has {mask['height']} x {mask['width']} pixels; the operator acts on {height} x {width}"
            raise mismatch(f"/{field}/mask", detail)
        if mask is not None:
            with naming(f"{field}/mask"):
                imaging.observed_at(
                    self._bytes(mask), width, height, limits=self.intake.files.limits, **mask_words(part)
                )
        if pattern is not None and pattern["kind"] == "box":
            bottom, right = pattern["top"] + pattern["height"], pattern["left"] + pattern["width"]
            if bottom > height or right > width or (pattern["height"], pattern["width"]) == (height, width):
                detail = f"the box must lie inside the picture, {height} x {width}, and leave something of it"
                raise mismatch(f"/{field}/pattern", detail)

    def _bytes(self, described: Json) -> bytes:
        return self.intake.files.storage.get(input_key(described["sha256"]))


def reference(sent: Json) -> ImageRef:
    fields: dict[str, Any] = {name: sent[name] for name in ("file_id", "data_url")}
    return TypeAdapter(ImageRef).validate_python(fields)


def mismatch(pointer: str, detail: str) -> Exception:
    return wrong_field(pointer, "shape", detail, problem_code="operator_shape_mismatch")

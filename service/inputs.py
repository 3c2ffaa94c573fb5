"""The inputs of a task besides its picture: mask, kernel, operator, and whether the result would be too large."""

from dataclasses import dataclass
from typing import Any

from api_schemas.operators import parts_of
from api_schemas.requests import SCALES, InpaintOptions
from api_schemas.score_dvi import DRAWS, ITERATIONS
from service import imaging
from service.bodies import Picture
from service.catalogue import DENOISERS
from service.files import StoredFile
from service.intake import Intake, describe, naming
from service.operands import Operands
from service.problems import wrong_field
from service.queue.base import Json
from service.settings import Settings
from service.shapes import COLOURS, Shape, from_measurement, measured_channels, operator_of

GREY_MODES = ("1", "L", "LA", "I;16", "LA;16", "F")
"""Modes of files that cannot hold colours."""
ZERO01 = 0.5
"""A magnitude of 0 on the scale of pictures."""
ROUNDING01 = 1 / 255
NOISE_REACH = 8
"""Standard deviations of the noise that no value of a measurement is away from the truth."""


@dataclass(frozen=True)
class Inputs:
    """Blocking; safe to share between threads. Everything raises Refused."""

    intake: Intake
    operands: Operands
    max_pixels: int
    max_apply_pixels: int

    def of_task(self, owner: str, options: Any, image: StoredFile, mask: Picture | None) -> Json:
        """The fields of the resolved request that name stored inputs.

        Only what an operator of the client's has to do with may have fewer pixels a side than pictures have.
        """
        if options.task not in ("restore", "apply"):
            with naming("image"):
                self.intake.files.limits.check_size(image.info["width"], image.info["height"])
        match options.task:
            case "inpaint":
                return {"mask": self._mask(owner, options, image, mask)}
            case "super_resolution":
                check_scale(options.scale, image, self.max_pixels)
                return self._kernel(owner, options, image, options.scale)
            case "deblur":
                return self._kernel(owner, options, image)
            case "restore" | "apply":
                return self._operator(owner, options, image)
            case _:
                return {}

    def _kernel(self, owner: str, options: Any, image: StoredFile, scale: int = 1) -> Json:
        if isinstance(options.kernel, str):
            return {}
        kernel = self.operands.kernel(owner, options.kernel.model_dump(mode="json"), "kernel")
        self.operands.check_kernel_size(kernel, "kernel", scale * image.info["height"], scale * image.info["width"])
        return {"kernel": kernel}

    def _operator(self, owner: str, options: Any, image: StoredFile) -> Json:
        """Of a restoration, where the picture is the measurement, or of an application of the operator alone."""
        operator = options.operator.model_dump(mode="json")
        is_measured = options.task == "restore" or options.direction != "forward"
        channels = measured_channels(operator) if is_measured else COLOURS
        shape = (channels, image.info["height"], image.info["width"])
        if options.noise == "auto" and any(part["kind"] == "phase" for _, part in parts_of(operator)):
            raise wrong_field("/noise", "unknown", "the noise of magnitudes is not estimated; give its level")
        resolved, shapes = self.operands.resolve(owner, operator, shape, is_measured=is_measured)
        _, height, width = max(shapes, key=lambda each: each[1] * each[2])
        limit = self.max_apply_pixels if options.task == "apply" else self.max_pixels
        if height * width > limit:
            detail = f"the operator has to do with {height:,} x {width:,} pixels; the limit is {limit:,}"
            raise wrong_field("/operator", "too_large", detail, problem_code="image_too_many_pixels")
        if is_measured and channels == 1:
            self._check_grey(image, "measurement" if options.task == "restore" else "image")
        if options.task == "restore" and parts_of(operator)[-1][1]["kind"] == "phase":
            self._check_magnitudes(image, options.noise.sigma01)
        return {"operator": resolved}

    def _check_grey(self, image: StoredFile, field: str) -> None:
        if image.info["mode"] in GREY_MODES:
            return
        rgb = imaging.decode(self.intake.content(image), self.intake.files.limits).rgb
        if (rgb != rgb[..., :1]).any():
            detail = "the operator loses the colours, and this picture has some"
            raise wrong_field(f"/{field}", "colours", detail, problem_code="operator_shape_mismatch")

    def _check_magnitudes(self, image: StoredFile, sigma01: float) -> None:
        """No magnitude is negative, but for the noise that is added to it and the rounding of a picture of 8 bits."""
        values = imaging.decode(self.intake.content(image), self.intake.files.limits).rgb
        least = float(values.min())
        if least < ZERO01 - ROUNDING01 - NOISE_REACH * sigma01:
            detail = (
                f"magnitudes are not negative, and {(values < ZERO01).sum():,} values here are below {ZERO01}, down to "
                f"{least:.4g}, further than a noise of {sigma01:.4g} takes them; a magnitude y is sent as (y + 1) / 2"
            )
            raise wrong_field("/measurement", "negative", detail)

    def _mask(self, owner: str, options: InpaintOptions, image: StoredFile, mask: Picture | None) -> Json | None:
        if mask is None and options.mask_mode != "alpha_unknown":
            raise wrong_field("/mask", "missing", "a mask is needed, except with mask_mode `alpha_unknown`")
        stored = None if mask is None else self.intake.take(owner, mask, "mask")
        picture = imaging.decode(self.intake.content(image), self.intake.files.limits)
        data = None if stored is None else self.intake.content(stored)
        with naming("mask"):
            imaging.observed_mask(
                data,
                picture,
                mode=options.mask_mode,
                threshold=options.mask_threshold,
                grow=options.grow_mask,
                limits=self.intake.files.limits,
            )
        return None if stored is None else describe(stored)


def check_work(request: Json, settings: Settings) -> None:
    """Whether the samples of a resolved request fit into a worker together, and its networks are trained in a time that
    ends. Raises `image_too_many_pixels`."""
    _, height, width = result_shape(request)
    pointer, samples = max(samples_of(request).items(), key=lambda each: each[1])
    iterations, params = 0, request["params"]
    if request["solver"] in DENOISERS and params["mode"] == "paper":
        iterations = params["iterations"] or ITERATIONS
    for field, count, what, limit in (
        (pointer, samples, "samples", settings.max_sample_pixels),
        ("/params/iterations", iterations, "iterations", settings.max_trained_pixels),
    ):
        if count * height * width > limit:
            detail = f"{count} {what} of {height:,} x {width:,} pixels; together they may have {limit:,}"
            raise wrong_field(field, "too_large", detail, problem_code="image_too_many_pixels")


def samples_of(request: Json) -> dict[str, int]:
    """How many pictures a worker holds at one time, by the fields that say so."""
    params = request["params"]
    if request["solver"] in DENOISERS:
        components = 1 + len(params["components"])
        draws = components * (params["draws"] or DRAWS) if params["mode"] == "paper" else 0
        return {"/params/components": components, "/params/draws": draws}
    return {
        "/uncertainty/samples": (request["uncertainty"] or {}).get("samples", 0),
        "/num_samples": request["num_samples"],
        "/params/particles": params.get("particles") or 0,
    }


def result_shape(request: Json) -> Shape:
    """Of what a resolved request will give."""
    operator, size = operator_of(request), (request["image"]["height"], request["image"]["width"])
    if operator is None:
        return COLOURS, *size
    return from_measurement(operator, (measured_channels(operator), *size))[0]


def check_scale(scale: int, image: StoredFile, max_pixels: int) -> None:
    if scale not in SCALES:
        detail = f"{scale} is not offered; there are {', '.join(map(str, SCALES))}"
        raise wrong_field("/scale", "unknown", detail, problem_code="scale_unsupported")
    pixels = image.info["width"] * image.info["height"] * scale**2
    if pixels > max_pixels:
        detail = f"the result would have {pixels:,} pixels; the limit is {max_pixels:,}"
        raise wrong_field("/scale", "too_large", detail, problem_code="image_too_many_pixels")

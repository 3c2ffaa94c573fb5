"""Pictures on the wire."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from api_schemas.base import RequestModel, ResponseModel

MaskMode = Literal["white_unknown", "black_unknown", "alpha_unknown"]


class ImageRef(RequestModel):
    """A picture inside JSON: exactly one of the two fields.

    A file of any kind that is read, or an `.npy` file: (height, width), with 1 or 3 channels where they are told, of
    uint8 or uint16 as a picture of that depth, or of floats, 0 for black and 1 for white, and beyond, up to 10^9.
    """

    file_id: str | None = Field(None, description="id of a file sent to `/v1/files`", max_length=100)
    data_url: str | None = Field(None, description="`data:image/png;base64,...`")

    @model_validator(mode="after")
    def _exactly_one(self) -> "ImageRef":
        if (self.file_id is None) == (self.data_url is None):
            raise ValueError("give exactly one of `file_id` and `data_url`")
        return self


class NoiseLevel(RequestModel):
    """Standard deviation of white noise in the measurement: exactly one of the two fields."""

    sigma: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="on the 0 to 1 scale")
    sigma_255: Annotated[float, Field(ge=0, le=255)] | None = Field(None, description="on the 0 to 255 scale")

    @model_validator(mode="after")
    def _exactly_one(self) -> "NoiseLevel":
        if (self.sigma is None) == (self.sigma_255 is None):
            raise ValueError("give exactly one of `sigma` and `sigma_255`")
        return self

    @property
    def sigma01(self) -> float:
        return self.sigma if self.sigma is not None else (self.sigma_255 or 0.0) / 255


def _noise_form(value: Any) -> str | None:
    if value == "auto":
        return "auto"
    return "level" if isinstance(value, NoiseLevel | dict) else None


Noise = Annotated[
    Annotated[NoiseLevel, Tag("level")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(
        _noise_form,
        custom_error_type="noise_form",
        custom_error_message='give "auto", {"sigma": 0.1} or {"sigma_255": 25}',
    ),
]
"""A level, or `"auto"`: estimated from the picture. Told apart by form, so that an error names one field only."""


class OutputOptions(RequestModel):
    """How the result is written."""

    format: Literal["same", "png", "tiff", "webp", "jpeg", "npy"] = Field(
        "png",
        description="`same` keeps the format of the input; JPEG and lossy formats change known pixels; `npy` is an "
        "array, float32 (height, width, channels), 0 for black and 1 for white, not cut off there, without metadata "
        "and alpha",
    )
    bit_depth: Literal["same", "8", "16"] = Field(
        "same", description="16 needs png or tiff, and is what a picture of floats gets; `npy` has its own"
    )
    quality: Annotated[int, Field(ge=1, le=100)] = Field(95, description="of jpeg and webp; 100 is lossless webp")
    keep_metadata: bool = Field(True, description="copy EXIF and ICC profile")
    keep_alpha: bool = Field(True, description="carry the alpha channel through; else it is dropped")

    @field_validator("bit_depth")
    @classmethod
    def _depth_of_the_format(cls, value: str, info: ValidationInfo) -> str:
        chosen = info.data.get("format")
        if value != "same" and chosen == "npy":
            raise ValueError("npy has 32 bits a channel, of floating point")
        if value == "16" and chosen in ("webp", "jpeg"):
            raise ValueError(f"{chosen} has 8 bits a channel; 16 needs png or tiff")
        return value


class FileInfo(ResponseModel):
    """A stored picture. Equal bytes give the same id."""

    id: str
    object: Literal["file"] = "file"
    sha256: str
    width: int
    """After EXIF rotation."""
    height: int
    mode: str
    """Pillow's mode of the stored picture, such as RGB, L, RGBA, P, CMYK, I;16; of floats F and RGB;F."""
    format: str
    bit_depth: int
    has_alpha: bool
    has_icc: bool
    bytes: int
    created_at: str
    expires_at: str

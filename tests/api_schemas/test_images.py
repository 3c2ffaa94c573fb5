"""Pictures on the wire."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from api_schemas.images import ImageRef, Noise, NoiseLevel, OutputOptions


@pytest.mark.parametrize("sent", [{}, {"file_id": "a", "data_url": "b"}])
def test_a_reference_is_exactly_one_of_two(sent: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        ImageRef.model_validate(sent)


@pytest.mark.parametrize("sent", [{}, {"sigma": 0.1, "sigma_255": 25}])
def test_a_level_is_exactly_one_of_two(sent: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        NoiseLevel.model_validate(sent)


def test_both_scales_mean_the_same() -> None:
    assert NoiseLevel(sigma_255=51).sigma01 == NoiseLevel(sigma=0.2).sigma01 == 0.2
    assert NoiseLevel(sigma=0).sigma01 == NoiseLevel(sigma_255=0).sigma01 == 0


@pytest.mark.parametrize(
    ("sent", "location"),
    [
        ({"sigma": 2}, ("level", "sigma")),
        ("loud", ()),
        (0.1, ()),
        ({"sigma_255": 256}, ("level", "sigma_255")),
    ],
)
def test_a_wrong_noise_is_one_error(sent: Any, location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Noise).validate_python(sent)
    assert [error["loc"] for error in caught.value.errors()] == [location]


def test_a_noise_of_no_known_form_is_told_the_forms() -> None:
    with pytest.raises(ValidationError, match='give "auto", {"sigma": 0.1} or {"sigma_255": 25}'):
        TypeAdapter(Noise).validate_python(25)


@pytest.mark.parametrize("format", ["webp", "jpeg"])
def test_formats_of_8_bits_hold_no_16(format: str) -> None:
    with pytest.raises(ValidationError, match="bit_depth"):
        OutputOptions.model_validate({"format": format, "bit_depth": "16"})
    with pytest.raises(ValidationError, match="bit_depth"):
        OutputOptions.model_validate({"bit_depth": "16", "format": format})  # in any order
    assert OutputOptions.model_validate({"format": "tiff", "bit_depth": "16"}).bit_depth == "16"

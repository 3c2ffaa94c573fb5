"""Sizes without pixels."""

from typing import Any

import pytest

from service.shapes import (
    ShapeMismatch,
    from_image,
    from_measurement,
    measured_channels,
    operator_of,
    with_margins,
    without_margins,
)

GREY, HALF = {"kind": "grey"}, {"kind": "downsample", "scale": 2}
PHASE = {"kind": "phase", "oversampling": 2.0}
MATRIX = {"kind": "matrix", "height": 4, "width": 6, "output_height": 2, "output_width": 2}


def chain(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "compose", "operators": list(parts)}


@pytest.mark.parametrize(
    ("operator", "shapes"),
    [
        ({"kind": "identity"}, [(3, 8, 12), (3, 8, 12)]),
        (HALF, [(3, 8, 12), (3, 4, 6)]),
        (chain(GREY, HALF), [(3, 8, 12), (1, 8, 12), (1, 4, 6)]),
        (chain(HALF, MATRIX), [(3, 8, 12), (3, 4, 6), (3, 2, 2)]),
        (PHASE, [(3, 32, 9), (3, 48, 13)]),
        (chain(GREY, HALF, PHASE | {"oversampling": 0.5}), [(3, 8, 32), (1, 8, 32), (1, 4, 16), (1, 4, 18)]),
        (chain(HALF, HALF, {"kind": "clip"}), [(3, 8, 12), (3, 4, 6), (3, 2, 3), (3, 2, 3)]),
    ],
)
def test_shapes_there_and_back(operator: dict[str, Any], shapes: list[Any]) -> None:
    assert from_image(operator, shapes[0]) == from_measurement(operator, shapes[-1]) == shapes
    assert measured_channels(operator) == shapes[-1][0]


@pytest.mark.parametrize(
    ("operator", "image", "pointer"),
    [
        (HALF, (3, 7, 12), ""),
        (chain({"kind": "blur"}, GREY, GREY), (3, 8, 8), "/operators/2"),
        (chain(HALF, MATRIX), (3, 4, 6), "/operators/1"),
    ],
)
def test_an_image_that_does_not_fit(operator: dict[str, Any], image: Any, pointer: str) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        from_image(operator, image)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("operator", "measurement", "pointer"),
    [
        (MATRIX, (3, 2, 3), ""),
        (PHASE, (3, 48, 5), ""),
        (chain(MATRIX, HALF), (3, 2, 2), "/operators/0"),
        (chain(GREY, GREY), (1, 8, 8), "/operators/0"),
    ],
)
def test_a_measurement_that_does_not_fit(operator: dict[str, Any], measurement: Any, pointer: str) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        from_measurement(operator, measurement)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("oversampling", [0.0, 0.7, 1.0, 2.0, 4.0, 8.0])
def test_the_margins_of_magnitudes_are_taken_off_again(oversampling: float) -> None:
    framed = [with_margins(side, oversampling) for side in range(200)]
    assert [without_margins(side, oversampling) for side in framed] == list(range(200))


def test_every_task_is_an_operator() -> None:
    kernel = {"kind": "box", "size": 3}
    deblur = operator_of({"task": "deblur", "kernel": kernel, "boundary": "zero"})
    assert deblur == {"kind": "blur", "kernel": kernel, "boundary": "zero"}
    assert operator_of({"task": "super_resolution", "scale": 2, "kernel": "box"}) == HALF | {"kernel": "box"}
    assert operator_of({"task": "restore", "operator": GREY}) == GREY
    assert operator_of({"task": "denoise"}) == {"kind": "identity"}
    assert operator_of({"task": "inpaint"}) is None

"""Operators of the wire and those of the solvers: the same measurements, computed here by other means."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import TypeAdapter

from api_schemas.kernels import Kernel
from api_schemas.operators import AnyOperator
from service.arrays import npy_bytes
from service.operators import build, build_kernel
from service.shapes import Shape, from_image, from_measurement, kernel_side

CPU = torch.device("cpu")
SHAPE: Shape = (3, 24, 32)


def resolved(sent: dict[str, Any], **stored: Any) -> dict[str, Any]:
    return TypeAdapter(AnyOperator).validate_python(sent).model_dump(mode="json") | stored


def measured(sent: dict[str, Any], x: torch.Tensor, blobs: dict[str, bytes] | None = None) -> torch.Tensor:
    shapes = from_image(sent, tuple(x.shape[1:]))
    operator = build(sent, shapes, (blobs or {}).__getitem__, CPU)
    y = operator.forward(x)
    assert (operator.input_shape, operator.output_shape) == (shapes[0], shapes[-1]) == (x.shape[1:], y.shape[1:])
    assert from_measurement(sent, shapes[-1]) == shapes
    return y


@pytest.fixture
def x() -> torch.Tensor:
    return 2 * torch.rand(1, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1


def test_a_blur_is_a_convolution(x: torch.Tensor) -> None:
    y = measured(resolved({"kind": "blur", "kernel": {"kind": "box", "size": 3}, "boundary": "zero"}), x)
    mean = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
    torch.testing.assert_close(y, mean)


def test_the_picture_of_a_kernel_is_its_weights(x: torch.Tensor) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 0, 0], [0, 100, 0], [0, 0, 100]], np.uint8)).save(buffer, "png")
    kernel = {"kind": "image", "file_id": "f", "data_url": None, "sha256": "k"}
    blur = {"kind": "blur", "kernel": kernel, "boundary": "circular"}
    y = measured(blur, x, {"k": buffer.getvalue()})
    torch.testing.assert_close(y, (x + x.roll((1, 1), (-2, -1))) / 2)


def test_parts_follow_each_other(x: torch.Tensor) -> None:
    chain = {"kind": "compose", "operators": [{"kind": "grey"}, {"kind": "downsample", "scale": 2, "kernel": "box"}]}
    y = measured(resolved(chain), x)
    torch.testing.assert_close(y, torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 2))


def test_a_part_that_is_not_linear_makes_a_chain(x: torch.Tensor) -> None:
    chain = {"kind": "compose", "operators": [{"kind": "downsample", "kernel": "box"}, {"kind": "clip", "gain": 3}]}
    torch.testing.assert_close(measured(resolved(chain), x), (3 * torch.nn.functional.avg_pool2d(x, 2)).clamp(-1, 1))


def test_every_channel_meets_the_matrix(x: torch.Tensor) -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 24 * 32)).astype(np.float64)
    sent = {"kind": "matrix", "width": 32, "height": 24, "output_width": 3, "output_height": 2}
    y = measured(sent | {"sha256": "m"}, x, {"m": npy_bytes(matrix)})
    torch.testing.assert_close(y, (x.flatten(2) @ torch.from_numpy(matrix).T).reshape(1, 3, 2, 3))


def test_a_sparse_matrix_is_the_dense_one(x: torch.Tensor) -> None:
    """Entries at the same place add up."""
    rng = np.random.default_rng(0)
    entries = np.column_stack([rng.integers(0, 6, 50), rng.integers(0, 24 * 32, 50), rng.normal(size=50)])
    entries = np.concatenate([entries, entries[:5]]).astype(np.float32)
    dense = np.zeros((6, 24 * 32), np.float32)
    np.add.at(dense, (entries[:, 0].astype(int), entries[:, 1].astype(int)), entries[:, 2])
    sent = {"kind": "matrix", "width": 32, "height": 24, "output_width": 3, "output_height": 2, "sha256": "m"}
    y = measured(sent | {"sparse": True}, x, {"m": npy_bytes(entries)})
    torch.testing.assert_close(y, measured(sent, x, {"m": npy_bytes(dense)}))


def test_magnitudes_are_those_of_the_spectrum(x: torch.Tensor) -> None:
    y = measured(resolved({"kind": "phase", "oversampling": 3.0}), x)
    framed = np.pad(x.numpy(), [(0, 0), (0, 0), (9, 9), (12, 12)])
    spectrum = np.fft.fft2(np.fft.ifftshift(framed, (-2, -1)), norm="ortho")
    np.testing.assert_allclose(y, np.fft.fftshift(abs(spectrum), (-2, -1)), atol=1e-12)


@pytest.mark.parametrize(
    ("pattern", "lost"),
    [
        ({"kind": "random", "missing": 0.5}, (0.4, 0.6)),
        ({"kind": "free_form", "missing": 0.3}, (0.3, 0.6)),
        ({"kind": "box", "top": 3, "left": 5, "height": 6, "width": 8}, (1 / 16, 1 / 16)),
        ({"kind": "text", "text": "lost", "size": 8}, (0.05, 0.5)),
    ],
)
def test_patterns_lose_what_they_say(x: torch.Tensor, pattern: dict[str, Any], lost: tuple[float, float]) -> None:
    operator = resolved({"kind": "mask", "pattern": pattern})
    hole = measured(operator, x) == 0
    assert lost[0] <= hole.double().mean() <= lost[1]
    assert torch.equal(hole, measured(operator, x) == 0)
    if pattern["kind"] == "box":
        assert hole[..., 3:9, 5:13].all()


@pytest.mark.parametrize(
    "sent",
    [
        {"kind": "gaussian", "width": 0.1},
        {"kind": "gaussian", "width": 16},
        {"kind": "motion", "length": 0.5},
        {"kind": "motion", "length": 12.3, "angle": 77},
        {"kind": "motion", "length": 128},
        {"kind": "path", "size": 61},
        {"kind": "path", "size": 3, "intensity": 1},
        {"kind": "disk", "radius": 0.2},
        {"kind": "disk", "radius": 64},
        {"kind": "box", "size": 129},
    ],
)
def test_kernels_have_the_side_that_was_foretold(sent: dict[str, Any]) -> None:
    kernel = TypeAdapter(Kernel).validate_python(sent).model_dump(mode="json")
    built = build_kernel(kernel, {}.__getitem__)
    assert max(built.shape) == kernel_side(kernel) <= 129
    assert float(built.sum()) == pytest.approx(1)


@pytest.mark.parametrize("scale", [2, 3])
def test_a_gaussian_before_a_decimation_keeps_the_picture_in_its_place(scale: int) -> None:
    """A picture that is symmetric stays so."""
    x = torch.zeros(1, 1, 24, 24, dtype=torch.float64)
    x[..., 11:13, 11:13] = 1
    kernel = {"kind": "gaussian", "width": 1.0}
    y = measured(resolved({"kind": "downsample", "scale": scale, "kernel": kernel}), x)
    torch.testing.assert_close(y, y.flip(-1, -2))


@pytest.mark.parametrize(
    "sent",
    [
        {"kind": "identity"},
        {"kind": "jpeg", "quality": 40, "subsampling": "4:4:4"},
        {"kind": "quantise", "bits": 3},
        {"kind": "gamma", "gamma": 2.0},
    ],
)
def test_what_numbers_decide_is_built_of_them(x: torch.Tensor, sent: dict[str, Any]) -> None:
    y = measured(resolved(sent), x)
    match sent["kind"]:
        case "identity":
            assert torch.equal(y, x)
        case "quantise":
            assert len(y.unique()) == 8
        case "gamma":
            torch.testing.assert_close((y + 1) / 2, ((x + 1) / 2) ** 2)
        case "jpeg":
            assert 0 < float((y - x).abs().mean()) < 0.5

"""Kernels, of deblurring and of super-resolution: what is accepted, what it becomes, every refusal."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.storage import input_key
from tests.service.api import Api, assert_problem, encoded, png
from tests.service.routes.asking import KERNELS, data_url, post


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_is_a_shape_with_measures(idle: Api, kernel: dict[str, Any]) -> None:
    job = post(idle, "/v1/deblur", kernel=kernel).json()
    assert job["task"] == "deblur"
    assert job["request"]["kernel"] == kernel
    assert (job["request"]["boundary"], job["request"]["noise"]) == ("reflect", "auto")


def test_a_kernel_is_a_picture_in_a_form_or_in_json(idle: Api) -> None:
    picture = encoded(Image.fromarray(np.eye(7, dtype=np.uint8) * 255))
    files = {"image": ("a.png", png()), "kernel_image": ("k.png", picture)}
    one = idle.http.post("/v1/deblur", files=files, data={"boundary": "circular"})
    assert one.status_code == 202, one.text
    two = post(idle, "/v1/deblur", kernel={"kind": "image", "data_url": data_url(picture)})
    kernel = one.json()["request"]["kernel"]
    assert kernel == two.json()["request"]["kernel"]
    assert (kernel["kind"], kernel["width"], kernel["height"]) == ("image", 7, 7)
    assert idle.context.files.storage.get(input_key(kernel["sha256"])) == picture


def test_a_kernel_of_super_resolution_may_be_a_shape(idle: Api) -> None:
    job = post(idle, "/v1/super-resolution", scale=2, kernel={"kind": "gaussian", "width": 1}).json()
    assert job["request"]["kernel"] == {"kind": "gaussian", "width": 1}
    assert_problem(post(idle, "/v1/super-resolution", kernel="lanczos"), "kernel_invalid", "/kernel")


@pytest.mark.parametrize(
    ("kernel", "pointer"),
    [
        ({"kind": "gaussian", "width": 1e9}, "/kernel/width"),
        ({"kind": "gaussian", "width": float("nan")}, "/kernel/width"),
        ({"kind": "gaussian", "width": 0}, "/kernel/width"),
        ({"kind": "gaussian", "width": 6}, "/kernel"),  # 49 pixels a side, the picture has 24
        ({"kind": "box", "size": 10**9}, "/kernel/size"),
        ({"kind": "path", "size": 15, "intensity": 2}, "/kernel/intensity"),
        ({"kind": "motion", "length": 10**400}, "/kernel/length"),
        ({"kind": "disk"}, "/kernel/radius"),
        ({"kind": "lens"}, "/kernel"),
        ({}, "/kernel"),
        ("gaussian", "/kernel"),
        ({"kind": "image"}, "/kernel"),
        ({"kind": "image", "data_url": data_url(encoded(Image.new("L", (5, 5))))}, "/kernel"),
        ({"kind": "image", "data_url": data_url(encoded(Image.new("L", (200, 5), 255)))}, "/kernel"),
    ],
)
def test_refused_kernels(idle: Api, kernel: Any, pointer: str) -> None:
    assert_problem(post(idle, "/v1/deblur", kernel=kernel), "kernel_invalid", pointer)


def test_deblurring_needs_one_kernel(idle: Api) -> None:
    assert_problem(post(idle, "/v1/deblur"), "validation_failed", "/kernel")
    files = {"image": ("a.png", png()), "kernel_image": ("k.png", png(7, 7))}
    both = idle.http.post("/v1/deblur", files=files, data={"kernel": '{"kind": "box", "size": 3}'})
    assert_problem(both, "validation_failed", "/kernel_image")

"""What is put right in the estimate of a camera's noise, and what is left alone."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from benchmarks.cameras import CAMERAS, expose
from solvers import noise_reading
from solvers.camera_noise import camera_noise_of, estimate_camera_noise
from solvers.flat_blocks import flat_blocks
from solvers.noise_reading import MOST, WEIGHTS, features, read_camera_noise
from tests.solvers.test_camera_noise import noise, true_b8
from tests.solvers.test_noise_level import picture, quantised


def test_every_feature_has_its_weights():
    blocks = flat_blocks(0.6 * picture(64, 64) + 0.1 * noise(64, 64, 3, 0))
    seen = features(blocks, camera_noise_of(blocks))
    assert list(seen) == list(WEIGHTS)
    assert all(math.isfinite(value) for value in seen.values())


@pytest.mark.parametrize("length", [3, 5])
@pytest.mark.parametrize("level", [5, 15, 40])
def test_noise_between_smooth_shapes_is_read_as_well_as_before(level, length):
    """Of which no camera that the weights were fitted to has made any."""
    noisy = quantised(0.6 * picture(192, 192, seed=level) + 2 * level / 255 * noise(192, 192, length, level))
    found = read_camera_noise(noisy)
    assert found.sigma == pytest.approx(2 * level / 255, rel=0.3)
    assert found.b8 == pytest.approx(true_b8(length), rel=0.6)


def test_the_noise_of_cameras_is_read_better():
    """A photograph in three sizes by six cameras. The weights have seen it, but by other cameras."""
    with Image.open(Path(__file__).parents[2] / "examples" / "pictures" / "original.png") as image:
        pixels = torch.from_numpy(np.asarray(image.convert("RGB"), np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    off: list[list[float]] = []
    for size in ((128, 192), (256, 384), (512, 768)):
        clean = functional.interpolate(pixels, size, mode="bicubic", antialias=True).clamp(-1, 1)[..., :256, :256]
        for seed, camera in enumerate(CAMERAS):
            noisy, truth = expose(camera, clean, seed)
            energy = 64 * float(functional.avg_pool2d(noisy - truth, 8, 4).var())
            found = estimate_camera_noise(noisy), read_camera_noise(noisy)
            off.append([math.log(each.sigma**2 * each.b8 / energy) ** 2 for each in found])
    before, after = np.sqrt(np.mean(off, axis=0))
    assert after < 0.9 * before


def test_only_level_and_b8_are_put_right(monkeypatch):
    noisy = 0.6 * picture(96, 96) + 0.1 * noise(96, 96, 3, 0)
    before = estimate_camera_noise(noisy)
    monkeypatch.setattr(noise_reading, "WEIGHTS", dict.fromkeys(WEIGHTS, (0.0, 0.0)) | {"one": (0.2, 0.5)})
    after = read_camera_noise(noisy)
    assert after.sigma == pytest.approx(before.sigma * math.exp(-0.2))
    assert after.sigma**2 * after.b8 == pytest.approx(before.sigma**2 * before.b8 * math.exp(-0.5))
    assert (after.neighbour, after.fine, after.evidence) == (before.neighbour, before.fine, before.evidence)


def test_a_picture_like_none_before_is_put_right_within_limits(monkeypatch):
    noisy = 0.6 * picture(96, 96) + 0.1 * noise(96, 96, 3, 0)
    before = estimate_camera_noise(noisy)
    monkeypatch.setattr(noise_reading, "WEIGHTS", dict.fromkeys(WEIGHTS, (-9.0, -9.0)) | {"one": (-99.0, -99.0)})
    after = read_camera_noise(noisy)
    assert abs(math.log(after.sigma / before.sigma)) == pytest.approx(MOST[0])


@pytest.mark.parametrize("kind", ["grey", "one channel", "tiny", "flat"])
def test_what_the_weights_know_nothing_of_is_left_as_it_was(kind):
    noisy = 0.6 * picture(96, 96) + 0.1 * noise(96, 96, 3, 0)
    noisy = {
        "grey": noisy[:, :1].expand(1, 3, 96, 96),
        "one channel": noisy[:, :1],
        "tiny": noisy[..., :12, :40],
        "flat": torch.full((1, 3, 40, 30), 0.2),
    }[kind]
    assert read_camera_noise(noisy) == estimate_camera_noise(noisy)


def test_a_half_without_anything_in_it_is_no_obstacle():
    noisy = 0.6 * picture(256, 256) + 0.1 * noise(256, 256, 3, 0)
    noisy[..., :96] = -0.5
    found = read_camera_noise(noisy)
    assert math.isfinite(found.sigma) and math.isfinite(found.b8) and found.b8 >= 1

"""Pictures of any size: a network with attention sees frames of its own size only, and 12 megapixels fit."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from priors.base import Prior
from priors.manifest import PriorInfo
from priors.network import PatchedUNet
from priors.parameterisation import EdmPrior
from service.engine.engine import Engine
from solvers.drive import drive
from tests.priors.unets import random_unet_of
from tests.service.engine.parts import WAIT_S, image, levels

ROOT = Path(__file__).parents[3]
NATIVE = 16
LEVELS = [1.0, 0.3]
SIZES = [(16, 16), (10, 13), (16, 17), (40, 40), (7, 61), (33, 50), (5, 5)]
"""One tile; smaller; one pixel too wide; larger; both; no multiple of anything; smaller than half a tile."""


class Watched:
    """A prior that remembers the frames it was asked for."""

    def __init__(self, prior: Prior):
        self.info = prior.info
        self.frames: set[tuple[int, ...]] = set()
        self._prior = prior

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.frames.add(tuple(x.shape[-2:]))
        return self._prior.denoise(x, sigma)


@pytest.fixture(scope="module")
def attention() -> EdmPrior:
    """A network of two levels, the lower one with attention over the whole frame."""
    unet = random_unet_of(
        {
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
            "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "attention_head_dim": 8,
        }
    )
    info = PriorInfo(
        name="attention",
        multiple_of=2,
        native_size=NATIVE,
        fully_convolutional=False,
        sigma_min=0.005,
        sigma_max=80.0,
    )
    return EdmPrior(PatchedUNet(unet), info, sigma_data=0.5, time_map="250*ln(sigma)")


@pytest.mark.parametrize("size", SIZES)
def test_attention_sees_its_native_size_only(
    attention: EdmPrior, make_engine: Callable[..., Engine], size: tuple[int, int]
) -> None:
    watched = Watched(attention)
    outcome = make_engine(watched).submit("job", lambda: levels(image(*size), LEVELS), "p").result(WAIT_S)
    assert watched.frames == {(NATIVE, NATIVE)}
    assert outcome.solution.x.shape == (1, 3, *size)


def test_a_picture_of_native_size_is_what_the_network_says(
    attention: EdmPrior, make_engine: Callable[..., Engine]
) -> None:
    x = image(NATIVE, NATIVE)
    solution = make_engine(attention).submit("job", lambda: levels(x, LEVELS), "p").result(WAIT_S).solution
    assert (solution.x - drive(levels(x, LEVELS), attention.denoise).x).abs().max() < 1e-5


@pytest.mark.parametrize("size", [(10, 13), (16, 9), (15, 15)])
def test_a_smaller_picture_is_padded_by_reflection(
    attention: EdmPrior, make_engine: Callable[..., Engine], size: tuple[int, int]
) -> None:
    (height, width), x = size, image(*size)
    solution = make_engine(attention).submit("job", lambda: levels(x, [0.5]), "p").result(WAIT_S).solution
    padded = functional.pad(x, (0, NATIVE - width, 0, NATIVE - height), mode="reflect")
    with torch.no_grad():
        expected = attention.denoise(padded, torch.tensor([0.5]))[..., :height, :width]
    assert (solution.x - expected).abs().max() < 1e-5


@pytest.mark.parametrize("size", [(40, 40), (33, 50)])
def test_a_larger_picture_is_what_its_tiles_say(
    attention: EdmPrior, make_engine: Callable[..., Engine], size: tuple[int, int]
) -> None:
    """In its corners, which belong to one tile alone."""
    x, alone = image(*size), NATIVE // 2
    solution = make_engine(attention).submit("job", lambda: levels(x, [0.5]), "p").result(WAIT_S).solution
    corners = ((slice(NATIVE), slice(alone)), (slice(-NATIVE, None), slice(-alone, None)))
    for rows, inner_rows in corners:
        for columns, inner_columns in corners:
            with torch.no_grad():
                tile = attention.denoise(x[..., rows, columns], torch.tensor([0.5]))
            corner = solution.x[..., inner_rows, inner_columns]
            assert (corner - tile[..., inner_rows, inner_columns]).abs().max() < 1e-5


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_12_megapixels_take_few_pictures_of_memory() -> None:
    assert 1 < growth(1, 3000, 4000) < 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_rows_take_little_more_memory_than_their_answer() -> None:
    assert 1 < growth(16, 500, 600) < 2.3


def growth(rows: int, height: int, width: int) -> float:
    """Of the memory at its peak, in queries; in a process of its own, so that the peak is that of one job."""
    command = [sys.executable, "-m", "tests.service.engine.large_picture", *map(str, (rows, height, width))]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
    return float(run.stdout)

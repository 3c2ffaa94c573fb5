"""Pictures to learn from, and one finished run on them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from priors.training.loop import train
from tests.priors.training.tiny import tiny


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks as small as these wait for their threads longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four smooth colour pictures: a denoiser of them is learnt within a few steps."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(4):
        colours = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((96, 80), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def unbroken(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one training from its first step to its last."""
    out = tmp_path_factory.mktemp("unbroken")
    assert train(tiny(pictures, out))
    return out

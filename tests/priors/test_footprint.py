"""What is said before a prior is loaded equals what it takes afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from priors.footprint import WEIGHTS, footprint
from priors.store import load_prior


def test_it_is_what_the_loaded_network_takes(models: Path) -> None:
    (folder,) = (path for path in models.iterdir() if path.is_dir())
    network = load_prior(models, folder.name, torch.device("cpu")).network
    tensors = [*network.parameters(), *network.buffers()]
    assert footprint(folder) == sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def test_every_network_of_a_prior_counts(tmp_path: Path) -> None:
    for name, shape in (("unet", (3, 5)), ("vae", (7,))):
        (tmp_path / name).mkdir()
        save_file({"weight": torch.zeros(shape, dtype=torch.float16)}, tmp_path / name / WEIGHTS, metadata={"a": "b"})
    assert footprint(tmp_path) == 4 * (15 + 7)


@pytest.mark.parametrize(
    "data",
    [b"", b"short", b"\x10" + bytes(7) + b"no JSON at all..", b"\xff" * 8 + b"{}", b"\x02" + bytes(7) + b"[]"],
)
def test_what_cannot_be_read_counts_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / WEIGHTS).write_bytes(data)
    assert footprint(tmp_path) == 0
    assert footprint(tmp_path / "absent") == 0


def test_imports_no_torch() -> None:
    code = "import sys, priors.footprint; sys.exit(bool({'torch', 'numpy', 'safetensors'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

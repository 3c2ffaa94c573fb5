"""Reading weights: what comes back, and in which order a file is found wanting. More in `test_store`."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from priors.manifest import PriorError
from priors.weights import WEIGHTS, read_weights

EXPECTED = {"a": torch.empty(2, 3, device="meta"), "b": torch.empty(4, device="meta")}


def write(folder: Path, state: dict[str, Tensor]) -> tuple[Path, str]:
    path = folder / WEIGHTS
    save_file(state, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_every_floating_type_is_read_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3).to(dtype), "b": torch.full((4,), 0.25, dtype=dtype)}
    weights = read_weights(*write(tmp_path, state), EXPECTED, "p")
    assert weights.keys() == EXPECTED.keys()
    for key, value in weights.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[key].float())


def test_a_file_too_large_for_the_network_is_refused_by_its_size(tmp_path: Path) -> None:
    """Before its digest, which would have to be read from all of it."""
    path, digest = write(tmp_path, {"a": torch.ones(2, 3), "b": torch.ones(4)})
    os.truncate(path, 10**10)  # sparse
    with pytest.raises(PriorError, match="10000000000 bytes, too many for a network of 10 numbers"):
        read_weights(path, digest, EXPECTED, "p")


def test_names_and_shapes_are_compared_before_a_value_is_read(tmp_path: Path) -> None:
    nowhere = torch.full((4,), float("nan"))
    path, digest = write(tmp_path, {"b": nowhere, "a": torch.ones(3, 2)})
    with pytest.raises(PriorError, match=r"the weight a has the shape \(3, 2\) instead of \(2, 3\)"):
        read_weights(path, digest, EXPECTED, "p")
    path, digest = write(tmp_path, {"b": nowhere, "c": torch.ones(2, 3)})
    with pytest.raises(PriorError, match="prior p: .* lacks .'a'. and has unexpected .'c'."):
        read_weights(path, digest, EXPECTED, "p")


def test_what_does_not_fit_into_float32_is_not_finite(tmp_path: Path) -> None:
    path, digest = write(tmp_path, {"a": torch.ones(2, 3), "b": torch.full((4,), 1e300, dtype=torch.float64)})
    with pytest.raises(PriorError, match="the weight b holds values that are not finite"):
        read_weights(path, digest, EXPECTED, "p")


def test_a_folder_under_the_name_of_the_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).mkdir()
    with pytest.raises(PriorError, match="is no file"):
        read_weights(tmp_path / WEIGHTS, "", EXPECTED, "p")

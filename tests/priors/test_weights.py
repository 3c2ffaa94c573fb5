"""Reading safetensors: what `tests/priors/test_store.py` does not see through a whole prior."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from priors.manifest import PriorError
from priors.weights import read_weights

FORMER = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def attention(names: dict[str, str]) -> dict[str, Tensor]:
    """The weights of an attention block, its parts renamed; equal whatever their names."""
    state = {}
    for number, part in enumerate(("to_q", "to_k", "to_v", "to_out.0")):
        state[f"mid.attentions.0.{names.get(part, part)}.weight"] = torch.full((4, 4), float(number))
        state[f"mid.attentions.0.{names.get(part, part)}.bias"] = torch.full((4,), number + 0.5)
    return state


def read(folder: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    save_file(state, folder / "w.safetensors")
    digest = hashlib.sha256((folder / "w.safetensors").read_bytes()).hexdigest()
    return read_weights(folder / "w.safetensors", digest, attention({}), "p")


def test_attention_under_the_names_that_diffusers_once_had_is_read(tmp_path: Path) -> None:
    found, expected = read(tmp_path, attention(FORMER)), attention({})
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_weight_under_both_names_is_refused(tmp_path: Path) -> None:
    both = attention({}) | {"mid.attentions.0.query.bias": torch.zeros(4)}
    with pytest.raises(PriorError, match="prior p: w.safetensors has a weight under its current and its former name"):
        read(tmp_path, both)


def test_other_names_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(PriorError, match="has unexpected .'mid.attentions.0.question.bias'"):
        read(tmp_path, attention(FORMER) | {"mid.attentions.0.question.bias": torch.zeros(4)})

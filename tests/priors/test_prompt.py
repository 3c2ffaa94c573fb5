"""Encoding a prompt, with a text encoder and a tokenizer made here; without the package, what one is told."""

import json
import string
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from priors.adoption import adopt
from priors.manifest import PriorError
from priors.prompt import write_prompt
from tests.priors.latents import WIDTH, write_pipeline

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
TOKENS = 8


def test_without_transformers_one_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # what an import of a missing package finds
    folder = write_pipeline(tmp_path / "sd")
    (folder / "prompt.safetensors").unlink()
    with pytest.raises(PriorError, match="prior sd: to encode its prompt.* needs transformers: `pip install transf"):
        adopt(folder, licence="MIT")
    assert not (folder / "prior.json").exists() and not (folder / "prompt.safetensors").exists()


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A pipeline with a tokenizer of letters and a text encoder of two layers, every parameter random."""
    transformers = pytest.importorskip("transformers", reason="the base install does without")
    folder = write_pipeline(tmp_path / "sd")
    (folder / "prompt.safetensors").unlink()
    (folder / "tokenizer").mkdir()
    letters = string.ascii_lowercase
    words = [*letters, *(f"{letter}</w>" for letter in letters), BOS, EOS]
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": BOS, "eos_token": EOS, "unk_token": EOS, "pad_token": EOS, "model_max_length": TOKENS}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(special))
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )
    torch.manual_seed(0)
    transformers.CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    return folder


def hidden_states(folder: Path, tokens: list[int]) -> Tensor:
    import transformers

    encoder = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    with torch.no_grad():
        return encoder(torch.tensor([tokens]))[0]


@pytest.mark.parametrize(
    ("options", "text", "tokens"),
    [
        ({}, "", [52, 53, 53, 53, 53, 53, 53, 53]),
        ({"prompt": "a Cat"}, "a Cat", [52, 26, 2, 0, 45, 53, 53, 53]),
    ],
    ids=["empty", "words"],
)
def test_adoption_keeps_what_the_text_encoder_makes_of_the_tokens(
    pipeline: Path, options: dict[str, Any], text: str, tokens: list[int]
) -> None:
    """a ends a word; c, a and t</w> are one; the rest is padding."""
    adopt(pipeline, licence="MIT", **options)
    kept = load_file(pipeline / "prompt.safetensors")
    torch.testing.assert_close(kept["encoder_hidden_states"], hidden_states(pipeline, tokens), rtol=0, atol=1e-6)
    fields = json.loads((pipeline / "prior.json").read_text())
    assert (fields["prompt"], fields["prompt_tokens"]) == (text, TOKENS)


def test_what_is_too_long_or_damaged_is_refused(pipeline: Path) -> None:
    with pytest.raises(PriorError, match="prior sd: the prompt has 12 tokens, its text encoder reads 8"):
        write_prompt(pipeline, "abcdefghij")
    weights = pipeline / "text_encoder" / "model.safetensors"
    state = load_file(weights)
    gone = next(key for key in state if key.endswith("layers.1.mlp.fc1.bias"))
    save_file({key: value for key, value in state.items() if key != gone}, weights, metadata={"format": "pt"})
    with pytest.raises(PriorError, match="prior sd: text_encoder/ has missing, .*layers.1.mlp.fc1.bias"):
        write_prompt(pipeline, "")
    weights.write_bytes(b"nothing")
    with pytest.raises(PriorError, match="prior sd: its tokenizer/ or text_encoder/ cannot be read"):
        write_prompt(pipeline, "")
    weights.unlink()
    torch.save(state, pipeline / "text_encoder" / "pytorch_model.bin")  # a pickle is no stand-in
    with pytest.raises(PriorError, match="prior sd: its tokenizer/ or text_encoder/ cannot be read"):
        write_prompt(pipeline, "")
    assert not (pipeline / "prompt.safetensors").exists()


def test_a_missing_tokenizer_is_named(pipeline: Path) -> None:
    for file in (pipeline / "tokenizer").iterdir():
        file.unlink()
    with pytest.raises(PriorError, match="prior sd: .*tokenizer/"):
        write_prompt(pipeline, "")

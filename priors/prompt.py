"""The prompt of a latent prior: encoded once, when it is adopted, and kept beside its weights.

Only this needs the package transformers. Whoever runs the prior reads `prompt.safetensors`.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from priors.manifest import PriorError
from priors.pipeline import PROMPT, PROMPT_KEY


def write_prompt(folder: Path, text: str) -> None:
    """Write `prompt.safetensors` with what the text encoder of the pipeline in `folder` makes of `text`.

    Raises PriorError.
    """
    save_file({PROMPT_KEY: encode(folder, text)}, folder / PROMPT)


def prompt_tokens(folder: Path) -> int:
    """Tokens in `prompt.safetensors`. Raises PriorError for a file that holds no prompt."""
    try:
        with safe_open(folder / PROMPT, framework="pt") as file:
            shape = file.get_slice(PROMPT_KEY).get_shape()
    except (SafetensorError, OSError) as error:
        raise PriorError(f"prior {folder.name}: {PROMPT} holds no {PROMPT_KEY}: {error}") from error
    if len(shape) != 3:
        raise PriorError(f"prior {folder.name}: {PROMPT_KEY} of {PROMPT} has the shape {tuple(shape)}")
    return shape[1]


@torch.no_grad()
def encode(folder: Path, text: str) -> Tensor:
    """The last hidden states of `text_encoder/`, (1, tokens, width) float32, as the pipeline itself would make them."""
    name = folder.name
    try:
        from transformers import CLIPTextModel, CLIPTokenizer
    except ImportError as error:
        raise PriorError(
            f"prior {name}: to encode its prompt, now and never again, needs transformers: `pip install transformers` "
            f"({error})"
        ) from error
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
        encoder, loaded = CLIPTextModel.from_pretrained(
            folder / "text_encoder", local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        # transformers raises any of these for a file that is missing or damaged
        raise PriorError(f"prior {name}: its tokenizer/ or text_encoder/ cannot be read: {error}") from error
    if wrong := sorted(map(str, (*loaded["missing_keys"], *loaded["unexpected_keys"], *loaded["mismatched_keys"]))):
        raise PriorError(f"prior {name}: text_encoder/ has missing, unexpected or misshapen weights: {wrong[:3]}")
    words, known = len(tokenizer), encoder.config.vocab_size
    if words != known:  # a tokenizer without its files is made all the same
        raise PriorError(f"prior {name}: tokenizer/ has {words} words, text_encoder/ knows {known}")
    length = encoder.config.max_position_embeddings
    tokens = tokenizer(text, padding="max_length", max_length=length, return_tensors="pt").input_ids
    if tokens.shape[1] > length:
        raise PriorError(f"prior {name}: the prompt has {tokens.shape[1]} tokens, its text encoder reads {length}")
    return encoder.float().eval()(tokens).last_hidden_state.contiguous()

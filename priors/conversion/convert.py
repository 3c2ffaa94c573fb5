"""From one foreign file to one folder that `priors.store` reads: all or nothing."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from priors.conversion.checkpoint import read_checkpoint
from priors.conversion.layout import Converted
from priors.conversion.layouts import find_layout
from priors.manifest import MANIFEST, PATTERN, PriorError, PriorInfo
from priors.store import CONFIG, load_prior
from priors.weights import WEIGHTS

TRIAL = 32
"""Least side in pixels of the picture that a new prior is tried on: enough to pass through every layer."""


def convert_file(
    path: Path,
    folder: Path,
    *,
    licence: str,
    symmetries: str = "none",
    layout: str | None = None,
    class_label: int | None = None,
    source: str = "",
) -> PriorInfo:
    """Make the checkpoint at `path` a prior in `folder`, whose name becomes its own, and try it once.

    symmetries: of the pictures it was trained on, one of `priors.manifest.SYMMETRIES`. layout: one of
    `priors.conversion.layouts.LAYOUTS`, where the file does not tell. class_label: what a class-conditional network is
    always told. source: where the file came from, for whom reads the manifest.
    Raises PriorError, and leaves no folder, for what this project cannot read; also where the folder is there already.
    """
    if not PATTERN.fullmatch(folder.name):
        raise PriorError(f"{folder.name!r} is not the name of a prior: use a-z, 0-9, '.', '_' and '-'")
    if folder.exists():
        raise PriorError(f"there is a prior {folder.name} already")
    declared = {"licence": licence, "symmetries": symmetries} | ({"source": source} if source else {})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # beside its place, so that it is moved in one step; under its own name, so that it can be loaded
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder.parent) as models_dir:
            made = Path(models_dir) / folder.name
            _write(made, _convert(path, layout, class_label), declared)
            info = _try(made)
            made.rename(folder)
    except OSError as error:
        raise PriorError(f"prior {folder.name} cannot be written: {error.strerror}") from error
    return info


def _convert(path: Path, layout: str | None, class_label: int | None) -> Converted:
    state = read_checkpoint(path)
    try:
        return find_layout(state, layout).convert(state, class_label)
    except PriorError as error:
        raise PriorError(f"{path.name}: {error}") from error


def _write(folder: Path, converted: Converted, declared: dict[str, Any]) -> None:
    folder.mkdir()
    try:
        save_file(converted.weights, folder / WEIGHTS)
    except SafetensorError as error:  # of the file system, as it is of its own making
        raise PriorError(f"prior {folder.name} cannot be written: {error}") from error
    with (folder / WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    for name, fields in ((CONFIG, converted.config), (MANIFEST, converted.manifest | declared | {"sha256": digest})):
        (folder / name).write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def _try(folder: Path) -> PriorInfo:
    """Load it as the service would, and ask it once at each end of its levels."""
    prior = load_prior(folder.parent, folder.name, torch.device("cpu"))
    side = -(-TRIAL // prior.info.multiple_of) * prior.info.multiple_of
    levels = torch.tensor([prior.info.sigma_min, min(prior.info.sigma_max, 1e4)])
    noise = torch.randn(2, prior.info.channels, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answer = prior.denoise(levels.reshape(-1, 1, 1, 1) * noise, levels)
    if not answer.isfinite().all():
        raise PriorError(f"prior {folder.name}: its answer to noise is not finite")
    return prior.info

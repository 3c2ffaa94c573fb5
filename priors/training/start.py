"""Beginning a run with the weights of a prior that exists already."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from priors.declaration import read_declaration
from priors.manifest import read_fields, read_manifest
from priors.store import load_prior, read_config
from priors.training.config import TrainingError
from priors.training.objective import Objective

BUNDLED = Path(__file__).parents[1] / "bundled"


def start_from(objective: Objective, weights: nn.Module) -> str:
    """Load the weights of `--start-from` into `weights`; returns for `prior.json` where they are from.

    Raises PriorError for a prior that cannot be loaded, TrainingError for one of another make than the run, and for a
    licence that would hide that the prior is for research only.
    """
    config = objective.config
    folder = Path(config.start_from)
    folder = (folder if folder.is_dir() else BUNDLED / folder).resolve()
    if not folder.is_dir():
        raise TrainingError(f"--start-from {config.start_from} is neither a folder nor the name of a bundled prior")
    for name, (before, now) in _make(folder, objective, weights).items():
        if before != now:
            raise TrainingError(f"--start-from {config.start_from}: its {name} is {before}, that of this run {now}")
    info = read_manifest(folder)
    if _research_only(info.licence) and not _research_only(config.licence):
        raise TrainingError(f"--licence {config.licence}: {info.name}, and so what begins with it, is {info.licence}")
    network = load_prior(folder.parent, folder.name, torch.device("cpu")).network
    weights.load_state_dict(getattr(network, "unet", network).state_dict())
    return f"trained on from {info.name} (SHA-256 {info.digest[:12]}.., {info.licence})"


def _research_only(licence: str) -> bool:
    return licence.strip().lower().startswith("research")


def _make(folder: Path, objective: Objective, weights: nn.Module) -> dict[str, tuple[Any, Any]]:
    """What a prior and a run must have in common, by name: what the prior has, what the run has."""
    declared, architecture = read_declaration(read_fields(folder), folder.name), read_config(folder)
    return {
        **{name: (getattr(declared, name), value) for name, value in objective.declared.items()},
        "class": (architecture["_class_name"], type(weights).__name__),
        **{name: (architecture.get(name), weights.config[name]) for name in weights.config if not name.startswith("_")},
    }

"""What is on the shelf, whole or damaged. No torch: a list is there at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from priors.declaration import read_declaration
from priors.manifest import MANIFEST, PriorError, PriorInfo, read_fields, read_manifest
from priors.shelf import Shelf


@dataclass(frozen=True)
class Entry:
    """One folder of the shelf."""

    folder: Path
    info: PriorInfo | None
    """What it declares; None where that cannot be read."""
    reason: str
    """Why it cannot be used; empty where nothing speaks against it. The weights are not read here."""
    bytes: int
    """On disk, of all its files."""

    def as_json(self) -> dict[str, Any]:
        declared = self.info and {
            "kind": self.info.kind,
            "parameterisation": self.info.parameterisation,
            "sigma_min": self.info.sigma_min,
            "sigma_max": self.info.sigma_max,
            "size_multiple": self.info.multiple_of,
            "trained_size": self.info.native_size,
            "fully_convolutional": self.info.fully_convolutional,
            "symmetries": self.info.symmetries,
            "licence": self.info.licence,
            "sha256": self.info.digest,
        }
        state = {"reason": self.reason or None, "bytes": self.bytes, "folder": str(self.folder)}
        return {"name": self.folder.name, **(declared or {}), **state}


def entries(shelf: Shelf) -> list[Entry]:
    """Every prior by name, and after them the diffusers folders that nobody has adopted."""
    adopted = shelf.folders()
    patterns = ("*/config.json", "*/model_index.json")
    like_diffusers = {path.parent for home in shelf.models_dirs for each in patterns for path in home.glob(each)}
    strangers = sorted(folder for folder in like_diffusers if not (folder / MANIFEST).is_file())
    return [_entry(folder) for folder in [*adopted, *strangers]]


def _entry(folder: Path) -> Entry:
    info, reason = None, ""
    try:
        info = _inspect(folder)
    except PriorError as error:
        reason = str(error)
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Entry(folder, info, reason, sum(sizes))


def _inspect(folder: Path) -> PriorInfo:
    """What the prior declares. Raises PriorError for whatever can be seen to be wrong without its weights."""
    if not (folder / MANIFEST).is_file():
        raise PriorError(f"{folder.name} has no {MANIFEST}: `rediffuse-priors adopt {folder}` writes it")
    info = read_manifest(folder)
    if info.kind == "pixel":
        read_declaration(read_fields(folder), info.name)
    if not any(folder.rglob("*.safetensors")):
        raise PriorError(f"prior {info.name} has no weights in safetensors")
    return info

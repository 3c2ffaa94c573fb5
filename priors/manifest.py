"""What a prior declares about itself, read from `prior.json`. Imports no torch: the API process lists priors."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST = "prior.json"
MAX_JSON = 10_000_000
"""Bytes; a device or a file without end in the place of a configuration would take all the memory."""
PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
"""Names of priors. A name is never a path: no separators, no leading dot, no more than 100 characters."""
FIELDS: dict[str, type] = {
    "kind": str,
    "parameterisation": str,
    "size_multiple": int,
    "trained_size": int,
    "sigma_min": float,
    "sigma_max": float,
    "licence": str,
    "sha256": str,
}
"""What every `prior.json` must hold; `priors.declaration` has what a parameterisation needs besides."""
OPTIONAL: dict[str, type] = {"fully_convolutional": bool, "symmetries": str}
KINDS = ("pixel", "latent")
LATENT_FIELDS: dict[str, type] = {"latent_factor": int}
"""What the kind `latent` must hold besides; `priors.latent` reads the rest of it."""
SYMMETRIES = ("none", "mirror", "dihedral")
"""Nothing; left and right exchanged; that and turns by a right angle."""


@dataclass(frozen=True)
class PriorInfo:
    """What a prior declares about itself; the service publishes it and plans tiles and memory with it."""

    name: str
    kind: str = "pixel"
    """One of `KINDS`: what its network sees, the picture itself or the latents of an autoencoder."""
    channels: int = 3
    multiple_of: int = 1
    """Height and width of a query must be multiples of this."""
    native_size: int = 64
    """Side in pixels of the crops it was trained on."""
    latent_factor: int = 1
    """Pixels a side that one latent stands for; 1 where the network sees the picture."""
    fully_convolutional: bool = True
    """False for networks with attention: those are only run at `native_size`."""
    sigma_min: float = 0.0
    sigma_max: float = float("inf")
    """Noise range it was trained on, as a standard deviation on the [-1, 1] scale."""
    differentiable: bool = True
    """Whether `denoise` can be differentiated in `x`; a prior of kind `latent` cannot, for now."""
    parameterisation: str = "x0"
    symmetries: str = "none"
    """Of the pictures it was trained on, one of `SYMMETRIES`: under these, its answers differ by its errors only."""
    licence: str = ""
    digest: str = ""
    """SHA-256 of the weights; empty where there are none."""


class PriorError(Exception):
    """A prior that cannot be used: unknown, damaged, or of a kind that this project does not read."""


def read_fields(folder: Path) -> dict[str, Any]:
    """The fields of `prior.json` as they stand. Raises PriorError where it is missing or no JSON object."""
    return read_json(folder, MANIFEST)


def read_json(folder: Path, file: str) -> dict[str, Any]:
    """The JSON object in a file of the prior in `folder`. Raises PriorError, also for a device and for a huge file."""
    path = folder / file
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MAX_JSON:
            raise PriorError(f"prior {folder.name}: {file} is no file, or too large for one: {size} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PriorError(f"prior {folder.name}: {file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested without end
        raise PriorError(f"prior {folder.name}: {file} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise PriorError(f"prior {folder.name}: {file} must hold a JSON object")
    return values


def require_fields(fields: dict[str, Any], required: dict[str, type], name: str) -> None:
    """Raise PriorError unless every required field is there and of its type; a whole number is a float, True none."""
    for key, kind in required.items():
        value = fields.get(key)
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise PriorError(f"prior {name}: {MANIFEST} needs the field {key!r} ({kind.__name__})")


def read_manifest(folder: Path) -> PriorInfo:
    """What the prior in `folder` declares; its name is the folder's. Raises PriorError."""
    name = folder.name
    if not PATTERN.fullmatch(name):
        raise PriorError(f"{name!r} is not the name of a prior: use a-z, 0-9, '.', '_' and '-'")
    fields = read_fields(folder)
    require_fields(fields, FIELDS, name)
    require_fields(fields, {key: kind for key, kind in OPTIONAL.items() if key in fields}, name)
    if fields["kind"] not in KINDS:
        raise PriorError(f"prior {name}: kind {fields['kind']!r} is not supported, only {', '.join(KINDS)}")
    if fields["kind"] == "latent":
        require_fields(fields, LATENT_FIELDS, name)
    factor = fields["latent_factor"] if fields["kind"] == "latent" else 1
    if not factor > 0 or fields["size_multiple"] % factor:
        raise PriorError(f"prior {name}: {MANIFEST} needs latent_factor > 0 and size_multiple a multiple of it")
    if not 0 < fields["sigma_min"] < fields["sigma_max"]:
        raise PriorError(f"prior {name}: {MANIFEST} needs 0 < sigma_min < sigma_max")
    if not 0 < fields["size_multiple"] <= fields["trained_size"]:
        raise PriorError(f"prior {name}: {MANIFEST} needs 0 < size_multiple <= trained_size")
    convolutional, symmetries = fields.get("fully_convolutional", True), fields.get("symmetries", "none")
    if not convolutional and fields["trained_size"] % fields["size_multiple"]:
        raise PriorError(f"prior {name}: its only size, trained_size, is no multiple of size_multiple")
    if symmetries not in SYMMETRIES:
        raise PriorError(f"prior {name}: symmetries {symmetries!r} is not one of {', '.join(SYMMETRIES)}")
    return PriorInfo(
        name=name,
        kind=fields["kind"],
        multiple_of=fields["size_multiple"],
        native_size=fields["trained_size"],
        latent_factor=factor,
        fully_convolutional=convolutional,
        sigma_min=float(fields["sigma_min"]),
        sigma_max=float(fields["sigma_max"]),
        differentiable=fields["kind"] == "pixel",
        parameterisation=fields["parameterisation"],
        symmetries=symmetries,
        licence=fields["licence"],
        digest=fields["sha256"],
    )

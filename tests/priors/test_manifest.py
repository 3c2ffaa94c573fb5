"""Reading `prior.json`: what is published, what is refused, and that it costs no torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from priors.manifest import PriorError, read_manifest

FIELDS = {
    "kind": "pixel",
    "parameterisation": "edm",
    "sigma_data": 0.5,
    "sigma_min": 0.005,
    "sigma_max": 80,
    "time_map": "250*ln(sigma)",
    "pixel_unshuffle": 2,
    "trained_size": 128,
    "size_multiple": 8,
    "licence": "CC0",
    "sha256": "ab" * 32,
}


def write(folder: Path, fields: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "prior.json").write_text(fields if isinstance(fields, str) else json.dumps(fields))
    return folder


def test_reads_every_field(tmp_path: Path) -> None:
    info = read_manifest(write(tmp_path / "natural-v0", FIELDS))
    assert (info.name, info.channels, info.multiple_of, info.native_size) == ("natural-v0", 3, 8, 128)
    assert (info.sigma_min, info.sigma_max, info.parameterisation) == (0.005, 80.0, "edm")
    assert (info.licence, info.digest) == ("CC0", "ab" * 32)
    assert (info.fully_convolutional, info.symmetries) == (True, "none")


def test_symmetries_and_attention_are_declared(tmp_path: Path) -> None:
    fields = FIELDS | {"symmetries": "mirror", "fully_convolutional": False}
    info = read_manifest(write(tmp_path / "faces", fields))
    assert (info.fully_convolutional, info.symmetries) == (False, "mirror")


def test_a_latent_prior_says_how_many_pixels_a_latent_stands_for(tmp_path: Path) -> None:
    latent = read_manifest(write(tmp_path / "latent", FIELDS | {"kind": "latent", "latent_factor": 8}))
    pixel = read_manifest(write(tmp_path / "pixel", FIELDS))
    assert (latent.kind, latent.latent_factor) == ("latent", 8)
    assert pixel.differentiable and not latent.differentiable
    assert (pixel.kind, pixel.latent_factor) == ("pixel", 1)


@pytest.mark.parametrize("field", ["kind", "parameterisation", "size_multiple", "trained_size", "sigma_max", "sha256"])
@pytest.mark.parametrize("value", [None, [], True])
def test_a_missing_or_mistyped_field_is_named(tmp_path: Path, field: str, value: object) -> None:
    fields = {**FIELDS, field: value}
    if value is None:
        del fields[field]
    with pytest.raises(PriorError, match=f"prior p: .*'{field}'"):
        read_manifest(write(tmp_path / "p", fields))


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '{"kind": "pixel"', "[" * 100_000, "\x00"], ids=lambda text: text[:8]
)
def test_damaged_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PriorError, match="prior p: prior.json"):
        read_manifest(write(tmp_path / "p", text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", "")
    (folder / "prior.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(PriorError, match="not valid JSON"):
        read_manifest(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"sigma_min": 0},
        {"sigma_min": 90.0},
        {"sigma_max": float("nan")},
        {"size_multiple": 0},
        {"size_multiple": -8},
        {"trained_size": 4},
        {"kind": "video"},
        {"kind": "latent"},
        {"kind": "latent", "latent_factor": True},
        {"kind": "latent", "latent_factor": 0},
        {"kind": "latent", "latent_factor": 16},
        {"symmetries": "all"},
        {"symmetries": True},
        {"fully_convolutional": "no"},
        {"fully_convolutional": False, "trained_size": 100},
    ],
    ids=str,
)
def test_impossible_values_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(PriorError, match="prior p: "):
        read_manifest(write(tmp_path / "p", FIELDS | change))


@pytest.mark.parametrize("name", ["Upper", "with space", ".hidden", "-dash", "ü", "a" * 101])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(PriorError, match="not the name of a prior"):
        read_manifest(write(tmp_path / name, FIELDS))


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PriorError, match="No such file"):
        read_manifest(tmp_path / "absent")


def test_imports_no_torch() -> None:
    code = "import sys, priors.manifest; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

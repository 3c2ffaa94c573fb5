"""One file becomes one folder, or nothing at all."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from priors.conversion import convert
from priors.conversion.convert import convert_file
from priors.manifest import PriorError
from priors.shelf import Shelf
from priors.store import load_prior
from priors.weights import WEIGHTS
from tests.priors.conversion.references_adm import ADM, AdmUNet, randomised

STATE: dict[str, Tensor] = randomised(AdmUNet(ADM["adm-ffhq"])).state_dict()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "faces.pt"
    torch.save(STATE, path)
    return path


def adopt(file: Path, folder: Path, **changes: Any) -> Any:
    return convert_file(file, folder, **{"licence": "research only", "layout": "adm-ffhq"} | changes)


def test_the_folder_is_a_prior(tmp_path: Path, file: Path) -> None:
    folder = tmp_path / "models" / "faces"
    info = adopt(file, folder, symmetries="mirror", source="a page")
    assert info == load_prior(tmp_path / "models", "faces", torch.device("cpu")).info
    assert Shelf(tmp_path / "models").manifests() == [info]
    assert (info.name, info.licence, info.symmetries) == ("faces", "research only", "mirror")
    assert (info.native_size, info.multiple_of, info.fully_convolutional) == (256, 4, False)
    assert (info.sigma_min, info.sigma_max) == (pytest.approx(0.01, rel=1e-3), pytest.approx(157.4, rel=1e-3))
    assert sorted(path.name for path in (tmp_path / "models").rglob("*")) == sorted(
        ["faces", "config.json", "prior.json", WEIGHTS]
    )
    manifest = json.loads((folder / "prior.json").read_text())
    assert (manifest["source"], manifest["learned_variance"]) == ("a page", True)
    assert manifest["sha256"] == hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_keep_the_dtype_of_the_source(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save({key: value.to(dtype) for key, value in STATE.items()}, tmp_path / "faces.pt")
    adopt(tmp_path / "faces.pt", tmp_path / "faces")
    assert {value.dtype for value in load_file(tmp_path / "faces" / WEIGHTS).values()} == {dtype}


@pytest.mark.parametrize("name", ["Faces", ".faces", "a b", ".."])
def test_what_is_no_name_is_refused(tmp_path: Path, file: Path, name: str) -> None:
    with pytest.raises(PriorError, match="is not the name of a prior"):
        adopt(file, tmp_path / "models" / name)
    assert not (tmp_path / "models").exists()


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path, file: Path) -> None:
    (tmp_path / "faces").mkdir()
    with pytest.raises(PriorError, match="there is a prior faces already"):
        adopt(file, tmp_path / "faces")
    assert not list((tmp_path / "faces").iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": None}, "faces.pt: its weights, .* are of no known checkpoint"),
        ({"layout": "ddpm-celebahq"}, "faces.pt: layout ddpm-celebahq: the weights are not those of a DDPM UNet"),
        ({"class_label": 3}, "faces.pt: .* the class given is 3"),
        ({"symmetries": "all"}, "prior faces: symmetries 'all' is not one of"),
    ],
    ids=str,
)
def test_nothing_is_left_of_what_fails(tmp_path: Path, file: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PriorError, match=message):
        adopt(file, tmp_path / "models" / "faces", **changes)
    assert not list((tmp_path / "models").iterdir())


def test_a_class_that_the_network_does_not_know_is_refused(tmp_path: Path) -> None:
    torch.save(randomised(AdmUNet(ADM["adm-256-cond"])).state_dict(), tmp_path / "net.pt")
    with pytest.raises(PriorError, match="there is no class 5 among 5"):
        adopt(tmp_path / "net.pt", tmp_path / "net", layout="adm-256-cond", class_label=5)


def test_a_shape_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    torch.save(STATE | {"out.0.bias": torch.zeros(33)}, tmp_path / "net.pt")
    with pytest.raises(PriorError, match=r"conv_norm_out.bias has the shape \(33,\)"):
        adopt(tmp_path / "net.pt", tmp_path / "net")
    assert not (tmp_path / "net").exists()


def test_a_network_that_answers_with_no_numbers_is_refused(tmp_path: Path) -> None:
    """Finite weights whose products are not."""
    torch.save(STATE | {"out.2.weight": torch.full_like(STATE["out.2.weight"], 3e38)}, tmp_path / "net.pt")
    with pytest.raises(PriorError, match="its answer to noise is not finite"):
        adopt(tmp_path / "net.pt", tmp_path / "net")
    assert not (tmp_path / "net").exists()


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_tensors: dict[str, Tensor], path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(convert, "save_file", full)
    with pytest.raises(PriorError, match="prior faces cannot be written: No space left on device"):
        adopt(file, tmp_path / "models" / "faces")
    assert not list((tmp_path / "models").iterdir())

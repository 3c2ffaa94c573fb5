"""Foreign files: named tensors come out, everything else is refused without a traceback and without running code."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from priors.conversion import checkpoint
from priors.conversion.checkpoint import read_checkpoint
from priors.manifest import PriorError

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def assert_weights(state: dict[str, Tensor]) -> None:
    assert state.keys() == WEIGHTS.keys()
    for key, value in state.items():
        assert value.dtype == WEIGHTS[key].dtype and torch.equal(value, WEIGHTS[key]) and not value.requires_grad


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin"])
def test_plain_state_dicts(tmp_path: Path, suffix: str) -> None:
    assert_weights(read_checkpoint(saved(tmp_path / f"net{suffix}", WEIGHTS)))
    assert_weights(read_checkpoint(saved(tmp_path / f"old{suffix}", WEIGHTS, _use_new_zipfile_serialization=False)))


def test_safetensors(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "net.safetensors")
    assert_weights(read_checkpoint(tmp_path / "net.safetensors"))


OTHER = {key: value + 1 for key, value in WEIGHTS.items()}


@pytest.mark.parametrize(
    "content",
    [
        {key: nn.Parameter(value) for key, value in WEIGHTS.items()},
        {f"module.{key}": value for key, value in WEIGHTS.items()},
        {"state_dict": WEIGHTS, "epoch": 3, "lr": [1e-4], "betas": torch.zeros(5)},
        {"step": 7, "model": OTHER, "ema": WEIGHTS, "opt": {"state": {0: {"exp": torch.zeros(2)}}}},
        {"network": {f"module.{key}": value for key, value in WEIGHTS.items()}, "step": 7},
    ],
    ids=["parameters", "prefix", "nested", "averaged weights first", "one unknown nest"],
)
def test_what_training_programs_put_around_the_weights(tmp_path: Path, content: Any) -> None:
    assert_weights(read_checkpoint(saved(tmp_path / "net.pt", content)))


class Hostile:
    """Unpickled, it makes a file named after itself."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_file_is_refused_unrun(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "ran"
    content = {**WEIGHTS, "more": Hostile(mark)}
    saved(tmp_path / "new.pt", content)
    saved(tmp_path / "old.ckpt", content, _use_new_zipfile_serialization=False)
    (tmp_path / "raw.bin").write_bytes(pickle.dumps(content, protocol=protocol))
    for name in ("new.pt", "old.ckpt", "raw.bin"):
        with pytest.raises(PriorError, match=f"{name} is no file of tensors alone: .*nothing of it was run"):
            read_checkpoint(tmp_path / name)
    assert not mark.exists()
    pickle.loads((tmp_path / "raw.bin").read_bytes())  # noqa: S301 - our own: it would have run
    assert mark.exists()


def test_a_whole_module_and_a_foreign_number_are_named(tmp_path: Path) -> None:
    for content, what in ((nn.Linear(2, 2), "torch.nn.modules.linear.Linear"), (np.float64(1), "numpy")):
        with pytest.raises(PriorError, match=f"it asks for {what}"):
            read_checkpoint(saved(tmp_path / "net.pt", {"w": content}))


def scripted(path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(path)


def archived(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no checkpoint")


WRITERS: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda path: path.write_bytes(b""),
    "a page": lambda path: path.write_text("<html>404</html>"),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a pickle": lambda path: path.write_bytes(pickle.dumps([1, 2], protocol=2)),
    "an archive": archived,
}


@pytest.mark.parametrize("what", WRITERS)
@pytest.mark.parametrize("name", ["net.pt", "net.safetensors"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, name: str, what: str) -> None:
    WRITERS[what](tmp_path / name)
    with pytest.raises(PriorError, match=f"{name} is (damaged|no file of tensors alone)"):
        read_checkpoint(tmp_path / name)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_checkpoint_under_the_name_of_another_kind_is_refused(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "net.pt")
    saved(tmp_path / "net.safetensors", WEIGHTS)
    scripted(tmp_path / "script.pt")
    for name in ("net.pt", "net.safetensors", "script.pt"):
        with pytest.raises(PriorError, match=f"{name} is (damaged|no file of tensors alone)"):
            read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("kind", ["net.pt", "old.pt", "net.safetensors"])
def test_damage_is_refused_wherever_it_is(tmp_path: Path, kind: str) -> None:
    """Cut short at any length, and with any byte changed: refused, or tensors that are finite."""
    whole = tmp_path / kind
    if kind == "net.safetensors":
        save_file(WEIGHTS, whole)
    else:
        saved(whole, WEIGHTS, _use_new_zipfile_serialization=kind == "net.pt")
    content = whole.read_bytes()
    for length in np.linspace(0, len(content) - 1, 50, dtype=int):
        whole.write_bytes(content[:length])
        with pytest.raises(PriorError, match=kind):
            read_checkpoint(whole)
    rng = np.random.default_rng(0)
    for place in rng.permutation(len(content))[:200]:
        damaged = bytearray(content)
        damaged[place] ^= int(rng.integers(1, 256))
        whole.write_bytes(damaged)
        try:
            assert all(value.isfinite().all() for value in read_checkpoint(whole).values())
        except PriorError as error:
            assert kind in str(error)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], "holds no named tensors but a list"),
        (torch.zeros(2), "holds no named tensors but a Tensor"),
        ({}, "holds no named tensors but a dict"),
        ({"epoch": 3, "state_dict": {}}, "holds no named tensors but .'epoch', 'state_dict'"),
        ({"generator": WEIGHTS, "critic": OTHER}, "holds several networks, .'critic', 'generator'"),
        ({**WEIGHTS, "step": 3}, "'step' is a int, not a tensor with a name"),
        ({0: torch.zeros(2)}, "0 is a Tensor, not a tensor with a name"),
        ({"w": torch.tensor([0.0, float("nan")])}, "w holds values that are not finite"),
        ({"w": torch.tensor([float("inf")], dtype=torch.float16)}, "w holds values that are not finite"),
        ({"w": torch.zeros(2, dtype=torch.complex64)}, "w is no plain tensor"),
        ({"w": torch.zeros(2, dtype=torch.float8_e4m3fn)}, "w is no plain tensor"),
        ({"w": torch.eye(2).to_sparse()}, "w is no plain tensor"),
        ({"w": torch.zeros(2, device="meta")}, "w is no plain tensor"),
        ({"w": torch.zeros(1).expand(10**12)}, "claims 4000000000000 bytes of weights"),
    ],
    ids=str,
)
def test_other_contents_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(PriorError, match=f"net.pt.* {message}"):
        read_checkpoint(saved(tmp_path / "net.pt", content))


def test_names_and_sizes_are_checked_before_a_file_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PriorError, match="net.h5 is no checkpoint: its name must end in .safetensors, .pt"):
        read_checkpoint(saved(tmp_path / "net.h5", WEIGHTS))
    with pytest.raises(PriorError, match="there is no file gone.pt"):
        read_checkpoint(tmp_path / "gone.pt")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(PriorError, match="there is no file folder.pt"):
        read_checkpoint(tmp_path / "folder.pt")
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 100)
    with pytest.raises(PriorError, match="more than the 100 that are read"):
        read_checkpoint(saved(tmp_path / "net.pt", WEIGHTS))

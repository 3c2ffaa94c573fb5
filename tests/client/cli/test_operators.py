"""`rediffuse operators apply`."""

import json
from pathlib import Path

import pytest

from tests.client.fake_service import FakeService

GREY = '{"kind": "grey"}'


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(b"photo")
    return path


def test_apply_writes_an_array_where_the_name_says_so(run, service: FakeService, photo: Path, tmp_path: Path):
    (tmp_path / "operator.json").write_text(json.dumps({"kind": "mask", "mask": str(photo)}))
    more = ["--sigma", "25/255", "--seed", 3, "--direction", "adjoint"]
    result = run("operators", "apply", photo, tmp_path / "operator.json", "-o", tmp_path / "y.npy", *more)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "y.npy").read_bytes() == b"applied to photo"
    assert str(tmp_path / "y.npy") in result.stdout
    (sent,) = service.applied
    assert sent["operator"]["mask"]["data_url"].startswith("data:")
    assert (sent["output"], sent["noise"], sent["seed"]) == ({"format": "npy"}, {"sigma": 25 / 255}, 3)
    assert sent["direction"] == "adjoint"


def test_without_a_name_it_is_a_picture_beside_the_first(run, service: FakeService, photo: Path):
    assert run("operators", "apply", photo, GREY).exit_code == 0
    assert photo.with_name("photo-applied.png").exists()
    assert service.applied == [{"operator": {"kind": "grey"}, "direction": "forward", "output": {"format": "png"}}]
    kept = run("operators", "apply", photo, GREY)
    assert (kept.exit_code, "--force" in kept.stderr) == (1, True)


@pytest.mark.parametrize("wrong", [["{"], [GREY, "-o", "y.npz"], [GREY, "--sigma", "much"], [GREY, "--direction", "x"]])
def test_wrong_usage_is_status_two(run, service: FakeService, photo: Path, wrong: list[str]):
    assert run("operators", "apply", photo, *wrong).exit_code == 2
    assert not service.applied

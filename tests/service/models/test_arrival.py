"""All of a prior arrives, or nothing."""

from pathlib import Path

import pytest

from priors.manifest import PriorError
from service.models.arrival import arriving, check_own
from service.settings import BUNDLED_PRIORS


def test_what_was_prepared_is_moved_to_its_place(tmp_path: Path) -> None:
    models = tmp_path / "not" / "there yet"
    with arriving(models, "faces") as folder:
        assert folder.name == "faces" and not folder.exists()
        folder.mkdir()
        (folder / "prior.json").write_text("{}")
        assert not (models / "faces").exists()
    assert [str(path.relative_to(models)) for path in sorted(models.rglob("*"))] == ["faces", "faces/prior.json"]


def test_where_it_fails_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), arriving(tmp_path, "faces") as folder:
        (folder / "unet").mkdir(parents=True)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\0b", "a b", "Faces", ".a", "a" * 101])
def test_what_is_no_name_reaches_no_file(tmp_path: Path, name: str) -> None:
    models = tmp_path / "models"
    with pytest.raises(PriorError, match="is not the name of a prior"), arriving(models, name):
        pass
    assert not models.exists()


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "faces").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PriorError, match="has a faces already"), arriving(tmp_path, "faces"):
        pass
    with pytest.raises(OSError), arriving(tmp_path, "late") as folder:  # another command was faster
        folder.mkdir()
        (tmp_path / "late" / "full").mkdir(parents=True)
    assert (tmp_path / "late" / "full").is_dir()


def test_the_bundled_priors_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(BUNDLED_PRIORS)
    before = sorted(BUNDLED_PRIORS.iterdir())
    for models in (BUNDLED_PRIORS, tmp_path / "link"):
        with pytest.raises(PriorError, match="REDIFFUSE_MODELS_DIR"):
            check_own(models)
        with pytest.raises(PriorError, match="REDIFFUSE_MODELS_DIR"), arriving(models, "faces"):
            pass
    assert sorted(BUNDLED_PRIORS.iterdir()) == before

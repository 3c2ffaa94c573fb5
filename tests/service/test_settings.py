from pathlib import Path

import pytest

from service.settings import BUNDLED_PRIORS, Settings, read_settings


def test_every_wrong_setting_is_named_as_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIFFUSE_PORT", "many")
    monkeypatch.setenv("REDIFFUSE_WORKERS", "-1")
    with pytest.raises(SystemExit) as end:
        read_settings()
    lines = str(end.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["REDIFFUSE_PORT", "REDIFFUSE_WORKERS"]


def test_both_stores_are_in_the_data_folder_unless_named() -> None:
    embedded = Settings(data_dir=Path("/somewhere/data"))
    assert embedded.resolved_database_url == "sqlite:////somewhere/data/rediffuse.sqlite"
    assert embedded.resolved_blob_url == "file:///somewhere/data/blobs"
    named = Settings(database_url="postgresql+psycopg://h/d", blob_url="s3://bucket")
    assert (named.resolved_database_url, named.resolved_blob_url) == ("postgresql+psycopg://h/d", "s3://bucket")


def test_a_models_folder_of_ones_own_does_not_hide_the_bundled_priors(tmp_path: Path) -> None:
    settings = Settings(models_dir=tmp_path)
    assert settings.shelf.home(settings.default_prior) == BUNDLED_PRIORS
    own = tmp_path / settings.default_prior
    own.mkdir()
    (own / "prior.json").write_text("{}")
    assert settings.shelf.home(settings.default_prior) == tmp_path

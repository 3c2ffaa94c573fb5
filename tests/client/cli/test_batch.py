"""`rediffuse batch`: what it prints, and its exit status. `test_interruption` kills it."""

import json
from pathlib import Path

import pytest

from tests.client.fake_service import FakeService


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(b"one")
    (folder / "sub" / "b.png").write_bytes(b"two")
    return folder


@pytest.mark.parametrize("verb", [["denoise", "--sigma", "0.1"], ["upscale", "--scale", "4"]])
def test_a_folder_becomes_a_folder(run, source: Path, tmp_path: Path, verb: list[str]):
    result = run("batch", verb[0], source, tmp_path / "out", *verb[1:], "--jobs-in-flight", 1)
    assert result.exit_code == 0, result.output
    assert "2 of 2 pictures" in result.stdout
    assert (tmp_path / "out" / "sub" / "b.png").read_bytes() == b"restored two"


def test_noisy_pictures_are_counted_by_what_became_of_them(run, service: FakeService, source: Path, tmp_path: Path):
    (source / "fine.png").write_bytes(b"clean")
    (source / "bad.png").write_bytes(b"broken")
    for _ in range(2):  # the second one sends nothing but what failed
        result = run("batch", "denoise", source, tmp_path / "out", "--solver", "score_dvi")
        assert "3 of 4 pictures" in result.stdout
        assert "2 cleaned, 1 found clean, 1 failed" in result.stdout
        assert len(service.jobs) == 3
    assert {job.options["solver"] for job in service.jobs.values()} == {"score_dvi"}
    assert "cleaned" not in run("batch", "upscale", source, tmp_path / "large").stdout


def test_inpainting_takes_masks(run, service: FakeService, source: Path, tmp_path: Path):
    (tmp_path / "mask.png").write_bytes(b"mask")
    assert run("batch", "inpaint", source, tmp_path / "out", "--masks", tmp_path / "mask.png").exit_code == 0
    assert {job.task for job in service.jobs.values()} == {"inpaint"}
    assert run("batch", "inpaint", source, tmp_path / "other").exit_code == 2
    assert run("batch", "inpaint", source, tmp_path / "other", "--mask-mode", "alpha_unknown").exit_code == 0


def test_failures_are_a_table_and_status_one(run, source: Path, tmp_path: Path):
    (source / "bad.png").write_bytes(b"broken")
    result = run("batch", "denoise", source, tmp_path / "out")
    assert result.exit_code == 1
    assert "2 of 3 pictures" in result.stdout
    assert "bad.png" in result.stderr
    assert "unsupported_image" in result.stderr


def test_json_is_the_manifest(run, source: Path, tmp_path: Path):
    result = run("batch", "denoise", source, tmp_path / "out", "--json")
    assert json.loads(result.stdout) == json.loads((tmp_path / "out" / "manifest.json").read_text())


def test_the_format_of_the_results(run, source: Path, tmp_path: Path):
    assert run("batch", "denoise", source, tmp_path / "out", "--format", "webp").exit_code == 0
    assert (tmp_path / "out" / "a.webp").exists()
    assert run("batch", "denoise", source, tmp_path / "other", "--format", "gif").exit_code == 2


def test_orders_that_make_no_sense_are_told(run, source: Path, tmp_path: Path):
    for arguments in ([source, source], [tmp_path / "missing", tmp_path / "out"]):
        result = run("batch", "denoise", *arguments)
        assert result.exit_code == 1
        assert "Error:" in result.stderr
    assert not (source / "manifest.json").exists()

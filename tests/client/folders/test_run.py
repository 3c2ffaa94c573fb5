"""`client.folders.run`: nothing lost, nothing twice, nothing overwritten."""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from client import AsyncRediffuse, AuthenticationError, ConnectionFailed, RediffuseError, RetryPolicy
from client.folders import Entry, FolderOrder, FolderRun, Manifest
from tests.client.fake_service import FakeService


class Notes:
    """A watcher that remembers."""

    def __init__(self, service: FakeService | None = None) -> None:
        self.service = service
        self.fractions: list[float] = []
        self.names: list[str] = []

    def progressed(self, entry: Entry, fraction: float) -> None:
        self.fractions.append(fraction)
        if self.service is not None and fraction == 1:
            self.service.gate.set()

    def ended(self, entry: Entry) -> None:
        self.names.append(entry.source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.jpg"):
        (source / name).write_bytes(f"bytes of {name}".encode())
    return source


def restore(service: FakeService, source: Path, watcher: Notes | None = None, **more) -> Manifest:
    task = more.pop("task", "denoise")
    target = more.pop("target", source.parent / "out")

    async def main() -> Manifest:
        async with AsyncRediffuse(service.url, retry=RetryPolicy(retries=2, base_s=0.001)) as client:
            return await FolderRun(client, FolderOrder(task, source, target, **more), watcher or Notes()).run()

    return asyncio.run(main())


def states(manifest: Manifest) -> dict[str, str]:
    return {entry.source: entry.status for entry in manifest.files}


def test_every_picture_arrives_in_its_place_with_its_record(service: FakeService, folder: Path):
    notes = Notes()
    manifest = restore(service, folder, notes, options={"noise": "auto"})
    assert set(states(manifest).values()) == {"done"}
    assert (folder.parent / "out" / "sub" / "c.png").read_bytes() == b"restored bytes of sub/c.jpg"
    assert sorted(notes.names) == ["a.png", "b.png", "sub/c.jpg"]
    entry = json.loads((folder.parent / "out" / "manifest.json").read_text())["files"][0]
    assert (entry["seed"], entry["prior"], entry["prior_digest"]) == (7, "denoiser-v4", "cd" * 32)
    assert entry["parameters"]["solver"] == "score_dvi"
    assert entry["job_id"] in service.jobs
    assert len(entry["source_sha256"]) == len(entry["output_sha256"]) == 64


def test_what_was_found_clean_is_in_the_record_also_of_a_second_run(service: FakeService, folder: Path):
    (folder / "a.png").write_bytes(b"clean picture")
    first = restore(service, folder)
    assert [entry.clean for entry in first.files] == [True, False, False]
    assert restore(service, folder) == first
    assert [entry.clean for entry in restore(service, folder, task="super_resolution", force=True).files] == [None] * 3


@pytest.mark.parametrize(
    ("options", "replaced"),
    [
        ({}, 1),
        ({"solver": "red_diff"}, 0),
        ({"prior": "natural-v1"}, 0),
        ({"params": {"components": ["natural-v1"]}}, 0),
    ],
)
def test_a_prior_that_was_replaced_gives_new_jobs(service: FakeService, folder: Path, options: dict, replaced: int):
    def again() -> int:
        shutil.rmtree(folder.parent / "out", ignore_errors=True)
        restore(service, folder, options=options)
        return len(service.jobs)

    def replace(number: int) -> None:
        service.priors[number] = service.priors[number] | {"digest": "ef" * 32}

    assert (again(), again()) == (3, 3)
    if "params" not in options:
        replace(1 - replaced)
        assert again() == 3
    replace(replaced)
    assert again() == 6


def test_progress_is_shown_while_jobs_run(service: FakeService, folder: Path):
    service.gate.clear()
    notes = Notes(service)
    restore(service, folder, notes, in_flight=1)
    assert notes.fractions == [0.25, 0.5, 0.75, 1.0]


def test_a_second_run_sends_nothing(service: FakeService, folder: Path):
    first = restore(service, folder)
    written = {path: path.stat().st_mtime_ns for path in (folder.parent / "out").rglob("*.png")}
    assert restore(service, folder) == first
    assert service.count("POST", "/v1/denoise") == 3
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_only_what_changed_runs_again(service: FakeService, folder: Path):
    restore(service, folder)
    (folder / "a.png").write_bytes(b"new bytes")
    restore(service, folder)
    assert (folder.parent / "out" / "a.png").read_bytes() == b"restored new bytes"
    assert service.count("POST", "/v1/denoise") == 4


def test_other_options_run_everything_again(service: FakeService, folder: Path):
    restore(service, folder)
    manifest = restore(service, folder, options={"seed": 3})
    assert len(service.jobs) == 6
    assert {entry.parameters["seed"] for entry in manifest.files} == {3}


def test_a_result_that_was_lost_is_fetched_again(service: FakeService, folder: Path):
    restore(service, folder)
    (folder.parent / "out" / "b.png").unlink()
    restore(service, folder)
    assert (folder.parent / "out" / "b.png").exists()
    assert service.count("POST", "/v1/denoise") == 3


def test_without_its_record_the_same_order_finds_the_same_jobs(service: FakeService, folder: Path):
    restore(service, folder)
    shutil.rmtree(folder.parent / "out")
    restore(service, folder)
    assert len(service.jobs) == 3


def test_jobs_that_the_service_forgot_run_again(service: FakeService, folder: Path):
    restore(service, folder)
    shutil.rmtree(folder.parent / "out")
    service.removed.update(service.jobs)
    manifest = restore(service, folder)
    assert set(states(manifest).values()) == {"done"}
    assert {entry.attempt for entry in manifest.files} == {2}


def test_one_bad_file_never_stops_the_rest_and_may_be_mended(service: FakeService, folder: Path):
    (folder / "a.png").write_bytes(b"broken")
    (folder / "b.png").write_bytes(b"diverge")
    manifest = restore(service, folder, in_flight=1)
    assert states(manifest) == {"a.png": "failed", "b.png": "failed", "sub/c.jpg": "done"}
    assert [entry.error and entry.error.code for entry in manifest.files] == [
        "unsupported_image",
        "solver_diverged",
        None,
    ]
    (folder / "a.png").write_bytes(b"mended")
    jobs = len(service.jobs)
    again = restore(service, folder)
    assert states(again) == {"a.png": "done", "b.png": "failed", "sub/c.jpg": "done"}
    assert len(service.jobs) == jobs + 2  # the mended one, and a new attempt of the one that failed
    assert again.files[0].error is None


def test_files_of_others_are_kept_unless_forced(service: FakeService, folder: Path):
    target = folder.parent / "out"
    target.mkdir()
    (target / "a.png").write_bytes(b"precious")
    manifest = restore(service, folder)
    assert states(manifest)["a.png"] == "failed"
    assert "--force" in manifest.files[0].error.detail
    assert (target / "a.png").read_bytes() == b"precious"
    assert len(service.jobs) == 2
    assert states(restore(service, folder, force=True))["a.png"] == "done"
    assert (target / "a.png").read_bytes() == b"restored bytes of a.png"


def test_a_result_that_was_edited_is_kept(service: FakeService, folder: Path):
    restore(service, folder)
    (folder.parent / "out" / "a.png").write_bytes(b"retouched")
    assert states(restore(service, folder))["a.png"] == "failed"
    assert (folder.parent / "out" / "a.png").read_bytes() == b"retouched"


def test_each_picture_has_its_mask(service: FakeService, folder: Path):
    masks = folder.parent / "masks"
    masks.mkdir()
    (masks / "a.png").write_bytes(b"mask")
    (masks / "b.jpg").write_bytes(b"mask")
    manifest = restore(service, folder, task="inpaint", masks=masks)
    assert states(manifest) == {"a.png": "done", "b.png": "done", "sub/c.jpg": "failed"}
    assert manifest.files[1].mask == str(masks / "b.jpg")
    (masks / "a.png").write_bytes(b"another mask")
    restore(service, folder, task="inpaint", masks=masks)
    assert len(service.jobs) == 3


def test_equal_pictures_share_a_job(service: FakeService, folder: Path):
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes())
    assert set(states(restore(service, folder)).values()) == {"done"}
    assert len(service.jobs) == 2


@pytest.mark.parametrize("fault", ["drop_after", "busy", "in_progress"])
def test_trouble_on_the_way_doubles_nothing(service: FakeService, folder: Path, fault: str):
    service.faults.extend([fault] * 2)
    service.stream_cuts = 3
    assert set(states(restore(service, folder)).values()) == {"done"}
    assert len(service.jobs) == 3


def test_a_service_that_is_full_ends_the_run_but_not_the_work(service: FakeService, folder: Path):
    service.faults.extend(["full"] * 30)
    with pytest.raises(RediffuseError, match="10000 jobs wait"):
        restore(service, folder)
    service.faults.clear()
    assert set(states(restore(service, folder)).values()) == {"done"}
    assert len(service.jobs) == 3


def test_a_wrong_key_is_told_once(service: FakeService, folder: Path):
    service.api_key = "secret"
    with pytest.raises(AuthenticationError):
        restore(service, folder)


def test_a_service_that_is_gone_ends_the_run(folder: Path):
    with FakeService() as gone:
        pass
    with pytest.raises(ConnectionFailed):
        restore(gone, folder)


def test_what_a_killed_run_left_half_written_is_removed(service: FakeService, folder: Path):
    target = folder.parent / "out"
    (target / "sub").mkdir(parents=True)
    old, fresh = target / "sub" / ".rediffuse-1.part", target / ".rediffuse-2.part"
    for part, age_s in ((old, 3600), (fresh, 0)):
        part.touch()
        os.utime(part, (time.time() - age_s,) * 2)
    restore(service, folder)
    assert not old.exists()
    assert fresh.exists()  # somebody may be writing it


def test_an_empty_folder_is_no_error(service: FakeService, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    assert restore(service, tmp_path / "empty").files == []

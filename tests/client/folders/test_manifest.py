"""`client.folders.manifest`: the record on disk."""

import asyncio
from pathlib import Path

import pytest

from client.folders import FolderOrder, Manifest, OrderRefused
from client.folders.manifest import open_manifest


@pytest.fixture
def order(tmp_path: Path) -> FolderOrder:
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "a.png", "b.png"):
        (tmp_path / "in" / name).touch()
    return FolderOrder("denoise", tmp_path / "in", tmp_path / "out", {"noise": "auto"})


def saved(order: FolderOrder) -> Manifest:
    return Manifest.model_validate_json((order.target / "manifest.json").read_bytes())


def test_every_picture_has_an_entry_with_a_result_of_its_own(order: FolderOrder):
    entries = open_manifest(order).entries
    assert [entry.output for entry in entries.values()] == ["a.png", "a.png.png", "b.png"]


def test_an_update_is_on_disk_when_it_returns(order: FolderOrder):
    file = open_manifest(order)

    async def change(name: str) -> None:
        await file.update(file.entries[name].model_copy(update={"status": "done"}))
        assert {entry.source: entry.status for entry in saved(order).files}[name] == "done"

    async def main() -> None:
        await asyncio.gather(*[change(name) for name in file.entries])

    asyncio.run(main())
    assert saved(order) == file.manifest()


def test_a_second_run_goes_on_and_keeps_the_names(order: FolderOrder):
    (order.source / "a.jpg").unlink()
    open_manifest(order).write()
    (order.source / "a.jpg").touch()
    entries = open_manifest(order).entries
    assert (entries["a.png"].output, entries["a.jpg"].output) == ("a.png", "a.jpg.png")


def test_results_of_another_order_are_not_mixed_in(order: FolderOrder, tmp_path: Path):
    open_manifest(order).write()
    for other in (
        FolderOrder("super_resolution", order.source, order.target),
        FolderOrder("denoise", tmp_path, order.target),
    ):
        with pytest.raises(OrderRefused, match="another output folder"):
            open_manifest(other)
    forced = FolderOrder("super_resolution", order.source, order.target, force=True)
    assert all(entry.status == "pending" for entry in open_manifest(forced).entries.values())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2, "task": "denoise"}'])
def test_a_file_that_is_no_manifest_is_left_alone(order: FolderOrder, content: str):
    order.target.mkdir()
    (order.target / "manifest.json").write_text(content)
    with pytest.raises(OrderRefused, match="not a manifest"):
        open_manifest(order)
    assert (order.target / "manifest.json").read_text() == content

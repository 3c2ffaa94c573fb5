"""`client.folders.order`: which files, which masks, which names."""

from pathlib import Path

import pytest

from client.folders import FolderOrder, OrderRefused


def order(tmp_path: Path, *files: str, **more) -> FolderOrder:
    for name in files:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return FolderOrder("denoise", tmp_path / "in", tmp_path / more.pop("target", "out"), **more)


def test_pictures_are_found_in_order_and_nothing_else(tmp_path: Path):
    found = order(tmp_path, "b.JPG", "a.png", "notes.txt", ".hidden.png", "sub/deep/c.tiff", ".git/d.png", "._a.png")
    assert list(found.images()) == ["a.png", "b.JPG", "sub/deep/c.tiff"]


def test_results_inside_the_source_are_not_sources(tmp_path: Path):
    assert list(order(tmp_path, "a.png", "done/a.png", target="in/done").images()) == ["a.png"]


def test_the_sources_are_never_replaced(tmp_path: Path):
    with pytest.raises(OrderRefused, match="another output folder"):
        order(tmp_path, "a.png", target="in").check()


@pytest.mark.parametrize("more", [{"target": "file"}, {"masks": Path("nowhere")}])
def test_orders_that_make_no_sense(tmp_path: Path, more: dict):
    (tmp_path / "file").touch()
    with pytest.raises(OrderRefused):
        order(tmp_path, "a.png", **more).check()
    with pytest.raises(OrderRefused, match="no folder"):
        FolderOrder("denoise", tmp_path / "missing", tmp_path / "out").check()


def test_masks_are_found_by_name_whatever_their_suffix(tmp_path: Path):
    masks = tmp_path / "masks"
    (masks / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.jpg"):
        (masks / name).touch()
    wanted = order(tmp_path, "a.jpg", "sub/b.png", "c.png", masks=masks)
    assert wanted.mask("a.jpg") == masks / "a.png"
    assert wanted.mask("sub/b.png") == masks / "sub" / "b.jpg"
    with pytest.raises(OrderRefused, match=r"masks/c\.png"):
        wanted.mask("c.png")


def test_one_mask_for_all_or_none(tmp_path: Path):
    (tmp_path / "mask.png").touch()
    assert order(tmp_path, "a.png", masks=tmp_path / "mask.png").mask("a.png") == tmp_path / "mask.png"
    assert order(tmp_path, "a.png").mask("a.png") is None


def test_two_sources_never_share_a_result(tmp_path: Path):
    wanted = order(tmp_path)
    assert wanted.output("sub/a.jpg", set()) == "sub/a.png"
    assert wanted.output("sub/a.jpg", {"sub/a.png"}) == "sub/a.jpg.png"


@pytest.mark.parametrize(
    ("format", "source", "output"),
    [("jpeg", "a.png", "a.jpg"), ("same", "a.JPG", "a.JPG"), ("same", "a.bmp", "a.png"), ("tiff", "a.png", "a.tif")],
)
def test_the_suffix_tells_the_format(tmp_path: Path, format: str, source: str, output: str):
    assert order(tmp_path, options={"output": {"format": format}}).output(source, set()) == output

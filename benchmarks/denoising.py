"""PSNR of denoising, level by level, against released denoisers: `python -m benchmarks.denoising --images FOLDER...`.

Every denoiser gets the same pictures, the same noise and the same frames. A level that one does not declare is left
out ("-"). `--released` takes files as they were published, by way of `priors.conversion`.
"""

import argparse
import re
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.report import Row, publish
from priors.base import Prior
from priors.conversion.convert import convert_file
from priors.evaluation import LEVELS, evaluate, read_image
from priors.manifest import PriorError
from priors.shelf import Shelf
from priors.store import load_prior
from service.engine.lane import usable_tiles
from service.settings import Settings

TILES = (64, 128, 256)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.denoising", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of clean pictures")
    parser.add_argument("--models", type=Path, nargs="+", help="folders of priors; default: those of the service")
    parser.add_argument("--released", type=Path, help="folder of .pt and .pth files, those in its folders included")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of each folder")
    parser.add_argument("--max-side", type=int, default=500, help="larger pictures are cropped to their centre")
    parser.add_argument("--frame", choices=["full", "tiles"], default="full", help="of priors that take any size")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shelf = Shelf(*arguments.models) if arguments.models else Settings().shelf
    with tempfile.TemporaryDirectory() as folder:
        if arguments.released:
            convert_all(arguments.released, Path(folder))
        priors = [
            load_prior(home.home(info.name), info.name, device)
            for home in (shelf, Shelf(Path(folder)))
            for info in home.manifests()
        ]
    rows: list[Row] = []
    for images in arguments.images:
        pictures = [
            read_image(path, arguments.max_side).to(device) for path in sorted(images.glob("*.png"))[:: arguments.every]
        ]
        rows += [
            {"set": images.name, "prior": prior.info.name} | levels(prior, pictures, arguments.frame, arguments.seed)
            for prior in priors
        ]
    settings = {key: getattr(arguments, key) for key in ("every", "max_side", "frame", "seed")}
    publish("denoising", rows, settings)


def convert_all(released: Path, models_dir: Path) -> None:
    """Every checkpoint below `released` that a layout recognises; the others are named and left out."""
    for path in sorted(path for path in released.rglob("*") if path.suffix in (".pt", ".pth")):
        name = "-".join(path.relative_to(released).with_suffix("").parts).lower()
        try:
            convert_file(path, models_dir / re.sub("[^a-z0-9._-]", "-", name), licence="not for the table to say")
        except PriorError as error:
            print("left out:", error)


def levels(prior: Prior, pictures: list[Tensor], frame: str, seed: int) -> Row:
    """PSNR in dB at each level of `priors.evaluation`, by its standard deviation on [0, 255]."""
    whole = frame == "full" and prior.info.fully_convolutional
    sizes = None if whole else usable_tiles(prior.info, TILES, None)
    row: Row = {}
    for level in LEVELS:
        known = prior.info.sigma_min <= level <= prior.info.sigma_max
        row[f"{level * 127.5:g}"] = evaluate(prior, pictures, [level], sizes, seed)[0].psnr if known else None
    return row


if __name__ == "__main__":
    main()

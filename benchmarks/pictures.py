"""The picture of the README: `python -m benchmarks.pictures`.

Restores `examples/pictures/scratched.png` by the code that the service runs, and sets input, mask, restoration and four
times the difference from the undamaged photograph side by side.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from api_schemas.requests import InpaintOptions
from benchmarks.served import served
from service.formulate import PriorFacts, formulate, to_image_range
from solvers.drive import drive

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "examples" / "pictures"
GAIN = 4
"""By which the difference is made visible."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "inpainting.png")
    arguments = parser.parse_args()
    device = torch.device("cpu")
    prior = served()
    damaged, truth = read(PICTURES / "scratched.png"), read(PICTURES / "original.png")
    hole = np.asarray(Image.open(PICTURES / "mask.png"))
    request = InpaintOptions(seed=1).model_dump(mode="json")
    formulation = formulate(request, damaged, ~hole, device, PriorFacts(prior.info.symmetries))
    restored = to_image_range(drive(formulation.start(), prior.denoise).x)
    difference = 0.5 + GAIN * (restored - truth)
    mask = np.repeat(hole[..., None], 3, axis=-1)
    sheet = np.concatenate([damaged, mask, restored, difference], axis=1)
    arguments.out.parent.mkdir(exist_ok=True)
    Image.fromarray((np.clip(sheet, 0, 1) * 255 + 0.5).astype(np.uint8)).save(arguments.out, optimize=True)


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), np.float32) / 255


if __name__ == "__main__":
    main()

"""How exactly each layout of foreign checkpoints is converted, and its licence: `python -m benchmarks.formats`.

The original of a layout is the network that the tests have of it, independent, narrow, every weight random. It is
written to a file, converted, loaded as the service loads it, and compared through the contract of priors, in a square
and an oblong frame, with one level for each sample.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.report import Row, publish
from priors.conversion.convert import convert_file
from priors.conversion.layouts import LAYOUTS
from priors.store import load_prior
from tests.priors.conversion import test_gaussian as gaussian
from tests.priors.conversion import test_layouts as unets

LICENCES = {
    "adm-256": "code MIT; model card: research only",
    "adm-256-cond": "code MIT; model card: research only",
    "adm-ffhq": "none stated; data CC BY-NC-SA",
    "adm-64-cond": "code MIT; model card: research only",
    "improved-diffusion": "code MIT",
    "openai-edm-256": "code MIT; model card: research only",
    "openai-edm-64": "code MIT; model card: research only",
    "ddpm-celebahq": "code MIT; data non-commercial",
    "bf-dncnn": "MIT (ScoreDVI); none stated where the first was published",
    "dncnn": "MIT (KAIR)",
    "ffdnet": "MIT (KAIR)",
}
"""What the publishers of the checkpoints state."""
Clean = Callable[[Tensor, Tensor], Tensor]
"""x (N, 3, H, W) and sigma (N,) to the clean image, as the original has it."""


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__.split("\n")[0]).parse_args()
    publish("formats", [measure(name) for name in LAYOUTS], {})


def measure(name: str) -> Row:
    state, clean, sigma = gaussian_original(name) if name in gaussian.REFERENCE else unet_original(name)
    label = unets.label_of(name)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "file.pt")
        convert_file(
            Path(folder) / "file.pt", Path(folder) / name, licence=LICENCES[name], layout=name, class_label=label
        )
        prior = load_prior(Path(folder), name, torch.device("cpu"))
    scale = sigma.clamp(min=1).reshape(-1, 1, 1, 1)  # errors grow with the noise that is removed
    differences, largest = [], []
    for height, width in ((16, 16), (16, 24)):
        x = sigma.reshape(-1, 1, 1, 1) * unets.noise(len(sigma), 3, height, width)
        with torch.no_grad():
            expected = clean(x, sigma)
            differences.append(((prior.denoise(x, sigma) - expected) / scale).abs().max().item())
        largest.append((expected / scale).abs().max().item())
    return {
        "layout": name,
        "checkpoints": LAYOUTS[name].description,
        "licence": LICENCES[name],
        "difference": max(differences),
        "of answers up to": max(largest),
    }


def unet_original(name: str) -> tuple[dict[str, Tensor], Clean, Tensor]:
    """Its weights, itself, and levels that it knows."""
    network = unets.original(name)
    levels = torch.tensor([0.0123, 0.7, 31.0])
    return network.state_dict(), lambda x, sigma: unets.expected_clean(name, network, x, sigma), levels


def gaussian_original(name: str) -> tuple[dict[str, Tensor], Clean, Tensor]:
    """The same; the original lives on [0, 1], where a level is half of ours, and takes one picture at a time."""
    state, network = gaussian.weights(name), gaussian.REFERENCE[name]

    def clean(x: Tensor, sigma: Tensor) -> Tensor:
        rows = zip((x + 1).split(1), sigma.tolist(), strict=True)
        return torch.cat([2 * network(state, row / 2, level / 2) - 1 for row, level in rows])

    return state, clean, torch.tensor([0.02, 0.15, 0.4])


if __name__ == "__main__":
    main()

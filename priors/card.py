"""Write the model card of a trained prior: `python -m priors.card --models DIR --prior NAME --run RUN`.

Every figure is read from what the training and the evaluations recorded; `--note` adds a paragraph to the data section.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from priors.manifest import PriorError, PriorInfo, read_fields, read_manifest
from priors.photographs import photographs
from priors.store import CONFIG, WEIGHTS

MACHINE = ("data", "out", "licence", "start_from", "device", "compile", "threads", "readers", "cache_gb")
"""Fields of the configuration that name folders, or say how fast the run was; the licence is the first line."""


def restriction(licence: str) -> str:
    """The first line of the card: what one may do with the weights, in plain words."""
    kind, _, rest = licence.partition(":")
    if kind.strip().lower().startswith("research"):
        return f"Research use only: {rest.strip() or licence}."
    return f"Licence of the weights: {licence}."


def parameter_count(weights: Path) -> int:
    """Number of values in a safetensors file, from its header."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__")


def data_lines(training: dict[str, Any]) -> list[str]:
    """What the training read: pictures a sub-folder, where the folder is still there."""
    root = Path(training["data"])
    counts: dict[str, int] = {}
    for path in photographs(root):
        group = path.relative_to(root).parts[0] if path.parent != root else root.name
        counts[group] = counts.get(group, 0) + 1
    lines = [f"* `{group}`: {count} photographs" for group, count in counts.items()]
    held_out = f"One photograph in {training['holdout_every']} was kept out of the training for the validation loss."
    return [*lines, "", held_out]


def recipe_lines(training: dict[str, Any], last: dict[str, Any], source: str) -> list[str]:
    """The whole training configuration, but for the folders and the resources of the machine it ran on."""
    kept = {key: value for key, value in training.items() if key not in MACHINE}
    options = ", ".join(f"{key} {value}" for key, value in kept.items())
    return [
        "`python -m priors.training`: EDM loss (Karras et al. 2022), AdamW, clipped gradients, a learning rate that "
        "warms up, stays, and cools down over the last part of the run; the weights are their exponential moving "
        "average.",
        "",
        *([f"Source: {source}.", ""] if source else []),
        f"Configuration: {options}.",
        "",
        f"{last['step']} steps at {last['crops_per_s']} crops of 64 px a second; last training loss {last['loss']}, "
        f"validation loss {last['validation_loss']}.",
    ]


def table_lines(evaluation: dict[str, Any]) -> list[str]:
    """One table of measured figures."""
    frame = f"tiles of {evaluation['tile_sizes']} px" if evaluation["tile_sizes"] else "full frames"
    lines = [
        f"### {evaluation['images']}: {evaluation['count']} pictures, {frame}, seed {evaluation['seed']}",
        "",
        "| sigma of 255 | sigma on [-1, 1] | noisy, dB | denoised, dB | slope | rms of the residual / sigma |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for level in evaluation["levels"]:
        numbers = f"{level['psnr_noisy']:.2f} | {level['psnr']:.2f} | {level['slope']:.3f} | {level['calibration']:.3f}"
        lines.append(f"| {level['sigma_255']:g} | {level['sigma']:.4f} | {numbers} |")
    return [*lines, ""]


def measured_lines(folder: Path, digest: str) -> list[str]:
    """A table for every evaluation in the prior's folder. Raises PriorError for one of other weights."""
    lines: list[str] = []
    for path in sorted(folder.glob("evaluation-*.json")):
        evaluation = json.loads(path.read_text())
        if evaluation["sha256"] != digest:
            raise PriorError(f"{path.name} was measured with other weights: run priors.evaluation again")
        lines += table_lines(evaluation)
    return lines or ["Not measured yet.", ""]


def limit_lines(info: PriorInfo) -> list[str]:
    """What the prior should not be used for."""
    return [
        f"* Noise levels {info.sigma_min:g} to {info.sigma_max:g} on the [-1, 1] scale; others are clamped to these.",
        f"* Sides are multiples of {info.multiple_of} px. It was trained on crops of up to {info.native_size} px and "
        "its group normalisation sees the whole frame, so larger pictures go through tiles.",
        "* White Gaussian noise on photographs: text, line art, medical and scientific images are outside its data.",
        "* A restored region is a plausible guess, not a record of what was there.",
    ]


def architecture(folder: Path, info: PriorInfo, training: dict[str, Any]) -> str:
    """One sentence on the network and one on its file."""
    millions, megabytes = parameter_count(folder / WEIGHTS) / 1e6, (folder / WEIGHTS).stat().st_size / 1e6
    widths = json.loads((folder / CONFIG).read_text())["block_out_channels"]
    return (
        "A pixel-space diffusion prior for natural colour images: `UNet2DModel` of diffusers without attention, "
        f"widths {widths}, pixel-unshuffle by {training['unshuffle']}, EDM preconditioning with sigma_data "
        f"{training['sigma_data']}, {millions:.2f} M parameters, {megabytes:.1f} MB in float16. "
        f"SHA-256 of the weights: `{info.digest}`."
    )


def card(folder: Path, run: Path, note: str = "") -> str:
    """The card of the prior in `folder`, trained in `run`. Raises PriorError for an evaluation of other weights."""
    info = read_manifest(folder)
    training = json.loads((run / "training.json").read_text())
    last = json.loads((run / "loss.jsonl").read_text().splitlines()[-1])
    sections = {
        f"# {info.name}": [architecture(folder, info, training), ""],
        "## Data": [*data_lines(training), "", *([note, ""] if note else [])],
        "## Recipe": [*recipe_lines(training, last, read_fields(folder).get("source", "")), ""],
        "## Measured denoising": [
            "White Gaussian noise on clean pictures; PSNR of the clipped result, mean over the pictures. The last "
            "column squared equals the slope where the denoiser is the exact posterior mean.",
            "",
            *measured_lines(folder, info.digest),
        ],
        "## Limits": limit_lines(info),
    }
    lines = [restriction(info.licence), ""]
    for heading, paragraph in sections.items():
        lines += [heading, "", *paragraph]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m priors.card", description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of priors")
    parser.add_argument("--prior", required=True, help="name of the prior")
    parser.add_argument("--run", type=Path, required=True, help="run folder of its training")
    parser.add_argument("--note", default="", help="a paragraph for the data section: sources, attribution, overlap")
    options = parser.parse_args(arguments)
    path = options.models / options.prior / "README.md"
    path.write_text(card(path.parent, options.run, options.note))
    print("written to", path)


if __name__ == "__main__":
    main()

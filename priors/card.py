"""The model card of a prior: a README.md beside its weights, whose first line says what one may do with them.

Every figure is read from what was recorded: by the training and the evaluations of a prior that was trained here, by
the manifest and the evaluations of one that came from elsewhere.
"""

import json
import math
from pathlib import Path
from typing import Any

from priors.manifest import PriorError, PriorInfo, read_fields, read_manifest
from priors.photographs import photographs
from priors.samples import SHEET, read_digest
from priors.store import CONFIG, WEIGHTS, weights_folder

MACHINE = ("data", "out", "licence", "start_from", "device", "compile", "threads", "readers", "cache_gb")
"""Fields of the configuration that name folders, or say how fast the run was; the licence is the first line."""
CARD = "README.md"
FIRST_LINES = ("Research use only: ", "Licence of the weights: ")
MEASURED = (
    "White Gaussian noise on clean pictures; PSNR of the clipped result, mean over the pictures. The last column "
    "squared equals the slope where the denoiser is the exact posterior mean."
)
OBJECTIVES = {
    "unet": "EDM loss (Karras et al. 2022)",
    "noise-map": "squared error over the level; white noise, even and uneven, noise of photographs, and both together",
}
"""By the network of a training."""
A_GUESS = "* A restored region is a plausible guess, not a record of what was there."


def restriction(licence: str) -> str:
    """The first line of the card: what one may do with the weights, in plain words."""
    kind, _, rest = licence.partition(":")
    if kind.strip().lower().startswith("research"):
        return f"{FIRST_LINES[0]}{rest.strip() or licence}."
    return f"{FIRST_LINES[1]}{licence}."


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
        f"`python -m priors.training`: {OBJECTIVES[training.get('network', 'unet')]}, AdamW, clipped gradients, a "
        "learning rate that warms up, stays, and cools down over the last part of the run; the weights are their "
        "exponential moving average.",
        "",
        *([f"Source: {source}.", ""] if source else []),
        f"Configuration: {options}.",
        "",
        f"{last['step']} steps at {last['crops_per_s']} crops of 64 px a second; last training loss {last['loss']}, "
        f"validation loss {last['validation_loss']}.",
    ]


def table_lines(evaluation: dict[str, Any], beside: dict[str, Any] | None = None) -> list[str]:
    """One table of measured figures. beside: the same evaluation of another prior, as one more column."""
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
    if beside is not None:
        columns = [f" {beside['prior']}, dB |", "---:|", *(f" {level['psnr']:.2f} |" for level in beside["levels"])]
        lines[-len(columns) :] = [line + column for line, column in zip(lines[-len(columns) :], columns, strict=True)]
    return [*lines, ""]


def measured_lines(folder: Path, digest: str, beside: Path | None = None) -> list[str]:
    """A table for every evaluation in the prior's folder, beside that of another prior where the two measured the same.

    Raises PriorError for an evaluation of other weights.
    """
    lines = [MEASURED, ""]
    for path in sorted(folder.glob("evaluation-*.json")):
        evaluation = json.loads(path.read_text())
        if evaluation["sha256"] != digest:
            raise PriorError(f"{path.name} was measured with other weights: run priors.evaluation again")
        lines += table_lines(evaluation, same_evaluation(evaluation, beside / path.name) if beside else None)
    return lines if len(lines) > 2 else ["Not measured yet.", ""]


def same_evaluation(evaluation: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """What another prior made of the same pictures, noise and tiles; None where it was not measured so."""
    if not path.is_file():
        return None
    other = json.loads(path.read_text())
    alike = all(other[key] == evaluation[key] for key in ("images", "count", "tile_sizes", "seed"))
    levels, others = ([level["sigma"] for level in each["levels"]] for each in (evaluation, other))
    return other if alike and levels == others else None


def sample_lines(folder: Path, digest: str) -> list[str]:
    """The sheet of `priors.samples`, where there is one. Raises PriorError for one of other weights."""
    path = folder / SHEET
    if not path.is_file():
        return ["Not drawn yet.", ""]
    if read_digest(path) != digest:
        raise PriorError(f"{path.name} was drawn with other weights: run priors.samples again")
    return [
        f"![A picture with rising noise, what the prior makes of it, and pictures out of noise]({SHEET})",
        "",
        "One picture with rising noise, from left to right the levels of the tables that the prior knows; below it "
        "what the prior makes of that in one call; last, where it knows enough noise for it, pictures that it draws "
        "out of noise alone.",
        "",
    ]


def limit_lines(info: PriorInfo, network: str) -> list[str]:
    """What the prior should not be used for."""
    frame = "its group normalisation sees the whole frame, so larger pictures go through tiles"
    if network != "unet":
        frame = "it has no normalisation; larger pictures go through tiles all the same, for the memory"
    return [
        f"* Noise levels {info.sigma_min:g} to {info.sigma_max:g} on the [-1, 1] scale; others are clamped to these.",
        f"* Sides are multiples of {info.multiple_of} px. It was trained on crops of up to {info.native_size} px and "
        f"{frame}.",
        "* White Gaussian noise on photographs: text, line art, medical and scientific images are outside its data.",
        A_GUESS,
    ]


def foreign_limit_lines(info: PriorInfo) -> list[str]:
    """The same for a prior of whose training nothing is known."""
    sides = "Any size" if info.multiple_of == 1 else f"Sides are multiples of {info.multiple_of} px"
    frames = f"{sides}, best near {info.native_size} px"
    if not info.fully_convolutional:
        frames = f"It has attention and sees frames of {info.native_size} px"
    return [
        f"* Noise levels {info.sigma_min:g} to {info.sigma_max:g} on the [-1, 1] scale.",
        f"* {frames}: larger pictures go through tiles.",
        "* What its training pictures do not show, it does not know.",
        A_GUESS,
    ]


def architecture(folder: Path, info: PriorInfo, training: dict[str, Any]) -> str:
    """One sentence on the network and one on its file."""
    millions, megabytes = parameter_count(folder / WEIGHTS) / 1e6, (folder / WEIGHTS).stat().st_size / 1e6
    size = f"{millions:.2f} M parameters, {megabytes:.1f} MB in float16. SHA-256 of the weights: `{info.digest}`."
    config = json.loads((folder / CONFIG).read_text())
    if config["_class_name"] == "NoiseMapUNet":
        return (
            "A denoiser of photographs that is told the noise level of every pixel: a U-Net of residual blocks without "
            f"bias and without normalisation, widths {config['widths']}, {config['blocks']} blocks a level, {size}"
        )
    return (
        "A pixel-space diffusion prior for natural colour images: `UNet2DModel` of diffusers without attention, "
        f"widths {config['block_out_channels']}, pixel-unshuffle by {training['unshuffle']}, EDM preconditioning with "
        f"sigma_data {training['sigma_data']}, {size}"
    )


def card(folder: Path, run: Path, note: str = "", beside: Path | None = None) -> str:
    """The card of the prior in `folder`, trained in `run`, with the figures of that in `beside`.

    Raises PriorError for an evaluation of other weights.
    """
    info = read_manifest(folder)
    training = json.loads((run / "training.json").read_text())
    last = json.loads((run / "loss.jsonl").read_text().splitlines()[-1])
    sections = {
        f"# {info.name}": [architecture(folder, info, training), ""],
        "## Data": [*data_lines(training), "", *([note, ""] if note else [])],
        "## Recipe": [*recipe_lines(training, last, read_fields(folder).get("source", "")), ""],
        "## Samples": sample_lines(folder, info.digest),
        "## Measured denoising": measured_lines(folder, info.digest, beside),
        "## Limits": limit_lines(info, training.get("network", "unet")),
    }
    return page(info, sections)


def foreign_card(folder: Path, note: str = "") -> str:
    """The card of a prior that was trained elsewhere. Raises PriorError for an evaluation of other weights."""
    info, fields = read_manifest(folder), read_fields(folder)
    declared = [f"* {key}: {json.dumps(value)}" for key, value in fields.items() if key not in ("licence", "source")]
    sections = {
        f"# {info.name}": [foreign_architecture(folder, info), ""],
        "## Origin": [f"{fields.get('source') or 'Not recorded'}.", "", *([note, ""] if note else [])],
        "## Declared": [*declared, ""],
        "## Measured denoising": measured_lines(folder, info.digest),
        "## Limits": foreign_limit_lines(info),
    }
    return page(info, sections)


def foreign_architecture(folder: Path, info: PriorInfo) -> str:
    """One sentence on the network and its file."""
    place = weights_folder(folder)
    kind = json.loads((place / CONFIG).read_text())["_class_name"]
    millions, megabytes = parameter_count(place / WEIGHTS) / 1e6, (place / WEIGHTS).stat().st_size / 1e6
    return (
        f"A {info.kind}-space prior that was trained elsewhere: a `{kind}` that predicts {info.parameterisation}, "
        f"{millions:.2f} M parameters, {megabytes:.1f} MB. SHA-256 of the weights: `{info.digest}`."
    )


def page(info: PriorInfo, sections: dict[str, list[str]]) -> str:
    """The licence, then the sections by their headings."""
    lines = [restriction(info.licence), ""]
    for heading, paragraph in sections.items():
        lines += [heading, "", *paragraph]
    return "\n".join(lines) + "\n"


def write_card(folder: Path, run: Path | None = None, note: str = "", beside: Path | None = None) -> Path:
    """Write `README.md` into the folder of a prior: of the `run` that trained it, else of its manifest.

    beside: folder of a prior whose figures, where the two measured the same, stand beside those of this one. Raises
    PriorError where that would lose what it says: a page that somebody else wrote, or the records of a training.
    """
    path = folder / CARD
    if path.is_file() and not path.read_text(encoding="utf-8", errors="replace").startswith(FIRST_LINES):
        raise PriorError(f"{path} was written by somebody else: move it away first")
    if run is None and "trained_crops" in read_fields(folder):
        raise PriorError(f"prior {folder.name} was trained here: its card is written from its run folder")
    try:
        text = foreign_card(folder, note) if run is None else card(folder, run, note, beside)
    except (ValueError, LookupError, TypeError) as error:
        raise PriorError(f"prior {folder.name}: what was recorded of it cannot be read: {error!r}") from error
    path.write_text(text, encoding="utf-8")
    return path

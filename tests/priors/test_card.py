"""The model card: the restriction comes first, every figure comes from the records."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch import nn

from priors.card import parameter_count, restriction, write_card
from priors.manifest import PriorError
from priors.samples import main
from priors.store import WEIGHTS, write_prior
from priors.training import TrainingConfig
from tests.priors.denoisers import random_network

NOISE_MAP_MANIFEST = {
    "kind": "pixel",
    "parameterisation": "residual",
    "time_map": "sigma",
    "sigma_min": 0.004,
    "sigma_max": 0.8,
    "trained_size": 64,
    "size_multiple": 4,
    "trained_crops": 3,
    "licence": "public domain",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Records of a training on two photographs in `town`."""
    (tmp_path / "data" / "town").mkdir(parents=True)
    for index in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / "data" / "town" / f"{index}.png")
    folder = tmp_path / "run"
    folder.mkdir()
    config = TrainingConfig(data=str(tmp_path / "data"), out=str(folder), seed=41)
    (folder / "training.json").write_text(json.dumps(vars(config)))
    losses = [
        {"step": 250, "loss": 0.9, "validation_loss": 0.8, "crops_per_s": 50.0},
        {"step": 500, "loss": 0.31, "validation_loss": 0.27, "crops_per_s": 48.5},
    ]
    (folder / "loss.jsonl").write_text("".join(json.dumps(record) + "\n" for record in losses))
    return folder


def write_evaluation(folder: Path, digest: str, **changes: Any) -> None:
    level = {
        "sigma": 0.196078,
        "sigma_255": 25.0,
        "psnr_noisy": 20.17,
        "psnr": 29.876,
        "calibration": 0.95,
        "slope": 0.9,
    }
    report = {"images": "set", "count": 24, "tile_sizes": [64, 128], "seed": 7, "sha256": digest, "levels": [level]}
    report |= {"prior": folder.name} | changes
    (folder / "evaluation-set.json").write_text(json.dumps(report))


def digest_of(folder: Path) -> str:
    return json.loads((folder / "prior.json").read_text())["sha256"]


def written(models: Path, run: Path | None = None, note: str = "") -> str:
    return write_card(models / "tiny", run, note).read_text()


def test_the_card_says_what_was_recorded(models: Path, run: Path, unet: nn.Module) -> None:
    folder = models / "tiny"
    write_evaluation(folder, digest_of(folder))
    text = written(models, run, "Taken by A. Author, CC BY 4.0.")
    assert text.splitlines()[0] == "Licence of the weights: public domain."
    millions = sum(p.numel() for p in unet.parameters()) / 1e6
    for fact in (
        "# tiny",
        digest_of(folder),
        f"{millions:.2f} M parameters",
        "* `town`: 2 photographs",
        "Taken by A. Author, CC BY 4.0.",
        "seed 41",
        "500 steps at 48.5 crops",
        "validation loss 0.27",
        "### set: 24 pictures, tiles of [64, 128] px, seed 7",
        "| 25 | 0.1961 | 20.17 | 29.88 | 0.900 | 0.950 |",
        "Noise levels 0.005 to 80",
    ):
        assert fact in text
    assert str(run) not in text  # folders of the machine it was trained on are nobody's business


def test_the_card_says_which_prior_the_training_began_with(models: Path, run: Path) -> None:
    assert "Source:" not in written(models, run)
    path = models / "tiny" / "prior.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"source": "trained on from other (research only)"}))
    assert "Source: trained on from other (research only)." in written(models, run)


def test_the_figures_of_another_prior_stand_beside_where_it_measured_the_same(models: Path, run: Path) -> None:
    folder, other = models / "tiny", models / "other"
    write_evaluation(folder, digest_of(folder))
    other.mkdir()
    assert " other, dB |" not in write_card(folder, run, beside=other).read_text()
    write_evaluation(other, "ab" * 32)
    text = write_card(folder, run, beside=other).read_text()
    assert "| rms of the residual / sigma | other, dB |" in text and "---:|---:|\n| 25 |" in text
    assert "| 25 | 0.1961 | 20.17 | 29.88 | 0.900 | 0.950 | 29.88 |" in text
    write_evaluation(other, "ab" * 32, seed=8)
    assert " other, dB |" not in write_card(folder, run, beside=other).read_text()


def test_without_an_evaluation_it_says_so(models: Path, run: Path) -> None:
    assert "Not measured yet." in written(models, run)


def test_figures_of_other_weights_are_refused(models: Path, run: Path) -> None:
    write_evaluation(models / "tiny", "0" * 64)
    with pytest.raises(PriorError, match="evaluation-set.json was measured with other weights"):
        written(models, run)


@pytest.mark.parametrize(
    ("licence", "line"),
    [
        ("research only: trained on A and B", "Research use only: trained on A and B."),
        ("Research only (trained on A)", "Research use only: Research only (trained on A)."),
        ("CC0-1.0", "Licence of the weights: CC0-1.0."),
    ],
)
def test_the_restriction_is_in_plain_words(licence: str, line: str) -> None:
    assert restriction(licence) == line


def test_parameters_are_counted_in_the_file(models: Path, unet: nn.Module) -> None:
    assert parameter_count(models / "tiny" / WEIGHTS) == sum(p.numel() for p in unet.parameters())


def declare(folder: Path, **changes: object) -> None:
    """Change `prior.json`."""
    path = folder / "prior.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_prior_from_elsewhere_has_its_card_from_its_manifest(models: Path, unet: nn.Module) -> None:
    folder = models / "tiny"
    declare(folder, licence="research only: FFHQ", source="https://example.org/faces.pt")
    write_evaluation(folder, digest_of(folder))
    text = written(models, note="Asked of its author.")
    assert text.splitlines()[0] == "Research use only: FFHQ."
    millions = sum(p.numel() for p in unet.parameters()) / 1e6
    for fact in (
        "# tiny",
        f"a `UNet2DModel` that predicts edm, {millions:.2f} M parameters",
        digest_of(folder),
        "https://example.org/faces.pt.",
        "Asked of its author.",
        '* time_map: "250*ln(sigma)"',
        "| 25 | 0.1961 | 20.17 | 29.88 | 0.900 | 0.950 |",
        "Noise levels 0.005 to 80",
        "best near 64 px",
    ):
        assert fact in text, fact
    declare(folder, source="", fully_convolutional=False)
    text = written(models)
    assert "Not recorded." in text and "sees frames of 64 px" in text


def test_the_records_of_a_training_are_not_lost(models: Path, run: Path) -> None:
    declare(models / "tiny", trained_crops=1000)
    with pytest.raises(PriorError, match="its card is written from its run folder"):
        written(models)
    assert "seed 41" in written(models, run)


def test_the_page_of_somebody_else_is_not_overwritten(models: Path) -> None:
    page = models / "tiny" / "README.md"
    page.write_text("---\nlicense: mit\n---\n")
    with pytest.raises(PriorError, match="written by somebody else"):
        written(models)
    assert "license: mit" in page.read_text()


@pytest.mark.parametrize(("file", "text"), [("loss.jsonl", ""), ("loss.jsonl", "{}"), ("training.json", "[")])
def test_damaged_records_are_refused(models: Path, run: Path, file: str, text: str) -> None:
    (run / file).write_text(text)
    with pytest.raises(PriorError, match="prior tiny: what was recorded of it cannot be read"):
        written(models, run)
    assert not (models / "tiny" / "README.md").exists()


def test_the_card_of_a_denoiser_says_what_it_is(tmp_path: Path, run: Path) -> None:
    folder = tmp_path / "models" / "maps"
    write_prior(folder, random_network("NoiseMapUNet"), NOISE_MAP_MANIFEST)
    training = json.loads((run / "training.json").read_text()) | {"network": "noise-map"}
    (run / "training.json").write_text(json.dumps(training))
    text = write_card(folder, run).read_text()
    assert "told the noise level of every pixel" in text and "widths [8, 12], 1 blocks a level" in text
    assert "squared error over the level" in text and "EDM" not in text and "group normalisation" not in text


def test_the_card_shows_a_sheet_that_these_weights_drew(models: Path, run: Path) -> None:
    folder = models / "tiny"
    assert "Not drawn yet." in written(models, run)
    picture = folder.parent / "clean.png"
    Image.effect_noise((32, 32), 40).convert("RGB").save(picture)
    main(["--models", str(models), "--prior", "tiny", "--image", str(picture), "--steps", "2"])
    assert "](samples.png)" in written(models, run)
    fields = json.loads((folder / "prior.json").read_text()) | {"sha256": "ab" * 32}
    (folder / "prior.json").write_text(json.dumps(fields))
    with pytest.raises(PriorError, match=r"samples.png was drawn with other weights"):
        written(models, run)

"""A run that begins with the weights of a prior."""

from pathlib import Path
from typing import Any

import pytest
import torch

from priors.manifest import PriorError, read_fields
from priors.store import load_prior
from priors.training.config import TrainingError
from priors.training.state import Training
from tests.priors.training.tiny import CPU, tiny, training_of


def test_it_begins_with_the_weights_of_the_prior_and_says_so(pictures: Path, unbroken: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path, start_from=str(unbroken / "prior")))
    expected = load_prior(unbroken, "prior", CPU).network.unet.state_dict()
    for key, value in training.weights.state_dict().items():
        assert torch.equal(value, expected[key])
    for average, weight in zip(training.average.shadow_params, training.weights.parameters(), strict=True):
        assert torch.equal(average, weight)
    training.advance()
    training.export(tmp_path / "prior")
    digest = read_fields(unbroken / "prior")["sha256"]
    source = f"trained on from prior (SHA-256 {digest[:12]}.., public domain)"
    assert read_fields(tmp_path / "prior")["source"] == source
    assert load_prior(tmp_path, "prior", CPU).info.licence == "public domain"


def test_the_source_is_kept_by_a_resumed_run(pictures: Path, unbroken: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path, start_from=str(unbroken / "prior")))
    training.save(tmp_path / "checkpoint.pt")
    config = tiny(pictures, tmp_path, start_from="a prior that is gone by now")
    resumed = Training(config, training.data, training.processes, tmp_path / "checkpoint.pt")
    assert resumed.source == training.source != ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": (8, 24)}, r"its block_out_channels is \[8, 16\], that of this run \[8, 24\]"),
        ({"unshuffle": 1}, "its pixel_unshuffle is 2, that of this run 1"),
        ({"layers": 2}, "its layers_per_block is 1"),
        ({"sigma_data": 0.4}, "its sigma_data is 0.5"),
        ({"time_map": "ln(sigma)/4"}, "its time_map is"),
    ],
)
def test_a_prior_of_another_make_is_refused(
    pictures: Path, unbroken: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        training_of(tiny(pictures, tmp_path, start_from=str(unbroken / "prior"), **changes))


def test_a_prior_that_is_not_there_or_damaged_is_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--start-from nobody is neither a folder nor the name of a bundled prior"):
        training_of(tiny(pictures, tmp_path, start_from="nobody"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(PriorError, match="empty"):
        training_of(tiny(pictures, tmp_path, start_from=str(tmp_path / "empty")))


def test_a_licence_that_hides_research_only_weights_is_refused(pictures: Path, tmp_path: Path) -> None:
    training_of(tiny(pictures, tmp_path, licence="research only: A and B")).export(tmp_path / "prior")
    changes = {"start_from": str(tmp_path / "prior")}
    with pytest.raises(TrainingError, match="--licence CC0-1.0: prior, and so .* is research only: A and B"):
        training_of(tiny(pictures, tmp_path, licence="CC0-1.0", **changes))
    assert training_of(tiny(pictures, tmp_path, licence="Research only (A, B and C)", **changes)).source


def test_a_bundled_prior_goes_by_its_name(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--start-from natural-v0: its "):  # found, and of another make
        training_of(tiny(pictures, tmp_path, start_from="natural-v0"))

"""One step after another: the same to the bit after a resume, learning, and an average that becomes the prior."""

from pathlib import Path

import pytest
import torch

from priors.manifest import read_fields
from priors.store import load_prior
from priors.training.config import TrainingError
from priors.training.processes import Processes
from priors.training.state import Training
from priors.training.validation import Validation
from tests.priors.training.tiny import CPU, tiny, training_of


def weights(training: Training) -> list[torch.Tensor]:
    return [value.clone() for value in training.weights.state_dict().values()]


def test_a_loaded_state_goes_on_as_the_saved_one_to_the_bit(pictures: Path, tmp_path: Path) -> None:
    first = training_of(tiny(pictures, tmp_path))
    for _ in range(3):
        first.advance()
    first.save(tmp_path / "checkpoint.pt")
    expected = [first.advance() for _ in range(3)]
    torch.manual_seed(99)
    second = training_of(tiny(pictures, tmp_path))
    second.load(tmp_path / "checkpoint.pt")
    assert second.step == 3
    assert [second.advance() for _ in range(3)] == expected
    for mine, other in zip(weights(second), weights(first), strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(second.average.shadow_params, first.average.shadow_params, strict=True):
        assert torch.equal(mine, other)


def test_a_checkpoint_of_an_older_version_is_read(pictures: Path, tmp_path: Path) -> None:
    """It had step, weights, average and optimiser alone."""
    training = training_of(tiny(pictures, tmp_path))
    training.advance()
    training.save(tmp_path / "checkpoint.pt")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save({key: state[key] for key in ("step", "unet", "average", "optimiser")}, tmp_path / "old.pt")
    old = training_of(tiny(pictures, tmp_path))
    old.load(tmp_path / "old.pt")
    assert (old.step, old.source) == (1, "")
    assert old.advance() == training.advance()


def test_a_damaged_checkpoint_and_other_photographs_are_refused(pictures: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path))
    training.save(tmp_path / "checkpoint.pt")
    other = training_of(tiny(pictures, tmp_path, crop_sizes=(16,), holdout_every=2))
    other.load(tmp_path / "checkpoint.pt")  # the same photographs, however they are divided
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "data").mkdir()
    for path in sorted(pictures.iterdir())[:3]:
        (tmp_path / "data" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(TrainingError, match="has not the photographs of this run any more"):
        training_of(tiny(tmp_path / "data", tmp_path)).load(tmp_path / "checkpoint.pt")
    for content in (whole[: len(whole) // 2], b"", b"no checkpoint"):
        (tmp_path / "checkpoint.pt").write_bytes(content)
        with pytest.raises(TrainingError, match="checkpoint.pt cannot be read"):
            training.load(tmp_path / "checkpoint.pt")


def test_what_is_exported_is_the_average_not_the_last_step(pictures: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path, ema_decay=0.9))
    for _ in range(6):
        training.advance()
    last = {key: value.clone() for key, value in training.weights.state_dict().items()}
    training.export(tmp_path / "prior")
    exported = load_prior(tmp_path, "prior", CPU).network.unet.state_dict()
    averages = dict(
        zip((name for name, _ in training.weights.named_parameters()), training.average.shadow_params, strict=True)
    )
    for key, value in training.weights.state_dict().items():
        assert torch.equal(value, last[key])  # the training itself goes on with its own weights
        torch.testing.assert_close(exported[key], averages[key].half().float(), rtol=0, atol=0)
    assert any(not torch.equal(averages[key].half(), last[key].half()) for key in last)


def test_a_newer_export_takes_the_place_of_the_older(pictures: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path, symmetries="mirror"))
    training.export(tmp_path / "prior")
    first = read_fields(tmp_path / "prior")
    (tmp_path / "prior" / "evaluation-set.json").write_text("{}")
    training.advance()
    training.export(tmp_path / "prior")
    second = read_fields(tmp_path / "prior")
    assert (first["trained_crops"], second["trained_crops"]) == (0, 2048 // 4096) and first["symmetries"] == "mirror"
    assert first["sha256"] != second["sha256"] == load_prior(tmp_path, "prior", CPU).info.digest
    assert (tmp_path / "prior" / "evaluation-set.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"prior"}


def test_it_learns(pictures: Path, tmp_path: Path) -> None:
    run = tiny(pictures, tmp_path, crops=60, batch_pixels=64 * 64, crop_sizes=(16,), ema_decay=0.9)
    training = training_of(run)
    validation = Validation(training)
    before = validation.psnr()
    # the untrained network answers zero, whose loss is about the unit variance of the target
    assert validation.loss() == pytest.approx(1, abs=0.1)
    losses = [training.advance() for _ in range(run.steps)]
    assert len(losses) == 60
    assert sum(losses[-20:]) / 20 < 0.9 and validation.loss() < 0.9
    assert before.keys() == {"5", "15", "25", "50", "127.5", "255"}
    after = validation.psnr()
    assert after["127.5"] > before["127.5"] + 0.5 and after["255"] > before["255"] + 0.5


@pytest.mark.parametrize("unshuffle", [1, 2])
def test_the_exported_prior_is_the_network_with_and_without_patches(
    pictures: Path, tmp_path: Path, unshuffle: int
) -> None:
    training = training_of(tiny(pictures, tmp_path, unshuffle=unshuffle, ema_decay=0.0))
    for _ in range(3):
        training.advance()
    training.export(tmp_path / "prior")
    prior = load_prior(tmp_path, "prior", CPU)
    assert prior.info.multiple_of == 2 * unshuffle
    x, sigma = torch.randn(2, 3, 12, 20, generator=torch.Generator().manual_seed(0)), torch.tensor([0.1, 3.0])
    with torch.no_grad(), training.averaged() as network:
        expected = training.objective.denoise(network, x, sigma)
    torch.testing.assert_close(prior.denoise(x, sigma), expected, rtol=0, atol=5e-3)  # float16 weights


def test_shares_of_a_step_add_up_to_it(pictures: Path, tmp_path: Path) -> None:
    """The gradients of three processes, averaged, are those of one; 8 crops of 16 px make shares of 3, 3 and 2."""
    config = tiny(pictures, tmp_path, crop_sizes=(16,), learning_rate=1e-9, clip_norm=1e9)

    def gradients(rank: int, count: int) -> list[torch.Tensor]:
        training = training_of(config)
        training.processes = Processes(CPU)
        training.processes.rank, training.processes.count = rank, count
        training.advance()
        return [parameter.grad for parameter in training.weights.parameters()]

    shares = [gradients(rank, 3) for rank in range(3)]
    for whole, *parts in zip(gradients(0, 1), *shares, strict=True):
        torch.testing.assert_close(sum(parts) / 3, whole, rtol=1e-4, atol=1e-6)

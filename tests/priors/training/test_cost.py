"""What a run says before it starts, against what can be counted by hand."""

from pathlib import Path

import pytest
import torch

from priors.training.cost import _duration, describe, estimate
from priors.training.state import Training
from tests.priors.training.tiny import tiny, training_of


@pytest.fixture
def training(pictures: Path, tmp_path: Path) -> Training:
    return training_of(tiny(pictures, tmp_path, crop_sizes=(16, 16, 32)))


def test_parameters_and_files_are_as_large_as_it_says(training: Training, tmp_path: Path) -> None:
    cost = estimate(training)
    assert cost.parameters == sum(parameter.numel() for parameter in training.weights.parameters())
    training.save(tmp_path / "checkpoint.pt")
    training.export(tmp_path / "prior")
    overhead = 60_000  # names and shapes, which matter in so small a network alone
    assert 0 <= (tmp_path / "checkpoint.pt").stat().st_size - cost.checkpoint_bytes < 3 * overhead
    weights = tmp_path / "prior" / "diffusion_pytorch_model.safetensors"
    assert 0 <= weights.stat().st_size - cost.prior_bytes < overhead


def test_operations_are_counted_forward_and_backward(training: Training) -> None:
    """By hand for the convolutions, which are nearly everything: 2 k^2 c_in c_out per pixel, three times."""
    sizes = {}

    def note(module: torch.nn.Conv2d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        kernel = module.kernel_size[0] * module.kernel_size[1]
        sizes[module] = 2 * kernel * module.in_channels * output[0].numel()

    for module in training.weights.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(note)
    training.network(torch.zeros(1, 3, 64, 64), torch.zeros(1))
    expected = 3 * sum(sizes.values()) - sizes[training.weights.conv_in]  # whose input needs no gradient
    assert estimate(training).gflop * 1e9 == pytest.approx(expected, rel=0.03)


def test_activations_are_those_of_a_whole_step(training: Training) -> None:
    held = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()  # kept: no address is used twice
        return tensor

    clean = training.data.learnt.batch(0, range(2), 32)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        training.objective.losses(training.network, clean, torch.ones(2, 1), torch.zeros_like(clean)).sum()
    weights = {parameter.untyped_storage().data_ptr() for parameter in training.weights.parameters()}
    expected = sum(storage.nbytes() for address, storage in held.items() if address not in weights)
    assert estimate(training).activation_bytes == pytest.approx(expected, rel=0.1)


def test_the_lines_say_what_a_person_asks(training: Training) -> None:
    cost = estimate(training)
    training.step = 2
    text = "\n".join(describe(cost, training))
    for words in (
        "3, and 1 kept out",
        f"{cost.parameters / 1e6:.2f} M parameters",
        "3 crops of 64 px in 6 steps, 2 of them done",
        "on cpu in float32: 1 min left",
        "0.1 MB of decoded photographs",
    ):
        assert words in text
    assert cost.crops_per_s > 0 and "--cache-gb" not in text


def test_photographs_beyond_the_cache_are_told(pictures: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path, cache_gb=3e-5))
    cost = estimate(training)
    assert cost.photograph_bytes == 30_000
    assert "out of 0.1 MB, the others are decoded again for each crop (--cache-gb)" in describe(cost, training)[4]


def test_durations() -> None:
    assert [_duration(hours) for hours in (0.001, 0.5, 1.25, 30.0)] == ["1 min", "30 min", "1 h 15 min", "30 h 0 min"]

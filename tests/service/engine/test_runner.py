"""The prior calls."""

import pytest
import torch
from torch import Tensor

from priors.manifest import PriorError, PriorInfo
from service.engine.errors import PriorLoadFailed
from service.engine.runner import Runner, is_fatal, is_out_of_memory
from tests.service.engine.parts import PRIOR, image, random_unet_prior

CPU = torch.device("cpu")


class Witness:
    """Answers with its input, and remembers how it was asked."""

    info = PriorInfo(name="witness")

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.x, self.sigma = x, sigma
        self.inference = torch.is_inference_mode_enabled()
        return x


def runner_of(prior) -> Runner:
    runner = Runner(lambda name: prior, CPU)
    runner.load("p")
    return runner


def test_one_call_over_all_tiles_in_float32_channels_last_and_inference_mode() -> None:
    witness = Witness()
    tiles = [image(8, 8, seed) for seed in range(3)]
    sigmas = [torch.tensor([0.1]), torch.tensor([0.2], dtype=torch.float64), torch.tensor([3.0])]
    answer = runner_of(witness).run("p", [tiles[0], tiles[1].double(), tiles[2]], sigmas)
    assert witness.inference
    assert witness.x.shape == (3, 3, 8, 8)
    assert witness.x.is_contiguous(memory_format=torch.channels_last)
    assert (witness.x.dtype, witness.sigma.dtype) == (torch.float32, torch.float32)
    assert witness.sigma.tolist() == pytest.approx([0.1, 0.2, 3.0])
    assert torch.equal(answer, torch.cat(tiles))


def test_answers_are_normal_tensors_of_their_own() -> None:
    tile = image(8, 8)
    answer = runner_of(Witness()).run("p", [tile], [torch.ones(1)])
    weight = torch.ones(1, requires_grad=True)
    (weight * answer).sum().backward()  # an inference tensor could not be saved for this
    assert torch.allclose(weight.grad, tile.sum())
    answer.zero_()
    assert tile.abs().sum() > 0


@pytest.mark.parametrize("prior", [PRIOR, random_unet_prior()], ids=["gaussian", "unet"])
def test_a_batch_equals_its_rows_alone(prior) -> None:
    runner = runner_of(prior)
    tiles = [image(32, 32, seed) for seed in range(5)]
    sigmas = [torch.tensor([level]) for level in (0.01, 0.1, 0.5, 2.0, 50.0)]
    together = runner.run("p", tiles, sigmas)
    alone = torch.cat([runner.run("p", [tile], [sigma]) for tile, sigma in zip(tiles, sigmas, strict=True)])
    assert (together - alone).abs().max() < 1e-4


def test_a_prior_is_loaded_once_and_then_warm() -> None:
    names = []

    def load(name: str):
        names.append(name)
        return PRIOR

    runner = Runner(load, CPU)
    assert runner.load("a") > 0
    assert runner.load("a") == 0
    assert runner.load("b") > 0
    assert names == ["a", "b"]
    assert runner.info("a") is PRIOR.info


@pytest.mark.parametrize(
    "error", [PriorError("unknown"), OSError("gone"), RuntimeError("size mismatch"), KeyError("x")]
)
def test_a_failed_load_says_so_and_is_tried_again(error: Exception) -> None:
    answers = iter([error, PRIOR])

    def load(name: str):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    runner = Runner(load, CPU)
    with pytest.raises(PriorLoadFailed, match="the prior a could not be loaded") as caught:
        runner.load("a")
    assert caught.value.__cause__ is error
    assert runner.load("a") > 0


def test_an_answer_of_another_shape_is_an_error() -> None:
    class Cropping(Witness):
        def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
            return x[..., 1:, :]

    with pytest.raises(PriorError, match=r"\(1, 3, 8, 8\) with \(1, 3, 7, 8\)"):
        runner_of(Cropping()).run("p", [image(8, 8)], [torch.ones(1)])


def test_the_words_of_the_cpu_allocator_are_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_shortage_of_memory(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_fatal(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("out of memory")])
def test_other_errors_are_no_shortage(error: Exception) -> None:
    assert not is_out_of_memory(error)
    assert not is_fatal(error)


def test_a_lost_device_is_fatal() -> None:
    error = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    assert is_fatal(error)
    assert not is_out_of_memory(error)

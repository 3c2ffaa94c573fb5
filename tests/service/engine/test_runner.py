"""The prior calls."""

import weakref

import pytest
import torch
from torch import Tensor

from priors.manifest import PriorError, PriorInfo
from service.engine.residency import PriorId
from service.engine.runner import Runner, is_fatal, is_out_of_memory
from service.engine.scheduler import Kind
from solvers.drive import answer as answer_of
from solvers.query import Query
from tests.service.engine.parts import PRIOR, image, random_unet_prior

CPU = torch.device("cpu")


class Witness:
    """Answers with its input, and remembers how it was asked."""

    info = PriorInfo(name="witness")

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.x, self.sigma = x, sigma
        self.inference = torch.is_inference_mode_enabled()
        return x


P = PriorId("p")


def runner_of(prior) -> Runner:
    runner = Runner(lambda name: prior, CPU)
    runner.add(P, prior)
    return runner


def test_one_call_over_all_tiles_in_float32_channels_last_and_inference_mode() -> None:
    witness = Witness()
    tiles = [image(8, 8, seed) for seed in range(3)]
    sigmas = [torch.tensor([0.1]), torch.tensor([0.2], dtype=torch.float64), torch.tensor([3.0])]
    answer = runner_of(witness).run(P, [tiles[0], tiles[1].double(), tiles[2]], sigmas)
    assert witness.inference
    assert witness.x.shape == (3, 3, 8, 8)
    assert witness.x.is_contiguous(memory_format=torch.channels_last)
    assert (witness.x.dtype, witness.sigma.dtype) == (torch.float32, torch.float32)
    assert witness.sigma.tolist() == pytest.approx([0.1, 0.2, 3.0])
    assert torch.equal(answer, torch.cat(tiles))


def test_levels_that_differ_from_pixel_to_pixel_make_maps_of_all() -> None:
    witness = Witness()
    levels = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    runner_of(witness).run(P, [image(8, 8, 0), image(8, 8, 1)], [torch.tensor([0.1]), levels])
    assert witness.sigma.shape == (2, 1, 8, 8)
    assert torch.equal(witness.sigma[0], torch.full((1, 8, 8), 0.1)) and torch.equal(witness.sigma[1:], levels)


def test_a_prior_on_latents_sees_the_picture_and_its_unit_noise_apart() -> None:
    class Splitting(Witness):
        info = PriorInfo(name="splitting", kind="latent")

        def denoise_split(self, mean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
            self.mean, self.noise, self.sigma = mean, noise, sigma
            return mean

    prior = Splitting()
    means, noises = [image(8, 8, seed) for seed in range(2)], [image(8, 8, seed) for seed in (7, 8)]
    sigmas = [torch.tensor([0.02]), torch.tensor([4.0])]
    tiles = [mean + sigma * noise for mean, sigma, noise in zip(means, sigmas, noises, strict=True)]
    answer = runner_of(prior).run(P, tiles, sigmas, means)
    assert torch.equal(answer, torch.cat(means))
    assert torch.equal(prior.mean, answer) and prior.mean.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(prior.noise, torch.cat(noises), atol=1e-4)
    assert torch.allclose(prior.sigma, torch.cat(sigmas))


def test_answers_are_normal_tensors_of_their_own() -> None:
    tile = image(8, 8)
    answer = runner_of(Witness()).run(P, [tile], [torch.ones(1)])
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
    together = runner.run(P, tiles, sigmas)
    alone = torch.cat([runner.run(P, [tile], [sigma]) for tile, sigma in zip(tiles, sigmas, strict=True)])
    assert (together - alone).abs().max() < 1e-4


class Curved(Witness):
    """Answers with a square, and remembers what the graph has to keep until then."""

    info = PriorInfo(name="curved")

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        hidden = (1 + sigma.reshape(-1, 1, 1, 1)) * super().denoise(x, sigma)
        self.kept = weakref.ref(hidden)
        return hidden**2


def test_cotangents_are_pulled_back_in_one_call_of_normal_tensors_and_nothing_is_kept() -> None:
    prior = Curved()
    tiles, sigmas = [image(8, 8, seed) for seed in range(3)], [torch.tensor([level]) for level in (0.1, 0.5, 4.0)]
    cotangents = [image(8, 8, seed).double() for seed in range(5, 8)]
    answer = runner_of(prior).run(P, tiles, sigmas, cotangents=cotangents, kind=Kind.VJP)
    assert not prior.inference and not prior.x.is_inference()
    assert prior.x.shape == (3, 3, 8, 8) and prior.x.is_contiguous(memory_format=torch.channels_last)
    for row, (tile, sigma, v) in enumerate(zip(tiles, sigmas, cotangents, strict=True)):
        torch.testing.assert_close(answer[row : row + 1], 2 * (1 + sigma) ** 2 * tile * v.float())
    assert not answer.requires_grad and answer.is_contiguous() and answer.dtype == torch.float32
    assert prior.kept() is None


def test_a_cotangent_that_came_back_as_it_was_is_the_answer_of_nobody_else() -> None:
    v = image(8, 8)
    answer = runner_of(Witness()).run(P, [image(8, 8)], [torch.ones(1)], cotangents=[v], kind=Kind.VJP)
    assert torch.equal(answer, v)
    answer.zero_()
    assert v.abs().sum() > 0


def test_pulling_back_in_a_batch_equals_its_rows_alone_and_leaves_the_weights_as_they_were() -> None:
    prior = random_unet_prior()
    runner = runner_of(prior)
    tiles, cotangents = ([image(16, 16, seed) for seed in range(first, first + 4)] for first in (0, 10))
    sigmas = [torch.tensor([level]) for level in (0.01, 0.1, 0.5, 50.0)]
    together = runner.run(P, tiles, sigmas, cotangents=cotangents, kind=Kind.VJP)
    for row, (x, sigma, v) in enumerate(zip(tiles, sigmas, cotangents, strict=True)):
        alone = answer_of(Query(x, sigma, 0, 1, cotangent=v), prior.denoise)
        assert (together[row : row + 1] - alone).abs().max() < 1e-4
    assert all(parameter.grad is None for parameter in prior.network.parameters())


def test_a_prior_may_be_differentiated_after_calls_that_are_not() -> None:
    """Whatever a network remembers from an `inference_mode` call must not end up in a graph."""
    runner = runner_of(random_unet_prior())
    tile, v, sigma = image(16, 16), image(16, 16, 1), torch.tensor([0.5])
    first = runner.run(P, [tile], [sigma], cotangents=[v], kind=Kind.VJP)
    runner.run(P, [tile], [sigma])
    assert torch.equal(runner.run(P, [tile], [sigma], cotangents=[v], kind=Kind.VJP), first)


def test_a_prior_that_was_loaded_has_answered_once_at_its_own_size() -> None:
    witness = Witness()
    witness.info = PriorInfo(name="witness", channels=1, native_size=24, sigma_min=0.7)
    runner = Runner({"p": witness}.__getitem__, CPU)
    assert runner.load(P) is witness
    assert witness.x.shape == (1, 1, 24, 24) and witness.sigma.tolist() == pytest.approx([0.7])
    with pytest.raises(KeyError):
        runner.info(P)  # that is for `add`


def test_what_was_added_can_be_called_until_it_is_removed() -> None:
    runner = runner_of(PRIOR)
    assert runner.info(P) is PRIOR.info
    runner.remove(P)
    with pytest.raises(KeyError):
        runner.run(P, [image(8, 8)], [torch.ones(1)])


def test_weights_that_were_not_asked_for_are_refused() -> None:
    witness = Witness()
    witness.info = PriorInfo(name="witness", digest="ab" * 32)
    runner = Runner(lambda name: witness, CPU)
    assert runner.load(PriorId("p", "ab" * 32)) is witness
    with pytest.raises(PriorError, match=r"cdcdcdcdcdcd.. are gone; those that are there have abababababab.."):
        runner.load(PriorId("p", "cd" * 32))


def test_a_prior_whose_answer_is_not_finite_is_refused() -> None:
    class Broken(Witness):
        def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
            return x / 0

    with pytest.raises(PriorError, match="not finite"):
        Runner(lambda name: Broken(), CPU).load(P)


def test_an_answer_of_another_shape_is_an_error() -> None:
    class Cropping(Witness):
        def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
            return x[..., 1:, :]

    with pytest.raises(PriorError, match=r"\(1, 3, 8, 8\) with \(1, 3, 7, 8\)"):
        runner_of(Cropping()).run(P, [image(8, 8)], [torch.ones(1)])
    with pytest.raises(PriorError, match=r"\(1, 3, 8, 8\) with \(1, 3, 7, 8\)"):
        runner_of(Cropping()).run(P, [image(8, 8)], [torch.ones(1)], cotangents=[image(8, 8)], kind=Kind.VJP)


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

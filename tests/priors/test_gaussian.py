"""Gaussian denoisers: any size, one level a row, homogeneity, and configurations that are refused."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from priors.declaration import Declaration
from priors.gaussian import GAUSSIAN, BiasFreeDnCNN, DnCNN, FFDNet, check_gaussian, empty_gaussian
from priors.manifest import PriorError, PriorInfo
from priors.noise_map import NoiseMapUNet
from priors.parameterisation import adapt
from tests.priors.denoisers import SIZES, random_network

DECLARED = {
    "DnCNN": Declaration("residual", "none", data_range=(0.0, 1.0)),
    "BiasFreeDnCNN": Declaration("residual", "none", data_range=(0.0, 1.0)),
    "FFDNet": Declaration("denoised", "sigma", data_range=(0.0, 1.0)),
    "NoiseMapUNet": Declaration("residual", "sigma"),
}
INFO = PriorInfo(name="p", multiple_of=4)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(8, 8), (6, 21), (13, 7), (1, 1)], ids=str)
@pytest.mark.parametrize("name", [name for name in GAUSSIAN if name != "NoiseMapUNet"])
def test_every_size_is_taken_and_rows_do_not_influence_each_other(name: str, size: tuple[int, int]) -> None:
    prior = adapt(random_network(name), PriorInfo(name="p", sigma_min=0.01, sigma_max=0.5), DECLARED[name])
    x, sigma = noise(4, 3, *size), torch.tensor([0.001, 0.1, 0.5, 7.0])
    answer = prior.denoise(x, sigma)
    assert answer.shape == x.shape
    alone = torch.cat([prior.denoise(x[i : i + 1], sigma[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(answer, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 40.0])
def test_a_bias_free_network_is_homogeneous(scale: float) -> None:
    """D(c y) = c D(y) in its own frame, where black is 0."""
    network, level = random_network("BiasFreeDnCNN"), torch.zeros(2)
    y = noise(2, 3, 12, 17)
    clean, scaled = y - network(y, level), scale * y - network(scale * y, level)
    torch.testing.assert_close(scaled / scale, clean, rtol=1e-5, atol=1e-5)


def test_a_bias_makes_a_network_inhomogeneous() -> None:
    """The test above can fail."""
    network, level, y = random_network("DnCNN"), torch.zeros(1), noise(1, 3, 12, 17)
    assert (network(0.3 * y, level) / 0.3 - network(y, level)).abs().max() > 0.1


def test_only_ffdnet_hears_the_level() -> None:
    y, low, high = noise(1, 3, 8, 8), torch.tensor([0.05]), torch.tensor([0.3])
    for name in ("DnCNN", "BiasFreeDnCNN"):
        network = random_network(name)
        assert torch.equal(network(y, low), network(y, high))
    network = random_network("FFDNet")
    assert (network(y, low) - network(y, high)).abs().max() > 1e-3


def test_an_odd_picture_is_continued_by_its_border() -> None:
    network, level = random_network("FFDNet"), torch.tensor([0.1])
    even = noise(1, 3, 8, 10)
    even[..., -1, :], even[..., -1] = even[..., -2, :], even[..., -2]
    torch.testing.assert_close(network(even[..., :-1, :-1], level), network(even, level)[..., :-1, :-1])


@pytest.mark.parametrize("name", GAUSSIAN)
def test_an_empty_network_has_shapes_and_no_memory(name: str) -> None:
    network = empty_gaussian({"_class_name": name} | SIZES[name], "p")
    filled = random_network(name).state_dict()
    assert {key: value.shape for key, value in network.state_dict().items()} == {k: v.shape for k, v in filled.items()}
    assert all(parameter.is_meta for parameter in network.parameters())


def test_the_published_sizes() -> None:
    """Weights, biases and constants of the released colour networks."""
    counts = {
        name: sum(value.numel() for value in GAUSSIAN[name](*size).state_dict().values())
        for name, size in {"DnCNN": (20, 64), "BiasFreeDnCNN": (20, 64), "FFDNet": (12, 96)}.items()
    }
    assert counts == {"DnCNN": 668_227, "BiasFreeDnCNN": 669_312, "FFDNet": 852_108}


@pytest.mark.parametrize(
    "config",
    [
        {"depth": 4},
        {"depth": 4, "width": 8, "bias": True},
        {"depth": 1, "width": 8},
        {"depth": 10**9, "width": 8},
        {"depth": 4, "width": 0},
        {"depth": 4, "width": 10**9},
        {"depth": 4.0, "width": 8},
        {"depth": True, "width": 8},
        {"depth": "4", "width": 8},
        {"depth": [4], "width": None},
    ],
    ids=str,
)
def test_configurations_that_describe_no_network_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(PriorError, match="prior p: config.json must give a FFDNet depth 2 to 100, width 1 to 4096"):
        empty_gaussian({"_class_name": "FFDNet"} | config, "p")


@pytest.mark.parametrize(
    ("network", "declared", "message"),
    [
        (DnCNN(4, 8), DECLARED["FFDNet"], "a DnCNN is 'residual' with time_map 'none'"),
        (BiasFreeDnCNN(4, 8), DECLARED["FFDNet"], "a BiasFreeDnCNN is 'residual'"),
        (FFDNet(4, 8), DECLARED["DnCNN"], "a FFDNet is 'denoised' with time_map 'sigma'"),
        (FFDNet(4, 8), replace(DECLARED["FFDNet"], parameterisation="score"), "a FFDNet is 'denoised'"),
        (DnCNN(4, 8), replace(DECLARED["DnCNN"], pixel_unshuffle=2), "has no pixel_unshuffle"),
        (DnCNN(4, 8), replace(DECLARED["DnCNN"], learned_variance=True), "has no pixel_unshuffle, learned_variance"),
        (FFDNet(4, 8), replace(DECLARED["FFDNet"], class_count=3, label=1), "or classes"),
        (NoiseMapUNet([8, 8], 1), DECLARED["DnCNN"], "a NoiseMapUNet is 'residual' with time_map 'sigma'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_declaration_must_fit_the_network(network: nn.Module, declared: Declaration, message: str) -> None:
    check_gaussian(network, INFO, DECLARED[type(network).__name__])
    with pytest.raises(PriorError, match=f"prior p: .*{message}"):
        check_gaussian(network, INFO, declared)

"""The denoiser that is told a map of levels: homogeneity, maps, sizes, its configuration, and where it begins."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from priors.declaration import Declaration
from priors.gaussian import check_gaussian, empty_gaussian
from priors.manifest import PriorError, PriorInfo
from priors.noise_map import NoiseMapUNet
from priors.parameterisation import adapt
from tests.priors.denoisers import random_network

INFO = PriorInfo(name="p", multiple_of=4, sigma_min=0.01, sigma_max=0.5)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def network() -> Any:
    return random_network("NoiseMapUNet")


@pytest.mark.parametrize("scale", [1e-3, 0.3, 40.0])
def test_it_is_homogeneous_in_picture_and_level_together(network: Any, scale: float) -> None:
    y, level = noise(2, 3, 12, 16), torch.tensor([0.1, 0.4])
    torch.testing.assert_close(network(scale * y, scale * level) / scale, network(y, level), rtol=1e-5, atol=1e-5)
    assert (network(scale * y, level) / scale - network(y, level)).abs().max() > 1e-3


def test_a_level_is_the_map_that_has_it_everywhere(network: Any) -> None:
    y, level = noise(2, 3, 8, 12), torch.tensor([0.1, 0.4])
    assert torch.equal(network(y, level), network(y, level.reshape(2, 1, 1, 1).expand(2, 1, 8, 12)))


def test_a_map_is_heard_where_it_differs(network: Any) -> None:
    """Within the receptive field, and nowhere else."""
    y, levels = noise(1, 3, 64, 64), torch.full((1, 1, 64, 64), 0.1)
    changed = levels.clone()
    changed[..., 0, 0] = 0.4
    difference = (network(y, levels) - network(y, changed)).abs().amax((0, 1))
    assert difference[:8, :8].max() > 1e-3
    assert difference[32:, 32:].max() == 0


def test_rows_do_not_influence_each_other(network: Any) -> None:
    prior = adapt(network, INFO, Declaration("residual", "sigma"))
    x, sigma = noise(4, 3, 8, 12), torch.tensor([0.001, 0.1, 0.5, 7.0])
    alone = torch.cat([prior.denoise(x[i : i + 1], sigma[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(prior.denoise(x, sigma), alone, rtol=1e-5, atol=1e-5)


def test_it_begins_as_one_that_removes_nothing() -> None:
    """Its last convolution and every residual branch are zero, so that no normalisation is needed."""
    y, network = noise(1, 3, 8, 8), NoiseMapUNet([8, 12], 2)
    assert torch.equal(network(y, torch.ones(1)), torch.zeros_like(y))


def test_a_manifest_that_allows_other_sizes_is_refused(network: Any) -> None:
    declared = Declaration("residual", "sigma")
    check_gaussian(network, INFO, declared)
    with pytest.raises(PriorError, match="prior p: a NoiseMapUNet does not take every multiple of 2 pixels"):
        check_gaussian(network, replace(INFO, multiple_of=2), declared)


@pytest.mark.parametrize(
    "config",
    [
        {"widths": 8, "blocks": 1},
        {"widths": [], "blocks": 1},
        {"widths": [8] * 9, "blocks": 1},
        {"widths": [8, 0], "blocks": 1},
        {"widths": [8, 9999], "blocks": 1},
        {"widths": [8, 8.0], "blocks": 1},
        {"widths": [8, 8], "blocks": [1]},
        {"widths": [8, 8], "blocks": 17},
        {"widths": [8, 8]},
        {"widths": [8, 8], "blocks": 1, "depth": 3},
    ],
    ids=str,
)
def test_configurations_that_describe_no_network_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(PriorError, match="must give a NoiseMapUNet widths 1 to 1024, blocks 1 to 16 and nothing else"):
        empty_gaussian({"_class_name": "NoiseMapUNet"} | config, "p")

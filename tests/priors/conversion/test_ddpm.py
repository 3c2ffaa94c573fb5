"""Slips that would go unseen without a test, and networks that are refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor

from priors.conversion.layout import Converted
from priors.conversion.layouts import LAYOUTS
from priors.manifest import PriorError
from tests.priors.conversion.references_adm import randomised
from tests.priors.conversion.references_ddpm import narrow

LAYOUT = LAYOUTS["ddpm-celebahq"]


@pytest.fixture(scope="module")
def difference() -> Callable[[dict[str, Any]], float]:
    """`difference(changes)` is how far the network with `changes` to its configuration is from the original."""
    network = randomised(narrow())
    converted: Converted = LAYOUT.convert(network.state_dict(), None)
    x = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([10.0, 600.5])

    def measured(changes: dict[str, Any]) -> float:
        config = {key: value for key, value in converted.config.items() if key != "_class_name"}
        unet = UNet2DModel(**config | changes)
        unet.load_state_dict(converted.weights)
        with torch.no_grad():
            return (unet.eval()(x, time).sample - network(x, time)).abs().max().item()

    return measured


def test_the_configuration_is_right_in_all_that_no_shape_tells(difference: Callable[[dict[str, Any]], float]) -> None:
    assert difference({}) < 5e-6


@pytest.mark.parametrize(
    ("slip", "least"),
    [
        ({"downsample_padding": 1}, 1e-2),
        ({"freq_shift": 0}, 1e-3),
        ({"flip_sin_to_cos": True}, 1e-3),
        ({"attention_head_dim": 8}, 1e-3),
        ({"norm_eps": 1e-5}, 1e-5),
    ],
    ids=str,
)
def test_every_slip_would_show(
    slip: dict[str, Any], least: float, difference: Callable[[dict[str, Any]], float]
) -> None:
    assert difference(slip) > least


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("mid.attn_1.q.bias"), "mid.attn_1.q.bias is missing"),
        (lambda state: state.pop("conv_in.weight"), "not those of a DDPM UNet"),
        (lambda state: state.pop("down.1.block.0.conv1.weight"), "not those of a DDPM UNet"),
        (lambda state: state.clear(), "not those of a DDPM UNet"),
        (lambda state: state.update(extra=torch.zeros(1)), "unexpected weights .'extra'"),
        (lambda state: state.update({"conv_in.weight": torch.zeros(32, 1, 3, 3)}), "1 input channels"),
        (lambda state: state.update({"up.2.attn.0.v.weight": torch.zeros(64, 128)}), "not 128 rows"),
    ],
    ids=["missing", "no input", "no block", "nothing", "unexpected", "grey", "attention"],
)
def test_what_is_no_such_network_is_refused(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    with torch.device("meta"):
        state = narrow().state_dict()
    change(state)
    with pytest.raises(PriorError, match=f"layout ddpm-celebahq: .*{message}"):
        LAYOUT.convert(state, None)


def test_a_class_is_refused() -> None:
    with torch.device("meta"):
        state = narrow().state_dict()
    with pytest.raises(PriorError, match="embeds None classes, the class given is 7"):
        LAYOUT.convert(state, 7)

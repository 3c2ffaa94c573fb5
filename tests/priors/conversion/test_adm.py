"""Slips that would go unseen without a test, and networks that are refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from priors.conversion.layouts import LAYOUTS, find_layout
from priors.manifest import PriorError
from tests.priors.conversion.references_adm import ADM, PUBLISHED, AdmUNet, Options, randomised


def built(config: dict[str, Any], weights: dict[str, Tensor]) -> nn.Module:
    unet = UNet2DModel(**{key: value for key, value in config.items() if key != "_class_name"})
    unet.load_state_dict(weights)
    return unet.eval()


@pytest.mark.parametrize("name", ["adm-256", "openai-edm-256"])
def test_the_other_order_of_qkv_is_another_network(name: str) -> None:
    """The legacy order and the new one have the same names and shapes, and must not be mistaken."""
    network, layout = randomised(AdmUNet(ADM[name])), LAYOUTS[name]
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([10.0, 600.0])
    other = replace(layout, qkv_order="new" if layout.qkv_order == "legacy" else "legacy")
    right, wrong = (chosen.convert(network.state_dict(), None) for chosen in (layout, other))
    with torch.no_grad():
        expected = network(x, time)
        assert (built(right.config, right.weights)(x, time).sample - expected).abs().max() < 1e-5
        assert (built(wrong.config, wrong.weights)(x, time).sample - expected).abs().max() > 1e-2


def test_the_middle_has_its_norm() -> None:
    """Beside scale and shift, diffusers builds it only where it is asked for; two weights would be left over."""
    converted = LAYOUTS["adm-256"].convert(randomised(AdmUNet(ADM["adm-256"])).state_dict(), None)
    with pytest.raises(RuntimeError, match="mid_block.attentions.0.group_norm"):
        built(converted.config | {"attn_norm_num_groups": None}, converted.weights)


def state_of(options: Options) -> dict[str, Tensor]:
    with torch.device("meta"):
        return AdmUNet(options).state_dict()


@pytest.mark.parametrize(("name", "message"), [("adm-128-cond", "4 heads"), ("adm-512", "time embedding wider")])
def test_known_networks_that_cannot_be_expressed_are_refused_in_words(name: str, message: str) -> None:
    state = state_of(PUBLISHED[name][0])
    with pytest.raises(PriorError, match=f"{name}: .*{message}"):
        find_layout(state, None).convert(state, 0)
    with pytest.raises(PriorError, match=f"are those of {name}, not of adm-256-cond"):
        find_layout(state, "adm-256-cond")


NARROW = ADM["adm-256"]


def without(key: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.pop(key)


def reshaped(key: str, *shape: int) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.update({key: torch.zeros(shape)})


FOREIGN: list[tuple[Callable[[dict[str, Tensor]], object], str]] = [
    (without("middle_block.1.qkv.bias"), "middle_block.1.qkv.bias is missing"),
    (without("time_embed.0.weight"), "not those of a guided-diffusion UNet"),
    (without("output_blocks.5.0.in_layers.2.weight"), "not those of a guided-diffusion UNet"),
    (lambda state: state.clear(), "not those of a guided-diffusion UNet"),
    (reshaped("out.2.weight"), "not those of a guided-diffusion UNet"),
    (reshaped("extra", 1), "unexpected weights .'extra'"),
    (reshaped("input_blocks.0.0.weight", 32, 6, 3, 3), "6 input channels"),
    (reshaped("input_blocks.1.0.out_layers.3.weight", 48, 32, 3, 3), "48 channels cannot be normalised"),
    (reshaped("middle_block.1.qkv.weight", 100), r"qkv has the shapes \(100,\)"),
    (reshaped("middle_block.1.qkv.bias", 0), "not 384 rows"),
]


@pytest.mark.parametrize(("change", "message"), FOREIGN, ids=[message for _, message in FOREIGN])
def test_what_is_no_such_network_is_refused(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    state = state_of(NARROW)
    change(state)
    with pytest.raises(PriorError, match=f"layout adm-256: .*{message}"):
        LAYOUTS["adm-256"].convert(state, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (replace(NARROW, widths=(64, 64, 128)), "width 32 beside an outermost level of 64"),
        (replace(NARROW, widths=(32, 64, 96), head_width=32), "96 channels make no whole heads"),
        (replace(NARROW, classes=5), "embeds 5 classes, the class given is None"),
    ],
)
def test_what_cannot_be_expressed_is_refused(options: Options, message: str) -> None:
    with pytest.raises(PriorError, match=f"layout adm-256: .*{message}"):
        LAYOUTS["adm-256"].convert(state_of(options), None)


def test_a_class_for_a_network_without_classes_is_refused() -> None:
    with pytest.raises(PriorError, match="embeds None classes, the class given is 7"):
        LAYOUTS["adm-256"].convert(state_of(NARROW), 7)

"""UNets of DDPM (Ho et al. 2020) as DDIM ported them to PyTorch, and SDEdit, DDRM and others took them over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from priors.conversion.layout import Converted
from priors.conversion.unet import LINEAR, Architecture, Renaming, pixel_manifest, predicts_eps, unet_config
from priors.manifest import PriorError

FACES_256 = Architecture(128, (128, 128, 256, 256, 512, 512), 2, (4,))
RESNET = (
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("temb_proj", "time_emb_proj"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
)


@dataclass(frozen=True)
class DdpmLayout:
    """A layout of `priors.conversion.layout`: one head of attention, eps on the linear schedule."""

    name: str
    description: str
    known: tuple[Architecture, ...]
    """Of the checkpoints that this is known of; only these are recognised."""
    size: int
    """Side of the training pictures in pixels."""

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        return read_architecture(state) in self.known

    def convert(self, state: Mapping[str, Tensor], class_label: int | None) -> Converted:
        architecture = read_architecture(state)
        if architecture is None:
            raise PriorError(f"layout {self.name}: the weights are not those of a DDPM UNet")
        architecture.check(self.name)
        manifest = pixel_manifest(architecture, self.size, class_label, self.name)
        config = unet_config(
            architecture,
            self.size,
            attention_head_dim=None,
            downsample_padding=0,  # pads below and on the right only
            flip_sin_to_cos=False,
            freq_shift=1,
            norm_eps=1e-6,
        )
        return Converted(config, _rename(state, architecture, self.name), manifest | predicts_eps(LINEAR))


def read_architecture(state: Mapping[str, Tensor]) -> Architecture | None:
    """What the shapes tell; None where they are not those of such a UNet."""
    found = [re.fullmatch(r"down\.(\d{1,4})\.block\.(\d{1,4})\.conv1\.weight", key) for key in state]
    places = {(int(match[1]), int(match[2])) for match in found if match}
    levels, blocks = len({level for level, _ in places}), len({block for _, block in places})
    if not places or places != {(level, block) for level in range(levels) for block in range(blocks)}:
        return None
    try:
        return Architecture(
            base=state["temb.dense.0.weight"].shape[1],
            widths=tuple(state[f"down.{level}.block.0.conv1.weight"].shape[0] for level in range(levels)),
            blocks=blocks,
            attention=tuple(level for level in range(levels) if f"down.{level}.attn.0.q.weight" in state),
            outputs=state["conv_out.weight"].shape[0],
            inputs=state["conv_in.weight"].shape[1],
        )
    except (KeyError, IndexError):
        return None


def _rename(state: Mapping[str, Tensor], architecture: Architecture, layout: str) -> dict[str, Tensor]:
    renaming = Renaming(state, layout)
    renaming.modules("temb.dense", "time_embedding", (("0", "linear_1"), ("1", "linear_2")))
    for old, new in (("conv_in", "conv_in"), ("norm_out", "conv_norm_out"), ("conv_out", "conv_out")):
        renaming.module(old, new)
    _resnet(renaming, "mid.block_1", "mid_block.resnets.0")
    _attention(renaming, "mid.attn_1", "mid_block.attentions.0", architecture.widths[-1])
    _resnet(renaming, "mid.block_2", "mid_block.resnets.1")
    deepest = len(architecture.widths) - 1
    for level, width in enumerate(architecture.widths):
        attends = width if level in architecture.attention else 0
        _rename_level(renaming, f"down.{level}", f"down_blocks.{level}", architecture.blocks, attends)
        _rename_level(renaming, f"up.{level}", f"up_blocks.{deepest - level}", architecture.blocks + 1, attends)
        if level < deepest:
            renaming.module(f"down.{level}.downsample.conv", f"down_blocks.{level}.downsamplers.0.conv")
        if level > 0:
            renaming.module(f"up.{level}.upsample.conv", f"up_blocks.{deepest - level}.upsamplers.0.conv")
    return renaming.finish()


def _rename_level(renaming: Renaming, old: str, new: str, blocks: int, attends: int) -> None:
    """The blocks of one level on one side. attends: the channels of its attention, 0 for none."""
    for index in range(blocks):
        _resnet(renaming, f"{old}.block.{index}", f"{new}.resnets.{index}")
        if attends:
            _attention(renaming, f"{old}.attn.{index}", f"{new}.attentions.{index}", attends)


def _resnet(renaming: Renaming, old: str, new: str) -> None:
    renaming.modules(old, new, RESNET)
    if f"{old}.nin_shortcut.weight" in renaming.state:
        renaming.module(f"{old}.nin_shortcut", f"{new}.conv_shortcut")


def _attention(renaming: Renaming, old: str, new: str, channels: int) -> None:
    renaming.module(f"{old}.norm", f"{new}.group_norm")
    for old_name, new_name in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        renaming.linear(*renaming.take_linear(f"{old}.{old_name}", channels), f"{new}.{new_name}")


LAYOUTS = (
    DdpmLayout(
        "ddpm-celebahq",
        "the CelebA-HQ faces of SDEdit and DDRM at 256 px, and the LSUN networks converted for DDIM; eps",
        (FACES_256,),
        256,
    ),
)

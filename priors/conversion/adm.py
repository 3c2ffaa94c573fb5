"""UNets of guided-diffusion (ADM), of improved-diffusion before it, and of OpenAI's EDM networks after it.

Nichol and Dhariwal 2021; Dhariwal and Nichol 2021; Song et al. 2023, "Consistency Models". One naming for three
generations, which differ in what no shape tells: the width of an attention head, the order of the rows of its qkv
projection, the schedule and the prediction. A layout is one choice of these, with the checkpoints known to have it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from priors.conversion.layout import Converted
from priors.conversion.unet import Architecture, Renaming, pixel_manifest, unet_config
from priors.manifest import PriorError

RESNET = (
    ("in_layers.0", "norm1"),
    ("in_layers.2", "conv1"),
    ("emb_layers.1", "time_emb_proj"),
    ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"),
)
KINDS = {"in_layers.2.weight": "resnet", "qkv.weight": "attention", "op.weight": "conv", "conv.weight": "conv"}
"""The weight that tells what a module is."""


@dataclass(frozen=True)
class AdmLayout:
    """A layout of `priors.conversion.layout`."""

    name: str
    description: str
    known: tuple[Architecture, ...]
    """Of the checkpoints that this is known of; only these are recognised."""
    size: int
    """Side of the training pictures in pixels."""
    prediction: dict[str, Any]
    """The fields of `prior.json` about prediction and levels."""
    head_width: int | None = 64
    """Channels of an attention head; None for a single head."""
    qkv_order: str = "legacy"
    """Of the rows of a qkv projection: `legacy` is (head, 3, width), `new` is (3, head, width)."""

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        return read_architecture(state) in self.known

    def convert(self, state: Mapping[str, Tensor], class_label: int | None) -> Converted:
        architecture = read_architecture(state)
        if architecture is None:
            raise PriorError(f"layout {self.name}: the weights are not those of a guided-diffusion UNet")
        architecture.check(self.name)
        for width in {architecture.widths[level] for level in (*architecture.attention, -1)}:
            if width % (self.head_width or 1):
                raise PriorError(f"layout {self.name}: {width} channels make no whole heads of {self.head_width}")
        manifest = pixel_manifest(architecture, self.size, class_label, self.name)
        config = unet_config(architecture, self.size, attention_head_dim=self.head_width)
        return Converted(config, self._rename(state, architecture), manifest | self.prediction)

    def _rename(self, state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
        renaming = Renaming(state, self.name)
        renaming.modules("time_embed", "time_embedding", (("0", "linear_1"), ("2", "linear_2")))
        if architecture.classes is not None:
            renaming.weights["class_embedding.weight"] = renaming.take("label_emb.weight")
        renaming.module("input_blocks.0.0", "conv_in")
        self._rename_down(renaming, architecture)
        _resnet(renaming, "middle_block.0", "mid_block.resnets.0")
        self._attention(renaming, "middle_block.1", "mid_block.attentions.0", architecture.widths[-1])
        _resnet(renaming, "middle_block.2", "mid_block.resnets.1")
        self._rename_up(renaming, architecture)
        renaming.module("out.0", "conv_norm_out")
        renaming.module("out.2", "conv_out")
        return renaming.finish()

    def _rename_down(self, renaming: Renaming, architecture: Architecture) -> None:
        """A level has its residual blocks and then, but for the deepest, one block that halves the size."""
        deepest = len(architecture.widths) - 1
        for level, width in enumerate(architecture.widths):
            first, block = 1 + level * (architecture.blocks + 1), f"down_blocks.{level}"
            for index in range(architecture.blocks):
                _resnet(renaming, f"input_blocks.{first + index}.0", f"{block}.resnets.{index}")
                if level in architecture.attention:
                    self._attention(renaming, f"input_blocks.{first + index}.1", f"{block}.attentions.{index}", width)
            if level < deepest:
                old, new = f"input_blocks.{first + architecture.blocks}.0", f"{block}.downsamplers.0"
                if architecture.resnet_resample:
                    _resnet(renaming, old, new)
                else:
                    renaming.module(f"{old}.op", f"{new}.conv")

    def _rename_up(self, renaming: Renaming, architecture: Architecture) -> None:
        """Deepest level first; what doubles the size is the last module of a level's last block."""
        deepest, count = len(architecture.widths) - 1, architecture.blocks + 1
        for step, width in enumerate(reversed(architecture.widths)):
            attends = deepest - step in architecture.attention
            for index in range(count):
                old = f"output_blocks.{step * count + index}"
                _resnet(renaming, f"{old}.0", f"up_blocks.{step}.resnets.{index}")
                if attends:
                    self._attention(renaming, f"{old}.1", f"up_blocks.{step}.attentions.{index}", width)
            if step < deepest:
                old, new = f"output_blocks.{step * count + count - 1}.{2 if attends else 1}", f"up_blocks.{step}"
                if architecture.resnet_resample:
                    _resnet(renaming, old, f"{new}.upsamplers.0")
                else:
                    renaming.module(f"{old}.conv", f"{new}.upsamplers.0.conv")

    def _attention(self, renaming: Renaming, old: str, new: str, channels: int) -> None:
        renaming.module(f"{old}.norm", f"{new}.group_norm")
        weight, bias = renaming.take_linear(f"{old}.qkv", 3 * channels)
        for part, rows in zip(("q", "k", "v"), self._places(channels), strict=True):
            renaming.linear(weight[rows], bias[rows], f"{new}.to_{part}")
        renaming.linear(*renaming.take_linear(f"{old}.proj_out", channels), f"{new}.to_out.0")

    def _places(self, channels: int) -> Tensor:
        """Which rows of a qkv projection are those of q, of k and of v, heads in order: (3, C)."""
        heads = channels // (self.head_width or channels)
        rows = torch.arange(3 * channels)
        if self.qkv_order == "new":
            return rows.unflatten(0, (3, channels))
        return rows.unflatten(0, (heads, 3, channels // heads)).transpose(0, 1).flatten(1, 2)


def _resnet(renaming: Renaming, old: str, new: str) -> None:
    renaming.modules(old, new, RESNET)
    if f"{old}.skip_connection.weight" in renaming.state:
        renaming.module(f"{old}.skip_connection", f"{new}.conv_shortcut")


def read_architecture(state: Mapping[str, Tensor]) -> Architecture | None:
    """What the shapes tell; None where they are not those of such a UNet."""
    down, up = _kinds(state, "input"), _kinds(state, "output")
    resample = [index for index, kinds in enumerate(up) if len([kind for kind in kinds if kind != "attention"]) > 1]
    count, levels = (resample[0] + 1 if resample else len(up)), len(resample) + 1  # blocks of a level; levels
    if count < 2 or not len(up) == len(down) + 1 == levels * count:
        return None
    deepest = levels - 1
    try:
        widths = [state[f"input_blocks.{1 + level * count}.0.out_layers.3.weight"].shape[0] for level in range(levels)]
        return Architecture(
            base=state["time_embed.0.weight"].shape[1],
            widths=tuple(widths),
            blocks=count - 1,
            attention=tuple(level for level in range(levels) if "attention" in up[(deepest - level) * count]),
            outputs=state["out.2.weight"].shape[0],
            scale_shift=state["input_blocks.1.0.emb_layers.1.weight"].shape[0] == 2 * widths[0],
            resnet_resample="conv" not in up[count - 1],
            classes=state["label_emb.weight"].shape[0] if "label_emb.weight" in state else None,
            inputs=state["input_blocks.0.0.weight"].shape[1],
        )
    except (KeyError, IndexError):
        return None


def _kinds(state: Mapping[str, Tensor], side: str) -> list[list[str]]:
    """What the modules of each block are, in order. The first convolution is no block."""
    found: dict[int, dict[int, str]] = {}
    for key in state:
        match = re.fullmatch(rf"{side}_blocks\.(\d{{1,4}})\.(\d)\.(.+)", key)
        if match and match[3] in KINDS:
            found.setdefault(int(match[1]), {})[int(match[2])] = KINDS[match[3]]
    return [[kind for _, kind in sorted(found[index].items())] for index in sorted(found)]


@dataclass(frozen=True)
class AdmRefusal:
    """Checkpoints with the names of a guided-diffusion UNet that are told apart to be refused."""

    name: str
    description: str
    known: tuple[Architecture, ...]

    def recognises(self, state: Mapping[str, Tensor]) -> bool:
        return read_architecture(state) in self.known

    def convert(self, state: Mapping[str, Tensor], class_label: int | None) -> Converted:
        raise PriorError(f"{self.name}: {self.description}")

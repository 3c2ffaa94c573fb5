"""Foreign UNets that compute what `UNet2DModel` computes: what shapes tell about them, and the way to the new names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from priors.manifest import PriorError
from priors.schedules import build_schedule

GROUPS = 32
"""Of every group norm in all these networks."""
LINEAR: dict[str, Any] = {"kind": "linear", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
COSINE: dict[str, Any] = {"kind": "squaredcos_cap_v2", "steps": 1000}
EDM: dict[str, Any] = {
    "parameterisation": "edm",
    "time_map": "250*ln(sigma)",
    "sigma_data": 0.5,
    "sigma_min": 0.002,
    "sigma_max": 80.0,
}
"""As OpenAI trained it (Song et al. 2023): EDM preconditioning, the level told as a time of 1000 ln(sigma) / 4."""


def predicts_eps(schedule: dict[str, Any]) -> dict[str, Any]:
    """The fields of `prior.json` of a network that predicts eps and is told the index of a timestep."""
    levels = build_schedule(schedule)
    return {
        "parameterisation": "eps",
        "time_map": "index",
        "schedule": schedule,
        "sigma_min": levels.sigma_min,
        "sigma_max": levels.sigma_max,
    }


@dataclass(frozen=True)
class Architecture:
    """What names and shapes of a UNet's weights tell."""

    base: int
    """Width of the time embedding before its layers."""
    widths: tuple[int, ...]
    """Channels of each level, outermost first."""
    blocks: int
    """Residual blocks of a level on the way down; there is one more on the way up."""
    attention: tuple[int, ...]
    """The levels with attention; the middle always has it."""
    outputs: int = 3
    """Twice the inputs where a variance is learned."""
    scale_shift: bool = False
    """Whether the time scales and shifts the normalised features, or is added to them."""
    resnet_resample: bool = False
    """Whether residual blocks resample, or convolutions."""
    classes: int | None = None
    inputs: int = 3

    def check(self, layout: str) -> None:
        """Raise PriorError for what `UNet2DModel` cannot express."""
        if self.inputs != 3:
            raise PriorError(f"layout {layout}: a network with {self.inputs} input channels is no prior of RGB images")
        for width in self.widths:
            if not width or width % GROUPS:
                raise PriorError(f"layout {layout}: {width} channels cannot be normalised in {GROUPS} groups")
        if self.base != self.widths[0]:
            raise PriorError(
                f"layout {layout}: a time embedding of width {self.base} beside an outermost level of {self.widths[0]} "
                "channels (as at 512 pixels) cannot be expressed by UNet2DModel"
            )


def unet_config(architecture: Architecture, size: int, **numbers: Any) -> dict[str, Any]:
    """`config.json` for the architecture, trained on pictures of `size` pixels; `numbers`: what no shape tells."""
    resample = "resnet" if architecture.resnet_resample else "conv"
    plain = {"resnet": ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D"), "conv": ("DownBlock2D", "UpBlock2D")}
    down, up = plain[resample]
    levels = range(len(architecture.widths))
    return {
        "_class_name": "UNet2DModel",
        "sample_size": size,
        "in_channels": architecture.inputs,
        "out_channels": architecture.outputs,
        "block_out_channels": list(architecture.widths),
        "layers_per_block": architecture.blocks,
        "down_block_types": ["AttnDownBlock2D" if level in architecture.attention else down for level in levels],
        "up_block_types": ["AttnUpBlock2D" if level in architecture.attention else up for level in reversed(levels)],
        "downsample_type": resample,
        "upsample_type": resample,
        "resnet_time_scale_shift": "scale_shift" if architecture.scale_shift else "default",
        "num_class_embeds": architecture.classes,
        "norm_num_groups": GROUPS,
        # with scale_shift, the attention of the middle would have no GroupNorm without this
        "attn_norm_num_groups": GROUPS,
        "dropout": 0.0,
        **numbers,
    }


def pixel_manifest(architecture: Architecture, size: int, class_label: int | None, layout: str) -> dict[str, Any]:
    """The fields of `prior.json` that the architecture decides. Raises PriorError for classes without a label."""
    if (architecture.classes is None) != (class_label is None):
        raise PriorError(
            f"layout {layout}: the network embeds {architecture.classes} classes, the class given is {class_label}"
        )
    classes = {} if class_label is None else {"class_count": architecture.classes, "class_label": class_label}
    return {
        "kind": "pixel",
        "learned_variance": architecture.outputs == 2 * architecture.inputs,
        "trained_size": size,
        "size_multiple": 2 ** (len(architecture.widths) - 1),
        "fully_convolutional": False,
        **classes,
    }


class Renaming:
    """Takes the weights out of a foreign state one by one; in the end none may be left, and none may have lacked."""

    def __init__(self, state: Mapping[str, Tensor], layout: str):
        self.state = dict(state)
        self.layout = layout
        self.weights: dict[str, Tensor] = {}

    def take(self, key: str) -> Tensor:
        if key not in self.state:
            raise PriorError(f"layout {self.layout}: the weight {key} is missing")
        return self.state.pop(key)

    def module(self, old: str, new: str) -> None:
        """Weight and bias of one layer."""
        for part in ("weight", "bias"):
            self.weights[f"{new}.{part}"] = self.take(f"{old}.{part}").contiguous()

    def modules(self, old: str, new: str, names: Iterable[tuple[str, str]]) -> None:
        """The layers of one block."""
        for old_name, new_name in names:
            self.module(f"{old}.{old_name}", f"{new}.{new_name}")

    def take_linear(self, old: str, rows: int) -> tuple[Tensor, Tensor]:
        """Weight (rows, I) and bias (rows,) of a convolution of one pixel, which is a linear layer."""
        weight, bias = self.take(f"{old}.weight"), self.take(f"{old}.bias")
        if weight.ndim < 2 or len(weight) != rows or bias.shape != (rows,):
            shapes = f"{tuple(weight.shape)} and {tuple(bias.shape)}"
            raise PriorError(f"layout {self.layout}: {old} has the shapes {shapes}, not {rows} rows")
        return weight.flatten(1), bias

    def linear(self, weight: Tensor, bias: Tensor, new: str) -> None:
        self.weights |= {f"{new}.weight": weight.contiguous(), f"{new}.bias": bias.contiguous()}

    def finish(self) -> dict[str, Tensor]:
        if self.state:
            raise PriorError(f"layout {self.layout}: the file has unexpected weights {sorted(self.state)[:3]}")
        return self.weights

"""The UNet of guided-diffusion and its kin, written down from its arithmetic: the original of the converted networks.

Modules have the names that checkpoints have.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResBlock(nn.Module):
    """Residual block that is told the time; `resample` halves ("down") or doubles ("up") the size on both branches."""

    def __init__(self, inputs: int, outputs: int, time: int, scale_shift: bool, resample: str = ""):
        super().__init__()
        self.scale_shift, self.resample = scale_shift, resample
        self.in_layers = nn.Sequential(nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * outputs if scale_shift else outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, outputs), nn.SiLU(), nn.Identity(), nn.Conv2d(outputs, outputs, 3, padding=1)
        )
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        norm, activation, convolution = self.in_layers
        h = convolution(self._resized(activation(norm(x))))
        told = self.emb_layers(time)[:, :, None, None]
        if self.scale_shift:
            scale, shift = told.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + told)
        return self.skip_connection(self._resized(x)) + h

    def _resized(self, x: Tensor) -> Tensor:
        if self.resample == "down":
            return functional.avg_pool2d(x, 2)
        return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) if self.resample == "up" else x


class Attention(nn.Module):
    """Self-attention over all pixels; the rows of `qkv` lie as (head, 3, width), or new as (3, head, width)."""

    def __init__(self, channels: int, heads: int, new_order: bool):
        super().__init__()
        self.heads, self.new_order = heads, new_order
        self.norm = nn.GroupNorm(32, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor, _time: Tensor) -> Tensor:
        flat = x.flatten(2)  # (N, C, pixels)
        rows = self.qkv(self.norm(flat))
        heads, width = self.heads, flat.shape[1] // self.heads
        answers = []
        for head in range(heads):
            places = [head + part * heads if self.new_order else 3 * head + part for part in range(3)]
            q, k, v = (rows[:, place * width : (place + 1) * width] for place in places)  # (N, width, pixels)
            share = (q.transpose(1, 2) @ k / math.sqrt(width)).softmax(dim=2)  # (N, pixels, pixels)
            answers.append(v @ share.transpose(1, 2))
        return x + self.proj_out(torch.cat(answers, dim=1)).reshape(x.shape)


class Downsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, _time: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, _time: Tensor) -> Tensor:
        return self.conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


class Stem(nn.Conv2d):
    def forward(self, x: Tensor, _time: Tensor) -> Tensor:
        return super().forward(x)


@dataclass(frozen=True)
class Options:
    """The options of the original, but for `widths`, which are its channels times its multipliers."""

    channels: int
    widths: tuple[int, ...]
    blocks: int
    size: int
    """Side of the pictures in pixels."""
    attention: tuple[int, ...]
    """Side in pixels of the maps that have it."""
    outputs: int = 6
    head_width: int = 0
    heads: int = 1
    """Where there is no `head_width`."""
    new_order: bool = False
    scale_shift: bool = True
    resblock_updown: bool = True
    classes: int = 0

    def residual(self, inputs: int, outputs: int, resample: str = "") -> nn.Module:
        return ResBlock(inputs, outputs, 4 * self.channels, self.scale_shift, resample)

    def attends(self, level: int, width: int) -> list[nn.Module]:
        return [self.middle_attention(width)] if self.size >> level in self.attention else []

    def middle_attention(self, width: int) -> nn.Module:
        return Attention(width, width // self.head_width if self.head_width else self.heads, self.new_order)

    def halved(self, width: int) -> nn.Module:
        return self.residual(width, width, "down") if self.resblock_updown else Downsample(width)

    def doubled(self, width: int) -> nn.Module:
        return self.residual(width, width, "up") if self.resblock_updown else Upsample(width)


class AdmUNet(nn.Module):
    """The network."""

    def __init__(self, options: Options):
        super().__init__()
        self.channels, time = options.channels, 4 * options.channels
        self.time_embed = nn.Sequential(nn.Linear(self.channels, time), nn.SiLU(), nn.Linear(time, time))
        if options.classes:
            self.label_emb = nn.Embedding(options.classes, time)
        now, deepest = options.widths[0], len(options.widths) - 1
        kept, down, up = [now], [[Stem(3, now, 3, padding=1)]], []
        for level, width in enumerate(options.widths):
            for _ in range(options.blocks):
                down.append([options.residual(now, width), *options.attends(level, width)])
                now = width
                kept.append(now)
            if level < deepest:
                down.append([options.halved(now)])
                kept.append(now)
        middle = [options.residual(now, now), options.middle_attention(now), options.residual(now, now)]
        for level, width in reversed(list(enumerate(options.widths))):
            for _ in range(options.blocks + 1):
                up.append([options.residual(now + kept.pop(), width), *options.attends(level, width)])
                now = width
            if level > 0:
                up[-1].append(options.doubled(now))
        self.input_blocks = nn.ModuleList(nn.ModuleList(block) for block in down)
        self.middle_block = nn.ModuleList(middle)
        self.output_blocks = nn.ModuleList(nn.ModuleList(block) for block in up)
        self.out = nn.Sequential(nn.GroupNorm(32, now), nn.SiLU(), nn.Conv2d(now, options.outputs, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor, label: int | None = None) -> Tensor:
        """x: (N, 3, H, W). time: (N,), whole or not. Returns (N, outputs, H, W)."""
        half = self.channels // 2
        angles = time[:, None] * (-math.log(10000) * torch.arange(half) / half).exp()
        told = self.time_embed(torch.cat([angles.cos(), angles.sin()], dim=1))
        if label is not None:
            told = told + self.label_emb.weight[label]
        h, kept = x, []
        for block in self.input_blocks:
            h = through(block, h, told)
            kept.append(h)
        h = through(self.middle_block, h, told)
        for block in self.output_blocks:
            h = through(block, torch.cat([h, kept.pop()], dim=1), told)
        return self.out(h)


def through(modules: nn.ModuleList, x: Tensor, time: Tensor) -> Tensor:
    for module in modules:
        x = module(x, time)
    return x


def randomised(network: nn.Module) -> nn.Module:
    """Every parameter random and not zero, so that no zero hides an error; equal networks get equal weights."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            spread = 0.5 / math.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.1
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
        for module in network.modules():
            if isinstance(module, nn.GroupNorm):
                module.weight += 1
    return network.eval()


NARROW = Options(32, (32, 64, 128), 1, 256, (128, 64), head_width=64)
"""Three levels, the deepest of two heads."""
ADM: dict[str, Options] = {
    "adm-256": NARROW,
    "adm-256-cond": replace(NARROW, classes=5),
    "adm-ffhq": replace(NARROW, attention=(64,)),
    "adm-64-cond": replace(NARROW, size=64, blocks=2, attention=(32, 16), new_order=True, classes=5),
    "improved-diffusion": replace(NARROW, attention=(64,), head_width=0, scale_shift=False, resblock_updown=False),
    "openai-edm-256": replace(NARROW, outputs=3, new_order=True, scale_shift=False),
    "openai-edm-64": replace(NARROW, size=64, attention=(32, 16), outputs=3, new_order=True, classes=5),
}
"""By layout: a narrow network of it."""
IMAGENET = Options(256, (256, 256, 512, 512, 1024, 1024), 2, 256, (32, 16, 8), head_width=64)
FFHQ = replace(IMAGENET, channels=128, widths=(128, 128, 256, 256, 512, 512), blocks=1, attention=(16,))
SMALL = replace(IMAGENET, channels=192, widths=(192, 384, 576, 768), blocks=3, size=64, new_order=True, classes=1000)
PUBLISHED: dict[str, tuple[Options, float]] = {
    "adm-256": (IMAGENET, 552.81),
    "adm-256-cond": (replace(IMAGENET, classes=1000), 553.8),
    "adm-ffhq": (FFHQ, 93.56),
    "adm-64-cond": (SMALL, 295.9),
    "improved-diffusion": (
        replace(FFHQ, blocks=2, head_width=0, scale_shift=False, resblock_updown=False),
        113.68,
    ),
    "adm-128-cond": (
        replace(IMAGENET, widths=(256, 256, 512, 768, 1024), size=128, head_width=0, heads=4, classes=1000),
        421.5,
    ),
    "adm-512": (replace(IMAGENET, widths=(128, 256, 256, 512, 512, 1024, 1024), size=512, classes=1000), 559.0),
}
"""By layout: the options of its checkpoint, and its parameters in millions."""
EDM_TEACHERS: dict[str, Options] = {
    "openai-edm-256": replace(IMAGENET, outputs=3, scale_shift=False, new_order=True),
    "openai-edm-64": replace(SMALL, outputs=3),
}
"""The same names and shapes as the consistency models."""

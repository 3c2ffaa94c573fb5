"""The UNet of DDPM in its PyTorch port, written down from its arithmetic: the original of the converted networks."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def norm(channels: int) -> nn.Module:
    return nn.GroupNorm(32, channels, eps=1e-6)


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class ResnetBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, time: int):
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.temb_proj = nn.Linear(time, outputs)
        self.norm2, self.conv2 = norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(swish(self.norm1(x))) + self.temb_proj(swish(time))[:, :, None, None]
        h = self.conv2(swish(self.norm2(h)))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class Attention(nn.Module):
    """One head over all pixels."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))  # (N, C, pixels)
        share = (q.transpose(1, 2) @ k / math.sqrt(x.shape[1])).softmax(dim=2)
        return x + self.proj_out((v @ share.transpose(1, 2)).reshape(x.shape))


class Resample(nn.Module):
    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=stride, padding=2 - stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.stride == (2, 2):
            return self.conv(functional.pad(x, (0, 1, 0, 1)))  # on the right and below only
        return self.conv(x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


class Level(nn.Module):
    """The modules of one level on one side."""

    def __init__(self, blocks: list[nn.Module], width: int, attends: bool):
        super().__init__()
        self.block = nn.ModuleList(blocks)
        self.attn = nn.ModuleList(Attention(width) for _ in blocks if attends)

    def apply_block(self, index: int, x: Tensor, time: Tensor) -> Tensor:
        x = self.block[index](x, time)
        return self.attn[index](x) if self.attn else x


class DdpmUNet(nn.Module):
    """The network. attention: side in pixels of the maps that have it, for pictures of `size` pixels."""

    def __init__(self, channels: int, multipliers: tuple[int, ...], blocks: int, size: int, attention: tuple[int, ...]):
        super().__init__()
        self.channels, self.blocks, time = channels, blocks, 4 * channels
        self.temb = nn.Module()
        self.temb.dense = nn.ModuleList([nn.Linear(channels, time), nn.Linear(time, time)])
        self.conv_in = nn.Conv2d(3, channels, 3, padding=1)
        widths = [channels * multiplier for multiplier in multipliers]
        attends = [size >> level in attention for level in range(len(widths))]
        self.down, now, kept = nn.ModuleList(), channels, [channels]
        for level, width in enumerate(widths):
            inputs = [now] + [width] * (blocks - 1)
            self.down.append(Level([ResnetBlock(i, width, time) for i in inputs], width, attends[level]))
            now, kept = width, kept + [width] * blocks
            if level < len(widths) - 1:
                self.down[level].downsample = Resample(width, 2)
                kept.append(width)
        self.mid = nn.Module()
        self.mid.block_1, self.mid.attn_1, self.mid.block_2 = (
            ResnetBlock(now, now, time),
            Attention(now),
            ResnetBlock(now, now, time),
        )
        levels = []
        for level, width in reversed(list(enumerate(widths))):
            inputs = [now + kept.pop()] + [width + kept.pop() for _ in range(blocks)]
            levels.insert(0, Level([ResnetBlock(i, width, time) for i in inputs], width, attends[level]))
            now = width
            if level > 0:
                levels[0].upsample = Resample(width, 1)
        self.up = nn.ModuleList(levels)
        self.norm_out, self.conv_out = norm(now), nn.Conv2d(now, 3, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, _label: int | None = None) -> Tensor:
        """x: (N, 3, H, W). time: (N,), whole or not. Returns (N, 3, H, W)."""
        half = self.channels // 2
        angles = time[:, None] * (-math.log(10000) * torch.arange(half) / (half - 1)).exp()
        told = self.temb.dense[0](torch.cat([angles.sin(), angles.cos()], dim=1))
        told = self.temb.dense[1](swish(told))
        h = self.conv_in(x)
        kept = [h]
        for level in self.down:
            for index in range(self.blocks):
                h = level.apply_block(index, h, told)
                kept.append(h)
            if hasattr(level, "downsample"):
                h = level.downsample(h)
                kept.append(h)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h, told)), told)
        for level in reversed(self.up):
            for index in range(self.blocks + 1):
                h = level.apply_block(index, torch.cat([h, kept.pop()], dim=1), told)
            if hasattr(level, "upsample"):
                h = level.upsample(h)
        return self.conv_out(swish(self.norm_out(h)))


def narrow() -> nn.Module:
    """Of 32 channels instead of 128."""
    return DdpmUNet(32, (1, 2, 4), 1, 256, (64,))


def published() -> nn.Module:
    """As the CelebA-HQ checkpoint has it: 113.67 million parameters."""
    return DdpmUNet(128, (1, 1, 2, 2, 4, 4), 2, 256, (16,))

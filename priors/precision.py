"""What a network computes in: float32, or bfloat16 where the device is faster in it.

Everything around the network stays in float32. On four photographs and from 0.005 to 5 on the [-1, 1] scale, the
bundled priors answer at most 0.02 dB worse in bfloat16, 0.02 to 0.6 of 255 rms beside what they answer in float32 (2.3
where a denoiser for weak noise is asked about noise beyond its range).
"""

import time
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

PRECISIONS = ("auto", "float32", "bfloat16")
GAIN = 1.2
"""`auto` takes bfloat16 on a CPU from this on. One with AMX gains 3 in such a trial, one that imitates it loses."""
TRIALS = 5


def network_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type that one of PRECISIONS stands for on `device`."""
    if precision != "auto":
        return getattr(torch, precision)
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and _cpu_is_faster()
    return torch.bfloat16 if fast else torch.float32


class RowByRow(nn.Module):
    """A normalisation of each row by itself.

    How a batch is split among threads changes its sums in the last bit. Rounded to bfloat16, that is a shade which a
    picture would not have alone.
    """

    def __init__(self, norm: nn.GroupNorm):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.norm(row) for row in x.split(1)]) if len(x) > 1 else self.norm(x)


def with_rows_apart(network: nn.Module) -> nn.Module:
    """`network`, changed in place: its rows are the same in any company when they are computed in bfloat16."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm) and not isinstance(module, RowByRow):
                setattr(module, name, RowByRow(child))
    return network


@cache
def _cpu_is_faster() -> bool:
    """By trial: of two CPUs that both have instructions for bfloat16 one gained 1.7 and the other lost as much."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    if not (capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")):
        return False
    trials = [(_seconds(torch.float32), _seconds(torch.bfloat16)) for _ in range(TRIALS)]  # in turn: others work, too
    full, half = map(min, zip(*trials, strict=True))
    return full > GAIN * half


@torch.inference_mode()
def _seconds(dtype: torch.dtype) -> float:
    """Of a convolution like those of a network."""
    picture = torch.ones(1, 64, 128, 128).to(memory_format=torch.channels_last)
    weight = torch.ones(64, 64, 3, 3).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        began = time.perf_counter()
        functional.conv2d(picture, weight, padding=1)
        return time.perf_counter() - began

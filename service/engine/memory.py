"""How much memory the priors of one worker may take."""

import math
import os
from pathlib import Path

import torch

MEBIBYTE = 2**20
SHARE = {"cuda": 0.6, "cpu": 0.5, "mps": 0.5}
"""Of the memory of the device, where nothing is said; the rest is for pictures and for what a network computes."""
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of version 2 and of version 1."""


def prior_memory(device: torch.device, given_mb: int, workers: int) -> float:
    """Bytes. given_mb: the setting; 0 for a share of the device, divided among the workers that use it."""
    if given_mb:
        return given_mb * MEBIBYTE
    total = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else host_memory()
    return SHARE[device.type] * total / max(1, workers)


def host_memory(limits: tuple[Path, ...] = CGROUP_LIMITS) -> float:
    """Bytes of memory that this process may use: those of the machine, or of its container."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *(_limit(path) for path in limits)])


def _limit(path: Path) -> float:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # not there, or `max`
        return math.inf

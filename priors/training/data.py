"""The photographs of a run: those it learns from, and those kept out for its validation."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from priors.crops import Crops
from priors.photographs import Photograph, photographs, survey
from priors.training.config import TrainingConfig, TrainingError

HELD_OUT_CAPACITY = 2 * 10**8
"""Bytes of decoded photographs: the crops of the validation are cut once."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    learnt: Crops
    held_out: Crops
    count: int
    held_out_count: int
    decoded_bytes: int
    """Of the photographs that are learnt from, all of them."""
    digest: str
    """SHA-256 of names and sizes: a resumed run must find the photographs that it began with."""


def gather(config: TrainingConfig) -> Data:
    """Survey the data folder. Raises TrainingError where there is too little to train on."""
    folder = Path(config.data)
    if not folder.is_dir():
        raise TrainingError(f"--data {folder} is no folder")
    usable = _large_enough(survey(photographs(folder)), min(config.crop_sizes))
    held_out = usable[:: config.holdout_every]
    learnt = [photograph for number, photograph in enumerate(usable) if number % config.holdout_every]
    if not learnt:
        raise TrainingError(f"--data {folder} has {len(usable)} photographs that can be used: at least 2 are needed")
    largest = max(min(photograph.width, photograph.height) for photograph in learnt)
    if largest < max(config.crop_sizes):
        raise TrainingError(f"--crop-sizes {max(config.crop_sizes)}: no photograph is larger than {largest} px")
    names = "".join(f"{p.path.relative_to(folder).as_posix()} {p.width} {p.height}\n" for p in usable)
    capacity = int(config.cache_gb * 1e9)
    return Data(
        learnt=Crops(learnt, config.min_scale, config.seed, config.symmetries, capacity),
        held_out=Crops(held_out, config.min_scale, config.seed, config.symmetries, HELD_OUT_CAPACITY),
        count=len(learnt),
        held_out_count=len(held_out),
        decoded_bytes=sum(photograph.bytes for photograph in learnt),
        digest=hashlib.sha256(names.encode()).hexdigest(),
    )


def _large_enough(found: list[Photograph], side: int) -> list[Photograph]:
    usable = [photograph for photograph in found if min(photograph.width, photograph.height) >= side]
    if len(usable) < len(found):
        logger.warning("%d of %d pictures are smaller than %d px", len(found) - len(usable), len(found), side)
    return usable

"""What a prior costs to have: seconds to load, memory, size: `python -m benchmarks.priors`. Linux only (reads /proc).

Each prior is loaded in a fresh process that has imported torch and diffusers already. The seconds are the median of
several loads and include the digest of the weights; the memory is what the first load leaves in place, and what it took
at its peak.
"""

import argparse
import math
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from safetensors import safe_open

from benchmarks.processes import peak_mib, resident_mib
from benchmarks.report import Row, publish
from priors.manifest import PriorInfo
from priors.shelf import Shelf
from priors.store import load_prior
from service.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.priors", description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, nargs="+", help="folders of priors; default: those of the service")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    shelf = Shelf(*arguments.models) if arguments.models else Settings().shelf
    rows = [measure(shelf.home(info.name), info, arguments.repeats) for info in shelf.manifests()]
    publish("priors", rows, {"repeats": arguments.repeats})


def measure(models_dir: Path, info: PriorInfo, repeats: int) -> Row:
    sizes = weights(models_dir / info.name)
    return {
        "prior": info.name,
        "predicts": info.parameterisation,
        "parameters M": sum(parameters for parameters, _ in sizes) / 1e6,
        "file MB": sum(size for _, size in sizes) / 1e6,
        "float32 MB": sum(parameters for parameters, _ in sizes) * 4 / 1e6,
    } | in_fresh_process(models_dir, info.name, repeats)


def weights(folder: Path) -> list[tuple[int, int]]:
    """Parameters and bytes of every safetensors file of a prior."""
    found = []
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "pt") as file:
            parameters = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
        found.append((parameters, path.stat().st_size))
    return found


def in_fresh_process(models_dir: Path, name: str, repeats: int) -> Row:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=load, args=(models_dir, name, repeats, theirs))
    process.start()
    theirs.close()  # so that a process that fails is heard of
    row = ours.recv()
    process.join()
    return row


def load(models_dir: Path, name: str, repeats: int, answer: Connection) -> None:
    from diffusers import UNet2DModel  # noqa: F401 - its two seconds are the worker's start, not the prior's

    before, seconds = resident_mib(), []
    for number in range(repeats):
        began = time.perf_counter()
        prior = load_prior(models_dir, name, torch.device("cpu"))
        seconds.append(time.perf_counter() - began)
        if number == 0:
            growth, peak = resident_mib() - before, peak_mib() - before
        del prior
    answer.send({"load s": statistics.median(seconds), "grows MiB": growth, "peak MiB": peak})


if __name__ == "__main__":
    main()

"""What sharing denoiser calls is worth: jobs at once against the same one by one: `python -m benchmarks.sharing`."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.overhead import picture, png
from benchmarks.report import publish
from client import Rediffuse
from tests.service_process import running_service

OPTIONS: dict[str, dict[str, Any]] = {
    "red_diff": {"noise": {"sigma_255": 15}, "params": {"mode": "fast", "steps": 20}},
    "score_dvi": {"params": {"mode": "fast", "beta0": 0.05, "sweeps": 6, "tolerance": 0.0}},  # whatever the picture
}
"""By solver: so that every picture takes as many calls."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__.split("\n")[0])
    parser.add_argument("--solver", default="red_diff", choices=OPTIONS)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    pictures = [png(picture(arguments.side, seed)) for seed in range(arguments.jobs)]
    options = {"solver": arguments.solver, "seed": 1} | OPTIONS[arguments.solver]
    serial, together, batches = [], [], []
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        client = Rediffuse(service.url)
        client.wait(client.denoise(pictures[0], **options))  # the prior is warm from here on
        for _ in range(arguments.repeats):
            began = time.perf_counter()
            for data in pictures:
                client.wait(client.denoise(data, **options))
            serial.append(time.perf_counter() - began)
            began = time.perf_counter()
            jobs = [client.denoise(data, **options) for data in pictures]
            ended = [client.wait(job) for job in jobs]
            together.append(time.perf_counter() - began)
            batches.append(statistics.mean(job.timings.mean_batch for job in ended))
    row = {
        "solver": arguments.solver,
        "side": arguments.side,
        "jobs": arguments.jobs,
        "one by one s": statistics.median(serial),
        "at once s": statistics.median(together),
        "ratio": statistics.median(serial) / statistics.median(together),
        "mean batch": statistics.median(batches),
    }
    publish("sharing" if arguments.solver == "red_diff" else "sharing-photographs", [row], vars(arguments))


if __name__ == "__main__":
    main()

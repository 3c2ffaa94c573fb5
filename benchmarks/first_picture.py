"""Time from `git clone` to the first restored picture: `python -m benchmarks.first_picture`.

Clones this checkout into a fresh folder, runs `make serve` there and inpaints one picture with curl's own request, as a
newcomer would. The time includes creating the virtual environment and installing every dependency.
"""

import argparse
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np

from benchmarks.overhead import picture, png
from benchmarks.report import publish
from solvers.operators.holes import random_pixels
from tests.service_process import ROOT, free_port


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_picture", description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=256)
    arguments = parser.parse_args()
    mask = np.where(random_pixels(arguments.side, arguments.side, 0.5, 0).numpy(), 0, 255).astype(np.uint8)
    uploads = {"image": png(picture(arguments.side)), "mask": png(mask)}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder) / "rediffuse"
        began = time.perf_counter()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
        environment = os.environ | {"REDIFFUSE_PORT": str(port)}
        serve = subprocess.Popen(["make", "serve"], cwd=checkout, env=environment, start_new_session=True)
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz", serve)
            ready = time.perf_counter()
            headers = {"Prefer": "wait=60", "Accept": "image/png"}
            answer = httpx.post(f"http://127.0.0.1:{port}/v1/inpaint", files=uploads, headers=headers, timeout=120)
            answer.raise_for_status()
            ended = time.perf_counter()
        finally:
            os.killpg(serve.pid, signal.SIGTERM)
            serve.wait(60)
    if answer.headers["content-type"] != "image/png":
        raise SystemExit(f"no picture within a minute: {answer.status_code} {answer.text[:500]}")
    row = {"clone to ready s": ready - began, "first picture s": ended - ready, "in all s": ended - began}
    publish("first_picture", [row], vars(arguments))


def wait_for(url: str, process: subprocess.Popen) -> None:
    while process.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise SystemExit("`make serve` ended before it was ready")


if __name__ == "__main__":
    main()

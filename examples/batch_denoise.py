"""Denoise a folder: .venv/bin/python examples/batch_denoise.py noisy/ clean/

All jobs are on the service at once, so that they share the denoiser. `rediffuse denoise FOLDER` also resumes after an
interruption and writes a manifest.
"""

import argparse
from collections import Counter
from pathlib import Path

from rich.progress import track

from client import Rediffuse, RediffuseError

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="folder of pictures")
    parser.add_argument("target", type=Path, help="folder for the results")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()
    pictures = sorted(path for path in arguments.source.iterdir() if path.suffix.lower() in SUFFIXES)

    jobs, found = {}, Counter()
    with Rediffuse(arguments.url) as service:
        for picture in pictures:
            try:
                jobs[picture] = service.denoise(picture)
            except RediffuseError as error:
                found["failed"] += 1
                print(f"{picture.name} was refused: {error}")
        for picture, job in track(jobs.items(), "denoising"):
            try:
                ended = service.wait(job)
                print(service.save(ended, arguments.target / f"{picture.stem}.png"))
                found["found clean" if ended.result.metrics["clean"] else "cleaned"] += 1
            except RediffuseError as error:
                found["failed"] += 1
                print(f"{picture.name}: {error}")
    print(", ".join(f"{found[what]} {what}" for what in ("cleaned", "found clean", "failed")))


if __name__ == "__main__":
    main()

"""Make a picture larger: .venv/bin/python examples/upscale.py small.png large.png --scale 2"""

import argparse
from pathlib import Path

from client import Rediffuse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scale", type=int, default=2, choices=[2, 3, 4, 8])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()

    with Rediffuse(arguments.url) as service:
        job = service.super_resolution(arguments.image, arguments.scale)
        print(f"saved {service.save(job, arguments.output)}")  # waits for the end of the job


if __name__ == "__main__":
    main()

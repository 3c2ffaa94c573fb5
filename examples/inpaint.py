"""Fill what a mask marks as lost: .venv/bin/python examples/inpaint.py photo.jpg mask.png restored.png"""

import argparse
from pathlib import Path

from client import Rediffuse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path, help="white where the image is damaged")
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, help="the same seed gives the same picture")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    arguments = parser.parse_args()

    with Rediffuse(arguments.url) as service:
        options = {} if arguments.seed is None else {"seed": arguments.seed}
        job = service.inpaint(arguments.image, arguments.mask, **options)
        print(f"job {job.id}, seed {job.request['seed']}")
        job = service.wait(job, on_progress=lambda progress: print(f"step {progress.step} of {progress.total_steps}"))
        print(f"saved {service.save(job, arguments.output)}: {job.result.metrics}")


if __name__ == "__main__":
    main()

"""How well a prior denoises, level by level: `python -m priors.evaluation --models DIR --prior NAME --images FOLDER`.

Prints a table and writes it as JSON into the prior's folder, where `priors.card` picks it up.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from priors.base import Prior
from priors.photographs import photographs
from priors.store import load_prior
from priors.tiling import Blend, cut, pad, plan_tiles

LEVELS = tuple(2 * level / 255 for level in (5, 15, 25, 50, 127.5)) + (2.0,)
"""Standard deviations on the [-1, 1] scale: 5, 15, 25, 50 and 127.5 of 255, and 2."""


@dataclass(frozen=True)
class LevelScore:
    """Means over the images at one level."""

    sigma: float
    """Standard deviation of the noise on the [-1, 1] scale."""
    sigma_255: float
    """The same on [0, 255]."""
    psnr_noisy: float
    """dB, peak 2 on [-1, 1]; the noisy image is not clipped."""
    psnr: float
    """dB of the denoised image, clipped to [-1, 1]."""
    calibration: float
    """rms(x0 - noisy) / sigma. For the exact posterior mean, whose error is orthogonal to x, its square is `slope`."""
    slope: float
    """<eps_hat, e> / <e, e> for the noise e: rises with sigma towards 1, a wrongly scaled adapter breaks it."""


def read_image(path: Path, max_side: int) -> Tensor:
    """The centre of a picture, at most `max_side` pixels a side: (1, 3, H, W) in [-1, 1]."""
    image = Image.open(path).convert("RGB")
    width, height = min(image.width, max_side), min(image.height, max_side)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    pixels = np.array(image.crop((left, top, left + width, top + height)))  # (H, W, 3) uint8
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1


@torch.no_grad()
def denoise_tiled(prior: Prior, x: Tensor, sigma: float, sizes: Sequence[int], batch: int = 16) -> Tensor:
    """One image (1, C, H, W) through tiles, `batch` of them a call."""
    grid = plan_tiles(*x.shape[-2:], sizes, prior.info.multiple_of)
    padded, blend = pad(x, grid), Blend(grid)
    for start in range(0, len(grid.origins), batch):
        indices = range(start, min(start + batch, len(grid.origins)))
        tiles = prior.denoise(torch.cat([cut(padded, grid, i) for i in indices]), x.new_full((len(indices),), sigma))
        for row, index in enumerate(indices):
            blend.add(index, tiles[row : row + 1])
    return blend.result()


@torch.no_grad()
def denoise_full(prior: Prior, x: Tensor, sigma: float) -> Tensor:
    """One image (1, C, H, W) in one frame, padded by reflection to the sizes that the network takes."""
    height, width = x.shape[-2:]
    right, bottom = -width % prior.info.multiple_of, -height % prior.info.multiple_of
    padded = functional.pad(x, (0, right, 0, bottom), mode="reflect")
    return prior.denoise(padded, x.new_full((1,), sigma))[..., :height, :width]


def psnr(x: Tensor, clean: Tensor) -> float:
    """dB with the peak 2 of the [-1, 1] scale."""
    return 10 * math.log10(4 / (x - clean).square().mean().item())


def evaluate(
    prior: Prior, images: list[Tensor], levels: Sequence[float], sizes: Sequence[int] | None, seed: int
) -> list[LevelScore]:
    """Denoise all images at all levels. sizes: of the tiles, None for full frames. Image i gets noise i of `seed`."""
    scores = []
    for sigma in levels:
        rows = []
        for index, clean in enumerate(images):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
            noise = torch.randn(clean.shape, generator=generator).to(clean.device)
            noisy = clean + sigma * noise
            x0 = denoise_tiled(prior, noisy, sigma, sizes) if sizes else denoise_full(prior, noisy, sigma)
            residual = (noisy - x0) / sigma  # eps_hat
            calibration = residual.square().mean().sqrt().item()
            slope = ((residual * noise).sum() / noise.square().sum()).item()
            rows.append((psnr(noisy, clean), psnr(x0.clamp(-1, 1), clean), calibration, slope))
        means = [round(float(mean), 4) for mean in np.mean(rows, axis=0)]
        scores.append(LevelScore(round(sigma, 6), round(sigma * 127.5, 4), *means))
    return scores


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m priors.evaluation", description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of priors")
    parser.add_argument("--prior", required=True, help="name of the prior")
    parser.add_argument("--images", type=Path, required=True, help="folder of clean pictures")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--max-side", type=int, default=500, help="larger pictures are cropped to their centre")
    parser.add_argument("--frame", choices=["tiles", "full"], default="tiles", help="tiles is what the service does")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256], help="tile sizes to choose from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves torch's choice")
    parser.add_argument("--out", type=Path, help="default: evaluation-IMAGES.json in the prior's folder")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prior = load_prior(options.models, options.prior, device)
    paths = photographs(options.images)[:: options.every]
    if not paths:
        raise SystemExit(f"{options.images}: no pictures found")
    images = [read_image(path, options.max_side).to(device) for path in paths]
    sizes = options.sizes if options.frame == "tiles" else None
    scores = evaluate(prior, images, LEVELS, sizes, options.seed)
    print(f"{'sigma/255':>9} {'sigma':>8} {'noisy dB':>9} {'PSNR dB':>8} {'calibration':>11} {'slope':>6}")
    for s in scores:
        print(
            f"{s.sigma_255:9.1f} {s.sigma:8.4f} {s.psnr_noisy:9.2f} {s.psnr:8.2f} {s.calibration:11.3f} {s.slope:6.3f}"
        )
    report = {
        "prior": prior.info.name,
        "sha256": prior.info.digest,
        "images": options.images.resolve().name,
        "count": len(images),
        "every": options.every,
        "max_side": options.max_side,
        "tile_sizes": sizes,
        "seed": options.seed,
        "torch": torch.__version__,
        "device": device.type,
        "levels": [dataclasses.asdict(score) for score in scores],
    }
    out = options.out or options.models / options.prior / f"evaluation-{report['images']}.json"
    out.write_text(json.dumps(report, indent=1) + "\n")
    print("written to", out)


if __name__ == "__main__":
    main()

"""A picture of what a prior knows: `python -m priors.samples --models DIR --prior NAME --image PICTURE`.

Writes `samples.png` into the folder of the prior, where `priors.card` picks it up. Above, one picture with rising noise
and what the prior makes of it; below, for a prior that knows levels at which noise drowns everything, pictures that it
draws out of noise alone: the deterministic sampler of Karras et al. 2022 (EDM), algorithm 1.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from priors.base import Prior
from priors.evaluation import LEVELS, denoise_full, read_image
from priors.store import load_prior

SHEET, DIGEST = "samples.png", "sha256 of the weights"
"""The file, and the text in it that tells which weights drew it."""
SIDE = 128
"""Pixels of a picture of the sheet."""
DROWNED = 10.0
"""The level, on the [-1, 1] scale, from which nothing of a picture is left."""
STEPS, RHO = 40, 7.0
"""Steps of the sampler; how they are spaced (EDM, equation 5)."""


@torch.no_grad()
def draw(prior: Prior, count: int, side: int, steps: int, seed: int) -> Tensor:
    """Pictures (count, C, side, side) out of noise, by Heun's method on the probability-flow equation.

    2 steps - 1 denoiser calls. Raises ValueError where the prior does not know a level to begin at.
    """
    info = prior.info
    if info.sigma_max < DROWNED:
        raise ValueError(f"{info.name} knows no level above {info.sigma_max:g}, and cannot draw")
    high, low = min(info.sigma_max, 80.0) ** (1 / RHO), max(info.sigma_min, 0.002) ** (1 / RHO)
    levels = [(high + step / (steps - 1) * (low - high)) ** RHO for step in range(steps)] + [0.0]
    x = levels[0] * torch.randn(count, info.channels, side, side, generator=torch.Generator().manual_seed(seed))
    for sigma, after in zip(levels, levels[1:], strict=False):
        slope = (x - prior.denoise(x, x.new_full((count,), sigma))) / sigma
        reached = x + (after - sigma) * slope
        if after > 0:  # the second half of Heun's step
            slope = (slope + (reached - prior.denoise(reached, x.new_full((count,), after))) / after) / 2
            reached = x + (after - sigma) * slope
        x = reached
    return x


def sheet(prior: Prior, clean: Tensor, levels: Sequence[float], steps: int, seed: int) -> Image.Image:
    """clean: (1, 3, H, W) on [-1, 1]. A column for each level; the third row only where the prior can draw."""
    side = clean.shape[-1]
    rng = torch.Generator().manual_seed(seed)
    noisy = [clean + sigma * torch.randn(clean.shape, generator=rng) for sigma in levels]
    rows = [noisy, [denoise_full(prior, x, sigma) for x, sigma in zip(noisy, levels, strict=True)]]
    if prior.info.sigma_max >= DROWNED and side % prior.info.multiple_of == 0:
        rows.append(list(draw(prior, len(levels), side, steps, seed).split(1)))
    picture = torch.cat([torch.cat(row, dim=-1) for row in rows], dim=-2)[0]  # (3, rows H, levels W)
    return Image.fromarray(((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def read_digest(path: Path) -> str:
    """Of the weights that drew a sheet; empty where it does not tell."""
    with Image.open(path) as image:
        return str(image.info.get(DIGEST, ""))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m priors.samples", description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, required=True, help="folder of priors")
    parser.add_argument("--prior", required=True, help="name of the prior")
    parser.add_argument("--image", type=Path, required=True, help="a clean picture; its centre is taken")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the sampler")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    prior = load_prior(options.models, options.prior, torch.device("cpu"))
    levels = [sigma for sigma in LEVELS if sigma <= prior.info.sigma_max]
    text = PngInfo()
    text.add_text(DIGEST, prior.info.digest)
    out = options.models / options.prior / SHEET
    sheet(prior, read_image(options.image, SIDE), levels, options.steps, options.seed).save(
        out, pnginfo=text, optimize=True
    )
    print("written to", out)


if __name__ == "__main__":
    main()

"""What must hold of a denoiser of photographs, whatever network it is.

An adapter with a wrong scale does not crash; it gives pictures that look almost right. Three figures show it, at every
level, with e the noise and eps_hat what the denoiser takes for it, both over sigma:

    gain           dB of the answer over the noisy picture
    slope          <eps_hat, e> / <e, e>     rises with sigma towards 1
    calibration    |eps_hat| / |e|           its square is the slope for the mean of the posterior, whose error is
                                             orthogonal to what is seen

The bundled prior misses the last by 0.01 above sigma 0.05, released Gaussian denoisers by 0.015 (FFDNet) to 0.084 (a
bias-free DnCNN). Told a level 1.4 times too small or too large, or with 0.8 times its output, it misses it by 0.13 to
0.23.
"""

import math
from dataclasses import asdict, dataclass

from priors.evaluation import LevelScore

SLOPE_FROM = 0.05
"""Level from which on the slopes must be right; below, a photograph's own texture looks like noise."""
SLOPES = (0.5, 1.05)
SLOPE_NOISE = 0.02
"""By which a slope may fall from one level to the next where it has come close to 1."""
CALIBRATION = 0.1
"""Largest difference of calibration and slope."""


@dataclass(frozen=True)
class Verdict:
    """One thing that must hold."""

    what: str
    passed: bool
    why: str


def broken(scores: list[LevelScore]) -> Verdict | None:
    """Where a figure is none, the answer held such values."""
    for score in scores:
        if not all(map(math.isfinite, asdict(score).values())):
            why = f"the answer at sigma {score.sigma:g} holds values that are not finite numbers"
            return Verdict("denoising", False, why)
    return None


def decoded(scores: list[LevelScore]) -> Verdict:
    """A latent prior, whose decoder's error is in every answer, must gain where the noise is more than that."""
    last = scores[-1]
    gain = last.psnr - last.psnr_noisy
    why = f"{gain:+.2f} dB at sigma {last.sigma:g}, the highest level; of a prior on latents nothing else is checked"
    return Verdict("denoising", gain > 0, why)


def gains(scores: list[LevelScore]) -> Verdict:
    """Every answer must be nearer to the picture than the question was."""
    worst = min(scores, key=lambda score: score.psnr - score.psnr_noisy)
    gain = worst.psnr - worst.psnr_noisy
    return Verdict("denoising", gain > 0, f"{gain:+.2f} dB at sigma {worst.sigma:g}, the least gain of all levels")


def slopes(scores: list[LevelScore]) -> Verdict:
    """Within bounds, and rising."""
    relevant = [score for score in scores if score.sigma >= SLOPE_FROM] or scores
    for score in relevant:
        if not SLOPES[0] < score.slope < SLOPES[1]:
            bounds = f"{SLOPES[0]:g} to {SLOPES[1]:g}"
            why = f"{score.slope:.3f} at sigma {score.sigma:g} is not within {bounds}: the adapter's scaling is wrong"
            return Verdict("slope", False, why)
    for below, above in zip(relevant, relevant[1:], strict=False):
        if above.slope < below.slope - SLOPE_NOISE:
            why = f"falls from {below.slope:.3f} to {above.slope:.3f} at sigma {above.sigma:g}: the levels are wrong"
            return Verdict("slope", False, why)
    return Verdict("slope", True, f"rises from {relevant[0].slope:.3f} to {relevant[-1].slope:.3f}")


def calibrations(scores: list[LevelScore]) -> Verdict:
    """Near the slope."""
    relevant = [score for score in scores if score.sigma >= SLOPE_FROM] or scores
    worst = max(relevant, key=lambda score: abs(score.calibration**2 - score.slope))
    difference = worst.calibration**2 - worst.slope
    why = f"calibration^2 - slope is {difference:+.3f} at sigma {worst.sigma:g}, the largest of all levels"
    if abs(difference) < CALIBRATION:
        return Verdict("calibration", True, why)
    return Verdict("calibration", False, f"{why}: it is told a wrong level, or its output has a wrong scale")

"""Parameters of RED-Diff for each task, chosen on crops of training photographs with the bundled prior.

PSNR in dB there, 20 / 40 / 80 calls: half of the pixels missing 32.6 / 32.9 / 32.9 (biharmonic 31.1), strokes over a
quarter 26.4 / 26.5 / 26.6 (25.9), bicubic x2 31.7 / 31.7 / - (Pillow 29.1), x4 27.0 / 27.0 / 27.1 (24.8); denoising in
1 / 8 / 16 calls at 25/255 30.2 / 30.6 / 30.6 (non-local means 28.5).

On six crops of 64 pixels, from the start of the solver, noise on the [-1, 1] scale: Gaussian blur of 1.5 pixels at 0.02
29.5 to 32.1 / 32.1 / 32.0, motion over 9 at 0.02 26.8 to 32.2 / 32.3 / 32.4, blur of 1 and halving at 0.02 28.3 to
32.1 / 32.1 / -; colours of a grey picture 22.8 to 24.9 / 24.4 / 24.1, cut at half the range 33.9 to 36.8 / 37.3 / 37.6,
gamma 2.2 at 0.05 26.8 to 35.5 / 35.4 / -, JPEG of quality 10 26.0 to 27.2 / 27.0 / - and 30 29.9 to 30.7 / 30.6 / -,
2 bits 20.3 to 23.9 / 23.8 / - and 3 bits 27.6 to 31.8 / 30.9 / -. Where the measurement is exact but coarse, more calls
do not help.
"""

import math
from dataclasses import dataclass

from solvers.operators.base import AnyOperator
from solvers.operators.blur import Blur
from solvers.operators.clip import Clip
from solvers.operators.downsample import Downsample
from solvers.operators.gamma import Gamma
from solvers.operators.grey import Grey
from solvers.operators.identity import Identity
from solvers.operators.jpeg import Jpeg
from solvers.operators.mask import Mask
from solvers.operators.quantise import Quantise
from solvers.red_diff import RedDiffParameters

STEPS = {"fast": 20, "balanced": 40, "quality": 80}
DENOISE_STEPS = {"fast": 8, "balanced": 16, "quality": 32}
"""Eight calls see the picture under every symmetry once; more bring little."""


@dataclass(frozen=True)
class Start:
    sigma_max: float
    """A little above the error of the start, a fill or the pseudo-inverse: higher levels forget what is known."""
    prior_weight: float
    """For noisy measurements: at 1 a prior that is not exact smooths too much, by up to 0.9 dB in x4 at noise 0.1, by
    0.4 to 0.8 dB under blurs; not where each pixel was measured alone."""


STARTS = {
    "inpaint": Start(0.3, 0.5),
    "super_resolution": Start(0.6, 0.3),
    "deblur": Start(0.6, 0.3),
    "colourise": Start(10.0, 1.0),
    "hdr": Start(0.6, 1.0),
    "jpeg": Start(0.15, 1.0),
    "tone": Start(0.3, 1.0),
    "restore": Start(0.6, 0.3),
}
"""By task; `restore` is for operators that are none of the others, chains among them."""
TASK_OF: dict[type, str] = {
    Identity: "denoise",
    Mask: "inpaint",
    Downsample: "super_resolution",
    Blur: "deblur",
    Grey: "colourise",
    Clip: "hdr",
    Jpeg: "jpeg",
    Gamma: "tone",
}
"""What restoring the measurement of an operator is called."""


def nearest_task(task: str, operator: AnyOperator) -> str:
    """The task whose start and calibration fit: to `restore` what a single operator has done is the task of that."""
    return TASK_OF.get(type(operator), task) if task == "restore" else task


def preset(task: str, name: str, sigma_y: float, operator: AnyOperator | None = None) -> RedDiffParameters:
    """The parameters of `task` at a preset (fast, balanced, quality).

    sigma_y: noise of the measurement on the [-1, 1] scale. operator: of the task `restore`, see `nearest_task`. The
    symmetry is left open: it belongs to the prior. The figures above are with `dihedral`, which the bundled one has.
    KeyError for another task or preset.
    """
    nearest = task if operator is None else nearest_task(task, operator)
    if nearest == "denoise":
        return RedDiffParameters(steps=DENOISE_STEPS[name])
    start = STARTS[nearest]
    if isinstance(operator, Quantise) and task == "restore":  # the error of the start is known: that of rounding
        start = Start(2 / operator.top / math.sqrt(12), 1.0)
    sigma_max = max(start.sigma_max, sigma_y)
    return RedDiffParameters(steps=STEPS[name], prior_weight=start.prior_weight, sigma_max=sigma_max)

"""Parameters of RED-Diff for each task, chosen on crops of training photographs with the bundled prior.

PSNR in dB there, 20 / 40 / 80 calls: half of the pixels missing 32.6 / 32.9 / 32.9 (biharmonic 31.1), strokes over a
quarter 26.4 / 26.5 / 26.6 (25.9), bicubic x2 31.7 / 31.7 / - (Pillow 29.1), x4 27.0 / 27.0 / 27.1 (24.8); denoising in
1 / 8 / 16 calls at 25/255 30.2 / 30.6 / 30.6 (non-local means 28.5).
"""

from solvers.red_diff import RedDiffParameters

STEPS = {"fast": 20, "balanced": 40, "quality": 80}
DENOISE_STEPS = {"fast": 8, "balanced": 16, "quality": 32}
"""Eight calls see the picture under every symmetry once; more bring little."""
SIGMA_MAX = {"inpaint": 0.3, "super_resolution": 0.6, "deblur": 0.6, "restore": 0.6}
"""A little above the error of the start, a smooth fill or the pseudo-inverse: higher levels forget what is known."""
PRIOR_WEIGHT = {"inpaint": 0.5, "super_resolution": 0.3, "deblur": 0.3, "restore": 0.3}
"""For noisy measurements: at 1 a prior that is not exact smooths too much, by up to 0.9 dB in x4 at noise 0.1, and by
0.5 to 0.7 dB under a Gaussian blur of 1.5 pixels; `restore` is as `deblur`."""


def preset(task: str, name: str, sigma_y: float) -> RedDiffParameters:
    """The parameters of `task` at a preset (fast, balanced, quality); `restore` is for operators without a task.

    sigma_y: noise of the measurement on the [-1, 1] scale. The symmetry is left open: it belongs to
    the prior. The figures above are with `dihedral`, which the bundled one has.
    """
    if task == "denoise":
        return RedDiffParameters(steps=DENOISE_STEPS[name])
    return RedDiffParameters(
        steps=STEPS[name],
        prior_weight=PRIOR_WEIGHT[task],
        sigma_max=max(SIGMA_MAX[task], sigma_y),
    )

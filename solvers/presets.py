"""Parameters of RED-Diff for each task, chosen by measurement on training photographs."""

from solvers.red_diff import RedDiffParameters

STEPS = {"fast": 20, "balanced": 40, "quality": 80}
DENOISE_STEPS = {"fast": 8, "balanced": 16, "quality": 32}
"""Eight calls see the picture under every symmetry once; more bring little."""
SIGMA_MAX = {"inpaint": 0.3, "super_resolution": 0.3}
"""Just above the error of the start, a smooth fill or the pseudo-inverse: higher levels forget what is known."""


def preset(task: str, name: str, sigma_y: float) -> RedDiffParameters:
    """The parameters of `task` (inpaint, super_resolution, denoise) at a preset (fast, balanced, quality).

    sigma_y: noise of the measurement on the [-1, 1] scale. For priors trained on mirrored and turned pictures.
    """
    if task == "denoise":
        return RedDiffParameters(steps=DENOISE_STEPS[name], symmetry="dihedral")
    return RedDiffParameters(steps=STEPS[name], sigma_max=max(SIGMA_MAX[task], sigma_y), symmetry="dihedral")

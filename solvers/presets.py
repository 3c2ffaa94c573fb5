"""Parameters of RED-Diff for each task, chosen by measurement on training photographs."""

from solvers.red_diff import RedDiffParameters

STEPS = {"fast": 20, "balanced": 40, "quality": 80}
SIGMA_MAX = {"inpaint": 2.0, "super_resolution": 0.5}


def preset(task: str, name: str, sigma_y: float) -> RedDiffParameters:
    """The parameters of `task` (inpaint, super_resolution, denoise) at a preset (fast, balanced, quality).

    sigma_y: noise of the measurement on the [-1, 1] scale.
    """
    sigma_max = max(sigma_y, 0.02) if task == "denoise" else SIGMA_MAX[task]
    return RedDiffParameters(steps=STEPS[name], sigma_max=sigma_max)

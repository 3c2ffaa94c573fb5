"""What the scheduler of a diffusers pipeline says about its network, in the fields of `prior.json`."""

from pathlib import Path
from typing import Any

from priors.declaration import check_schedule
from priors.manifest import MANIFEST, PriorError, read_json
from priors.schedules import build_schedule

PREDICTIONS = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
VP_SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler", "DPMSolverMultistepScheduler")
"""Samplers of one and the same kind of network: their configurations name its betas and its prediction."""
VP_KINDS = ("linear", "scaled_linear", "squaredcos_cap_v2")


def scheduler_fields(folder: Path) -> dict[str, Any]:
    """Parameterisation, time map, schedule and levels. What the scheduler leaves out has diffusers' default.

    Reads `scheduler/scheduler_config.json` or `scheduler_config.json`. Raises PriorError for what this project cannot
    read.
    """
    files = ("scheduler/scheduler_config.json", "scheduler_config.json")
    file = next((file for file in files if (folder / file).is_file()), None)
    if file is None:
        raise PriorError(f"prior {folder.name} has no scheduler_config.json: write {MANIFEST} by hand")
    scheduler = read_json(folder, file)
    match scheduler.get("_class_name"):
        case name if name in VP_SCHEDULERS:
            return _from_vp(folder, scheduler)
        case "ScoreSdeVeScheduler":
            # score-SDE's pictures are on [0, 1], where the same level is half as large
            low, high = scheduler.get("sigma_min", 0.01), scheduler.get("sigma_max", 1348.0)
            if not (isinstance(low, float | int) and isinstance(high, float | int)):
                raise PriorError(f"prior {folder.name}: its scheduler_config.json makes no schedule")
            levels = {"sigma_min": 2 * low, "sigma_max": 2 * high}
            return {"parameterisation": "score", "time_map": "sigma", "data_range": [0, 1], **levels}
        case "FlowMatchEulerDiscreteScheduler":
            # its `shift` moves the sampler along the same path and is nothing to the network
            steps = scheduler.get("num_train_timesteps", 1000)
            if steps != 1000:
                raise PriorError(f"prior {folder.name}: a flow with {steps} timesteps is not supported, only 1000")
            levels = {"sigma_min": 1 / (steps - 1), "sigma_max": float(steps - 1)}  # q = 1 / steps to 1 - 1 / steps
            return {"parameterisation": "flow", "time_map": "1000*q", "flow_velocity": "noise-data", **levels}
        case name:
            raise PriorError(f"prior {folder.name}: the scheduler {name!r} is not supported: write {MANIFEST} by hand")


def _from_vp(folder: Path, scheduler: dict[str, Any]) -> dict[str, Any]:
    prediction, kind = scheduler.get("prediction_type", "epsilon"), scheduler.get("beta_schedule", "linear")
    if prediction not in PREDICTIONS or kind not in VP_KINDS or scheduler.get("trained_betas") is not None:
        raise PriorError(
            f"prior {folder.name}: a scheduler with {prediction!r}, {kind!r} or own betas is not supported"
        )
    schedule = {"kind": kind, "steps": scheduler.get("num_train_timesteps", 1000)}
    if kind != "squaredcos_cap_v2":
        schedule |= {"beta_start": scheduler.get("beta_start", 1e-4), "beta_end": scheduler.get("beta_end", 0.02)}
    if scheduler.get("rescale_betas_zero_snr", False):
        schedule["zero_terminal_snr"] = True
    check_schedule(schedule, PREDICTIONS[prediction], folder.name)
    try:
        levels = build_schedule(schedule)
    except ValueError as error:
        raise PriorError(f"prior {folder.name}: its scheduler_config.json makes no schedule: {error}") from error
    return {
        "parameterisation": PREDICTIONS[prediction],
        "time_map": "index",
        "schedule": schedule,
        "sigma_min": levels.sigma_min,
        "sigma_max": levels.sigma_max,
    }

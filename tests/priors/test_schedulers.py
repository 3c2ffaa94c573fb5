"""Schedulers of diffusers, as their own `save_pretrained` writes them; more through `test_adoption.py`."""

from pathlib import Path

import pytest
from diffusers import DDIMScheduler, DDPMScheduler, PNDMScheduler

from priors.manifest import PriorError
from priors.schedulers import scheduler_fields

LATENT = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize(
    ("scheduler", "predicts"),
    [
        (PNDMScheduler(**LATENT, skip_prk_steps=True, steps_offset=1), "eps"),
        (DDIMScheduler(**LATENT, prediction_type="v_prediction", clip_sample=False), "v"),
    ],
    ids=["Stable Diffusion 1.5", "Stable Diffusion 2.1"],
)
def test_latent_models_know_levels_from_a_35th_to_15(tmp_path: Path, scheduler: object, predicts: str) -> None:
    scheduler.save_pretrained(tmp_path / "scheduler")
    fields = scheduler_fields(tmp_path)
    assert (fields["parameterisation"], fields["time_map"]) == (predicts, "index")
    assert fields["schedule"] == {"kind": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012}
    assert (fields["sigma_min"], fields["sigma_max"]) == (
        pytest.approx(0.0292, rel=2e-3),
        pytest.approx(14.61, rel=1e-3),
    )


def test_the_scheduler_of_the_pipeline_comes_before_one_beside_it(tmp_path: Path) -> None:
    DDPMScheduler(prediction_type="sample").save_pretrained(tmp_path)
    assert scheduler_fields(tmp_path)["parameterisation"] == "x0"
    DDPMScheduler(prediction_type="v_prediction").save_pretrained(tmp_path / "scheduler")
    assert scheduler_fields(tmp_path)["parameterisation"] == "v"


def test_a_damaged_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text("[" * 10**5)
    with pytest.raises(PriorError, match="scheduler/scheduler_config.json is not valid JSON"):
        scheduler_fields(tmp_path)

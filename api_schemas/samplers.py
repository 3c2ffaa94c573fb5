"""Parameters of the solvers that sample, as a client sends them; `api_schemas.solvers` has those of RED-Diff.

Defaults and bounds repeat the dataclasses in `solvers/`, so that a client needs no torch; a test compares the two.
Their `num_samples` is a field of the request.
"""

from typing import Annotated, Literal

from pydantic import Field

from api_schemas.base import RequestModel

Steps = Annotated[int, Field(ge=1, le=1000, description="noise levels")]
Eta = Annotated[float, Field(ge=0, le=1, description="share of new noise in each step: 0 is DDIM, 1 is DDPM")]
SigmaMax = Annotated[float, Field(ge=0.01, le=157, description="first noise level, on the [-1, 1] scale")]
SigmaMin = Annotated[float, Field(ge=0.01, le=1, description="last noise level, on the [-1, 1] scale")]


class DpsParams(RequestModel):
    """DPS (Chung et al. 2023): sampling with a step along the gradient of the misfit, through the denoiser."""

    steps: Steps = 100
    step_size: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="zeta, weight of the misfit; chosen by the operator where absent"
    )
    eta: Eta = 1.0
    sigma_max: SigmaMax = 80.0
    sigma_min: SigmaMin = 0.01


class PigdmParams(RequestModel):
    """PiGDM (Song et al. 2023): sampling guided by the pseudo-inverse of the operator, through the denoiser."""

    steps: Steps = 100
    guidance: float = Field(1.0, gt=0, le=100, description="weight of the guidance")
    eta: Eta = 1.0
    sigma_max: SigmaMax = 80.0
    sigma_min: SigmaMin = 0.01


class DdnmParams(RequestModel):
    """DDNM (Wang et al. 2023): sampling of what the operator loses; the rest is taken from the measurement."""

    steps: Steps = 25
    eta: Eta = 1.0
    sigma_max: SigmaMax = 80.0
    sigma_min: SigmaMin = 0.01


class DiffpirParams(RequestModel):
    """DiffPIR (Zhu et al. 2023): a proximal step for the data, then new noise, level by level."""

    steps: Steps = 40
    prior_weight: float = Field(4.0, gt=0, le=100, description="lambda, weight of the prior")
    renoise: float = Field(1.0, ge=0, le=1, description="zeta, share of new noise in each step")
    sigma_max: SigmaMax = 0.5
    sigma_min: SigmaMin = 0.01


class DapsParams(RequestModel):
    """DAPS (Zhang et al. 2024): sampling by decoupled annealing, each level from the posterior at its noise."""

    steps: Steps = 50
    ode_steps: int = Field(2, ge=1, le=100, description="denoiser calls a level")
    data_step: Literal["exact", "langevin"] = Field(
        "exact", description="how a linear measurement is sampled; one that is not linear always by `langevin`"
    )
    langevin_steps: int = Field(100, ge=1, le=1000, description="Langevin steps a level")
    learning_rate: float = Field(
        0.2, gt=0, le=1, description="of Langevin's steps, as a multiple of the smallest variance"
    )
    spread: float = Field(0.2, gt=0, le=1000, description="standard deviation of images, on the [-1, 1] scale")
    sigma_max: SigmaMax = 10.0
    sigma_min: SigmaMin = 0.02

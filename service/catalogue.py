"""What can be asked for: priors on disk, solvers, operators. No torch."""

from typing import Any

from api_schemas.catalogue import OperatorOut, PriorOut, SolverOut
from api_schemas.operators import OPERATORS
from api_schemas.requests import OPTIONS
from api_schemas.solvers import PARAMS, PRESETS
from priors.manifest import PriorInfo
from service.settings import Settings

LINEAR_ONLY = frozenset({"ddnm"})
NEEDS_GRADIENT = frozenset({"dps", "pigdm"})
DENOISERS = frozenset({"score_dvi"})
"""As in `solvers.catalogue`, which imports torch; a test compares them."""


def sampler(name: str, title: str, reference: str, hint: str) -> SolverOut:
    """A solver that draws from the posterior. All take every task, and have one default each."""
    return SolverOut(
        name=name,
        title=title,
        reference=reference,
        tasks=list(OPTIONS),
        operators="linear" if name in LINEAR_ONLY else "any",
        differentiates=name in NEEDS_GRADIENT,
        hint=hint,
        params_schema=PARAMS[name].model_json_schema(),
        presets={},
    )


SAMPLE = "gives one sample of the posterior, or the mean of `num_samples`"
SOLVERS: dict[str, SolverOut] = {
    each.name: each
    for each in (
        SolverOut(
            name="red_diff",
            title="RED-Diff: variational restoration with a diffusion denoiser as regulariser",
            reference="Mardani, Song, Kautz, Vahdat: A Variational Perspective on Solving Inverse Problems with "
            "Diffusion Models, 2023, arXiv:2305.04391",
            tasks=list(OPTIONS),
            operators="any",
            differentiates=False,
            hint="aims at the mean of the posterior with few calls; one denoiser call a step",
            params_schema=PARAMS["red_diff"].model_json_schema(),
            presets=PRESETS,
        ),
        SolverOut(
            name="score_dvi",
            title="ScoreDVI: blind denoising of photographs by score priors and variational inference",
            reference="Cheng, Liu, Tan: Score Priors Guided Deep Variational Inference for Unsupervised Real-World "
            "Single Image Denoising, 2023, arXiv:2308.04682",
            tasks=["denoise"],
            operators="linear",
            differentiates=False,
            hint="for the noise of cameras, which depends on the brightness and is correlated; two denoiser calls a "
            "sweep; tells the posterior deviation and the noise of each pixel; a clean picture comes back as it is",
            params_schema=PARAMS["score_dvi"].model_json_schema(),
            presets={},
        ),
        sampler(
            "dps",
            "DPS: diffusion posterior sampling",
            "Chung et al.: Diffusion Posterior Sampling for General Noisy Inverse Problems, 2023, arXiv:2209.14687",
            f"{SAMPLE}; a denoiser call and its derivative a step; takes any operator",
        ),
        sampler(
            "pigdm",
            "PiGDM: pseudo-inverse guided diffusion",
            "Song, Vahdat, Mardani, Kautz: Pseudoinverse-Guided Diffusion Models for Inverse Problems, 2023",
            f"{SAMPLE}; a denoiser call and its derivative a step",
        ),
        sampler(
            "ddnm",
            "DDNM: restoration in the null space of the operator",
            "Wang, Yu, Zhang: Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model, 2023, "
            "arXiv:2212.00490",
            f"{SAMPLE}; one denoiser call a step; linear operators only",
        ),
        sampler(
            "diffpir",
            "DiffPIR: plug-and-play restoration by a diffusion model",
            "Zhu et al.: Denoising Diffusion Models for Plug-and-Play Image Restoration, 2023, arXiv:2305.08995",
            f"{SAMPLE}; one denoiser call a step",
        ),
        sampler(
            "daps",
            "DAPS: decoupled annealing posterior sampling",
            "Zhang et al.: Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing, 2024, "
            "arXiv:2407.01521",
            f"{SAMPLE}; `ode_steps` denoiser calls a step",
        ),
    )
}


class Catalogue:
    """Reads the priors anew at each call, so that a prior put into the folder is there without a restart."""

    def __init__(self, settings: Settings):
        self.shelf = settings.shelf
        self.default_prior = settings.default_prior
        self.default_denoiser = settings.default_denoiser

    def default_of(self, solver: str, mode: str | None = None) -> str:
        """The prior that `solver` asks where a request names none. A mode that begins in pure noise wants a prior that
        knows such levels."""
        return self.default_denoiser if solver in DENOISERS and mode != "diffusion" else self.default_prior

    def priors(self) -> list[PriorOut]:
        """Every usable prior by name. A damaged one is left out and logged: it must not hide the others."""
        return [self._describe(info) for info in self.shelf.manifests()]

    def prior(self, name: str) -> PriorOut | None:
        return next((prior for prior in self.priors() if prior.id == name), None)

    def _describe(self, info: PriorInfo) -> PriorOut:
        return PriorOut(
            id=info.name,
            is_default=info.name == self.default_prior,
            default_of=[solver for solver in SOLVERS if self.default_of(solver) == info.name],
            kind=info.kind,
            parameterisation=info.parameterisation,
            channels=info.channels,
            size_multiple=info.multiple_of,
            trained_size=info.native_size,
            fully_convolutional=info.fully_convolutional,
            symmetries=info.symmetries,
            sigma_min=info.sigma_min,
            sigma_max=info.sigma_max,
            licence=info.licence,
            digest=info.digest,
        )


def operators() -> list[OperatorOut]:
    return [
        OperatorOut(name=name, description=summary(model.model_json_schema()), params_schema=model.model_json_schema())
        for name, model in OPERATORS.items()
    ]


def summary(schema: dict[str, Any]) -> str:
    return schema["description"].split("\n\n")[0]

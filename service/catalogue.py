"""What can be asked for: priors on disk, solvers, operators. No torch."""

from typing import Any

from api_schemas.catalogue import OperatorOut, PriorOut, SolverOut
from api_schemas.operators import OPERATORS
from api_schemas.solvers import PRESETS, RedDiffParams
from priors.manifest import PriorInfo
from service.settings import Settings

SOLVERS: dict[str, SolverOut] = {
    "red_diff": SolverOut(
        name="red_diff",
        title="RED-Diff: variational restoration with a diffusion denoiser as regulariser",
        reference="Mardani, Song, Kautz, Vahdat: A Variational Perspective on Solving Inverse Problems with Diffusion "
        "Models, 2023, arXiv:2305.04391",
        tasks=["inpaint", "super_resolution", "denoise"],
        params_schema=RedDiffParams.model_json_schema(),
        presets=PRESETS,
    )
}


class Catalogue:
    """Reads the priors anew at each call, so that a prior put into the folder is there without a restart."""

    def __init__(self, settings: Settings):
        self.shelf = settings.shelf
        self.default_prior = settings.default_prior

    def priors(self) -> list[PriorOut]:
        """Every usable prior by name. A damaged one is left out and logged: it must not hide the others."""
        return [self._describe(info) for info in self.shelf.manifests()]

    def prior(self, name: str) -> PriorOut | None:
        return next((prior for prior in self.priors() if prior.id == name), None)

    def _describe(self, info: PriorInfo) -> PriorOut:
        return PriorOut(
            id=info.name,
            is_default=info.name == self.default_prior,
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

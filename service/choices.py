"""Which solver and which prior may do what a request asks for."""

from typing import Any

from pydantic import ValidationError

from api_schemas.catalogue import PriorOut
from api_schemas.operators import is_linear
from api_schemas.solvers import PARAMS
from service.catalogue import DENOISERS, SOLVERS, Catalogue
from service.problems import Refused, refused_by_pydantic, refused_fields, wrong_field
from service.queue.base import Json
from service.shapes import operator_of

LATENT_TASKS = ("inpaint", "super_resolution")
"""What a prior on latents is for: where so much is missing that the error of its decoder does not matter."""


def check_solver(request: Json) -> None:
    """Raises `unknown_solver`, `operator_invalid` where a solver for linear operators is given another, and
    `validation_failed` for what a blind denoiser has not."""
    solver, operator = SOLVERS.get(request["solver"]), operator_of(request)
    if solver is None or request["task"] not in solver.tasks:
        able = ", ".join(name for name, each in SOLVERS.items() if request["task"] in each.tasks)
        detail = f"{request['solver']!r} is not a solver of this task; there are: {able}"
        raise wrong_field("/solver", "unknown", detail, problem_code="unknown_solver")
    if solver.operators == "linear" and operator is not None and not is_linear(operator):
        able = ", ".join(name for name, each in SOLVERS.items() if each.operators == "any")
        detail = f"{solver.name} needs a linear operator; others do not: {able}"
        raise wrong_field("/operator", "nonlinear", detail, problem_code="operator_invalid")
    if solver.name in DENOISERS and request["num_samples"]:
        raise wrong_field("/num_samples", "unsupported", f"{solver.name} draws no samples; `red_diff` does")
    if solver.name in DENOISERS and request["noise"] != "auto" and not any(request["noise"].values()):
        raise wrong_field("/noise", "zero", "there is nothing to remove; give a level above 0, or `auto`")


def choose_priors(catalogue: Catalogue, request: Json) -> Json:
    """The prior by name and digest, and the digests of the further ones of a mixture.

    Raises `not_ready`, `unknown_prior`, `incompatible_prior`, and `validation_failed` for a mixture that names a prior
    twice: its components would be one, at the cost of two.
    """
    chosen = choose_prior(catalogue, request)
    decided = {"prior": chosen.id, "prior_digest": chosen.digest}
    if "components" not in request["params"]:
        return decided
    names, digests = [chosen.id], []
    for number, name in enumerate(request["params"]["components"]):
        pointer = f"/params/components/{number}"
        if name in names:
            detail = (
                f"{name!r} is in the mixture already; name other denoisers than `prior`, here {chosen.id!r}, each once"
            )
            raise wrong_field(pointer, "repeated", detail)
        names.append(name)
        digests.append(known_prior(catalogue, request, name, pointer).digest)
    return decided | {"component_digests": digests}


def choose_prior(catalogue: Catalogue, request: Json) -> PriorOut:
    """That of the request, or the default of its solver in this mode."""
    if request["prior"] is not None:
        return known_prior(catalogue, request, request["prior"], "/prior")
    default = catalogue.default_of(request["solver"], request["params"].get("mode"))
    if catalogue.prior(default) is None:
        raise Refused("not_ready", f"the default prior {default!r} cannot be read")
    return known_prior(catalogue, request, default, "/prior")


def known_prior(catalogue: Catalogue, request: Json, name: str, pointer: str) -> PriorOut:
    """The prior that the field at `pointer` names."""
    prior = catalogue.prior(name)
    if prior is None:
        known = ", ".join(each.id for each in catalogue.priors())
        detail = f"{name!r} is not a prior here; there are: {known}"
        raise wrong_field(pointer, "unknown", detail, problem_code="unknown_prior")
    if prior.kind == "latent" and not suits_latents(request):
        detail = (
            f"{prior.id!r} is a prior on latents, for {' and '.join(LATENT_TASKS)} by `red_diff` in mode `fast` only, "
            "without samples and uncertainty"
        )
        raise wrong_field(pointer, "incompatible", detail, problem_code="incompatible_prior")
    return prior


def suits_latents(request: Json) -> bool:
    is_fast = request["solver"] == "red_diff" and request["params"]["mode"] == "fast"
    has_ensemble = request.get("uncertainty") is not None or request.get("num_samples", 0) > 0
    return request["task"] in LATENT_TASKS and is_fast and not has_ensemble


def params_of(solver: str, sent: dict[str, Any]) -> Json:
    """Every parameter of a solver, from what a client sent. Raises `validation_failed`."""
    try:
        return PARAMS[solver].model_validate(sent, strict=True).model_dump(mode="json")
    except ValidationError as error:
        found = refused_by_pydantic(error, sent).problem.errors
        raise refused_fields(
            [each.model_copy(update={"pointer": f"/params{each.pointer}"}) for each in found]
        ) from None

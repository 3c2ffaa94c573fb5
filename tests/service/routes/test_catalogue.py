"""Priors, solvers, operators, the queue and the limits."""

import jsonschema

from api_schemas.catalogue import InfoOut, PriorOut
from api_schemas.operators import OPERATORS
from service import __version__
from solvers import catalogue as solvers
from tests.service.api import Api, assert_problem
from tests.service.queue.processes import wait_for


def test_priors_are_those_on_disk(idle: Api) -> None:
    broken = idle.context.settings.models_dir / "broken"
    broken.mkdir()
    (broken / "prior.json").write_text("{")
    priors = idle.http.get("/v1/priors").json()["data"]
    # the bundled ones too; a damaged one hides none
    assert [prior["id"] for prior in priors] == ["denoiser-v4", "natural-v0", "natural-v1", "open-v1", "tiny"]
    prior = PriorOut.model_validate(idle.http.get("/v1/priors/tiny").json())
    assert (prior.is_default, prior.size_multiple, prior.digest) == (True, 8, "ab" * 32)
    assert prior.kind == "pixel"
    assert prior.symmetries == "none"  # nothing is taken for granted where a manifest is silent
    assert_problem(idle.http.get("/v1/priors/broken"), "prior_not_found")
    assert_problem(idle.http.get("/v1/priors/%2e%2e"), "prior_not_found")


def test_a_prior_is_loaded_and_unloaded_on_request(api: Api) -> None:
    """Through the queue's database to a running worker, and its answer back."""

    def state() -> str:
        return api.http.get("/v1/priors/tiny").json()["state"]

    assert api.http.post("/v1/priors/tiny/load").status_code == 202
    wait_for(lambda: state() == "ready", "the load")
    assert api.http.post("/v1/priors/tiny/unload").status_code == 202
    wait_for(lambda: state() == "cold", "the unload")


def test_solvers_tell_their_parameters(idle: Api) -> None:
    solver = idle.http.get("/v1/solvers").json()["data"][0]
    assert idle.http.get(f"/v1/solvers/{solver['name']}").json() == solver
    assert set(solver["presets"]) == set(solver["tasks"])
    for params in [params for presets in solver["presets"].values() for params in presets.values()]:
        jsonschema.validate(params, solver["params_schema"])
    assert_problem(idle.http.get("/v1/solvers/magic"), "solver_not_found")


def test_solvers_are_those_that_there_are(idle: Api) -> None:
    listed = {each["name"]: each for each in idle.http.get("/v1/solvers").json()["data"]}
    assert set(listed) == set(solvers.SOLVERS)
    assert {name for name, each in listed.items() if each["differentiates"]} == solvers.NEEDS_GRADIENT
    linear = {name for name, each in listed.items() if each["operators"] == "linear"}
    assert linear == solvers.LINEAR_ONLY | solvers.DENOISERS
    assert {name for name, each in listed.items() if each["tasks"] == ["denoise"]} == solvers.DENOISERS
    assert all(each["hint"] and each["params_schema"]["description"] for each in listed.values())


def test_operators_tell_their_fields(idle: Api) -> None:
    operators = {each["name"]: each for each in idle.http.get("/v1/operators").json()["data"]}
    assert set(operators) == set(OPERATORS)
    assert operators["downsample"]["params_schema"]["properties"]["scale"]["enum"] == [2, 3, 4, 8]
    assert "\n" not in operators["mask"]["description"]


def test_the_queue_is_counted(idle: Api) -> None:
    assert idle.http.get("/v1/queue").json()["queued"] == {"low": 0, "normal": 0, "high": 0}
    idle.submit()
    queue = idle.http.get("/v1/queue").json()
    assert (queue["queued"]["normal"], queue["running"], queue["workers"]) == (1, 0, 0)
    assert queue["oldest_age_s"] >= 0


def test_the_service_tells_its_limits(api: Api) -> None:
    info = InfoOut.model_validate(api.http.get("/v1/info").json())
    assert (info.version, info.default_prior, info.workers) == (__version__, "tiny", 1)
    assert info.limits.max_pixels == api.context.settings.max_pixels

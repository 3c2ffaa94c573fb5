"""Which solver, how many samples and how sure: what is accepted, what it becomes, every refusal."""

from typing import Any

from service.formulate import resolve_parameters
from solvers.operators.identity import Identity
from tests.service.api import Api, MakeApi, add_latent_prior, assert_problem
from tests.service.routes.asking import BLUR, HALF, KERNELS, post, restore


def test_each_solver_has_its_own_parameters(idle: Api) -> None:
    job = restore(idle, BLUR, solver="dps", params={"step_size": 2}).json()
    assert (job["request"]["params"]["step_size"], job["request"]["params"]["steps"]) == (2, 100)
    assert_problem(restore(idle, BLUR, solver="dps", params={"mode": "fast"}), "validation_failed", "/params/mode")
    assert_problem(restore(idle, BLUR, solver="daps", params={"steps": 0}), "validation_failed", "/params/steps")
    assert_problem(restore(idle, {"kind": "clip"}, solver="ddnm"), "operator_invalid", "/operator")
    assert restore(idle, {"kind": "clip"}, solver="dps").status_code == 202


def test_a_retry_keeps_to_the_solver(idle: Api) -> None:
    job = restore(idle, BLUR, solver="dps").json()
    idle.http.post(f"/v1/jobs/{job['id']}/cancel")
    again = idle.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": {"steps": 7}}).json()
    assert (again["request"]["params"]["steps"], again["request"]["params"]["eta"]) == (7, 1.0)
    refused = idle.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": {"mode": "fast", "steps": 0}})
    assert_problem(refused, "validation_failed", "/params/steps")


def test_uncertainty_is_asked_for(idle: Api) -> None:
    job = post(idle, "/v1/deblur", kernel=KERNELS[0], uncertainty={"samples": 4}, num_samples=2).json()
    assert job["request"]["uncertainty"] == {"method": "ensemble", "samples": 4}
    for wrong in ({"samples": 1}, {"samples": 17}, {"method": "guess"}):
        refused = post(idle, "/v1/denoise", uncertainty=wrong)
        assert_problem(refused, "validation_failed", f"/uncertainty/{next(iter(wrong))}")
    assert_problem(post(idle, "/v1/denoise", num_samples=17), "validation_failed", "/num_samples")


def test_samples_fit_into_a_worker_together(make_api: MakeApi) -> None:
    api = make_api(max_sample_pixels=8 * 32 * 24)
    assert restore(api, BLUR, num_samples=8).status_code == 202
    assert_problem(restore(api, BLUR, num_samples=9), "image_too_many_pixels", "/num_samples")
    assert_problem(restore(api, HALF, uncertainty={"samples": 3}), "image_too_many_pixels", "/uncertainty/samples")
    particles = {"mode": "particles", "particles": 9}
    assert_problem(restore(api, BLUR, params=particles), "image_too_many_pixels", "/params/particles")
    job = restore(api, BLUR, params=particles | {"particles": 8}).json()
    api.http.post(f"/v1/jobs/{job['id']}/cancel")
    again = api.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": particles})
    assert_problem(again, "image_too_many_pixels", "/params/particles")


def test_the_denoiser_of_photographs_does_nothing_else(idle: Api) -> None:
    assert_problem(restore(idle, {"kind": "identity"}, solver="score_dvi"), "unknown_solver", "/solver")
    assert_problem(post(idle, "/v1/super-resolution", scale=2, solver="score_dvi"), "unknown_solver", "/solver")
    assert_problem(post(idle, "/v1/denoise", num_samples=2), "validation_failed", "/num_samples")
    for nothing in ({"sigma": 0}, {"sigma_255": 0}):
        assert_problem(post(idle, "/v1/denoise", noise=nothing), "validation_failed", "/noise")
        assert post(idle, "/v1/denoise", noise=nothing, solver="red_diff", num_samples=2).status_code == 202


def test_solvers_have_default_priors_of_their_own(make_api: MakeApi) -> None:
    api = make_api(default_denoiser="natural-v0")
    assert post(api, "/v1/denoise").json()["request"]["prior"] == "natural-v0"
    assert post(api, "/v1/denoise", params={"mode": "diffusion"}).json()["request"]["prior"] == "tiny"
    assert post(api, "/v1/denoise", solver="red_diff").json()["request"]["prior"] == "tiny"
    assert post(api, "/v1/denoise", prior="tiny").json()["request"]["prior"] == "tiny"
    of = {prior["id"]: prior["default_of"] for prior in api.http.get("/v1/priors").json()["data"]}
    assert of["natural-v0"] == ["score_dvi"]
    assert "red_diff" in of["tiny"] and "score_dvi" not in of["tiny"]
    info = api.http.get("/v1/info").json()
    assert (info["default_prior"], info["default_denoiser"]) == ("tiny", "natural-v0")


def test_what_a_mixture_holds_must_fit_into_a_worker(make_api: MakeApi) -> None:
    api = make_api(max_sample_pixels=4 * 32 * 24)
    others = ["natural-v0", "natural-v1", "denoiser-v4", "open-v1"]
    refused = post(api, "/v1/denoise", params={"components": others})
    assert_problem(refused, "image_too_many_pixels", "/params/components")
    assert post(api, "/v1/denoise", params={"components": others[:3]}).status_code == 202
    refused = post(api, "/v1/denoise", params={"mode": "paper"})  # 5 draws
    assert_problem(refused, "image_too_many_pixels", "/params/draws")
    mixture = {"mode": "paper", "draws": 2, "components": others[:2]}  # 2 draws of 3
    assert_problem(post(api, "/v1/denoise", params=mixture), "image_too_many_pixels", "/params/draws")
    paper = {"mode": "paper", "draws": 4}
    assert post(api, "/v1/denoise", params=paper, uncertainty={"samples": 16}).status_code == 202


def test_the_training_of_a_picture_must_end(make_api: MakeApi) -> None:
    api = make_api(max_trained_pixels=400 * 32 * 24)
    refused = post(api, "/v1/denoise", params={"mode": "paper", "iterations": 401})
    assert_problem(refused, "image_too_many_pixels", "/params/iterations")
    job = post(api, "/v1/denoise", params={"mode": "paper"})
    assert job.status_code == 202
    assert post(api, "/v1/denoise", params={"sweeps": 100}).status_code == 202  # which trains nothing
    api.http.post(f"/v1/jobs/{job.json()['id']}/cancel")
    retried = api.http.post(f"/v1/jobs/{job.json()['id']}/retry", json={"params": {"mode": "paper", "iterations": 401}})
    assert_problem(retried, "image_too_many_pixels", "/params/iterations")


def test_a_mixture_names_its_denoisers(idle: Api) -> None:
    named = ["natural-v0", "natural-v1"]
    request = post(idle, "/v1/denoise", params={"components": named}).json()["request"]
    listed = {prior["id"]: prior["digest"] for prior in idle.http.get("/v1/priors").json()["data"]}
    assert (request["prior"], request["params"]["components"]) == ("tiny", named)
    assert request["component_digests"] == [listed[name] for name in named]
    assert post(idle, "/v1/denoise").json()["request"]["component_digests"] == []
    assert "component_digests" not in post(idle, "/v1/denoise", solver="red_diff").json()["request"]


def test_mixtures_that_are_refused(idle: Api) -> None:
    add_latent_prior(idle.context.settings)
    for named, code in ((["natural-v0", "none"], "unknown_prior"), (["natural-v0", "sd"], "incompatible_prior")):
        refused = post(idle, "/v1/denoise", params={"components": named})
        assert_problem(refused, code, "/params/components/1")
    refused = post(idle, "/v1/denoise", params={"components": ["tiny"] * 8})
    assert_problem(refused, "validation_failed", "/params/components")
    refused = post(idle, "/v1/denoise", params={"mode": "diffusion", "components": ["tiny"]})
    assert_problem(refused, "validation_failed", "/params/components")


def test_a_mixture_has_each_denoiser_once(idle: Api) -> None:
    for named, prior in (
        (["natural-v0", "natural-v0"], None),
        (["natural-v0", "tiny"], None),  # the default
        (["tiny", "natural-v0"], "natural-v0"),
    ):
        refused = post(idle, "/v1/denoise", prior=prior, params={"components": named})
        assert named[1] in assert_problem(refused, "validation_failed", "/params/components/1")["detail"]
    assert post(idle, "/v1/denoise", prior="natural-v0", params={"components": ["tiny"]}).status_code == 202


def test_a_retry_without_a_mixture_pins_none(idle: Api) -> None:
    job = post(idle, "/v1/denoise", params={"components": ["natural-v0"]}).json()
    idle.http.post(f"/v1/jobs/{job['id']}/cancel")
    again = idle.http.post(f"/v1/jobs/{job['id']}/retry").json()["request"]
    assert again["component_digests"] == job["request"]["component_digests"]
    changed = idle.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": {"sweeps": 3}}).json()["request"]
    assert (changed["params"]["components"], changed["component_digests"]) == ([], [])


def test_a_preset_is_taken_by_every_solver_and_means_something_to_red_diff(idle: Api) -> None:
    """It is one of the common fields of every request; its description says to whom it matters."""
    listed = idle.http.get("/v1/solvers").json()["data"]
    assert [solver["name"] for solver in listed if solver["presets"]] == ["red_diff"]
    for solver, params, matters in (("red_diff", {}, True), ("red_diff", {"mode": "paper"}, False), ("dps", {}, False)):
        asked = {"solver": solver, "params": params}
        assert (resolved(idle, preset="fast", **asked) != resolved(idle, preset="quality", **asked)) == matters
    assert resolved(idle, preset="fast") == resolved(idle, preset="quality")  # of `score_dvi`


def resolved(api: Api, **fields: Any) -> Any:
    """The parameters that a worker would run a denoising with."""
    request = post(api, "/v1/denoise", **fields).json()["request"]
    return resolve_parameters(request, Identity((3, 24, 32)), 0.2, "none")

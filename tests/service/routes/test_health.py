"""For machines that watch the service."""

from tests.service.api import Api, MakeApi, assert_problem


def test_alive_but_not_ready_without_a_worker(idle: Api) -> None:
    assert idle.http.get("/healthz").json() == {"status": "ok"}
    response = idle.http.get("/readyz")
    assert_problem(response, "not_ready")
    assert response.headers["retry-after"]


def test_ready_with_a_worker_and_a_prior(api: Api) -> None:
    assert api.http.get("/readyz").json() == {"status": "ready"}
    manifest = api.context.settings.models_dir / "tiny" / "prior.json"
    text = manifest.read_text()
    manifest.write_text("{}")
    try:
        assert_problem(api.http.get("/readyz"), "not_ready")
    finally:
        manifest.write_text(text)


def test_health_needs_no_key(make_api: MakeApi) -> None:
    api = make_api(api_keys=["ann:secret"])
    assert api.http.get("/healthz").status_code == 200
    assert api.http.get("/metrics").status_code == 200
    assert_problem(api.http.get("/v1/queue"), "missing_credentials")


def test_the_front_door_leads_to_the_reference(idle: Api) -> None:
    answer = idle.http.get("/", follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"] == "/docs"

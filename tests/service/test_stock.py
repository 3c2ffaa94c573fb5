"""Which priors are warm, and asking for it: the API's side, with workers that are rows in the database."""

import math

import pytest
import torch
from safetensors.torch import save_file

from priors.footprint import WEIGHTS
from service.queue.holdings import Holding, Holdings, Order
from service.queue.liveness import Membership
from tests.service.api import Api, MakeApi, assert_problem

TINY = ("tiny", "ab" * 32)
MIB = 2**20


def worker(api: Api, name: str, priors: dict[tuple[str, str], str], prior_memory: float = math.inf) -> Holdings:
    engine = api.context.retention.engine
    membership = Membership(engine, 20)
    membership.enlist(name)
    membership.mark_ready(name)
    holdings = Holdings(engine)
    holdings.publish(Holding(name, priors, prior_memory, capacity=8))
    return holdings


def weigh(api: Api, mebibytes: int) -> None:
    """Give `tiny` weights of this size in float32."""
    numbers = torch.zeros(mebibytes * MIB // 4, dtype=torch.float16)
    save_file({"weight": numbers}, api.context.settings.models_dir / "tiny" / WEIGHTS)


@pytest.mark.parametrize(
    ("held", "state"),
    [
        ([], "cold"),
        ([{}], "cold"),
        ([{TINY: "loading"}, {}], "loading"),
        ([{TINY: "loading"}, {TINY: "ready"}], "ready"),
        ([{("tiny", "cd" * 32): "ready"}], "cold"),
    ],
)
def test_the_state_is_the_best_that_a_worker_tells(idle: Api, held: list[dict], state: str) -> None:
    for number, priors in enumerate(held):
        worker(idle, str(number), priors)
    assert idle.http.get("/v1/priors/tiny").json()["state"] == state
    listed = {prior["id"]: prior["state"] for prior in idle.http.get("/v1/priors").json()["data"]}
    assert listed["tiny"] == state and listed["natural-v0"] == "cold"


def test_every_worker_is_asked_and_the_state_is_still_what_it_was(idle: Api) -> None:
    holdings = [worker(idle, name, {}) for name in ("one", "two")][0]
    answer = idle.http.post("/v1/priors/tiny/load")
    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (202, "tiny", "cold")
    assert holdings.take_orders("one") == holdings.take_orders("two") == [Order(*TINY, load=True)]
    assert idle.http.post("/v1/priors/tiny/unload").status_code == 202
    assert holdings.take_orders("one") == [Order(*TINY, load=False)]


def test_a_prior_that_fits_nowhere_is_refused_and_otherwise_those_with_room_are_asked(idle: Api) -> None:
    weigh(idle, 3)
    holdings = worker(idle, "small", {}, prior_memory=2 * MIB)
    found = assert_problem(idle.http.post("/v1/priors/tiny/load"), "insufficient_memory")
    assert found["detail"] == "the prior tiny takes 3 MiB, and no worker has more than 2 MiB for priors"
    worker(idle, "large", {}, prior_memory=4 * MIB)
    assert idle.http.post("/v1/priors/tiny/load").status_code == 202
    assert holdings.take_orders("small") == [] != holdings.take_orders("large")


@pytest.mark.parametrize("action", ["load", "unload"])
def test_what_is_not_there_cannot_be_asked_for(idle: Api, action: str) -> None:
    assert_problem(idle.http.post(f"/v1/priors/tiny/{action}"), "not_ready")
    worker(idle, "one", {})
    assert_problem(idle.http.post(f"/v1/priors/other/{action}"), "prior_not_found")


@pytest.mark.parametrize("action", ["load", "unload"])
def test_only_admins_may_ask(make_api: MakeApi, action: str) -> None:
    api = make_api(api_keys=["ann:one", "bob:two"], admins=["ann"])
    worker(api, "one", {})
    ann, bob = ({"Authorization": f"Bearer {secret}"} for secret in ("one", "two"))
    assert_problem(api.http.post(f"/v1/priors/tiny/{action}"), "missing_credentials")
    found = assert_problem(api.http.post(f"/v1/priors/tiny/{action}", headers=bob), "insufficient_scope")
    assert "REDIFFUSE_ADMINS does not name the key 'bob'" in found["detail"]
    assert api.http.post(f"/v1/priors/tiny/{action}", headers=ann).status_code == 202
    assert api.http.get("/v1/priors/tiny", headers=bob).status_code == 200

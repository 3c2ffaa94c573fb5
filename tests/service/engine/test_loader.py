"""One load in a thread of its own."""

import threading

import pytest

from priors.manifest import PriorError
from service.engine.loader import Loader
from service.engine.residency import PriorId
from service.watchdog import Watchdog
from tests.service.engine.parts import PRIOR, WAIT_S

P = PriorId("p")


class Listener(Watchdog):
    """A watchdog that only notes what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, float | None]] = []

    def beat(self, work: str = "step", limit_s: float | None = None) -> None:
        self.heard.append((work, limit_s))

    def rest(self, work: str = "step") -> None:
        self.heard.append((work, None))


def test_a_load_goes_on_beside_the_caller_and_is_given_once() -> None:
    opened, ended, dog = threading.Event(), threading.Event(), Listener()

    def load(wanted: PriorId):
        assert opened.wait(WAIT_S) and wanted == P
        return PRIOR

    loader = Loader(load, ended.set, dog, stall_s=7)
    loader.begin(P)
    assert loader.take() is None and dog.heard == [("load", 7)]
    opened.set()
    assert ended.wait(WAIT_S)
    loaded = loader.take()
    assert loaded is not None and (loaded.id, loaded.prior, loaded.error) == (P, PRIOR, None)
    assert loaded.seconds > 0 and dog.heard == [("load", 7), ("load", None)]
    assert loader.take() is None


@pytest.mark.parametrize(
    "error", [PriorError("damaged"), OSError("gone"), RuntimeError("size mismatch"), KeyError("x")]
)
def test_a_load_that_fails_says_why_and_the_next_may_succeed(error: Exception) -> None:
    ended, answers = threading.Event(), iter([error, PRIOR])

    def load(wanted: PriorId):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    loader = Loader(load, ended.set, Listener(), stall_s=7)
    loader.begin(P)
    assert ended.wait(WAIT_S)
    failed = loader.take()
    assert failed is not None and failed.prior is None and failed.error is error
    ended.clear()
    loader.begin(P)
    assert ended.wait(WAIT_S)
    assert loader.take().prior is PRIOR

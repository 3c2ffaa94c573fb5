"""Engines that end with their test."""

from collections.abc import Callable, Iterator

import pytest

from priors.base import Prior
from service.engine.engine import Engine
from tests.service.engine.parts import PRIOR


@pytest.fixture
def make_engine() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(prior: Prior = PRIOR, **options) -> Engine:
        engines.append(Engine(lambda name: prior, "cpu", **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.stop(drain=False)


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()

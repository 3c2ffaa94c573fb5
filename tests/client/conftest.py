"""A service that answers on a port of its own."""

from collections.abc import Iterator

import pytest

from client import Rediffuse, RetryPolicy
from tests.client.fake_service import FakeService


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as fake:
        yield fake


@pytest.fixture
def quick() -> RetryPolicy:
    """As many retries as usual, without the pauses."""
    return RetryPolicy(base_s=0.001)


@pytest.fixture
def rediffuse(service: FakeService, quick: RetryPolicy) -> Iterator[Rediffuse]:
    with Rediffuse(service.url, retry=quick) as client:
        yield client

"""The command, run in this process against the service of the test."""

from collections.abc import Callable

import pytest
from click.testing import Result
from typer.testing import CliRunner

from client.cli import app
from tests.client.fake_service import FakeService

Run = Callable[..., Result]


@pytest.fixture
def run(service: FakeService) -> Run:
    """`run("jobs", "list")`: what the command printed, and its exit status."""

    def call(*arguments: object, url: str = service.url) -> Result:
        environment = {"REDIFFUSE_URL": url, "COLUMNS": "200", "TERM": "dumb"}
        return CliRunner(env=environment).invoke(app, [str(argument) for argument in arguments])

    return call

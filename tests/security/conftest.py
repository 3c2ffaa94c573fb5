"""The same APIs as in the tests of the service."""

from tests.service.conftest import idle, make_api

__all__ = ["idle", "make_api"]

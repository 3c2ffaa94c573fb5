"""`client.options`: the keyword arguments are the fields of the wire."""

import pytest

from api_schemas import requests
from client import options


@pytest.mark.parametrize("task", ["Inpaint", "SuperResolution", "Denoise"])
def test_every_option_of_the_wire_is_a_keyword_argument(task: str):
    wire = set(getattr(requests, f"{task}Options").model_fields) - {"task", "scale"}
    assert set(getattr(options, f"{task}Options").__annotations__) == wire

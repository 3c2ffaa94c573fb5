"""`client.options`: the keyword arguments are the fields of the wire."""

import pytest

from api_schemas import requests
from client import options


@pytest.mark.parametrize("task", ["Inpaint", "SuperResolution", "Denoise", "Deblur", "Restore", "Apply"])
def test_every_option_of_the_wire_is_a_keyword_argument(task: str):
    positional = {"SuperResolution": {"scale"}, "Deblur": {"kernel"}, "Restore": {"operator"}}
    own = positional.get(task, {"operator", "direction"} if task == "Apply" else set())
    wire = set(getattr(requests, f"{task}Options").model_fields) - {"task"} - own
    assert set(getattr(options, f"{task}Options").__annotations__) == wire

"""Parameters of a solver: frozen dataclasses whose fields carry their bounds, so that the wire can repeat them."""

import dataclasses
import math
from dataclasses import field
from typing import Any


def bounded(default: Any = None, **bounds: Any) -> Any:
    """A field with its default and its bounds: `ge`, `gt`, `le` for a number, `among` for a word."""
    return field(default=default, metadata=bounds)


def check_fields(params: Any) -> None:
    """Raise ValueError naming the first field of the dataclass `params` that is out of its bounds; None is in them."""
    for item in dataclasses.fields(params):
        value = getattr(params, item.name)
        if value is not None:
            check_value(item.name, value, item.metadata)


def check_mode(params: Any, settings: type[Any]) -> None:
    """Raise ValueError naming the first field that is given and that the mode, whose `settings` they are, lacks."""
    own = {item.name for item in dataclasses.fields(settings)} | {"mode"}
    for item in dataclasses.fields(params):
        if item.name not in own and getattr(params, item.name) is not None:
            raise ValueError(f"{item.name}: not a parameter of mode {params.mode!r}")


def check_value(name: str, value: Any, bounds: Any) -> None:
    if "among" in bounds and value not in bounds["among"]:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(bounds['among'])}")
    if "gt" in bounds and not value > bounds["gt"]:  # NaN fails here too
        raise ValueError(f"{name}: {value!r} is not above {bounds['gt']}")
    if "ge" in bounds and not value >= bounds["ge"]:
        raise ValueError(f"{name}: {value!r} is below {bounds['ge']}")
    if "le" in bounds and not value <= bounds["le"]:
        raise ValueError(f"{name}: {value!r} is above {bounds['le']}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: {value!r} is not a number")

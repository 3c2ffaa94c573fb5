"""What `prior.json` says about the network: what it predicts, and how it is told the noise level. Imports no torch.

`parameterisation` and `time_map` choose the adapter of `priors.parameterisation`; each needs at most one more field:

    edm       sigma_data     250*ln(sigma), ln(sigma)/4
    eps       schedule       index
    v         schedule       index
    x0        schedule       index
    flow      flow_velocity  q, 1000*q, 1-q, 1000*(1-q)   where q is the share of the noise
    score                    sigma
    score     schedule       index
    residual                 none                         a blind denoiser: it reads the level off the picture
    residual                 sigma
    denoised                 sigma

Optional for all: `pixel_unshuffle` (1), `learned_variance` (false; true drops the second half of the channels),
`data_range` ([-1, 1]), `class_count` with `class_label` or `null_class`, and what only describes: see `DESCRIPTIVE`.
"""

from dataclasses import dataclass
from typing import Any

from priors.manifest import FIELDS, MANIFEST, OPTIONAL, PriorError, require_fields

OWN_FIELD: dict[str, dict[str, str]] = {
    "edm": {"250*ln(sigma)": "sigma_data", "ln(sigma)/4": "sigma_data"},
    "eps": {"index": "schedule"},
    "v": {"index": "schedule"},
    "x0": {"index": "schedule"},
    "flow": dict.fromkeys(("q", "1000*q", "1-q", "1000*(1-q)"), "flow_velocity"),
    "score": {"sigma": "", "index": "schedule"},
    "residual": {"none": "", "sigma": ""},
    "denoised": {"sigma": ""},
}
"""By parameterisation and time map: the field that the two need besides, empty for none."""
OWN_KINDS: dict[str, type] = {"sigma_data": float, "schedule": dict, "flow_velocity": str}
FLOW_VELOCITIES = ("noise-data", "data-noise")
"""u = eps - x0 and u = x0 - eps."""
SCHEDULES: dict[str, dict[str, type]] = {
    "linear": {"steps": int, "beta_start": float, "beta_end": float},
    "scaled_linear": {"steps": int, "beta_start": float, "beta_end": float},
    "squaredcos_cap_v2": {"steps": int},
    "ve": {"steps": int, "sigma_min": float, "sigma_max": float},
}
"""By kind: its numbers. All but `ve` may say `zero_terminal_snr`."""
MAX_STEPS = 100_000
DESCRIPTIVE = ("trained_crops", "source")
"""Read by people, not by the loader."""
NETWORK_FIELDS: dict[str, type] = {
    "pixel_unshuffle": int,
    "learned_variance": bool,
    "data_range": list,
    "class_count": int,
    "class_label": int,
    "null_class": int,
}


@dataclass(frozen=True)
class Declaration:
    """The checked fields."""

    parameterisation: str
    time_map: str
    sigma_data: float = 0.5
    schedule: dict[str, Any] | None = None
    flow_velocity: str = ""
    pixel_unshuffle: int = 1
    learned_variance: bool = False
    data_range: tuple[float, float] = (-1.0, 1.0)
    class_count: int | None = None
    """Rows of the network's class embedding; None where it has none."""
    label: int | None = None
    """The class that the network is always told."""


def read_declaration(fields: dict[str, Any], name: str) -> Declaration:
    """Check what `prior.json` says about the network. Raises PriorError naming the field."""
    require_fields(fields, {"parameterisation": str, "time_map": str}, name)
    own = _own_field(fields, name)
    known = {*FIELDS, *OPTIONAL, *NETWORK_FIELDS, *DESCRIPTIVE, "time_map", own}
    if unknown := sorted(fields.keys() - known):
        raise PriorError(f"prior {name}: {MANIFEST} has fields that are unknown or contradict the others: {unknown}")
    require_fields(fields, {key: kind for key, kind in NETWORK_FIELDS.items() if key in fields}, name)
    unshuffle, data_range = fields.get("pixel_unshuffle", 1), fields.get("data_range", [-1, 1])
    if not unshuffle > 0:
        raise PriorError(f"prior {name}: {MANIFEST} needs pixel_unshuffle > 0")
    if data_range not in ([-1, 1], [0, 1]):
        raise PriorError(f"prior {name}: data_range {data_range!r} is neither [-1, 1] nor [0, 1]")
    return Declaration(
        parameterisation=fields["parameterisation"],
        time_map=fields["time_map"],
        **({own: fields[own]} if own else {}),
        pixel_unshuffle=unshuffle,
        learned_variance=fields.get("learned_variance", False),
        data_range=(float(data_range[0]), float(data_range[1])),
        class_count=fields.get("class_count"),
        label=_label(fields, name),
    )


def _own_field(fields: dict[str, Any], name: str) -> str:
    """The one field that this parameterisation and time map need besides, after its check; empty for none."""
    parameterisation, time_map = fields["parameterisation"], fields["time_map"]
    if parameterisation not in OWN_FIELD:
        known = ", ".join(OWN_FIELD)
        raise PriorError(f"prior {name}: parameterisation {parameterisation!r} is not supported, only {known}")
    if time_map not in OWN_FIELD[parameterisation]:
        known = ", ".join(OWN_FIELD[parameterisation])
        raise PriorError(f"prior {name}: time_map {time_map!r} is not one of {known}, which {parameterisation} has")
    own = OWN_FIELD[parameterisation][time_map]
    if own:
        require_fields(fields, {own: OWN_KINDS[own]}, name)
    match own:
        case "sigma_data" if not fields[own] > 0:
            raise PriorError(f"prior {name}: {MANIFEST} needs sigma_data > 0")
        case "flow_velocity" if fields[own] not in FLOW_VELOCITIES:
            raise PriorError(f"prior {name}: flow_velocity {fields[own]!r} is not one of {', '.join(FLOW_VELOCITIES)}")
        case "schedule":
            check_schedule(fields[own], parameterisation, name)
    return own


def check_schedule(schedule: dict[str, Any], parameterisation: str, name: str) -> None:
    """Raise PriorError unless `priors.schedules.build_schedule` can be trusted with these fields."""
    require_fields(schedule, {"kind": str}, name)
    kind = schedule["kind"]
    if kind not in SCHEDULES or (kind == "ve") != (parameterisation == "score"):
        raise PriorError(f"prior {name}: the schedule {kind!r} is unknown or not one of {parameterisation}")
    require_fields(schedule, SCHEDULES[kind], name)
    optional = {"zero_terminal_snr": bool} if kind != "ve" else {}
    require_fields(schedule, {key: kind for key, kind in optional.items() if key in schedule}, name)
    if unknown := sorted(schedule.keys() - {"kind", *SCHEDULES[kind], *optional}):
        raise PriorError(f"prior {name}: the schedule {kind!r} has no {unknown}")
    if not 2 <= schedule["steps"] <= MAX_STEPS:
        raise PriorError(f"prior {name}: a schedule has 2 to {MAX_STEPS} steps, not {schedule['steps']}")
    if "beta_end" in schedule and not 0 < schedule["beta_start"] <= schedule["beta_end"] < 1:
        raise PriorError(f"prior {name}: a schedule needs 0 < beta_start <= beta_end < 1")
    if kind == "ve" and not 0 < schedule["sigma_min"] < schedule["sigma_max"] < float("inf"):
        raise PriorError(f"prior {name}: a schedule needs 0 < sigma_min < sigma_max")


def _label(fields: dict[str, Any], name: str) -> int | None:
    """The class that the network is told: `class_label`, else `null_class`; None for a network without classes."""
    count, label = fields.get("class_count"), fields.get("class_label", fields.get("null_class"))
    if count is None and label is None:
        return None
    if count is None or label is None:
        raise PriorError(f"prior {name}: class_count and one of class_label and null_class go together in {MANIFEST}")
    for index in (fields.get("class_label"), fields.get("null_class")):
        if index is not None and not 0 <= index < count:
            raise PriorError(f"prior {name}: there is no class {index} among {count}")
    return int(label)

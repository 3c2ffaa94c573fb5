"""What `prior.json` may say about a network, and what it may not."""

import subprocess
import sys
from typing import Any

import pytest

from priors.declaration import OWN_FIELD, read_declaration
from priors.manifest import PriorError
from tests.priors.unets import EPS_MANIFEST

EPS = EPS_MANIFEST | {"sha256": "ab" * 32}
LINEAR = EPS["schedule"]
FLOW = {key: value for key, value in EPS.items() if key != "schedule"} | {
    "parameterisation": "flow",
    "time_map": "1000*q",
    "flow_velocity": "noise-data",
}


def test_reads_every_field() -> None:
    declared = read_declaration(
        EPS | {"learned_variance": True, "class_count": 1001, "null_class": 1000, "data_range": [0, 1]}, "p"
    )
    assert (declared.parameterisation, declared.time_map, declared.schedule) == ("eps", "index", LINEAR)
    assert (declared.learned_variance, declared.data_range, declared.pixel_unshuffle) == (True, (0.0, 1.0), 1)
    assert (declared.class_count, declared.label) == (1001, 1000)
    assert read_declaration(EPS | {"class_count": 10, "class_label": 3, "null_class": 9}, "p").label == 3
    assert read_declaration(EPS, "p").label is None


@pytest.mark.parametrize(
    ("parameterisation", "time_map"), [(name, time) for name, times in OWN_FIELD.items() for time in times]
)
def test_every_parameterisation_has_what_it_needs_and_nothing_else(parameterisation: str, time_map: str) -> None:
    own = OWN_FIELD[parameterisation][time_map]
    ve = {"kind": "ve", "steps": 10, "sigma_min": 0.01, "sigma_max": 50}
    values: dict[str, Any] = {
        "schedule": ve if parameterisation == "score" else LINEAR,
        "sigma_data": 0.5,
        "flow_velocity": "data-noise",
    }
    fields = {key: value for key, value in EPS.items() if key != "schedule"}
    fields |= {"parameterisation": parameterisation, "time_map": time_map}
    if own:
        assert getattr(read_declaration(fields | {own: values[own]}, "p"), own) == values[own]
        with pytest.raises(PriorError, match=f"prior p: .*'{own}'"):
            read_declaration(fields, "p")
        fields[own] = values[own]
    for foreign in values.keys() - {own}:
        with pytest.raises(PriorError, match=f"contradict the others: ..{foreign}"):
            read_declaration(fields | {foreign: values[foreign]}, "p")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (EPS | {"parametrisation": "v"}, "unknown or contradict .*'parametrisation'"),
        (EPS | {"parameterisation": "consistency"}, "'consistency' is not supported"),
        (EPS | {"time_map": "1000*q"}, "'1000.q' is not one of index"),
        (EPS | {"pixel_unshuffle": 0}, "pixel_unshuffle > 0"),
        (EPS | {"pixel_unshuffle": True}, "'pixel_unshuffle'"),
        (EPS | {"learned_variance": 1}, "'learned_variance'"),
        (EPS | {"data_range": [0, 255]}, "neither"),
        (EPS | {"class_count": 10}, "go together"),
        (EPS | {"class_label": 1}, "go together"),
        (EPS | {"class_count": 10, "class_label": 10}, "no class 10 among 10"),
        (EPS | {"class_count": 10, "class_label": 1, "null_class": -1}, "no class -1 among 10"),
        (EPS | {"schedule": {"kind": []}}, "'kind'"),
        (EPS | {"schedule": {"kind": "sigmoid"}}, "schedule 'sigmoid' is unknown"),
        (EPS | {"schedule": {"kind": "ve", "steps": 5, "sigma_min": 1, "sigma_max": 2}}, "not one of eps"),
        (EPS | {"schedule": LINEAR | {"shift": 3}}, "has no .'shift'"),
        (EPS | {"schedule": LINEAR | {"steps": 1}}, "2 to 100000 steps"),
        (EPS | {"schedule": LINEAR | {"steps": 10**12}}, "2 to 100000 steps"),
        (EPS | {"schedule": LINEAR | {"beta_end": 1.0}}, "beta_end < 1"),
        (EPS | {"schedule": LINEAR | {"beta_start": float("nan")}}, "0 < beta_start"),
        (EPS | {"schedule": LINEAR | {"zero_terminal_snr": "yes"}}, "'zero_terminal_snr'"),
        (FLOW | {"flow_velocity": "data"}, "'data' is not one of noise-data, data-noise"),
    ],
    ids=str,
)
def test_what_is_unknown_or_contradictory_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(PriorError, match=f"prior p: .*{message}"):
        read_declaration(fields, "p")


def test_imports_no_torch() -> None:
    code = "import sys, priors.declaration; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0

"""Measurement operators that are not linear; see `base.Nonlinear`."""

from solvers.operators.base import Nonlinear
from solvers.operators.chain import Chain
from solvers.operators.clip import Clip
from solvers.operators.gamma import Gamma
from solvers.operators.jpeg import Jpeg
from solvers.operators.phase import PhaseRetrieval
from solvers.operators.quantise import Quantise

NONLINEAR: dict[str, type[Nonlinear]] = {
    "clip": Clip,
    "jpeg": Jpeg,
    "quantise": Quantise,
    "gamma": Gamma,
    "phase_retrieval": PhaseRetrieval,
    "chain": Chain,
}
"""Every one by name; what is listed here passes `tests/properties/test_nonlinear.py`."""

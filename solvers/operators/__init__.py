"""Measurement operators; see `base.Operator`."""

from solvers.operators.base import Operator
from solvers.operators.downsample import Downsample
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask

OPERATORS: dict[str, type[Operator]] = {"mask": Mask, "downsample": Downsample, "identity": Identity}
"""Every operator by name; what is listed here passes `tests/properties/test_operators.py`."""

"""Measurement operators; see `base.Operator`."""

from solvers.operators.base import Operator
from solvers.operators.blur import Blur
from solvers.operators.composition import Composition
from solvers.operators.downsample import Downsample
from solvers.operators.grey import Grey
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask
from solvers.operators.matrix import Matrix

OPERATORS: dict[str, type[Operator]] = {
    "mask": Mask,
    "downsample": Downsample,
    "identity": Identity,
    "blur": Blur,
    "grey": Grey,
    "matrix": Matrix,
    "composition": Composition,
}
"""Every linear operator by name; what is listed here passes `tests/properties/test_operators.py`."""

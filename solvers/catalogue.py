"""Every solver by its name, all with one signature: (problem, parameters, noise) to a `Solver`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from solvers.daps import DapsParameters, daps
from solvers.ddnm import DdnmParameters, ddnm
from solvers.diffpir import DiffpirParameters, diffpir
from solvers.dps import DpsParameters, dps
from solvers.noise import NoiseStream
from solvers.pigdm import PigdmParameters, pigdm
from solvers.query import Problem, Solver
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.score_dvi import ScoreDviParameters, score_dvi


class Entry(NamedTuple):
    parameters: type[Any]
    """A frozen dataclass whose constructor raises ValueError naming the field."""
    solve: Callable[[Problem, Any, NoiseStream], Solver]


SOLVERS: dict[str, Entry] = {
    "red_diff": Entry(RedDiffParameters, red_diff),
    "score_dvi": Entry(ScoreDviParameters, score_dvi),
    "dps": Entry(DpsParameters, dps),
    "pigdm": Entry(PigdmParameters, pigdm),
    "ddnm": Entry(DdnmParameters, ddnm),
    "diffpir": Entry(DiffpirParameters, diffpir),
    "daps": Entry(DapsParameters, daps),
}
NEEDS_GRADIENT = frozenset({"dps", "pigdm"})
"""Ask for vector-Jacobian products, which not every prior gives."""
LINEAR_ONLY = frozenset({"ddnm"})
"""Raise OperatorError for an operator that is not linear."""
DENOISERS = frozenset({"score_dvi"})
"""Take the operator `Identity` alone, and one picture at a time."""

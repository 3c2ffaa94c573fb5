"""ScoreDVI as published (Cheng et al. 2023): four networks are trained for every picture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperSettings:
    """`beta0` on the [-1, 1] scale, four times the paper's."""

    beta0: float
    prior_weight: float
    """lambda."""
    components: int = 1
    iterations: int = 400
    draws: int = 5
    learning_rate: float = 1e-3

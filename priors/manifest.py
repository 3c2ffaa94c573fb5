"""What a prior declares about itself, read from `prior.json`. Importable without torch, so the API process can list priors."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PriorInfo:
    """What a prior declares about itself; the service publishes it and plans tiles and memory with it."""

    name: str
    channels: int = 3
    multiple_of: int = 1
    """Height and width of a query must be multiples of this."""
    native_size: int = 64
    """Side in pixels of the crops it was trained on."""
    fully_convolutional: bool = True
    """False for networks with attention: those are only run at `native_size`."""
    sigma_min: float = 0.0
    sigma_max: float = float("inf")
    """Noise range it was trained on, as a standard deviation on the [-1, 1] scale."""
    differentiable: bool = True
    parameterisation: str = "x0"
    licence: str = ""
    digest: str = ""
    """SHA-256 of the weights; empty where there are none."""


class PriorError(Exception):
    """A prior that cannot be used: unknown, damaged, or of a kind that this project does not read."""

"""DiffusionVI (Cheng and Tan 2024): the noise is estimated inside the reverse diffusion."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DiffusionSettings:
    """Levels on the [-1, 1] scale."""

    beta0: float = 0.01
    """b0."""
    steps: int = 100
    temperature: float = 0.2

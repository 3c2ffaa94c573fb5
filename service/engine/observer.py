"""What the engine tells whoever counts: one method for each thing that happens. Called in the engine's thread."""

from typing import Protocol

from service.engine.scheduler import Kind


class EngineObserver(Protocol):
    """Implemented by the metrics. Must be quick, and must not raise."""

    def batch(self, prior: str, tiles: int, seconds: float, kind: Kind) -> None:
        """One prior call over `tiles` tiles took `seconds`."""
        ...

    def step(self, job_id: str, prior: str) -> None:
        """One query of a job was answered in full."""
        ...

    def out_of_memory(self, device: str) -> None:
        """A prior call, or a solver's own work, did not fit."""
        ...

    def prior_loaded(self, prior: str, seconds: float) -> None:
        """A prior is warm from now on."""
        ...

    def prior_evicted(self, prior: str) -> None:
        """A prior is cold again."""
        ...


class Unobserved:
    """Counts nothing."""

    def batch(self, prior: str, tiles: int, seconds: float, kind: Kind) -> None:
        pass

    def step(self, job_id: str, prior: str) -> None:
        pass

    def out_of_memory(self, device: str) -> None:
        pass

    def prior_loaded(self, prior: str, seconds: float) -> None:
        pass

    def prior_evicted(self, prior: str) -> None:
        pass

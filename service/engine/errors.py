"""Why a job ends without a solution. `SolverDiverged` of `solvers.query` is the one that is not the engine's.

EngineError
├── DeadlineExceeded
├── PriorLoadFailed
├── NotDifferentiable
├── OutOfMemory
└── EngineStopped
"""


class EngineError(Exception):
    """The engine could not finish a job."""


class DeadlineExceeded(EngineError):
    """The deadline of the job passed before its solution was there."""


class PriorLoadFailed(EngineError):
    """The prior of the job could not be loaded, is not the one that was meant, or does not fit into the memory."""


class NotDifferentiable(EngineError):
    """The solver differentiates through its prior, and the prior of the job cannot be differentiated."""


class OutOfMemory(EngineError):
    """One tile of the smallest size, or the solver's own work, does not fit into the memory of the device."""


class EngineStopped(EngineError):
    """The engine was stopped, or died, before the job ended. The job itself did nothing wrong."""

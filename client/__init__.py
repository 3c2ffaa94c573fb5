"""Rediffuse from Python: `Rediffuse` for ordinary programs, `AsyncRediffuse` for asyncio. Over HTTP only."""

from api_schemas.images import FileInfo, ImageRef, NoiseLevel, OutputOptions
from api_schemas.jobs import Batch, Job, Progress
from api_schemas.samplers import DapsParams, DdnmParams, DiffpirParams, DpsParams, PigdmParams
from api_schemas.solvers import RedDiffParams
from client._retry import RetryPolicy
from client.async_client import AsyncRediffuse
from client.errors import (
    AuthenticationError,
    ConflictError,
    ConnectionFailed,
    CorruptDownload,
    GoneError,
    InvalidRequestError,
    JobFailedError,
    NotFoundError,
    ProblemError,
    RateLimitedError,
    RediffuseError,
    ServerError,
    UnavailableError,
    UnexpectedAnswer,
    WaitTimeout,
)
from client.events import JobEvent
from client.sync_client import Rediffuse

__all__ = [
    "AsyncRediffuse",
    "AuthenticationError",
    "Batch",
    "ConflictError",
    "ConnectionFailed",
    "CorruptDownload",
    "DapsParams",
    "DdnmParams",
    "DiffpirParams",
    "DpsParams",
    "FileInfo",
    "GoneError",
    "ImageRef",
    "InvalidRequestError",
    "Job",
    "JobEvent",
    "JobFailedError",
    "NoiseLevel",
    "NotFoundError",
    "OutputOptions",
    "PigdmParams",
    "ProblemError",
    "Progress",
    "RateLimitedError",
    "RedDiffParams",
    "Rediffuse",
    "RediffuseError",
    "RetryPolicy",
    "ServerError",
    "UnavailableError",
    "UnexpectedAnswer",
    "WaitTimeout",
]

"""Settings, read once from the environment (prefix `REDIFFUSE_`) by the mains of the processes."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from priors.shelf import Shelf

BUNDLED_PRIORS = Path(__file__).parent.parent / "priors" / "bundled"


class Settings(BaseSettings):
    """Every setting of the service; `REDIFFUSE_PORT=9000 make serve` changes one."""

    model_config = SettingsConfigDict(env_prefix="REDIFFUSE_", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    data_dir: Path = Path("data")
    """Holds the SQLite file and the blobs where the two URLs below are not set."""
    database_url: str = ""
    """`sqlite:///...` or `postgresql+psycopg://...`; empty for a SQLite file in `data_dir`."""
    blob_url: str = ""
    """`file:///...`, `s3://...` or `gs://...`; empty for a folder in `data_dir`."""
    models_dir: Path = BUNDLED_PRIORS
    """Priors of one's own; the bundled ones are there besides."""
    default_prior: str = "natural-v1"
    default_denoiser: str = "denoiser-v4"
    """What `score_dvi` asks where a request names no prior."""
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What networks compute in; `auto` takes bfloat16 where the device is faster in it."""
    threads: int = Field(0, ge=0)
    """CPU threads of a worker; 0 leaves torch's choice."""
    workers: int = Field(1, ge=0, le=64)
    """Worker processes that the supervisor starts."""
    api: bool = True
    """Whether the supervisor starts an API process; a host of workers alone turns it off."""
    api_keys: list[str] = []
    """`["key", ...]`, each `NAME:SECRET`; without any, the service listens on a loopback address only."""
    admins: list[str] = []
    """`["NAME", ...]`: the keys that may load and unload priors. Without any keys, everybody who may ask may."""

    max_file_bytes: int = Field(100 * 2**20, gt=0)
    max_pixels: int = Field(20_000_000, gt=0)
    """Of an input, and of a result."""
    max_apply_pixels: int = Field(2**20, gt=0)
    """Of a picture at `/v1/operators/apply`, which is waited for."""
    max_sample_pixels: int = Field(64_000_000, gt=0)
    """Of all samples of a job together, which a worker holds at one time."""
    max_trained_pixels: int = Field(1_000_000_000, gt=0)
    """Pixels times iterations of `score_dvi` in mode `paper`, which trains networks on the picture."""
    min_side: int = Field(16, ge=2)
    """Shortest side of an input in pixels. A single pixel shows no noise."""
    max_batch_items: int = Field(1000, gt=0)
    max_queued: int = Field(10_000, gt=0)
    retention_s: float = Field(7 * 86400, gt=0)
    """A job and its files are removed this long after the job ended; a file, after its last use."""

    concurrency: int = Field(8, ge=1, le=256)
    """Jobs that a worker solves at one time."""
    max_batch_pixels: int = Field(0, ge=0)
    """Pixels in one prior call; 0 chooses by the device."""
    prior_memory_mb: int = Field(0, ge=0)
    """MiB that the priors of a worker may take together; 0 for a share of the memory of its device."""
    max_attempts: int = Field(5, ge=2, le=20)
    """A job that loses its worker this many times fails as `worker_lost`. The first loss may be a neighbour's deed."""
    drain_s: float = Field(20, ge=0)
    """How long running jobs may go on after SIGTERM before they go back to the queue."""
    stall_s: float = Field(900, gt=0)
    """A worker is ended where one prior call or one step of a solver takes this long: it hangs."""
    load_stall_s: float = Field(3600, gt=0)
    """A worker is ended where loading one prior takes this long: it hangs."""
    lease_s: float = Field(20, gt=1)
    """A host that has not been heard of for this long is dead."""

    @property
    def shelf(self) -> Shelf:
        """Where priors are looked for: among the own ones, then among the bundled ones."""
        return Shelf(self.models_dir, BUNDLED_PRIORS)

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'rediffuse.sqlite'}"

    @property
    def resolved_blob_url(self) -> str:
        return self.blob_url or (self.data_dir.resolve() / "blobs").as_uri()


def read_settings() -> Settings:
    """The settings of this process; ends it with a line for each that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"REDIFFUSE_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors())
        raise SystemExit("\n".join(wrong)) from error

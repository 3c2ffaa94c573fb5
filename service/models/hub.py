"""Priors from the Hugging Face hub: one exact revision, configurations and safetensors and nothing else.

A branch name means other files tomorrow; pickles (`.bin`, `.ckpt`) and Python files can carry code. Neither is taken.
"""

import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # of the HTTP client that the library uses
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import disable_progress_bars

from priors.adoption import adopt
from priors.manifest import MAX_JSON, PriorError
from priors.pipeline import PROMPT
from priors.weights import WEIGHTS

REVISION = re.compile(r"[0-9a-f]{40}")
WANTED = (
    "model_index.json",
    "config.json",
    "scheduler_config.json",
    WEIGHTS,
    "scheduler/scheduler_config.json",
    "unet/config.json",
    f"unet/{WEIGHTS}",
    "vae/config.json",
    f"vae/{WEIGHTS}",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/tokenizer_config.json",
    "tokenizer/special_tokens_map.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    PROMPT,
)
"""What a pixel-space network or a latent pipeline consists of; the last spares the text encoder."""
TIMEOUT_S = 30.0
"""For the answer to a question; the weights may take as long as they take."""


@dataclass(frozen=True)
class Reference:
    """One revision of one repository."""

    repository: str
    revision: str

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"

    @property
    def default_name(self) -> str:
        """What the prior is called where nobody says: the repository without its owner, in the letters of a name."""
        return re.sub(r"[^a-z0-9._-]", "-", self.repository.rpartition("/")[2].lower()).strip("._-")


def parse_reference(text: str) -> Reference:
    """`OWNER/REPOSITORY@REVISION`. Raises PriorError."""
    repository, _, revision = text.partition("@")
    if not REVISION.fullmatch(revision):
        raise PriorError(
            f"{text}: add @ and the 40 hexadecimal digits of a commit, which the hub shows under `Files and versions`; "
            "what a branch or a tag names can change"
        )
    return Reference(repository, revision)


def fetch(
    reference: Reference, folder: Path, *, licence: str | None, endpoint: str | None = None, **options: Any
) -> None:
    """Download a model into `folder` and adopt it there.

    licence: None for what its page on the hub states. endpoint: address of the hub, None for what HF_ENDPOINT names.
    options: those of `priors.adoption.adopt`. Raises PriorError; `folder` may be left half full.
    """
    hub = Hub(endpoint)
    found = hub.look_up(reference)
    licence = licence or stated_licence(found)
    if not licence:
        raise PriorError(f"{reference}: its page on the hub states no licence: say it with --licence")
    hub.download(reference, found, folder)
    adopt(folder, licence=licence, source=f"{hub.api.endpoint}/{reference}", **options)


class Hub:
    """The hub, with its refusals as PriorError."""

    def __init__(self, endpoint: str | None = None):
        """endpoint: address of the hub, for others than HF_ENDPOINT names."""
        self.api = HfApi(endpoint=endpoint)
        if not sys.stderr.isatty():
            disable_progress_bars()

    def look_up(self, reference: Reference) -> ModelInfo:
        """What the hub says of the revision, with its files, their sizes and digests."""
        with self._refusals_told(reference):
            return self.api.model_info(
                reference.repository, revision=reference.revision, files_metadata=True, timeout=TIMEOUT_S
            )

    def download(self, reference: Reference, found: ModelInfo, folder: Path) -> None:
        """Put what is wanted of the revision into `folder`, checked against the digests that the hub states."""
        wanted = choose(found, reference)
        with self._refusals_told(reference):
            snapshot_download(
                reference.repository,
                revision=reference.revision,
                local_dir=folder,
                cache_dir=folder.parent / "cache",
                allow_patterns=wanted,
                endpoint=self.api.endpoint,
            )
        shutil.rmtree(folder / ".cache", ignore_errors=True)  # the library's notes on the download
        for sibling in found.siblings or []:
            if sibling.rfilename in wanted and sibling.lfs is not None:
                check_digest(folder / sibling.rfilename, sibling.lfs.sha256)

    @contextmanager
    def _refusals_told(self, reference: Reference) -> Iterator[None]:
        page = f"{self.api.endpoint}/{reference.repository}"
        try:
            yield
        except OfflineModeIsEnabled as error:
            raise PriorError("HF_HUB_OFFLINE is set, so the hub is not asked: unset it for this command") from error
        except GatedRepoError as error:
            raise PriorError(
                f"{reference.repository} is gated: accept its terms at {page}, and give your token with HF_TOKEN or "
                "`hf auth login`"
            ) from error
        except RepositoryNotFoundError as error:
            raise PriorError(
                f"{self.api.endpoint} has no model {reference.repository}, or not for you: one that is private needs "
                "your token, with HF_TOKEN or `hf auth login`"
            ) from error
        except RevisionNotFoundError as error:
            raise PriorError(f"{reference.repository} has no revision {reference.revision}") from error
        except DisabledRepoError as error:
            raise PriorError(f"{reference.repository} was disabled by the hub") from error
        except HFValidationError as error:
            raise PriorError(f"{reference.repository!r} is not the name of a repository") from error
        except HfHubHTTPError as error:
            raise PriorError(f"{page}: the hub answered {error.response.status_code}; try again later") from error
        except (HTTPError, ConnectionError, XetDownloadError) as error:
            raise PriorError(f"the hub at {self.api.endpoint} cannot be reached: {error}") from error


def choose(found: ModelInfo, reference: Reference) -> list[str]:
    """The files to download. Raises PriorError where there are no weights that can be taken."""
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in found.siblings or []}
    wanted = [name for name in WANTED if name in sizes]
    part = "unet/" if "unet/config.json" in sizes else ""
    if f"{part}{WEIGHTS}" not in sizes:
        raise PriorError(f"{reference}: {missing_weights(part, list(sizes))}")
    needs_encoder = "vae/config.json" in sizes and PROMPT not in sizes
    if needs_encoder and find_spec("transformers") is None:  # said before the weights are downloaded
        raise PriorError(f"{reference}: to encode the prompt of a latent pipeline needs `pip install transformers`")
    for name in wanted:
        if not name.endswith(".safetensors") and sizes[name] > MAX_JSON:
            raise PriorError(f"{reference}: {name} has {sizes[name]} bytes, which is no configuration")
    return wanted


def missing_weights(part: str, names: list[str]) -> str:
    """Why there is nothing to load, and what helps."""
    pickles = [name for name in names if name.startswith(part) and name.endswith((".bin", ".ckpt", ".pt", ".pth"))]
    if not pickles:
        return f"there is no {part}{WEIGHTS} in it"
    return (
        f"its weights are only in {pickles[0]}, a pickle, which can run code where it is read. Look for a revision "
        "with safetensors, such as the pull request of the hub's converter; or save it anew with diffusers, on a "
        "machine where that may happen, and `rediffuse-priors adopt` the folder"
    )


def check_digest(path: Path, sha256: str) -> None:
    """Raises PriorError unless the file is what the hub says it is."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise PriorError(f"{path.name} arrived with the SHA-256 {found[:12]}.., the hub says {sha256[:12]}..")


def stated_licence(found: ModelInfo) -> str:
    """The licence in the hub's model card; empty where it has none."""
    stated = found.card_data.license if found.card_data else None
    return f"{stated}, as its page on the hub says" if isinstance(stated, str) and stated else ""

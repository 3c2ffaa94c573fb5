"""Which folder a prior lies in. Imports no torch: the API process lists priors.

Priors lie in models folders, one folder each. The own ones come first: a name that is in two models folders means the
prior in the first, also where that one is damaged, so that a name means the same to everybody who asks.
"""

import logging
from pathlib import Path

from priors.manifest import MANIFEST, PATTERN, PriorError, PriorInfo, read_manifest

logger = logging.getLogger(__name__)


class Shelf:
    """The priors of several models folders. Read anew at each call: a prior put there is there without a restart."""

    def __init__(self, *models_dirs: Path):
        self.models_dirs = models_dirs

    def home(self, name: str) -> Path:
        """The models folder of prior `name`; the first one where none has it. Raises PriorError for what is no name."""
        if not PATTERN.fullmatch(name):  # checked before the name touches the file system
            raise PriorError(f"there is no prior named {name!r}")
        return next((home for home in self.models_dirs if (home / name / MANIFEST).is_file()), self.models_dirs[0])

    def folders(self) -> list[Path]:
        """The folder of every prior, damaged ones too, by name."""
        found: dict[str, Path] = {}
        for home in reversed(self.models_dirs):
            found |= {path.parent.name: path.parent for path in home.glob(f"*/{MANIFEST}") if path.is_file()}
        return [found[name] for name in sorted(found)]

    def manifests(self) -> list[PriorInfo]:
        """What every prior declares. A damaged one is logged and left out: the others must stay usable."""
        manifests = []
        for folder in self.folders():
            try:
                manifests.append(read_manifest(folder))
            except PriorError as error:
                logger.warning("prior left out of the list: %s", error)
        return manifests

"""How a prior comes into a models folder: prepared beside its place, and moved there in one step when it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from priors.manifest import PATTERN, PriorError
from service.settings import BUNDLED_PRIORS


@contextmanager
def arriving(models_dir: Path, name: str) -> Iterator[Path]:
    """The folder to prepare prior `name` in, which is not there yet; after the block it is one of `models_dir`.

    Where the block raises, nothing of it is left. Raises PriorError for what is no name, for a name that is taken, and
    for the folder of the bundled priors.
    """
    check_place(models_dir, name)
    models_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".arriving-", dir=models_dir) as scratch:
        folder = Path(scratch) / name
        yield folder
        os.rename(folder, models_dir / name)


def check_place(models_dir: Path, name: str) -> None:
    """Raises PriorError unless a prior `name` may be put into `models_dir`."""
    if not PATTERN.fullmatch(name):  # checked before the name touches the file system
        raise PriorError(f"{name!r} is not the name of a prior: use a-z, 0-9, '.', '_' and '-', at most 100 of them")
    check_own(models_dir)
    if os.path.lexists(models_dir / name):
        raise PriorError(f"{models_dir} has a {name} already")


def check_own(models_dir: Path) -> None:
    """Raises PriorError for the folder of the bundled priors: the next version of the package would replace it."""
    if models_dir.resolve() == BUNDLED_PRIORS.resolve():
        raise PriorError("your own priors need a folder of their own: name it with REDIFFUSE_MODELS_DIR or --models")

"""Converts a foreign checkpoint in a process of its own: `python -m service.models.conversion ORDER`.

To read a file that a stranger made is the one moment in which it could do harm. torch's weights-only reader runs no
code of it; should it ever err, or the file ask for all the memory there is, then this process fails and nothing else.
It has no key of the service or of a hub in its environment, and memory in proportion to the file.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from priors.manifest import PriorError

KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
MEMORY_A_BYTE = 8
"""Bytes that may be allocated for each of the file: read, converted, written and loaded once to try it."""
MEMORY_BESIDES = 2 * 2**30


def convert(file: Path, folder: Path, **options: Any) -> None:
    """`priors.conversion.convert.convert_file` in a process of its own. Raises PriorError for whatever goes wrong."""
    order = json.dumps({"path": str(file.absolute()), "folder": str(folder.absolute()), **options})
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
    environment |= {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}  # threads reserve address space
    command = [sys.executable, "-P", "-m", __name__, order]  # -P: no module of the current folder
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        raise PriorError(reason(done))


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Why the process failed: its own words, else the last line of what it wrote while it fell."""
    if done.returncode < 0:
        return f"the conversion was ended by {signal.Signals(-done.returncode).name}"
    told = done.stdout.strip().splitlines()
    if done.returncode == 1 and told:
        return told[-1]
    return f"the conversion failed: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}"


def limit_memory(file: Path) -> None:
    """Bound the address space at what is mapped by now plus what this file may need. Linux only; elsewhere no bound."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        size = file.stat().st_size
    except OSError:
        return
    limit = pages * resource.getpagesize() + MEMORY_A_BYTE * size + MEMORY_BESIDES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    """Returns the exit status; 1 with the reason on standard output."""
    from priors.conversion.convert import convert_file  # torch and all: what is imported now does not count below

    order = json.loads(sys.argv[1])
    file, folder = Path(order.pop("path")), Path(order.pop("folder"))
    limit_memory(file)
    try:
        convert_file(file, folder, **order)
    except PriorError as error:
        print(" ".join(str(error).split()))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

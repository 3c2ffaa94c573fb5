"""Memory of processes, as Linux tells it in /proc."""

import re
from pathlib import Path


def peak_mib(pid: int | str = "self") -> float:
    """Largest resident set of a process so far."""
    return _mib("VmHWM", pid)


def resident_mib(pid: int | str = "self") -> float:
    """Resident set of a process."""
    return _mib("VmRSS", pid)


def _mib(field: str, pid: int | str) -> float:
    match = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match.group(1)) / 1024

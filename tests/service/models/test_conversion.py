"""The process in which a foreign file is read: what it gets, and how it may fail. What it makes is in `test_cli`."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from priors.manifest import PriorError
from service.models import conversion
from service.models.conversion import convert, reason


def test_memory_is_bounded_by_the_size_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    code = f"""
import sys
from pathlib import Path
from service.models import conversion
conversion.limit_memory(Path({str(tmp_path / "file")!r}))
bytearray(conversion.MEMORY_BESIDES // 2)
try:
    bytearray(conversion.MEMORY_BESIDES + 2**24)
except MemoryError:
    sys.exit(7)
"""
    status = subprocess.run([sys.executable, "-c", code], timeout=60).returncode
    assert status == (7 if sys.platform == "linux" else 0)
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY  # of this process


def test_the_process_knows_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in the place of Python writes down what it is given."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nenv\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(conversion.sys, "executable", str(program))
    monkeypatch.setattr(conversion, "reason", lambda done: done.stdout)
    for name in ("REDIFFUSE_API_KEYS", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "topsecret")
    with pytest.raises(PriorError) as caught:
        convert(tmp_path / "file", tmp_path / "folder")
    assert "topsecret" not in str(caught.value)
    assert "HF_HUB_OFFLINE=1" in str(caught.value) and f"PATH={os.environ['PATH']}" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "words"),
    [
        (1, "warning\nx.pt is damaged\n", "", "x.pt is damaged"),
        (-9, "", "", "the conversion was ended by SIGKILL"),
        (-11, "half a li", "", "the conversion was ended by SIGSEGV"),
        (1, "", "Traceback\nMemoryError\n", "the conversion failed: MemoryError"),
        (120, "", "", "the conversion failed: it said nothing"),
    ],
)
def test_however_it_ends_there_is_a_reason(status: int, stdout: str, stderr: str, words: str) -> None:
    assert reason(subprocess.CompletedProcess([], status, stdout, stderr)) == words


def test_an_order_is_one_argument(tmp_path: Path) -> None:
    """Nothing in it is taken for an option of Python."""
    order = json.dumps({"path": "-c", "folder": str(tmp_path / "p"), "licence": "x"})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "service.models.conversion", order], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (
        1,
        "-c is no checkpoint: its name must end in .safetensors, .pt, .pth, .ckpt, .bin",
    )

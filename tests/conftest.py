"""Settings of the whole test run."""

import os

# Two OpenMP threads a process, with several processes on few cores, are slower than one; read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

pytest_plugins = ["tests.databases"]

# Two commands: `make serve` starts the service, `make test` runs the tests. Both build .venv first.
# Settings of the service are environment variables, e.g. `REDIFFUSE_PORT=9000 make serve`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: serve test lint benchmarks clean

serve: .venv/base
	@exec $(BIN)/python -m service

# two processes: the tests wait a lot, and each of them starts processes of its own
test: .venv/dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# what the benchmarks need beyond the tests; then `.venv/bin/python -m benchmarks.quality --help` and its neighbours
benchmarks: .venv/benchmarks

clean:
	rm -rf .venv

.venv/created:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rediffuse needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	@touch $@

# torch goes first and alone: nothing else may decide which build of it is installed
.venv/torch: .venv/created constraints.txt
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt torch
	@touch $@

.venv/base: .venv/torch pyproject.toml constraints.txt
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e .
	@touch $@

.venv/dev: .venv/torch pyproject.toml constraints.txt
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@ .venv/base

.venv/benchmarks: .venv/torch pyproject.toml constraints.txt
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev,benchmarks]'
	@touch $@ .venv/base .venv/dev

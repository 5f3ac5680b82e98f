# The commands of a contributor; `make` lists them.

PYTHON ?= python3
BIN := .venv/bin
# Another installer of packages, such as "uv pip install --quiet --python .venv/bin/python".
INSTALL ?= $(BIN)/pip install --quiet

# Tests start a thousand processes. Without bytecode, each of them would compile all its imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo test test-fast format check docs faults mutants bench

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

run: .venv/installed  ## install Elastic in .venv and run an example
	$(BIN)/elastic example word-count

# ARGUMENTS=--stay leaves the pages open until Ctrl-C.
demo: .venv/installed-test  ## play five days of the event pipeline: S3, database, mail and the service on loopback
	@exec $(BIN)/python examples/event_pipeline/demo.py $(ARGUMENTS)

# The tests that start Ray run beside the others, because they mostly wait for processes. The others run at a lower
# priority, because Ray gives up a start that takes longer than 30 seconds.
test: .venv/installed-test  ## run all tests
	@$(BIN)/pytest -m cluster --numprocesses 2 --dist loadgroup >.venv/cluster.log 2>&1 & cluster=$$!; \
	nice $(BIN)/pytest -m "not cluster" --numprocesses 2 --dist worksteal; plain=$$?; \
	wait $$cluster; status=$$?; cat .venv/cluster.log; exit $$((plain ? plain : status))

test-fast: .venv/installed-test  ## run the tests that need no cluster, database or worker process
	$(BIN)/pytest -m "not cluster and not slow" --hypothesis-profile fast --numprocesses 2 --dist worksteal \
		tests/core tests/dag tests/config tests/contract tests/repository

format: .venv/installed-dev  ## format the code and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: .venv/installed-dev  ## lint, check format, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/installed-docs  ## build the site in build/docs; a warning is an error
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "open build/docs/index.html"

# Simulated faults, crash points and mutants; see docs/internals/reliability.md.
faults: .venv/installed-test  ## run the fault-injection campaign (the short one)
	$(BIN)/python -m tests.faults

# ARGUMENTS="ledger --amount 200" chooses a module and a number of mutants.
mutants: .venv/installed-test  ## change modules in small ways and count the changes that tests catch
	$(BIN)/python -m tests.mutants.count $(ARGUMENTS)

# Takes hours on an idle machine. WORKLOADS='W4 W6' and ROUNDS=3 make it shorter; ARGUMENTS=--quick only checks results.
bench: .venv/installed-bench  ## run the benchmarks and update docs/internals/performance.md
	$(BIN)/python -m benchmarks $(WORKLOADS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGUMENTS)

# Each of these files marks an installation that is as new as pyproject.toml.
.venv/installed: pyproject.toml | .venv
	$(INSTALL) -e .
	touch $@

.venv/installed-%: pyproject.toml | .venv
	$(INSTALL) -e '.[$*]'
	touch $@

.venv:
	$(PYTHON) -m venv $@

# What a newcomer needs: make run, make test. What a change needs: make check as well.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check faults mutants bench

run: .venv/installed
	$(BIN)/elastic example word-count

# One Ray cluster at a time; what needs none, in two processes.
test: .venv/installed-test
	$(BIN)/pytest -m "not cluster" --numprocesses 2 --dist loadfile
	$(BIN)/pytest -m cluster

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Kills, loses and doubles what it can, and counts entries; see docs/reliability.md.
faults: .venv/installed-test
	$(BIN)/python -m tests.faults

# Changes modules in small ways and counts the changes that tests notice; ARGUMENTS="ledger --amount 200" asks for more.
mutants: .venv/installed-test
	$(BIN)/python -m tests.mutants.count $(ARGUMENTS)

# Hours of a machine that has nothing else to do; WORKLOADS='W4 W6' and ROUNDS=3 make it shorter, ARGUMENTS=--quick only
# sees whether all is right. See docs/performance.md.
bench: .venv/installed-bench
	$(BIN)/python -m benchmarks $(WORKLOADS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGUMENTS)

# Each of these files says that an installation is as new as pyproject.toml.
.venv/installed: pyproject.toml | .venv
	$(BIN)/pip install --quiet -e .
	touch $@

.venv/installed-%: pyproject.toml | .venv
	$(BIN)/pip install --quiet -e '.[$*]'
	touch $@

.venv:
	$(PYTHON) -m venv $@

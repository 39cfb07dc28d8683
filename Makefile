# Two commands matter: `make run` and `make test`. Both set everything up in .venv from a bare Python >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

.DEFAULT_GOAL := help
.PHONY: help install run demo test rotation check format bench chaos clean lock

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "chaland needs Python 3.11 or newer; set PYTHON=/path/to/it")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.txt pyproject.toml
	@echo "installing into $(VENV) (a minute, once)"
	$(PIP) -r requirements.txt
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(PIP) -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## set up .venv; the command is then .venv/bin/chaland

run: $(VENV)/.installed ## the engine with a sample town; open the link that it prints
	$(BIN)/chaland demo

demo: $(VENV)/.installed ## thirty seconds of the sample town in the terminal
	$(BIN)/chaland demo --seconds 30 --port 0

test: $(VENV)/.installed-dev ## every test, against real stores
	$(BIN)/python -m pytest -n auto --dist worksteal

rotation: $(VENV)/.installed-dev ## 100,000 subjects to new keys while traffic goes on (some minutes)
	ROTATED_SUBJECTS=100000 $(BIN)/python -m pytest tests/consent/test_rotation.py -k no_lookup_fails

check: $(VENV)/.installed-dev ## format, lint, types, import contracts, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist worksteal

format: $(VENV)/.installed-dev ## put the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed ## what a ping costs, end to end and by stage, latency, memory, peers (ten minutes)
	$(BIN)/chaland bench

chaos: $(VENV)/.installed-dev ## 2 million pings while processes and stores are killed and paused; CHAOS= takes its options
	$(BIN)/python -m tests.service.chaos storm $(CHAOS)

lock: $(VENV)/.made ## resolve pyproject.toml anew into the two hash-locked files
	$(BIN)/python -m pip --disable-pip-version-check install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --output-file requirements.txt pyproject.toml requirements-build.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean: ## remove what was installed and measured; data directories stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

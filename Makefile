# `make help` lists what there is. Everything works on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo serve test quick versions screenshots chromium bench soak format clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing into $(VENV) (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## the main job, end to end, on embedded defaults; stops what it starts
	@$(BIN)/python -m tests.demo run

serve: $(STAMP) ## the same left running, with the admin to log in to
	@$(BIN)/python -m tests.demo serve

test: $(STAMP) chromium ## everything that must hold: format, lint, types, import contracts, migrations, tests
	@BIN=$(BIN) sh .ci/gate

quick: $(STAMP) ## the fast tests alone
	@$(BIN)/python -m pytest -q -m "not acceptance" tests

versions: chromium ## the tests of the database and of the browser on Django 5.2, 6.0 and 6.1; half an hour
	@PYTHON=$(PYTHON) sh .ci/versions

screenshots: $(STAMP) chromium ## take the README's pictures anew from the demo
	@SCREENSHOTS=schematics/screenshots $(BIN)/python -m pytest -q tests/browser/test_screenshots.py

# For the browser tests, which say what is missing where this cannot bring it: only root may, and only where apt is.
chromium:
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing Debian's chromium for the browser tests"; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium; } >/dev/null 2>&1 \
	  || echo "chromium could not be installed: install Debian's package chromium yourself"; fi

bench: $(STAMP) ## measure on this machine and print a table; takes half an hour
	@$(BIN)/python -m tests.benchmarks

soak: $(STAMP) ## ten minutes of random kills, half of them with cut wires on PostgreSQL and Redis; SEED=… replays
	@$(BIN)/python -m tests.faults.soak --minutes 5 --on sqlite $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.faults.soak --minutes 5 --on postgres $(if $(SEED),--seed $(SEED))

format: $(STAMP) ## rewrite the code in the one format
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

clean: ## remove what the other targets made
	@rm -rf $(VENV) var dist build .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

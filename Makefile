# `make help` lists the targets. Everything works on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo serve test quick floors versions screenshots chromium pgbouncer bench soak fuzz format clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1\t\2/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing into $(VENV) (once; a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## run eighteen reports end to end on local defaults, then stop everything
	@$(BIN)/python -m tests.demo run

serve: $(STAMP) ## the same, left running, with an admin to log in to
	@$(BIN)/python -m tests.demo serve

test: $(STAMP) chromium ## the gate: format, lint, types, import contracts, checks, migrations, all tests
	@BIN=$(BIN) sh .ci/gate

quick: $(STAMP) ## the fast tests only: no browser, no cluster, under 90 seconds
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not browser" tests

floors: $(STAMP) ## the fast tests with the lowest declared version of every dependency; three minutes
	@sh .ci/floors

versions: $(STAMP) pgbouncer ## fast tests on pairs of Python, Django and database, and behind poolers; half an hour
	@PYTHON=$(PYTHON) sh .ci/versions

screenshots: $(STAMP) chromium ## retake the README's pictures from the demo
	@SCREENSHOTS=schematics/screenshots $(BIN)/python -m pytest -q tests/browser/test_screenshots.py

# For the tests with a browser or a pooler. Installs only as root and with apt; otherwise the tests say what is missing.
chromium pgbouncer:
	@if ! PATH="$$PATH:/usr/sbin" command -v $@ >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing Debian's $@ for the tests"; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $@; } >/dev/null 2>&1 \
	  || echo "$@ could not be installed: install Debian's package $@ yourself"; fi

bench: $(STAMP) ## measure this machine and print a table; half an hour
	@$(BIN)/python -m tests.benchmarks

soak: $(STAMP) pgbouncer ## ten minutes, or MINUTES=…, of random faults on five setups, then 50,000 random histories of reports and planted faults; SEED=… replays
	@$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))
	@SCHEDULE_SEEDS=$(or $(SEED),$$(shuf -i 10-999999 -n 1))+100 $(BIN)/python -m pytest -q -n 2 tests/services/scheduling/test_schedule_model.py
	@$(BIN)/python -m pytest -q -n 2 tests/services/scheduling/test_planted_faults.py

fuzz: $(STAMP) ## random input for each parser of foreign bytes; an hour, or MINUTES=…
	@FUZZ_SECONDS=$$(($(or $(MINUTES),60) * 60 / 4)) $(BIN)/python -m pytest -q -rP -n 2 tests/fuzz

format: $(STAMP) ## format the code and fix lint
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

clean: ## remove everything that the other targets created
	@rm -rf $(VENV) var dist build .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# What one types here. Everything happens in .venv and build, both made on demand.

# The first Python here that is new enough; another one: make test PYTHON=/path/to/python
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
    $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
    done)
VENV := .venv
BIN := $(VENV)/bin
# Arguments for pytest: make test ARGS='tests/unit -k humanhash'. Without any, all tests are run, and
# several processes share them (tests/turns.py), and a few that fail are tried again and shown.
ARGS ?= -n auto --dist loadfile --no-loadscope-reorder \
    --reruns 1 --max-suite-reruns 4 --rerun-show-tracebacks
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check format messages lint types docs smoke clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/installed ## A site and a cluster at work, in your terminal and browser
	@$(BIN)/python example/demo.py

test: $(VENV)/installed-test ## Prove everything, against real servers
	@scripts/servers $(BIN)/python
	$(BIN)/python -m pytest $(ARGS)

check: lint types docs smoke ## All that must hold before a change goes in, but for the tests
	$(BIN)/python -m pytest -q --noconftest tests/test_architecture.py
	DJANGO_SETTINGS_MODULE=tests.site.settings $(BIN)/python -m django makemigrations --check --dry-run

format: $(VENV)/installed-dev ## Put the code into the house's form
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

messages: $(VENV)/installed-test ## Bring the catalogues of translations up to date
	$(BIN)/python scripts/messages.py

lint: $(VENV)/installed-dev ## Look at the form
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/installed-dev ## Check the types
	$(BIN)/mypy

docs: $(VENV)/installed-dev ## Build the documentation into build/docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

smoke: $(VENV)/installed ## Build the wheel and try it as a newcomer would
	scripts/smoke $(BIN)/python build/smoke

clean: ## Remove what was made here
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment, in three sizes. The files say when each was installed.

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: https://www.python.org/downloads/"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; \
	    exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "Installing Django Q"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(BIN)/python
	@echo "Installing what the tests need"
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing the tools"
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

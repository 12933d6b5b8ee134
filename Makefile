# Run `make` alone to see what there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup train test test-all lint format typecheck bench clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## make .venv and install what requirements.txt names
$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

train: $(STAMP)  ## train the embedded default: tiny model, drawn pictures, no network, no GPU
	$(BIN)/python train.py

test: $(STAMP)  ## the test suite, without the slow tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-all: $(STAMP)  ## every test, slow ones too
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow"

lint: $(STAMP)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

typecheck: $(STAMP)  ## mypy
	$(BIN)/mypy

bench: $(STAMP)  ## measure the claims about speed: ratio, target, verdict
	$(BIN)/python -m bench

clean:  ## remove caches and builds; run folders and .venv stay
	rm -rf .pytest_cache .ruff_cache .mypy_cache build src/*.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

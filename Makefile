# `make demo` and `make test` need nothing but Python (3.11 or later) and the package registry.
#
#   PYTHON       the interpreter the environment is made with      make test PYTHON=python3.12
#   VENV         where the environment lives
#   TORCH_INDEX  URL of an index of CPU wheels of PyTorch. Empty: the registry's default build, which on Linux is the
#                CUDA build of several gigabytes. PyTorch's own "Get Started" page names the URL of its CPU index.
#   OUT          where `make demo` writes
#   FUZZ         how many damaged files `make fuzz` tries, SEED which ones, START from which number on

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
OUT ?= runs/demo
FUZZ ?= 100000
SEED ?= 0
START ?= 0
# Test files go to as many processes as there are cores, four at most: each takes some 2 GB. One thread each.
SPREAD ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest $(SPREAD)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
# A call without output for minutes looks dead, so each step says what it does.
SAY := @printf '%s\n'

.PHONY: help demo test test-slow test-data fuzz lint docs format clean
# Heavy steps come one after the other, also with `make -j`: each wants the cores and the memory for itself.
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@printf '%s\n' \
	  'make demo        install, check the machine, run a short CSI study into $(OUT)' \
	  'make test        install and run the tests' \
	  'make test-slow   the long tests as well' \
  'make test-data   the checks on real data, from the folder that SITETWIN_DATA names' \
	  'make fuzz        $(FUZZ) damaged files for the readers; SEED and START choose others' \
  'make lint        ruff, mypy, and the floors that imports keep to' \
	  'make docs        build the documentation with its examples into build/docs; warnings are errors' \
	  'make format      let ruff rewrite the files' \
	  'make clean       remove the environment and the caches'

# The stamps stand inside the environment, so that removing it removes them.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("sitetwin needs Python 3.11 or later, this is " + sys.version.split()[0] + "; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(SAY) '-- making $(VENV)'
	@$(PYTHON) -m venv $(VENV)

# torch first and alone: whatever would pull a CUDA build later finds its need met.
$(VENV)/.torch: | $(BIN)/python
	$(SAY) '-- installing $(TORCH)'
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	@touch $@

$(VENV)/.package: $(VENV)/.torch pyproject.toml
	$(SAY) '-- installing sitetwin and what it needs'
	@$(PIP) -e . '$(TORCH)'
	@touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml
	$(SAY) '-- installing sitetwin, what it needs and the test tools'
	@$(PIP) -e '.[test]' '$(TORCH)'
	@touch $@ $(VENV)/.package

$(VENV)/.docs: $(VENV)/.torch pyproject.toml
	$(SAY) '-- installing what the documentation needs'
	@$(PIP) -e '.[docs]' '$(TORCH)'
	@touch $@ $(VENV)/.package

demo: $(VENV)/.package
	$(BIN)/sitetwin doctor
	$(BIN)/sitetwin study csi --profile demo --out $(OUT)

test: $(VENV)/.test
	$(PYTEST)

test-slow: $(VENV)/.test
	$(PYTEST) -m 'slow or not slow'

test-data: $(VENV)/.test
	@$(BIN)/python -m tests.real_data

fuzz: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --count $(FUZZ) --seed $(SEED) --start $(START)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs
	$(SAY) '-- build/docs/index.html'

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist docs/gallery docs/reference/api/generated .pytest_cache .mypy_cache .ruff_cache .hypothesis

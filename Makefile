# Set-up, demo, tests and benchmarks. Every target sets up what it needs in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= test,clip,cluster
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1
export QT_QPA_PLATFORM ?= offscreen
export VTK_DEFAULT_OPENGL_WINDOW ?= vtkEGLRenderWindow

.PHONY: help setup demo test pytest lint types imports structure bench slicer-test clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3,10) <= sys.version_info[:2] <= (3,13) else "Python 3.10 to 3.13 is needed (slicer-core has wheels for these); this is " + sys.version.split()[0] + ". Call make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]'
	@touch $@

setup: $(VENV)/.installed ## create .venv with everything

demo: setup ## one whole simulated procedure, with report
	$(BIN)/intradiscalnav demo

test: setup lint types imports structure pytest ## everything CI runs

pytest: setup ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: setup ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy on the Lib packages
	$(BIN)/mypy

imports: setup ## direction of dependencies
	$(BIN)/lint-imports

structure: setup ## CMake lists every file, icons, extension description
	$(BIN)/python Testing/checkStructure.py

slicer-test: ## the pytest suites inside a real Slicer: make slicer-test SLICER=/path/to/Slicer
	$(PYTHON) Testing/runSlicerTests.py "$(SLICER)"

bench: setup ## all benchmarks
	$(BIN)/python -m pip install --quiet -e '.[$(EXTRAS),bench]'
	@for file in Testing/Benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean: ## remove the environment and build products
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Needs Python 3.11 or newer and make, nothing else: .venv is made on first use.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3 2>/dev/null))
BIN := .venv/bin
INSTALLED := .venv/.installed

# One data set a task; a process a core.
DEMO := eurosat,ben_mm,potsdam,pastis_mm,levir_cd,dior,dior_r

.PHONY: demo demo-all test check lint types unit parity table docs clean

demo: $(INSTALLED)  ## the main job on simulated data, from nothing to a table
	$(BIN)/skybench run --model skysense,imagenet,rcf,image_stats --task all --dataset $(DEMO) --data demo --jobs 0 --results runs/demo

demo-all: $(INSTALLED)  ## the same on all sixteen data sets and EuroSAT
	$(BIN)/skybench run --model skysense,imagenet,rcf,image_stats --task all --data demo --jobs 0 --results runs/demo

test: lint types unit  ## what CI runs

check: test

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# One thread a worker: two workers with two threads each would fight over two cores.
unit: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -P -m pytest -q -n 2 --dist loadfile -m "not slow"

parity: $(INSTALLED)  ## every golden, the full-size networks too
	$(BIN)/python -P -m pytest -q tests/parity

table: $(INSTALLED)  ## the generated tables of results/README.md
	$(BIN)/python results/update.py

docs: $(INSTALLED)  ## docs/datasets.md and docs/models.md from the cards
	$(BIN)/python docs/update.py

clean:
	rm -rf .venv build *.egg-info

# A change of the requirements installs again; an interrupted install leaves no mark and starts over.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "skybench needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	@echo "installing torch and the rest into .venv: some minutes, about 6 GB (10 GB of free disk while it installs)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

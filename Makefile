# croupier: `make demo` runs the main job, `make test` proves it; both set everything up by themselves.
SHELL := /bin/bash
BIN := .venv/bin
PYTHON ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export GX_ANALYTICS_ENABLED := false
# our matrices are small: more threads only spin
export OMP_NUM_THREADS ?= 1
# where it is set, each of some hundred processes compiles our modules and the tests anew
unexport PYTHONDONTWRITEBYTECODE
SAMPLE ?= 40
SEED ?= 1
MODULES ?=
.PHONY: help setup demo test test-full check test-numpy2 rehearse test-ray test-privacy test-tune mutants sbom bench bench-learning bench-gpu up down clean

help:  ## what the verbs are
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## .venv with pinned dependencies (quick the second time)
	@PYTHON="$(PYTHON)" .ci/setup

demo: setup  ## the whole loop on real and on simulated users: Airflow, GX, VW, PyTorch, gate, Triton (≤ 10 min)
	@$(BIN)/python -m croupier.dags.demo

test: setup  ## everything, sized for two cores: about twenty minutes
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -m "not alone and not full" -n 5 --dist loadfile --no-loadscope-reorder
	@$(BIN)/pytest -m "slow and alone and not full"

test-full: setup  ## the must-shows at their full size (hours)
	@$(BIN)/pytest

check: setup  ## style, types, import contracts, fast tests: about a minute
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -m "not medium and not slow and not full" -n 2 --ignore tests/truth --ignore tests/faults

test-numpy2: setup  ## the tests that need no Triton of the wheel, on numpy 2 and the newest of everything
	@.ci/numpy2

rehearse: setup  ## docker-compose.yml started for real without a container engine; each service killed once (root, PostgreSQL, Redis)
	@$(BIN)/python -m tests.rehearsal $(ARGS)

test-ray: setup  ## the tests that need Ray, on a cluster of this machine; Ray lies in var/ray, beside .venv
	@.ci/extra ray

test-privacy: setup  ## the tests that need the accountant of differential privacy, which lies in var/privacy, beside .venv
	@.ci/extra privacy

test-tune: setup  ## the tests that need Optuna, which lies in var/tune, beside .venv
	@.ci/extra tune

mutants: setup  ## do the tests notice? random small errors, one at a time (SAMPLE, SEED, MODULES; tests/faults/README.md)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r locks/mutants.lock
	@$(BIN)/python -m tests.mutants --planted
	@$(BIN)/python -m tests.mutants $(MODULES) --sample $(SAMPLE) --seed $(SEED)

sbom: setup  ## parts (CycloneDX), licences and known vulnerabilities of every environment, into var/sbom
	@$(BIN)/python .ci/sbom

bench: setup  ## ratios against a peer or limit of the same run, into var/bench/*.json
	@$(BIN)/python -m tests.benchmarks

bench-learning: setup  ## regret of every learner beside VW's own online exploration (long)
	@ROOM=learning $(BIN)/python -m tests.benchmarks

bench-gpu: setup  ## neural-linear scoring on a GPU, where there is one
	@$(BIN)/python -m tests.benchmarks.gpu

VAR ?= var
APP ?= default

up: setup  ## Airflow and Triton, until `make down`
	@CROUPIER_VAR=$(VAR) CROUPIER_APP=$(APP) $(BIN)/python -m croupier.dags.local.standalone up

down:  ## stop both, leave no process behind
	@[ ! -x $(BIN)/python ] || CROUPIER_VAR=$(VAR) $(BIN)/python -m croupier.dags.local.standalone down

clean:  ## forget run-time data (var/), keep .venv
	@rm -rf var

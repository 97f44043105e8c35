# Everything a user or developer types. `make` alone lists it.
#
#   TORCH_INDEX=URL  take torch from an index with CPU builds: PyTorch's CPU wheel index (see pytorch.org, Get Started)
#   CUDA=1           accept PyPI's CUDA build of torch, about 3 GB
#   PYTHON=python3.x the interpreter to make .venv with

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config/driftwatch.yaml
PYTEST_ARGS ?=
# Two workers: the tests need as much processor time as waiting, and each worker loads torch once, 6 s.
WORKERS ?= 2
INSTALL = TORCH_INDEX='$(TORCH_INDEX)' CUDA='$(CUDA)' PYTHON='$(PYTHON)' DRIFTWATCH_INSTALL_COMMAND='make $@' scripts/install

.DEFAULT_GOAL := help
.PHONY: help demo run install dev test unit lint format types contracts docs check docker-rehearsal lock upgrade clean

help: ## List the targets
	@echo 'driftwatch: make TARGET [TORCH_INDEX=URL | CUDA=1]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' Makefile

demo: ## Install what is needed and watch a simulated endpoint drift; no keys, no network
	@$(INSTALL) runtime
	@$(BIN)/driftwatch demo

run: ## Serve with your configuration: make run CONFIG=config/driftwatch.yaml
	@$(INSTALL) runtime
	@$(BIN)/driftwatch serve --config '$(CONFIG)'

install: ## Install driftwatch and its embedder into .venv
	@$(INSTALL) runtime

dev: ## Install the tools and the language model of the tests as well
	@$(INSTALL) dev

test: dev ## Run every test, those with a real language model included, and measure coverage
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/coverage report

unit: dev ## Run the quick tests only
	@$(BIN)/pytest -m 'not slow and not real_model' $(PYTEST_ARGS)

lint: dev ## Lint and check the format of Python and the Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/hadolint Dockerfile

format: dev ## Rewrite Python files in the one format, with what ruff can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: dev ## Check the types, strictly
	@$(BIN)/mypy
	@$(BIN)/mypy scripts

contracts: dev ## Check who may import whom
	@$(BIN)/lint-imports

docs: dev ## Check generated files, and the commands that the documentation tells people to type
	@$(BIN)/python scripts/schema.py --check
	@$(BIN)/pytest -q --no-cov tests/engineering/test_documentation.py

check: ## Everything CI does, in this checkout
	@.ci/run

docker-rehearsal: dev ## Do the Dockerfile steps without a container engine, in a temporary directory
	@$(BIN)/python scripts/docker_rehearsal.py

lock: dev ## Rewrite constraints.txt after a change of dependencies
	@$(BIN)/python scripts/lock.py

upgrade: dev ## Rewrite constraints.txt with the newest releases that pyproject.toml allows
	@$(BIN)/python scripts/lock.py --upgrade

clean: ## Remove the environment, the demo's files and every cache
	rm -rf $(VENV) demo build dist .coverage .coverage.* htmlcov coverage.xml
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find driftwatch tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

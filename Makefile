# One interface to everything; `make` alone lists the targets.

PYTHON ?= python3
WORKERS ?= 2
PLANS ?= 20000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo browser test lint format check bench prove docs conformance losses validation oldest clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'
	@echo "another interpreter: make PYTHON=python3.12 TARGET"

setup: $(VENV)/dev.stamp ## create .venv with t10c and the development tools

demo: $(VENV)/plain.stamp ## compile BERT-large for one IPU Mk2 and print the report
	@mkdir -p build
	$(BIN)/t10c zoo build bert-large -o build/bert-large.onnx
	$(BIN)/t10c compile build/bert-large.onnx --hw ipu-mk2 -o build/bert-large.plan.json

browser: ## install Chromium for the tests of HTML reports, where apt-get can
	@command -v chromedriver > /dev/null && command -v chromium > /dev/null || \
		{ command -v apt-get > /dev/null && [ "$$(id -u)" = 0 ]; } || \
		{ echo "install Chromium and its driver (Debian: chromium, chromium-driver)" >&2; exit 1; }
	@command -v chromedriver > /dev/null && command -v chromium > /dev/null || \
		{ export DEBIAN_FRONTEND=noninteractive; apt-get -qq update && \
		apt-get -qq install -y --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core > /dev/null; }

test: $(VENV)/dev.stamp ## run all tests
	@$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/dev.stamp ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/dev.stamp ## mend style where that is automatic
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

check: lint test ## lint and test

bench: $(VENV)/dev.stamp ## time searches, compiles and repeated layers, and write build/bench.json
	@mkdir -p build
	$(BIN)/python benchmarks/bench.py --json build/bench.json
	$(BIN)/python benchmarks/bench_repetition.py

prove: $(VENV)/dev.stamp ## execute 20,000 random plans on simulated cores
	$(BIN)/python benchmarks/random_plans.py $(PLANS) --jobs $(WORKERS)

docs: $(VENV)/dev.stamp ## rewrite what is generated in docs/ and README.md
	$(BIN)/python docs/generate.py

conformance: $(VENV)/dev.stamp ## run the node cases of onnx, rewrite docs/conformance.md
	$(BIN)/python docs/conformance.py

losses: $(VENV)/dev.stamp ## search the zoo with and without thresholds, rewrite docs/search.md (20 min)
	$(BIN)/python docs/losses.py

validation: $(VENV)/dev.stamp ## measure plans and the baseline, rewrite docs/validation.md (hours)
	$(BIN)/python docs/validation.py

oldest: ## run the tests with the oldest dependencies allowed, in build/oldest
	$(PYTHON) -m venv build/oldest
	build/oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[dev]' --constraint tests/oldest.txt
	build/oldest/bin/python -m pytest -n $(WORKERS)

clean: ## remove everything that make created, .venv included
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path "./.git/*" -type d -prune -exec rm -rf {} +

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/plain.stamp

$(VENV)/plain.stamp: pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || \
		{ echo "t10c needs Python 3.11 or newer; there is no $(PYTHON)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "t10c needs Python 3.11 or newer; use make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2> /dev/null || \
		{ echo "$(PYTHON) has no venv module; install it (Debian, Ubuntu: python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Two commands do all the set-up on a fresh machine with Python 3.11: `make sample` and `make test`.
SHELL := bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
LAKE ?= lake
SOURCES ?= mathcode_assets/sample/sources.yaml
STAMP := $(VENV)/.installed
# Marks of tests with a target of their own: they start servers, kill processes, or need another environment.
APART := crash or browser or s3 or live or engines

.PHONY: sample test test-slow test-live test-engines test-crash test-browser test-s3 test-infra check ui readme install clean help

help:  ## what there is
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

sample: install  ## build the embedded sample's MathCode-Pile into ./lake, train a tiny model on it and score it
	$(BIN)/mathcode sample --output $(LAKE)

test: install  ## the default test suite
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not ($(APART) or slow or train or evaluation)"

test-slow: install  ## the tests that build whole lakes, read all of ../shared/data, train or score real models
	$(BIN)/python -m pytest -n auto --dist loadfile -m "(slow or train or evaluation) and not ($(APART))"

test-engines: install  ## a lake by every engine: one process, several, Ray; the same bytes
	$(BIN)/python -m pytest -m engines mathcode_assets_tests/engine mathcode_assets_tests/defs/test_engines.py

test-crash: install  ## kill -9, full disks, removed and added again; MATHCODE_KILLS=50 for more kills
	$(BIN)/python -m pytest -m "crash and not slow" mathcode_assets_tests/crash

test-browser: install  ## the UI in a real browser
	infra/install_system_packages.sh --browser
	$(BIN)/python -c 'import playwright' 2>/dev/null || $(BIN)/python -m pip install -q -c constraints.txt playwright
	MATHCODE_BROWSER=required $(BIN)/python -m pytest -m browser mathcode_assets_tests/browser

# An S3 server of its own, OpenStack Swift on loopback, in an environment of its own.
test-s3: install .venv-swift/.installed  ## the graph on object storage: byte for byte, with faults, kills and refusals
	MATHCODE_SWIFT=$(abspath .venv-swift) $(BIN)/python -m pytest -n 2 --dist loadfile -m s3 mathcode_assets_tests/s3

.venv-swift/.installed: infra/tests/requirements-swift.txt
	infra/install_system_packages.sh --swift
	$(PYTHON) -m venv .venv-swift && .venv-swift/bin/pip install -q -r $<
	touch $@

test-live: install  ## daemon, code location and webserver as processes, from a changed source to the trained model
	$(BIN)/python -m pytest -m live mathcode_assets_tests/live

# Environments of their own: the instance with PostgreSQL, and the AWS stacks (630 MB, needs Node.js). Nothing is deployed.
test-infra: .venv-infra/.installed .venv-cdk/.installed  ## the tests of infra/: image, compose, instance, AWS templates
	cd infra/tests && ../../.venv-infra/bin/python -m pytest
	@command -v node >/dev/null || { echo "the AWS stacks need Node.js 20 or newer: apt-get install nodejs" >&2; exit 1; }
	cd infra/cdk/tests && ../../../.venv-cdk/bin/python -m pytest

.venv-infra/.installed: infra/tests/requirements.txt constraints.txt
	$(PYTHON) -m venv .venv-infra && .venv-infra/bin/pip install -q -c constraints.txt -r $<
	touch $@

.venv-cdk/.installed: infra/cdk/requirements.txt
	$(PYTHON) -m venv .venv-cdk && .venv-cdk/bin/pip install -q --no-compile -r $<
	touch $@

check: install  ## lint, import rules, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyrefly check

ui: install  ## the Dagster UI on the lake of `make sample`, at 127.0.0.1:3000
	mkdir -p $(LAKE)/.dagster && cp dagster.yaml $(LAKE)/.dagster/dagster.yaml
	MATHCODE_SOURCES=$(SOURCES) MATHCODE_ROOT=$(abspath $(LAKE)) DAGSTER_HOME=$(abspath $(LAKE))/.dagster \
	  $(BIN)/dg dev --host 127.0.0.1 --port 3000

readme: install  ## make the printed blocks of README.md and docs/ anew
	$(BIN)/python -m docs.refresh_readme

install: $(STAMP)  ## the environment in .venv (2.9 GB)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "needs Python 3.11 or newer: apt-get install python3.11 python3.11-venv, or make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python has no venv module: apt-get install python3.11-venv" >&2; exit 1; }
	PYTHON=$(PYTHON) infra/install_environment.sh $(VENV) dev
	infra/install_system_packages.sh
	touch $(STAMP)

clean:  ## remove the lake of the sample; the environment stays
	rm -rf $(LAKE)

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

.PHONY: sample test test-slow test-servers test-infra check ui readme install clean help

help:  ## what there is
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

sample: install  ## build the embedded sample's MathCode-Pile into ./lake, train a tiny model on it and score it
	$(BIN)/mathcode sample --output $(LAKE)

test: install  ## the default test suite
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not ($(APART) or slow or train or evaluation)"

test-slow: install  ## the tests that build whole lakes, read all of ../shared/data, train or score real models
	$(BIN)/python -m pytest -n auto --dist loadfile -m "(slow or train or evaluation) and not ($(APART))"

# What starts servers, clusters, browsers or kills processes, the longest first. SERVERS="-m s3" for some of them.
SERVERS ?= -n 2 --dist loadfile --no-loadscope-reorder -m "live or s3 or engines or browser or (crash and not slow)"
test-servers: install .venv-swift/.installed $(VENV)/.browser  ## daemon and webserver, S3, Ray, a browser, kill -9 (10 times; MATHCODE_KILLS=50)
	MATHCODE_SWIFT=$(abspath .venv-swift) MATHCODE_BROWSER=required $(BIN)/python -m pytest $(SERVERS) \
	  $(addprefix mathcode_assets_tests/,live s3 crash engine browser defs/test_engines.py llm/test_vllm_on_ray.py)

# An S3 server, OpenStack Swift, in an environment of its own.
.venv-swift/.installed: infra/tests/requirements-swift.txt
	infra/install_system_packages.sh --swift
	$(PYTHON) -m venv .venv-swift && .venv-swift/bin/pip install -q -r $<
	touch $@

$(VENV)/.browser: $(STAMP)
	infra/install_system_packages.sh --browser
	$(BIN)/python -m pip install -q -c constraints.txt playwright
	touch $@

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

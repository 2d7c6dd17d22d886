# Works with GNU Make 3.81. `make` alone lists the targets.
PYTHON  ?= python3
# Tests wait for brokers most of the time: more workers than cores.
WORKERS ?= 4
REPORTS := build/reports
VERSION := $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' common/version.py)

VENV   := .venv
PIP    := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet --quiet
PYTEST := $(VENV)/bin/python -m pytest
CODE   := common producer consumer ops tidings tests examples benchmarks .ci
LOCK   := $(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
          --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help run env test unit faults order cover check manifests images containers fmt docs bench safety straight lock build clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(VENV)/.run-stamp  ## broker, producer and two consumers to look at (RUN_SECONDS=20: stops by itself)
	@$(VENV)/bin/python -m ops.demo

# These have targets of their own: they need tools, a Docker engine, or much time.
APART := --ignore=tests/manifests --ignore=tests/images --ignore=tests/faults --ignore=tests/order

env:  ## .env files with a random password, for compose and k8s/overlays/dev
	@$(PYTHON) -m ops.env_file

# Serial ones have brokers of their own: two at a time, and nothing beside them.
# The tests themselves ignore AMQP_URI and TIDINGS_* (tests/conftest.py). 5 is pytest's "no tests":
# with TEST_AMQP_URI all serial ones are deselected.
test: $(VENV)/.dev-stamp  ## all tests, on the broker versions that are there
	@failed=0; \
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not serial" $(APART) --junitxml=$(REPORTS)/parallel.xml || failed=1; \
	$(PYTEST) -n 2 -m serial $(APART) --junitxml=$(REPORTS)/serial.xml || test $$? -eq 5 || failed=1; \
	exit $$failed

unit: $(VENV)/.dev-stamp  ## the tests that need no broker
	@$(PYTEST) -n $(WORKERS) tests/unit

faults: $(VENV)/.dev-stamp  ## what is tested of which fault, a table; with the long campaigns
	@$(PYTEST) -m fault --fault-table tests/integration tests/faults --junitxml=$(REPORTS)/faults.xml

order: $(VENV)/.dev-stamp  ## 100,000 events through all faults in each order, hours (ORDER_EVENTS=2000, ORDER_SEEDS=1,2)
	@$(PYTEST) tests/order --junitxml=$(REPORTS)/order.xml

cover: $(VENV)/.dev-stamp  ## which lines and branches the unit tests reach
	@$(PYTEST) -n $(WORKERS) tests/unit --cov --cov-report=term-missing:skip-covered

check: $(VENV)/.dev-stamp  ## format, lint, types, import contracts, file sizes, generated docs
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(VENV)/bin/python .ci/sizes.py
	@$(VENV)/bin/python -m ops.reference --check

manifests: $(VENV)/.manifests-stamp  ## render and check k8s/, Dockerfiles and compose.yaml; print the score
	@$(PYTEST) tests/manifests --no-header --junitxml=$(REPORTS)/manifests.xml

images:  ## build tidings-producer and tidings-consumer, tagged latest and with the version
	@for role in producer consumer; do \
	  docker build --file Dockerfile.$$role --tag tidings-$$role --tag tidings-$$role:$(VERSION) \
	    --build-arg VERSION=$(VERSION) --build-arg REVISION="$$(git rev-parse HEAD)" . || exit 1; done

containers: $(VENV)/.dev-stamp  ## try the images and compose.yaml (needs a Docker engine)
	@$(PYTEST) tests/images --no-header --junitxml=$(REPORTS)/images.xml

fmt: $(VENV)/.dev-stamp  ## format, and repair what ruff can
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

docs: $(VENV)/.dev-stamp  ## write the generated parts of docs/ anew
	@$(VENV)/bin/python -m ops.reference

bench: $(VENV)/.dev-stamp  ## measure beside peers, 30 minutes (BENCH_QUICK=1, BENCH_ONLY=tidings,pika, BENCH_WHAT=order, BENCH_WRITE=1)
	@$(VENV)/bin/python -m benchmarks

safety: $(VENV)/.dev-stamp  ## what becomes of bad events beside peers, 6 minutes (SAFETY_ONLY=tidings, SAFETY_WHAT=raises, SAFETY_WRITE=1)
	@$(VENV)/bin/python -m benchmarks.safety

straight: $(VENV)/.dev-stamp  ## how many calls and files of ours an event goes through
	@$(VENV)/bin/python -m benchmarks.straight

lock: $(VENV)/.dev-stamp  ## pin all dependencies in locks/ (LOCK_ARGS=--upgrade: the newest)
	$(LOCK) $(LOCK_ARGS) pyproject.toml --extra fast --output-file locks/run.txt
	$(LOCK) $(LOCK_ARGS) pyproject.toml --extra fast --group dev --constraints locks/run.txt --output-file locks/dev.txt
	$(LOCK) $(LOCK_ARGS) --group manifests --output-file locks/manifests.txt
	$(LOCK) $(LOCK_ARGS) --group build --constraints locks/dev.txt --output-file locks/build.txt

build: $(VENV)/.dev-stamp  ## a wheel in dist/
	@$(VENV)/bin/python -m build --wheel --no-isolation

clean:  ## remove everything that make has made
	rm -rf $(VENV) build dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "$(PYTHON) is not Python 3.11 or newer: name one that is, as in: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; } || \
	    { echo "$(PYTHON) cannot make virtual environments: sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# `make run` takes only what the services need. The development set contains it, hence both stamps.
$(VENV)/.run-stamp: $(VENV)/.made pyproject.toml locks/run.txt locks/build.txt
	@echo "installing what the services need"
	@$(PIP) install --require-hashes -r locks/run.txt -r locks/build.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.manifests-stamp: $(VENV)/.dev-stamp locks/manifests.txt
	@echo "installing the tools that check manifests"
	@$(VENV)/bin/python -m venv --clear $(VENV)/tools
	@$(VENV)/tools/bin/python -m pip --disable-pip-version-check --quiet --quiet install --require-hashes -r locks/manifests.txt
	@touch $@

$(VENV)/.dev-stamp: $(VENV)/.made pyproject.toml locks/dev.txt
	@echo "installing the development tools"
	@$(PIP) install --require-hashes -r locks/dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run-stamp

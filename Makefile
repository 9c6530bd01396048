# Two commands do everything from a clean clone: `make demo` and `make test`.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := .venv-peers
# The newest that Python 3.11 can run: one version on every Python, or the figures would not compare.
PEER := pymc-marketing==0.19.2

.PHONY: help install demo test test-long lint dev bench bench-quick bench-retail bench-history bench-gate lock clean

help:  ## what there is to type
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

# uv installs the locked set in seconds where pip takes two minutes; pip is what a machine surely has.
$(INSTALLED): pyproject.toml deploy/requirements.lock deploy/uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r deploy/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes --no-deps -r deploy/requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# What the engine is measured against and the project has no use for: 0.6 GB. Lifetimes runs in .venv.
$(PEERS)/.installed: deploy/peers.lock | install
	@test -x $(PEERS)/bin/python || $(BIN)/python -m venv --without-pip $(PEERS)
	$(BIN)/uv pip install --quiet --python $(PEERS)/bin/python --compile-bytecode --require-hashes --no-deps -r deploy/peers.lock
	@touch $@

install: $(INSTALLED)  ## make .venv and install everything from the lock

demo: install  ## the whole job on the real CDNOW data, from nothing to published tables
	@$(BIN)/cvm demo

test: install  ## the whole test suite, on two cores (about a quarter of an hour)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: install  ## the tests that run for minutes: the accuracy grid, 200 recovered fits, a kill at every step, 50 publications under load
	$(BIN)/python -m pytest -n 2 --dist load -m long

lint: install  ## linter, formatter and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dev: install  ## the Dagster page, on the demo unless CVM_CONFIG or ./cvm.yml says otherwise
	$(BIN)/cvm ui

bench: install $(PEERS)/.installed  ## the engine beside lifetimes and pymc-marketing, 10 million customers
	$(BIN)/python -m benchmarks.engine

bench-quick: install  ## a taste of it, beside lifetimes alone: about a minute
	$(BIN)/python -m benchmarks.engine --quick

bench-retail: install  ## the whole job beside a straight-line DuckDB script, 1 million customers
	$(BIN)/python -m benchmarks.retail

bench-history: install  ## 24 monthly snapshots of 1 million customers, and what the last costs
	$(BIN)/python -m benchmarks.history

bench-gate: install  ## every check of the gate over 10 million customers, against 3 minutes and 3 GiB
	$(BIN)/python -m benchmarks.gate

lock: install  ## make the lock files anew
	$(BIN)/uv pip compile pyproject.toml --all-extras --group build --universal --python-version 3.11 --quiet \
	  --no-emit-index-url --generate-hashes --no-strip-extras --custom-compile-command "make lock" -o deploy/requirements.lock
	echo uv | $(BIN)/uv pip compile - --quiet --no-emit-index-url --generate-hashes --custom-compile-command "make lock" -o deploy/uv.lock
	echo $(PEER) | $(BIN)/uv pip compile - --universal --python-version 3.11 --quiet \
	  --no-emit-index-url --generate-hashes --no-strip-extras --custom-compile-command "make lock" -o deploy/peers.lock

clean:  ## remove what make and the demo made
	rm -rf $(VENV) $(PEERS) .cvm

# Everything runs in .venv, which `make env` builds from the lock file.
PYTHON ?= python3
BIN := .venv/bin
ENV := .venv/.installed
PROTOS := $(shell find protos/parley -name '*.proto')

.PHONY: help env demo test check proto proto-check proto-release lint types imports lock docs apart clean wheels \
  mutants bench bench-load bench-env bench-accounting bench-cache bench-guardrails bench-prompts bench-router

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

env: $(ENV)  ## Build the environment in .venv

$(ENV): requirements-dev.lock pyproject.toml clients/python/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Parley needs Python 3.11 or newer: set PYTHON=...'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv \
	  || { echo 'On Debian: apt-get install python3-venv'; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation -e clients/python -e .
	@touch $(ENV)

demo: $(ENV)  ## Show a whole suite at work in the terminal
	@$(BIN)/parley demo

wheels: $(ENV)  ## Build both distributions into dist/
	$(BIN)/python -m hatchling build -t wheel -d dist
	cd clients/python && $(CURDIR)/$(BIN)/python -m hatchling build -t wheel -d $(CURDIR)/dist

apart: $(ENV)  ## Run the six services in six processes
	$(BIN)/parley up --apart

test: $(ENV)  ## Run all tests
	$(BIN)/pytest

check: $(ENV) proto-check lint types imports test  ## What CI runs

proto: $(ENV)  ## Regenerate protos/gen
	scripts/generate-protos protos/gen

proto-check: $(ENV)  ## Fail if protos/gen is not what the protos say
	@out=$$(mktemp -d) && scripts/generate-protos $$out && diff -r -x __pycache__ $$out protos/gen \
	  || { echo 'protos/gen is stale: run make proto'; exit 1; }
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	@# Of images, for buf compares no workspace of two modules with one file.
	@now=$$(mktemp --suffix=.binpb) && $(BIN)/buf build -o $$now && $(BIN)/buf breaking $$now \
	  --against protos/released.binpb --config '{"version":"v2","breaking":{"use":["WIRE_JSON"]}}'

proto-release: $(ENV)  ## Take the protos of now as what clients rely on
	$(BIN)/buf build -o protos/released.binpb

lint: $(ENV)  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(ENV)  ## Check types
	$(BIN)/mypy

imports: $(ENV)  ## Check who may import whom
	$(BIN)/lint-imports

docs: $(ENV)  ## Write the settings into docs/operations.md
	$(BIN)/python scripts/document-settings

bench: $(ENV)  ## Measure what calls, chats, guardrails, streams and bookings cost
	$(BIN)/python -m bench.transport
	$(BIN)/python -m bench.chat
	$(BIN)/python -m bench.guardrails_cost
	$(BIN)/python -m bench.router_stream
	$(BIN)/python -m bench.accounting_store

bench-load: $(ENV)  ## Measure many streams at once, memory over many chats, and where time goes
	$(BIN)/python -m bench.streams
	$(BIN)/python -m bench.soak --chats 8000
	$(BIN)/python -m bench.profile

bench-env: $(ENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bench.lock

bench-accounting: bench-env  ## Measure a year of spending, and 200 kills under load; an hour
	$(BIN)/python -m bench.accounting_year
	$(BIN)/python -m bench.accounting_kill

bench-cache: bench-env  ## Measure how well the cache judges and how fast; needs PARLEY_BENCH_DATA
	$(BIN)/python -m bench.cache_quality
	$(BIN)/python -m bench.cache_verified
	$(BIN)/python -m bench.cache_edge

bench-guardrails: bench-env  ## Measure the guardrails; needs PARLEY_BENCH_DATA
	$(BIN)/python -m bench.guardrails_pii
	$(BIN)/python -m bench.guardrails_stream

bench-prompts: bench-env  ## Measure how well rollback decides, and what outcomes cost; some minutes
	$(BIN)/python -m bench.prompts_rollback
	$(BIN)/python -m bench.prompts_outcomes
	$(BIN)/python -m bench.prompts_watch

bench-router: bench-env  ## Measure decoding, failover and choice; needs PARLEY_BENCH_DATA
	$(BIN)/python -m bench.router_golden
	$(BIN)/python -m bench.router_failover
	$(BIN)/python -m bench.router_hedging
	$(BIN)/python -m bench.router_auto

mutants: bench-env  ## Count which of 200 small mutations of the code the tests notice; an hour
	$(BIN)/python -m bench.mutants

lock: $(ENV)  ## Resolve the lock files again
	scripts/lock

clean:  ## Remove the environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Each command prepares what it needs in .venv; run it again and that part takes no time.
# PYTHON=... picks the interpreter for a new .venv, ARGS=... adds arguments to demo and test.

SHELL := /bin/bash
BIN := .venv/bin
ARGS ?=
export PYTHON
# What is compiled is kept, whatever the environment says: the tests start hundreds of programs.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .runtime ## See a cluster form, fail over and heal on this machine
	@$(BIN)/foundation demo $(ARGS)

.PHONY: test
test: .dev .services ## Run the tests, on two cores; or some in one process: make test ARGS="-k registry"
	@$(BIN)/python -m pytest $(or $(ARGS),-n 2)

.PHONY: test-services
test-services: .services ## Build the servers that tests run beside and Debian does not have (minutes, once; needs Go)
	@tools/build-consul
	@tools/build-kube-apiserver

.PHONY: simulate
simulate: .dev ## Look for faults by seeded schedules, for example: make simulate SEEDS=500 (FROM=, PLANT=, SEED=, KEEP=, SCENARIO=)
	@$(BIN)/python -m tests.simulate $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM)) \
		$(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep $(KEEP)) $(if $(PLANT),--plant '$(PLANT)') \
		$(if $(SCENARIO),--scenario $(SCENARIO))

.PHONY: explore
explore: .dev ## Explore more interleavings of the registry than the tests do (some minutes; ARGS: states per scenario)
	@$(BIN)/python -m tests.registry.explore $(ARGS)

.PHONY: bench
bench: bench-calls bench-registry bench-failover bench-simulation ## Measure everything that is measured, beside the peers (QUICK=1: in a minute)

.PHONY: bench-calls
bench-calls: .dev bench-peers ## Measure calls between two nodes, beside Erlang, xoscar, Ray, raw Zenoh and raw TCP
	@$(BIN)/python -m benchmarks.calls

.PHONY: bench-registry
bench-registry: .dev ## Measure names on three nodes: registering, seeing, finding, a newcomer, a node that dies
	@$(BIN)/python -m benchmarks.registry

.PHONY: bench-failover
bench-failover: .dev ## Measure distributed children on three nodes: starting, losing a node, leaving, moving
	@$(BIN)/python -m benchmarks.failover

.PHONY: bench-simulation
bench-simulation: .dev ## Measure how long simulated clusters of 100 and 1,000 nodes take, and their memory
	@PYTHONHASHSEED=0 $(BIN)/python -m benchmarks.simulation

.PHONY: bench-flood
bench-flood: .dev ## Measure what ten minutes of junk cost a node that finds others by gossip (DURATION_S=60: one minute)
	@$(BIN)/python -m benchmarks.flood

.PHONY: bench-peers
bench-peers: ## Set up the environment of the Python peers
	@tools/setup-venv peers

.PHONY: check
check: .dev ## Check format, style, types, layers, dead code and the rules of the house
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --strict $(wildcard src tests/typing)
	$(BIN)/pyright --project pyproject.toml
	$(BIN)/lint-imports --no-logo
	$(BIN)/vulture
	$(BIN)/python -m pytest --quiet tests/test_architecture.py

.PHONY: format
format: .dev ## Format the code and apply the safe fixes
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: lock
lock: ## Resolve the dependencies again, for example: make lock ARGS=--upgrade
	@tools/lock $(ARGS)

.PHONY: clean
clean: ## Remove the environments, the caches and what was built
	@rm -rf .venv .venv-* .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: .runtime .dev .services
.runtime:
	@tools/setup-venv runtime
.dev:
	@tools/setup-venv dev
.services:
	@tools/setup-services

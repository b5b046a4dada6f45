# `make demo` and `make test` do everything on a fresh machine with Python 3.11+ and make; `make help` lists the rest.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help:  ## say what there is
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 19

demo: $(VENV)/ready  ## watch a minute of rotation on the embedded sandbox
	@$(BIN)/rotator demo $(ARGS)

test: $(VENV)/ready  ## run all tests
	@$(BIN)/python -m tests.controlplane --where-possible
	@$(BIN)/python -m tests.helm --where-possible
	@$(BIN)/python -m tests.operator --where-possible
	$(BIN)/pytest -n auto --dist worksteal

newer: $(VENV)/ready  ## run the tests of processes, TLS and the log on another Python (PYTHON=python3.13 VENV=.venv-3.13)
	$(BIN)/pytest -n auto --dist worksteal tests/test_logs.py tests/cluster tests/commands tests/daemon tests/providers

playground: controlplane  ## open a shell on a real API server among emulated clouds, to follow docs/quickstart.md in
	@$(BIN)/python -m tests.deploy.playground

soak: $(VENV)/ready  ## a thousand renewals under drawn faults while workers pull (SOAK_SECONDS=300 SOAK_SEED=…)
	@$(BIN)/python -m tests.soak

bench: controlplane  ## measure roll-out, renewal, repair, take-over, start-up and rest on large clusters (40 minutes)
	@$(BIN)/python -m bench.fanout
	@$(BIN)/python -m bench.heal
	@$(BIN)/python -m bench.takeover
	@$(BIN)/python -m bench.idle
	@$(BIN)/python -m bench.doctor
	@$(BIN)/python -m bench.startup

controlplane: $(VENV)/ready  ## build etcd, kube-apiserver, Helm and the rest for the tests, once (needs Go)
	@$(BIN)/python -m tests.controlplane
	@$(BIN)/python -m tests.helm
	@$(BIN)/python -m tests.operator

examples: $(VENV)/ready  ## print deploy/examples, the schema of the chart's values and docs/configuration.md again
	@$(BIN)/python -m tests.deploy.examples
	@$(BIN)/python -m tests.config.reference

monitoring: $(VENV)/ready  ## make the PrometheusRules and the chart's copies from deploy/monitoring
	@$(BIN)/python -m tests.monitoring

lint: $(VENV)/ready  ## ruff, mypy, the house's layers and the Dockerfile
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/mypy
	$(BIN)/lint-imports

sbom: $(VENV)/ready  ## write dist/rotator.cdx.json: the bill of materials of what the image holds
	@$(BIN)/python -m tests.supply sbom dist/rotator.cdx.json

audit: $(VENV)/ready  ## ask what is known against the locked packages (needs an index with advisories)
	@$(BIN)/python -m tests.supply audit

lock: $(VENV)/ready  ## renew the lock files from pyproject.toml (needs uv)
	uv pip compile pyproject.toml $(LOCK) -o locks/runtime.txt
	uv pip compile --group build $(LOCK) -o locks/build.txt
	uv pip compile pyproject.toml --group dev $(LOCK) -o locks/dev.txt
LOCK := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade -q

clean:  ## remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/ready: locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "rotator needs Python 3.11 or newer; name one with make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV) (about half a minute, once)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: help demo test newer playground soak bench controlplane examples monitoring lint sbom audit lock clean

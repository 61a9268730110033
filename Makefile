# Everything that a developer runs. A fresh Debian 12 machine needs git and make (and root, for packages and network
# namespaces); the first run needs the package registries that pip and apt use, later runs need no network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SECTION := @tests/setup/section.sh
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: help setup run test lint unit simulation lab e2e bench format lock proto clean
.DEFAULT_GOAL := help

help: ## show this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

run: $(VENV)/.run ## three nodes on loopback and a pull between them; ARGS=--once ends by itself
	@$(BIN)/python -m bench.demo $(ARGS)

setup: $(VENV)/.test ## what the tests need: Python packages, Debian packages, a containerd 2.x
	@tests/setup/parts.sh

test: setup ## lint, then all tests: unit, simulation, lab
	$(SECTION) "test" $(MAKE) --no-print-directory lint unit simulation lab

lint: $(VENV)/.test ## style, types, import contracts
	$(SECTION) "lint" tests/setup/lint.sh

unit: $(VENV)/.test ## the tests that need nothing but Python
	$(SECTION) "unit" $(BIN)/python -m pytest -q --ignore=tests/real --ignore=tests/clusters $(ARGS)

simulation: $(VENV)/.test ## simulated clusters
	$(SECTION) "simulation" $(BIN)/python -m pytest -q tests/clusters $(ARGS)

lab: setup ## the tests with real parts: containerd, registry, serf agent
	$(SECTION) "lab" $(BIN)/python -m pytest -q tests/real $(ARGS)

e2e: $(VENV)/.test ## whole-cluster scenarios; no work yet
	@echo "e2e: no work yet; the scenarios with real containerds are part of 'make test' (section lab)"

bench: setup ## the measurements behind the README's claims, one script each
	@for script in $$(grep -l '__main__' bench/*.py | grep -v '/demo'); do \
	  $(SECTION:@%=%) "$$script" $(BIN)/python -m "bench.$$(basename $$script .py)" || exit 1; done

format: $(VENV)/.test ## rewrite the code in the one format
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lock: $(VENV)/.test ## pin the dependencies of setup.cfg anew, with hashes (UPGRADE=--upgrade moves the pins)
	$(LOCK) $(UPGRADE) setup.cfg -o requirements/run.txt
	$(LOCK) $(UPGRADE) setup.cfg --extra test -o requirements/test.txt
	echo 'setuptools>=77' | $(LOCK) $(UPGRADE) - -o requirements/build.txt

proto: $(VENV)/.test ## generate the protobuf code of proto/ anew
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash proto/generate.sh

clean: ## remove what these rules made in this directory
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find app gossip tests bench -name __pycache__ -prune -exec rm -rf {} +

# Debian's python3 has no ensurepip until python3-venv is there.
$(BIN)/python:
	@PYTHON=$(PYTHON) tests/setup/venv.sh $(VENV)

$(VENV)/.run: requirements/build.txt requirements/run.txt setup.cfg | $(BIN)/python
	@echo "installing what Rykte needs into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/build.txt -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	@echo "installing what the tests need into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

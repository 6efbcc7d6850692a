# Provery needs Python >= 3.11 and make. Everything else comes from locked packages, into .venv, tools/npm
# and .provery. See docs/development.md.

PYTHON ?= python3
VENV   := .venv
BIN    := $(CURDIR)/$(VENV)/bin
PY     := $(BIN)/python
HOMEDIR := .provery
STAMPS := $(HOMEDIR)/stamps

# The Go wheel puts `go` on PATH, not gofmt.
GOFMT  := $$(go env GOROOT)/bin/gofmt

UV_VERSION   := 0.13.8
VERSITYGW    := github.com/versity/versitygw/cmd/versitygw@v1.8.0

# The wheels' Go and Node come before the machine's own, so every machine builds with the same ones.
export PATH := $(BIN):$(PATH)
export GOTOOLCHAIN := local
export GOFLAGS := -mod=readonly
export CGO_ENABLED := 0

# With no usable HOME (a clean environment, a locked-down account) the caches live in .provery/cache.
ifeq ($(wildcard $(HOME)),)
export GOPATH := $(CURDIR)/$(HOMEDIR)/cache/go
export GOCACHE := $(CURDIR)/$(HOMEDIR)/cache/go-build
export UV_CACHE_DIR := $(CURDIR)/$(HOMEDIR)/cache/uv
export PIP_CACHE_DIR := $(CURDIR)/$(HOMEDIR)/cache/pip
export npm_config_cache := $(CURDIR)/$(HOMEDIR)/cache/npm
export HOME := $(CURDIR)/$(HOMEDIR)/cache/home
endif

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long test-circuits test-hotshot test-zkml demo-hotshot demo-hotshot-20 demo-zkml live lint fmt protos screenshots faults \
  fuzz-contracts fuzz-zkml bench bench-beacon bench-hotshot bench-zkml lock tools-s3 browser rapidsnark clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ---------------------------------------------------------------- set-up

setup: $(STAMPS)/python $(STAMPS)/npm $(STAMPS)/evm $(STAMPS)/prover ## Install everything (again only where a lock or source changed)

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Provery needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON=/path/to/python3.11"; exit 1; }
	@mkdir -p $(STAMPS) $(HOMEDIR)/cache/home
	@echo "setup: virtual environment"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(STAMPS)/python: $(STAMPS)/venv requirements.lock pyproject.toml
	@echo "setup: Python packages and toolchain wheels"
	$(BIN)/uv pip sync --quiet --require-hashes --python $(PY) requirements.lock
	$(BIN)/uv pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/npm: tools/npm/package.json tools/npm/package-lock.json | $(STAMPS)/python
	@echo "setup: npm tools (snarkjs, circom2, bullmq)"
	cd tools/npm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/evm: tools/evm/package.json tools/evm/package-lock.json | $(STAMPS)/python
	@echo "setup: an Ethereum node and the Solidity compiler (anvil, forge, solc)"
	cd tools/evm && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/chain: tools/chain/package.json tools/chain/package-lock.json | $(STAMPS)/python
	@echo "setup: a beacon chain (Lodestar)"
	cd tools/chain && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(STAMPS)/browser: tools/browser/package.json tools/browser/package-lock.json tools/browser/unpack.mjs | $(STAMPS)/python
	@echo "setup: a browser for tests and pictures (Chromium, Playwright, axe)"
	cd tools/browser && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	node tools/browser/unpack.mjs $(HOMEDIR)/browser
	@touch $@

browser: $(STAMPS)/browser ## Install the browser that tests and pictures use

GO_SOURCES := $(wildcard go.mod go.sum) $(shell find prover provery -name '*.go' -not -name '*_test.go' 2>/dev/null)

$(STAMPS)/prover: $(GO_SOURCES) | $(STAMPS)/python
	@mkdir -p $(HOMEDIR)/bin
	@if [ -d prover/cmd/provery-prover ]; then \
		echo "setup: provery-prover (Go; the first build takes a minute)"; \
		go build -trimpath -o $(HOMEDIR)/bin/provery-prover ./prover/cmd/provery-prover; \
	else echo "setup: prover/cmd/provery-prover is not there yet, skipped"; fi
	@touch $@

tools-s3: $(HOMEDIR)/bin/versitygw ## Build the S3 server that the tests use

$(HOMEDIR)/bin/versitygw: | $(STAMPS)/python
	@echo "setup: versitygw, the S3 server of the tests (the first build takes about a minute)"
	@mkdir -p $(HOMEDIR)/bin
	GOBIN=$(CURDIR)/$(HOMEDIR)/bin GOFLAGS= go install -trimpath -ldflags '-s -w' $(VERSITYGW)

rapidsnark: $(HOMEDIR)/bin/rapidsnark-prove ## Link the optional rapidsnark prover (needs a C compiler)

$(HOMEDIR)/bin/rapidsnark-prove: | $(STAMPS)/python
	@mkdir -p $(HOMEDIR)/bin
	cd bench/groth16/rapidsnark && CGO_ENABLED=1 go build -trimpath -o $(CURDIR)/$@ .

# ---------------------------------------------------------------- daily work

run: setup ## Start everything, prove demo jobs and a mainnet period (ONCE=1: then exit; FAST=1: few jobs only)
	$(BIN)/provery up --demo $(if $(ONCE),--once) $(if $(FAST),--fast)

# Three files of tests side by side on two cores: they wait for servers a third of the time. ARGS=-n0 for one.
TEST_PROCESSES ?= 3
# What fails beside others, by a time limit on a busy machine, must pass alone. Status 1 says that tests failed.
ALONE = { test $$? = 1 && echo "again, alone: what failed" && $(PY) -m pytest -n0 --last-failed --last-failed-no-failures none; }

test: setup $(STAMPS)/browser tools-s3 ## Run every test (ARGS=... is passed to pytest)
	$(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile $(ARGS) || $(ALONE)
	@if [ -f go.mod ]; then echo "go test ./..."; go test ./...; fi

lint: setup ## Formatting, style, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if [ -f go.mod ]; then echo "go vet ./..."; go vet ./...; test -z "$$($(GOFMT) -l prover provery | tee /dev/stderr)"; fi

fmt: setup ## Rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@if [ -f go.mod ]; then $(GOFMT) -w prover provery; fi

screenshots: setup $(STAMPS)/browser ## Take pictures for docs/images: of a unit (UNIT=queue/prove/KEY), of the page (PAGE=http://...)
	$(if $(UNIT),node tools/screenshot/temporal-ui.cjs --unit $(UNIT) $(ARGS))
	$(if $(PAGE),node tools/screenshot/zkml-page.cjs --url $(PAGE) $(ARGS))
	@$(if $(UNIT)$(PAGE),,echo "say what of: UNIT=... as \`provery list\` names it, PAGE=http://127.0.0.1:3001"; exit 2)

protos: setup ## Generate the prover network's messages again (their sources are in provery/provers/sp1/proto)
	$(PY) -m grpc_tools.protoc -I. --python_out=. --pyi_out=. provery/provers/sp1/proto/*.proto

faults: setup tools-s3 ## Kill every part at every stage boundary; writes bench/results/faults.json
	$(PY) -m tests.faults $(ARGS)

fuzz-contracts: setup ## Random calls to contracts against models of their rules; writes bench/results/contracts*.json
	$(PY) -m tests.contracts $(ARGS)

fuzz-zkml: setup ## Fuzz the inference API: 20,000 requests by its document and by bytes (COUNT=...)
	$(BIN)/python -m tests.zkml_fuzz --count $(or $(COUNT),20000)

bench: setup ## Measure; writes bench/results/latest.json
	$(PY) -m bench $(ARGS)

bench-beacon: setup ## Prove real beacon periods; sets keys up (minutes, 3 GB); adds to bench/results/latest.json
	$(PY) -m bench beacon_circuits

demo-hotshot: setup ## A HotShot network, an Ethereum node, and the prover between them (a minute)
	$(BIN)/provery demo hotshot $(ARGS)

demo-zkml: setup ## The inference API with two models, and its page at http://127.0.0.1:3001/ (ARGS=--once: one request)
	$(BIN)/provery demo zkml $(ARGS)

demo-hotshot-20: setup ## The same with 100 validators for 20 epochs (15 minutes, 1 GB); writes bench/results/hotshot-demo-20.json
	$(BIN)/provery demo hotshot --validators 100 --capacity 100 --epochs 20 --timeout 3600 \
	  --result bench/results/hotshot-demo-20.json $(ARGS)

test-long: setup tools-s3 ## Run the tests that take most of a minute or more each
	$(PY) -m pytest -n0 -m long $(ARGS)

test-hotshot: setup ## Prove and land the real certificates, at capacity 200; sets keys up (minutes, 3 GB)
	PROVERY_TEST_CIRCUITS=1 $(PY) -m pytest -n0 tests/e2e/test_hotshot_real.py $(ARGS)

test-zkml: setup ## Add, prove and attest models of others by every prover (minutes, 2 GB); writes bench/results/zkml-models.json
	PROVERY_TEST_ZKML=1 $(PY) -m pytest -n0 -s tests/e2e/test_zkml_matrix.py $(ARGS)

bench-zkml: setup ## Prove inferences natively and by ezkl, over HTTP and on chain, and under load; adds to latest.json
	$(PY) -m bench zkml zkml_load

bench-hotshot: setup ## Prove a real HotShot state both ways, verify on chain, time a lane (minutes, 4 GB); adds to latest.json
	$(PY) -m bench hotshot_circuits lane

test-circuits: setup ## Test the beacon circuits with their real keys, kept in .provery/circuits (minutes, 3 GB)
	PROVERY_TEST_CIRCUITS=1 $(PY) -m pytest -n0 tests/e2e/test_beacon_circuits.py $(ARGS)

live: setup $(STAMPS)/chain ## Prove the periods of a live local chain while everything is killed (about 10 minutes)
	PROVERY_LIVE=1 PROVERY_LIVE_SLOT_S=$(or $(PROVERY_LIVE_SLOT_S),1) $(PY) -m pytest -n0 -s tests/live $(ARGS)

lock: $(STAMPS)/venv ## Resolve the locks again
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--group toolchain --group dev --custom-compile-command "make lock" $(LOCK_ARGS) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--constraint requirements.lock --no-annotate --custom-compile-command "make lock" pyproject.toml \
		-o requirements-runtime.lock
	$(MAKE) $(STAMPS)/python
	cd tools/npm && npm install --package-lock-only --ignore-scripts --no-audit --no-fund
	$(PY) tools/trim_npm_lock.py tools/npm/package-lock.json
	cd tools/evm && npm install --package-lock-only --ignore-scripts --no-audit --no-fund
	$(PY) tools/trim_npm_lock.py tools/evm/package-lock.json
	cd tools/chain && npm install --package-lock-only --ignore-scripts --no-audit --no-fund
	$(PY) tools/trim_npm_lock.py tools/chain/package-lock.json
	cd tools/browser && npm install --package-lock-only --ignore-scripts --no-audit --no-fund
	$(PY) tools/trim_npm_lock.py tools/browser/package-lock.json

clean: ## Remove what set-up and runs made (the ledger and artifacts in .provery too)
	rm -rf $(VENV) $(HOMEDIR) tools/npm/node_modules tools/evm/node_modules tools/chain/node_modules tools/browser/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

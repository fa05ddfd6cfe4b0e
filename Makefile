# Cortensor's commands of the day; `make help` lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(VENV)/bin/pip --disable-pip-version-check
CHAT_MODEL := .models/smollm2-135m-instruct.gguf
FORGE := $(PY) contracts/forge.py

.DEFAULT_GOAL := help
.PHONY: help run ask test test-python test-contracts prove-contracts coverage coverage-contracts audit soak-sync soak-outages soak-faults fuzz-engine lint format docs contracts pins bench setup setup-dev clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@ls bench/*.py 2>/dev/null | sed -n 's|bench/\([a-z_]*\)\.py|  make bench-\1|p' | grep -vE "__init__|report" || true

run: setup ## Run the whole network on this machine, with an example (ONCE=1: exit after its receipt)
	@$(PY) -m cortensor_site.stack

ask: ## Ask the network of `make run` five everyday questions (Q="…": another one)
	@$(PY) -m cortensor_site.stack.ask $(if $(Q),"$(Q)")

# Side by side, since one waits for its servers, blocks and deadlines while the other computes. What
# a part has to say is shown when it has ended; pytest (`+`) shows its progress.
test: setup-dev ## Run every test
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-contracts test-python

test-python: setup-dev ## Run the Python tests in two processes (in one: .venv/bin/python -m pytest)
	+$(PY) -m pytest -n 2

test-contracts: setup-dev ## Run the contracts' tests, with the bytecode that is checked in
	$(PY) contracts/build.py --check
	FORGE_SNAPSHOT_CHECK=true nice $(FORGE) test --offline

prove-contracts: setup-dev ## Compile the contracts, and compare every byte with contracts/abi (minutes)
	nice $(PY) contracts/build.py --prove

coverage: setup-dev ## Measure what of the Python code the tests reach (TESTS=tests/mining: only those)
	$(VENV)/bin/coverage run -m pytest -q --durations=0 $(TESTS)
	$(VENV)/bin/coverage report

coverage-contracts: setup ## Measure what of contracts/src the tests reach (without optimising: minutes)
	FOUNDRY_PROFILE=deployed TEST_SOURCES=true $(FORGE) coverage --offline --ir-minimum --no-match-contract 'Invariants|Gas' \
		--no-match-coverage 'contracts/test|node_modules' --report summary

audit: setup $(VENV)-slither/.installed ## Run slither; fails on findings that contracts/AUDIT.md does not answer
	$(PY) contracts/audit.py

soak-sync: setup-dev ## Follow 2,000 random histories, and kill the sender 20 times at each step
	SYNC_EXAMPLES=$${SYNC_EXAMPLES:-2000} SENDER_KILLS=$${SENDER_KILLS:-20} $(PY) -m pytest -q \
		tests/chain/following/test_any_history.py tests/chain/sending/test_sender_kills.py

soak-outages: setup-dev ## Take each part of a running network away for two minutes under load
	OUTAGES=$${OUTAGES:-all} OUTAGE_S=$${OUTAGE_S:-120} $(PY) -m pytest -q -s tests/system/test_outages.py

soak-faults: setup-dev ## Break a running network 50 times: killed miners, broker restarts and partitions
	FAULTS=$${FAULTS:-50} LATEST_FAULT_S=$${LATEST_FAULT_S:-6} $(PY) -m pytest -q -s tests/system/test_faults.py

lint: setup-dev ## Check format, lints, types, layers and rooms
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	nice $(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest -q tests/test_rooms.py

format: setup-dev ## Format the code and mend what ruff can mend
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

docs: $(VENV)-docs/.installed ## Build the pages of docs/ into docs/_build/html; fails on a dead link
	@rm -rf docs/_build
	$(VENV)-docs/bin/sphinx-build -q -W -n --keep-going -b html -c docs . docs/_build/html

contracts: setup ## Compile the contracts and write contracts/abi
	$(PY) contracts/build.py

bench: $(patsubst bench/%.py,bench-%,$(filter-out bench/__init__.py bench/report.py,$(wildcard bench/*.py))) ## Run every benchmark

bench-miner: $(VENV)-bench-miner/.peers

FUZZ_S ?= 600
fuzz-engine: setup-dev ## Drive the engine with hostile input for FUZZ_S seconds
	FUZZ_S=$(FUZZ_S) $(PY) -m tests.fuzz

bench-%: setup-dev ## Run bench/NAME.py
	$(PY) -m bench.$*

pins: $(VENV)/.made ## Compile the short requirement files to exact pins
	$(VENV)/bin/pip install --quiet pip-tools
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --output-file requirements.txt requirements.in
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --output-file requirements-dev.txt requirements-dev.in
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --constraint requirements.txt --output-file requirements-node.txt requirements-node.in
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --output-file requirements-bench.txt requirements-bench.in
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --output-file requirements-bench-miner.txt requirements-bench-miner.in
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --output-file requirements-slither.txt requirements-slither.in
	$(VENV)/bin/pip-compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --output-file requirements-docs.txt requirements-docs.in
	sed -i 's/+cpu$$//' requirements.txt requirements-dev.txt  # the plain version takes any build

# The parts of a set-up go on side by side: compiling needs the processors, the others the line.
TOGETHER := $(MAKE) --no-print-directory -j8

setup: ## Install what running needs (the first time takes minutes: llama.cpp is compiled)
	@$(TOGETHER) $(VENV)/.run node_modules/.installed $(if $(MODEL),,$(shell test -e $(VENV)/.run || echo $(CHAT_MODEL)))

setup-dev: ## Install what testing needs as well
	@$(TOGETHER) FIRST=$(VENV)/.dev-packages $(VENV)/.dev $(SCHEMA_SUITE) node_modules/.installed

$(VENV)/.made:
	@echo "── creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# Without its multimodal tools and its programs' common library, which nothing here uses.
LLAMA := $(shell grep '^llama-cpp-python==' requirements.txt)
LLAMA_ARGS := -DLLAVA_BUILD=OFF '-DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/setup/llama.cmake'
# Named after how it is built, so that another way builds it anew.
LLAMA_BUILT := $(VENV)/wheels/.$(subst ==,-,$(LLAMA))-$(firstword $(shell cksum setup/llama.cmake))

$(LLAMA_BUILT): | $(VENV)/.made
	@echo "── llama.cpp: compiling for this machine (minutes)"
	@rm -rf $(VENV)/wheels && mkdir $(VENV)/wheels
	@(CMAKE_ARGS="$(LLAMA_ARGS) $$CMAKE_ARGS" $(PIP) wheel --verbose --no-deps \
		--wheel-dir $(VENV)/wheels "$(LLAMA)" 2>&1; echo "exit $$?") | awk -v name=llama.cpp -f setup/progress.awk
	@touch $@

$(VENV)/.packages: requirements.txt | $(VENV)/.made
	@echo "── Python packages: downloading and installing"
	@grep -v '^llama-cpp-python==' requirements.txt > $(VENV)/packages.txt
	@$(PIP) install -qq -r $(VENV)/packages.txt
	@echo "── Python packages: installed"
	@touch $@

# FIRST: what is to use pip before, since one at a time may change the environment.
$(VENV)/.run: $(VENV)/.packages $(LLAMA_BUILT) | $(FIRST)
	@$(PIP) install --quiet --no-deps --no-index --force-reinstall --find-links $(VENV)/wheels "$(LLAMA)"
	@touch $@

$(VENV)/.dev-packages: requirements-dev.txt $(VENV)/.packages
	@echo "── what the tests need: downloading and installing"
	@grep -v '^llama-cpp-python==' requirements-dev.txt > $(VENV)/packages-dev.txt
	@$(PIP) install -qq -r $(VENV)/packages-dev.txt
	@echo "── what the tests need: installed"
	@touch $@

$(VENV)/.dev: $(VENV)/.dev-packages $(VENV)/.run
	@touch $@

# JSON Schema's own test suite: the sources of the package have it, the wheel has not.
JSONSCHEMA := $(shell grep '^jsonschema==' requirements-dev.txt)
SCHEMA_SUITE := $(VENV)/json-schema-suite/$(subst ==,-,$(JSONSCHEMA)).tar.gz

$(SCHEMA_SUITE): | $(VENV)/.dev-packages
	@echo "── JSON Schema's test suite: downloading"
	@$(PIP) download -qq --no-deps --no-binary jsonschema --dest $(@D) "$(JSONSCHEMA)"

# Where it cannot be had, the network starts without it, and fetches it at a later start.
$(CHAT_MODEL): | $(VENV)/.made
	@$(PY) cortensor_site/stack/chat_model.py

# The peers of bench-miner have a place of their own, from which they also see the project's packages.
$(VENV)-bench-miner/.peers: requirements-bench-miner.txt $(VENV)/.run
	@echo "── installing what benchmarks compare with"
	@$(PYTHON) -m venv $(VENV)-bench-miner
	@$(VENV)-bench-miner/bin/pip install --disable-pip-version-check -r requirements-bench-miner.txt
	@echo "$(CURDIR)/$(VENV)/lib/python3.11/site-packages" > $(VENV)-bench-miner/lib/python3.11/site-packages/project.pth
	@touch $@

$(VENV)-slither/.installed: requirements-slither.txt
	@echo "── installing the static analyser"
	@$(PYTHON) -m venv $(VENV)-slither
	@$(VENV)-slither/bin/pip install --disable-pip-version-check -r requirements-slither.txt
	@touch $@

$(VENV)-docs/.installed: requirements-docs.txt
	@echo "── installing what builds the docs"
	@$(PYTHON) -m venv $(VENV)-docs
	@$(VENV)-docs/bin/pip install --disable-pip-version-check --quiet -r requirements-docs.txt
	@touch $@

node_modules/.installed: package.json package-lock.json
	@echo "── chain and Solidity compiler: downloading and installing"
	@npm ci --no-audit --no-fund --no-progress --loglevel=error
	@echo "── chain and Solidity compiler: installed"
	@touch $@

clean: ## Remove what running and testing left behind (var/ holds the network's data; the chat model stays)
	rm -rf var contracts/out contracts/cache docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis

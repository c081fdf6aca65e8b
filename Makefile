# Everything sets itself up from a bare checkout: python3, make and the package registries.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
TOOLS := $(VENV)/tools
PLOTS := $(VENV)/plots
# A registry that stumbles is asked again.
export PIP_RETRIES := 10
export PIP_DEFAULT_TIMEOUT := 60
export npm_config_fetch_retries := 5
DEPLOYMENTS := systemd kubernetes compose
# What several connections do to each other.
REPEATABLE_READ_TESTS := $(addprefix tests/journal/test_,concurrency.py locks.py letters.py poison.py contract_batches.py contract_events.py contract_flush.py)
SERVICES := $(BIN)/python deploy/demo/services.py .demo/services --
THROWAWAY := $(BIN)/python deploy/demo/services.py --throwaway .demo/services --
BENCH = PYTHONPATH=$(CURDIR)/deploy/demo:$(CURDIR) $(SERVICES) $(BIN)/python

.PHONY: help setup bench bench-docs bench-pools bench-small demo demo-serve demo-check test test-tasks test-others test-databases test-rabbitmq bench-rate-limit faults faults-small verify-js lint bandit audit types imports wheel wheel-check clean browser deploy-check several-hosts image-check observe-check runbook-check

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## Install the pinned packages into .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV)
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

$(TOOLS): $(READY)
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[deployment]'
	touch $@

$(PLOTS): $(READY)
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

demo: $(READY)  ## Run the main job end to end, and watch it
	$(BIN)/python deploy/demo/run.py

demo-serve: $(READY)  ## Leave it running, with the admin and Flower
	$(BIN)/python deploy/demo/run.py --serve

# Development mode, without its slow way to allocate memory.
TEST = PYTHONMALLOC=pymalloc $(BIN)/python deploy/demo/services.py --throwaway .demo/$@ -- $(BIN)/python -X dev -m coverage run -m pytest

test: $(READY)  ## Run the whole suite on real servers, in two halves at once (8 min)
ifneq ($(ARGS)$(DATABASE_URL)$(REDIS_URL),)
	$(TEST) $(ARGS)
else
	$(MAKE) --no-print-directory -j2 --output-sync=target test-tasks test-others
endif
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

test-tasks: $(READY)
	$(TEST) tests/tasks

test-others: $(READY)
	$(TEST) --ignore=tests/tasks

test-databases: $(READY)  ## Run the journal's contract on SQLite, on MariaDB (Debian's mariadb-server; imports too), and on PostgreSQL under REPEATABLE READ
	$(BIN)/python -X dev -m pytest tests/journal
	$(BIN)/python tests/mariadb.py .demo/services -- $(BIN)/python -X dev -m pytest tests/journal tests/importing
	DOH_TEST_REPEATABLE_READ=1 $(THROWAWAY) $(BIN)/python -X dev -m pytest $(REPEATABLE_READ_TESTS)

bench: $(PLOTS)  ## Measure everything beside its yardsticks (50 min, a quiet machine, Debian's nginx; ARGS="--only P1,P3")
	$(BENCH) -m tests.bench $(ARGS)

bench-docs: $(PLOTS)  ## Measure everything, or ARGS="--only P1,P4", and write what was found into docs (50 min, a quiet machine)
	$(BENCH) -m tests.bench --docs $(ARGS)

bench-pools: $(PLOTS)  ## Compare the pools of Celery's workers (10 min)
	$(BENCH) -m tests.bench --only pools $(ARGS)

bench-small: $(PLOTS)  ## See that the benchmark runs, and what the hot statements touch of a large ledger
	$(BENCH) -m tests.bench --scale small --repeat 1 --docs .demo/docs $(ARGS)
	$(BENCH) -m pytest -q --ds=tests.bench.settings tests/bench/test_document.py tests/bench/test_plans.py tests/bench/test_simulate.py tests/bench/test_connections.py

bench-rate-limit: $(READY)  ## Count how well four workers hold a rate limit over a minute
	$(SERVICES) $(BIN)/python -m pytest -q tests/bench/test_rate_limit.py

test-rabbitmq: $(READY)  ## Run the main job over RabbitMQ, move there and back with traffic on (Debian's rabbitmq-server)
	$(THROWAWAY) $(BIN)/python tests/rabbitmq.py .demo/services -- $(BIN)/python -X dev -m pytest tests/tasks/test_main_job.py tests/tasks/test_letterbox.py tests/moving

verify-js: $(READY)  ## Have JavaScript's library verify what every deliverer sends (Debian's nodejs, npm)
	$(THROWAWAY) $(BIN)/python -X dev -m pytest tests/javascript

browser: $(TOOLS)  ## See Flower and the admin in Debian's chromium (SCREENSHOTS=docs/img renews the pictures)
	$(BIN)/python -m pytest tests/deployment/test_browser.py

observe-check: $(TOOLS)  ## Have Debian's prometheus scrape a real run: alerts, and every panel of the dashboard
	$(BIN)/python -m pytest tests/deployment/test_observe.py

runbook-check: $(TOOLS)  ## Make every alert fire, and follow the runbook until it resolves (4 min, as root)
	$(BIN)/python -m pytest tests/deployment/test_runbook.py

deploy-check: $(TOOLS)  ## Open what is in deploy with the tools it is for, and run its commands
	$(BIN)/python -m pytest $(addprefix tests/deployment/test_,$(addsuffix .py,$(DEPLOYMENTS)))

faults: $(READY)  ## Kill, cut and fill everything at full size, on both brokers (25 min, as root)
	for broker in valkey rabbitmq; do \
	  $(BIN)/python -m tests.faults --jobs 2 --scale full --broker $$broker --json .demo/faults-$$broker.json $(ARGS) || failed=1; \
	done; \
	$(BIN)/python -m tests.faults --docs .demo/faults-valkey.json .demo/faults-rabbitmq.json; exit $${failed:-0}

faults-small: $(READY)  ## The same at a small size (5 min, as root)
	$(BIN)/python -m tests.faults --jobs 2 --broker valkey $(ARGS)
	$(BIN)/python -m tests.faults --jobs 2 --broker rabbitmq $(ARGS)

image-check: $(READY)  ## Build the image without an engine, and start what is in it (Debian's buildah, debootstrap)
	$(BIN)/python -m pytest tests/deployment/test_image.py

several-hosts: $(READY)  ## Cut one of several hosts off and bring it back (network namespaces, as root)
	$(BIN)/python -m pytest tests/deployment/test_several_hosts.py

.PHONY: conformance fuzz
conformance: $(READY)  ## Dial every denied address by every deliverer, in a network of its own (4 min, as root)
	$(BIN)/python -m tests.conformance $(ARGS)

FUZZ := 200000
SEED := 0
fuzz: $(READY)  ## Fuzz what is accepted as a target or header (FUZZ=inputs; SEED=number to begin with the same ones)
	$(BIN)/python -m tests.conformance.fuzz_targets -runs=$(FUZZ) -seed=$(SEED) -max_len=400 -verbosity=0 .demo/fuzz

lint: $(READY)  ## Check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

bandit: $(READY)  ## Look for insecure code
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml doh doh_tasks

audit: $(READY)  ## Ask for known vulnerabilities of the pinned packages; says NOT AUDITED if nobody knows
	$(BIN)/python -m pytest -q tests/audit
	$(BIN)/python tests/audit/audit.py

types: $(READY)  ## Check types
	$(BIN)/mypy

imports: $(READY)  ## Check that rooms import only rooms below them
	$(BIN)/lint-imports

demo-check: $(READY)  ## Check the demo: it ends, fails plainly, serves, leaves nothing behind
	$(BIN)/python -X dev -m pytest tests/deployment/test_demo.py

wheel-check: $(READY)  ## Use the built wheel in a project of somebody else
	$(THROWAWAY) $(BIN)/python tests/wheel/check.py

wheel: $(READY)  ## Build the wheel into dist
	$(BIN)/python -m build --wheel --outdir dist .

clean:  ## Remove what was made
	rm -rf $(VENV) .demo dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache

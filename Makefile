# Longhaul: every command a person or CI runs. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JS_CLIENT := clients/javascript
CHECKOV_READY := $(VENV)/checkov/.ready
PEERS_READY := $(VENV)/peers/.ready
NODE_READY := tests/node_modules/.ready $(JS_CLIENT)/node_modules/.ready
export PATH := $(abspath $(BIN)):$(PATH)
export VIRTUAL_ENV := $(abspath $(VENV))
# The tests start hundreds of processes: none is to compile anew what another has imported.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 19

.PHONY: setup
setup: $(READY) $(if $(shell command -v npm),$(NODE_READY))  ## Make the virtual environment with the locked dependencies

$(READY): requirements-dev.lock requirements-uv.lock pyproject.toml clients/python/pyproject.toml
	@PYTHON="$(PYTHON)" bash deploy/local/setup.sh "$(VENV)"
	@touch $@

# checkov wants older libraries than Longhaul does, so it has an environment of its own.
$(CHECKOV_READY): requirements-checkov.lock | $(READY)
	@echo "setup: installing checkov" >&2
	@uv venv --quiet --clear --python "$(BIN)/python" $(dir $@)
	@VIRTUAL_ENV= uv pip sync --quiet --python $(dir $@)bin/python --require-hashes $<
	@touch $@

# What Longhaul is measured against: some of it wants another botocore than Longhaul does.
$(PEERS_READY): requirements-peers.lock | $(READY)
	@echo "setup: installing the peers of the benchmarks" >&2
	@uv venv --quiet --clear --python "$(BIN)/python" $(dir $@)
	@VIRTUAL_ENV= uv pip sync --quiet --python $(dir $@)bin/python --require-hashes $<
	@touch $@

# For checks and tests alone; everything else does without Node.
%/node_modules/.ready: %/package.json %/package-lock.json
	@command -v npm >/dev/null || { echo "setup: no npm on PATH: apt-get install npm (the tests need it)" >&2; exit 1; }
	@echo "setup: installing the locked npm packages of $*" >&2
	@npm ci --prefix $* --silent --no-audit --no-fund --ignore-scripts
	@touch $@

.PHONY: run
run: $(READY)  ## Run the whole system on local stand-ins until Ctrl-C
	@honcho run python -m deploy.local may-start  # beside honcho's lines its own would be lost
	@exec honcho start

.PHONY: demo
demo: $(READY)  ## Run one real job through the whole system and show it
	@exec python -m deploy.local.demo

.PHONY: check
check: $(READY) $(NODE_READY) kubernetes-check  ## Lint, types, layers: what CI checks before the tests
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-cache
	@cfn-lint deploy/aws/*.yaml
	@hadolint deploy/Dockerfile deploy/local/Dockerfile
	@$(JS_CLIENT)/node_modules/.bin/tsc -p $(JS_CLIENT)
	@$(JS_CLIENT)/node_modules/.bin/tsc -p web/console
	@if command -v promtool >/dev/null; then \
	    promtool check rules deploy/observability/alerts.yml; \
	    promtool test rules deploy/observability/alerts_test.yml; \
	else \
	    echo "check: no promtool on PATH (apt-get install prometheus): alert rules are left to CI" >&2; \
	fi

.PHONY: kubernetes-check
kubernetes-check: $(READY) $(CHECKOV_READY)  ## Render deploy/kubernetes and hold it against schemas and policies
	@python -m tests.manifests

RULES := deploy/kubernetes/components/prometheus/rules.yaml

.PHONY: prometheus-rule
prometheus-rule:  ## Copy the alert rules to where kustomize can read them
	@{ printf '%s\n' \
	    '# Made by `make prometheus-rule` from deploy/observability/alerts.yml: change them there.' \
	    'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' 'metadata:' '  name: longhaul' 'spec:'; \
	  sed -n '/^groups:/,$$p' deploy/observability/alerts.yml | sed 's/^./  &/'; \
	} > $(RULES)

# Each worker has stand-ins of its own; one that has finished takes tests from another. A test waits
# for other processes half of its time, so three keep two cores busy.
WORKERS ?= 3
PARALLEL := --numprocesses $(WORKERS) --dist worksteal

.PHONY: test-quick
test-quick: $(READY) $(NODE_READY) $(CHECKOV_READY)  ## Unit and contract tests only
	@pytest $(PARALLEL) tests/unit tests/contracts

.PHONY: test
test: $(READY) $(NODE_READY) $(CHECKOV_READY) $(PEERS_READY)  ## All tests, against real parts: WORKERS=0 for one after the other
	@pytest $(PARALLEL)

JOBS ?= 300
SEED ?= 1
ROUNDS ?= 1

.PHONY: faults
faults: $(READY)  ## Break everything under load and check what holds: JOBS=1000 SEED=1 ROUNDS=3 ONLY=...
	@exec python -m tests.faults --jobs "$(JOBS)" --seed "$(SEED)" --rounds "$(ROUNDS)" \
	    $(if $(ONLY),--only "$(ONLY)")

.PHONY: rehearse
rehearse: $(READY)  ## Replace every process under load as Kubernetes would, with the manifests' own times: SCALE=0.1
	@exec python -m tests.rehearsal $(if $(SCALE),--scale "$(SCALE)")

EXAMPLES ?= 500

.PHONY: watchers
watchers: $(READY)  ## Play random stories of watchers whose connections, logs and servers get lost: EXAMPLES=2000
	@WATCHERS_EXAMPLES="$(EXAMPLES)" exec pytest --timeout=0 tests/integration/test_watchers_machine.py

BENCHMARKS := accept overhead waiting throughput feed sockets streams growth

.PHONY: bench
bench:  ## Run all benchmarks, one after the other, into docs/benchmarks.md; it takes a quarter of an hour
	@$(MAKE) --no-print-directory --jobs=1 --keep-going $(BENCHMARKS:%=bench-%)

.PHONY: bench-sockets
bench-sockets: $(READY)  ## Measure 5,000 sockets and publishes to 1,000 watchers into docs/benchmarks.md
	@exec timeout --foreground --kill-after=30 --signal=INT 290 python -m bench.sockets $(FLAGS)

.PHONY: bench-streams
bench-streams: $(READY)  ## Measure tokens a second to 200 streams at once, beside bare pub/sub
	@exec timeout --foreground --kill-after=30 --signal=INT 290 python -m bench.streams $(FLAGS)

.PHONY: bench-throughput
bench-throughput: $(READY) $(PEERS_READY)  ## Measure jobs a second against Celery, arq, taskiq and Step Functions
	@exec timeout --foreground --kill-after=30 --signal=INT 290 python -m bench.throughput $(FLAGS)

.PHONY: bench-accept
bench-accept: $(READY)  ## Measure what one web process accepts, beside a bare put_item
	@exec timeout --foreground --kill-after=30 --signal=INT 290 python -m bench.accept $(FLAGS)

.PHONY: bench-overhead
bench-overhead: $(READY)  ## Measure what is added to one call of the model, beside bare Celery and polling
	@exec timeout --foreground --kill-after=30 --signal=INT 290 python -m bench.overhead $(FLAGS)

.PHONY: bench-waiting
bench-waiting: $(READY) $(PEERS_READY)  ## Measure 1,000 and 2,000 jobs in flight in one worker process
	@exec timeout --foreground --kill-after=30 --signal=INT 590 python -m bench.waiting $(FLAGS)

.PHONY: bench-feed
bench-feed: $(READY)  ## Measure change records a second from the stream to the broker, beside GetRecords alone
	@exec timeout --foreground --kill-after=30 --signal=INT 290 python -m bench.feed $(FLAGS)

.PHONY: bench-growth
bench-growth: $(READY)  ## Measure the hot path at 1,000, 10,000 and 100,000 stored jobs, against itself
	@exec timeout --foreground --kill-after=30 --signal=INT 590 python -m bench.growth $(FLAGS)

.PHONY: measure-processes
measure-processes: $(READY)  ## Measure memory and CPU of web, worker and feed into docs/kubernetes.md
	@exec timeout --foreground --kill-after=30 --signal=INT 590 python -m bench.processes $(FLAGS)

.PHONY: capacity
capacity: $(READY)  ## Work out what 10 to 100,000 jobs a minute need into docs/capacity.md: FLAGS="--job-seconds 60"
	@exec python -m bench.capacity $(FLAGS)

.PHONY: capacity-check
capacity-check: $(READY)  ## Hold the simulation behind docs/capacity.md against the real processes
	@exec timeout --foreground --kill-after=30 --signal=INT 290 python -m bench.capacity.check $(FLAGS)

.PHONY: format
format: $(READY)  ## Format and mend what can be mended by machine
	@ruff check --fix-only .
	@ruff format .

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: lock
lock: $(READY)  ## Resolve the dependencies anew into the lock files
	@$(LOCK) pyproject.toml --extra local --extra dev -o requirements-dev.lock
	@$(LOCK) pyproject.toml -c requirements-dev.lock -o requirements.lock
	@$(LOCK) pyproject.toml --extra local -c requirements-dev.lock -o requirements-local.lock
	@echo uv | $(LOCK) - -o requirements-uv.lock
	@echo "checkov>=3.3" | $(LOCK) - -o requirements-checkov.lock
	@echo setuptools | $(LOCK) - -c requirements-dev.lock -o requirements-build.lock
	@$(LOCK) bench/peers/requirements.in -o requirements-peers.lock

.PHONY: clean
clean:  ## Remove the virtual environment, caches and the stand-ins' data
	rm -rf $(VENV) $(dir $(NODE_READY)) .local .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info clients/python/*.egg-info

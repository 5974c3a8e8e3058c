# Every command of the project. All it needs is Python 3.11 and make; `make help` lists the targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | column -t -s '|'

# Installs exactly what the lock names, by hash, and the project and its client in place.
$(READY): requirements.lock pyproject.toml client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name it with PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e client
	@touch $@

.PHONY: setup
setup: $(READY) ## Install everything into .venv

PROTOC := $(VENV)-protoc

# The compiler of the contract, in an environment of its own: it needs an old protobuf.
$(PROTOC)/.ready: requirements-protoc.lock
	@test -x $(PROTOC)/bin/python || $(PYTHON) -m venv $(PROTOC)
	@$(PROTOC)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.PHONY: wheel
wheel: $(READY) ## Build the wheels of the server and of the client into dist
	$(BIN)/python -m hatchling build --target wheel --directory dist
	cd client && ../$(BIN)/python -m hatchling build --target wheel --directory ../dist

.PHONY: run
run: $(READY) ## Serve on 127.0.0.1:50051 with a PostgreSQL of its own in ./data
	@exec $(BIN)/featom serve

# Half of the time tests wait, so that four of them keep two cores busy. tests/kit/order.py says which
# files come first.
IN_PARALLEL := --numprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: $(READY) ## Run all tests, four files at a time
	$(BIN)/pytest $(IN_PARALLEL) $(PYTEST_OPTIONS)

# The unit tests, and one path of each kind against a real PostgreSQL.
SMOKE := tests/unit $(addprefix tests/conformance/test_,deletions.py history.py reads.py request_ids.py update_batches.py updates.py) \
	$(addprefix tests/integration/test_,contract_reads.py contract_updates.py databases.py error_transport.py) \
	$(addprefix tests/e2e/test_,counters.py health_port.py stale_etags.py) tests/attacks/test_tls.py

.PHONY: smoke
smoke: $(READY) ## Run what one runs before each commit: unit tests and a path of each kind, in a minute
	$(BIN)/pytest $(IN_PARALLEL) -k 'not postgres-15' $(SMOKE) $(PYTEST_OPTIONS)

.PHONY: check
check: $(READY) $(PROTOC)/.ready ## Check format, lint, types, import rules and the contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 client # the oldest that it runs on
	$(BIN)/lint-imports --no-cache
	cd protos && ../$(BIN)/buf format --diff --exit-code && ../$(BIN)/buf lint
	@# The contract is also the stored form: since the last commit on main it may only have grown.
	@if git cat-file -e main:protos/buf.yaml 2>/dev/null; then \
		echo "buf breaking against main"; \
		$(BIN)/buf breaking protos --against "$$(git rev-parse --git-common-dir)#format=git,branch=main,subdir=protos"; \
	fi
	$(BIN)/python protos/generate.py --check
	@# The locks that migrations take, as far as their SQL tells.
	env -u FEATOM_DSN $(BIN)/featom migrate sql --contract | $(BIN)/squawk \
		--config repository/migrations/squawk.toml --stdin-filepath migrations.sql

.PHONY: schema
schema: $(READY) ## Write repository/schema.sql anew, from the migrations
	$(BIN)/python -m tests.integration.schema_snapshot

.PHONY: fix
fix: $(READY) ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cd protos && ../$(BIN)/buf format --write

.PHONY: generate
generate: $(READY) $(PROTOC)/.ready ## Generate the Python code of the contract anew
	$(BIN)/python protos/generate.py

.PHONY: torture
torture: $(READY) ## Kill, pause, cut off and cancel for half an hour, and check every promise
	$(BIN)/python -m tests.consistency.torture
	$(BIN)/python -m tests.consistency.large_updates

.PHONY: fuzz
fuzz: $(READY) ## Send mutated messages to a server and look for crashes; MESSAGES=100000
	$(BIN)/python -m tests.attacks.fuzz --messages $(or $(MESSAGES),100000)

.PHONY: demo
demo: $(READY) ## Replay real flights through the server; FLIGHTS=all for all 336,776, TOGETHER=1 for a batch each
	$(BIN)/python -m examples.flights --flights $(or $(FLIGHTS),20000) $(if $(TOGETHER),--together)

.PHONY: bench
bench: $(READY) ## Measure, side by side, and write the tables of benchmarks/README.md; PARTS=writes for a part
	@for part in $(or $(PARTS),reads writes growth profile client); do \
		$(BIN)/python -m benchmarks$$(test $$part = reads || echo .$$part) || exit 1; \
	done

# uv resolves for every platform at once; no address of an index gets into the files. The image,
# the checks of the deployment and the compiler of the contract have locks of their own, with the versions
# of the first where both name a package; checkov cannot have them, as it pins its own, nor can the
# compiler, which is old on purpose.
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --upgrade

.PHONY: lock
lock: $(READY) ## Resolve the newest allowed versions into the locks
	$(UV_COMPILE) --all-extras --output-file requirements.lock pyproject.toml
	$(UV_COMPILE) --extra tracing --constraint requirements.lock --output-file requirements-server.lock pyproject.toml
	$(UV_COMPILE) --constraint requirements.lock --output-file requirements-image.lock --group image
	$(UV_COMPILE) --output-file requirements-checkov.lock --group checkov
	$(UV_COMPILE) --output-file requirements-protoc.lock --group protoc

IMAGE ?= featom:0.1.0
POSTGRES_IMAGE ?= postgres:18

.PHONY: release-version
release-version: $(READY) ## Name a version wherever one must be named: VERSION=1.2.3
	@$(BIN)/python -m deploy.version $(VERSION)

.PHONY: image
image: ## Build the image; BUILD_ARGS="--build-arg NAME=VALUE …" for other bases
	docker build --file deploy/docker/Dockerfile --tag $(IMAGE) \
		--build-arg REVISION=$$(git rev-parse HEAD) $(BUILD_ARGS) .

# Tests that know the server by its ports alone: of files of this machine it sees none.
IMAGE_TESTS := $(addprefix tests/e2e/test_,counters.py entity_type_commands.py entity_types.py health_port.py stale_etags.py torn_vectors.py \
	whole_updates.py) tests/e2e/observability $(wildcard tests/integration/test_contract_*.py) -k 'not (password_file or test_names or test_guards)'

.PHONY: image-check
image-check: $(READY) ## Run the image as Kubernetes would, beside POSTGRES_IMAGE, and the tests against it
	$(BIN)/python deploy/docker/check_image.py $(IMAGE) $(POSTGRES_IMAGE)
	FEATOM_TEST_IMAGE=$(IMAGE) FEATOM_TEST_POSTGRES=container FEATOM_TEST_POSTGRES_IMAGE=$(POSTGRES_IMAGE) \
		$(BIN)/pytest $(IMAGE_TESTS)

CHECKOV := $(VENV)-checkov

$(CHECKOV)/.ready: requirements-checkov.lock
	@test -x $(CHECKOV)/bin/python || $(PYTHON) -m venv $(CHECKOV)
	@$(CHECKOV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.PHONY: deploy-check
deploy-check: $(READY) checkov ## Check image and manifests; needs no Docker and no cluster
	$(BIN)/pytest tests/deploy

.PHONY: checkov
checkov: $(READY) $(CHECKOV)/.ready ## Check image and manifests for what checkov knows to be unsafe
	rm -rf build/manifests
	$(BIN)/python -m deploy.kubernetes.render build/manifests
	$(CHECKOV)/bin/checkov --config-file deploy/checkov.yaml

PROMTOOL := build/prometheus/usr/bin/promtool

# Of Debian's package, without installing that: it would start a Prometheus.
$(PROMTOOL):
	@mkdir -p build/prometheus
	cd build/prometheus && { apt-get download prometheus \
		|| { apt-get update && apt-get download prometheus; }; } && dpkg-deb --extract prometheus_*.deb .

.PHONY: promtool
promtool: $(PROMTOOL) ## Get promtool, with which the alerts are tested, and Prometheus, from Debian's packages

.PHONY: alerts-check
alerts-check: $(READY) $(PROMTOOL) ## Check that every alert comes where it should, and its runbook
	$(PROMTOOL) check rules deploy/observability/alerts.yaml
	$(PROMTOOL) test rules deploy/observability/alerts_test.yaml
	$(BIN)/pytest tests/deploy/test_observability.py

.PHONY: dashboard-check
dashboard-check: $(READY) $(PROMTOOL) ## Put each question of the dashboard to a Prometheus that scrapes servers under load
	$(BIN)/python -m tests.deploy.live_dashboard

.PHONY: alerts
alerts: $(READY) ## Write the dashboard and the operator's rules anew
	$(BIN)/python -m deploy.observability.dashboard
	$(BIN)/python -m deploy.observability.prometheus_rule

.PHONY: dev-password
dev-password: $(addprefix deploy/kubernetes/overlays/dev/,password server-password) ## Make up the passwords of the dev overlay's database

.PHONY: server-password
server-password: deploy/kubernetes/overlays/aks-cnpg/server-password ## Make up the servers' password in the aks-cnpg overlay

deploy/kubernetes/overlays/%password:
	@umask 077 && $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(), end="")' > $@

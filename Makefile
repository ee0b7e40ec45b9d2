# Every task of this project by name. `make test` is what CI runs (by way of .ci/run).

.PHONY: help test test-all test-versions oracle demo bench figures fuzz ci install-deps install-servers
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

install-deps: ## installs what tests need and is missing: servers by apt-get, drivers into target/
	@.ci/install all

install-servers:
	@.ci/install servers

test: install-deps ## all tests but the long ones
	cargo test --locked

# SIDECACHE_SCRIPTS: how many random scripts of each kind are played directly and through Sidecache.
test-all: install-deps oracle ## all tests, the long ones and PostgreSQL's own suite too
	.ci/install-regress
	.ci/install java
	cargo build --locked --manifest-path tests/drivers/sqlx/Cargo.toml --target-dir target/sqlx
	SIDECACHE_SCRIPTS=$${SIDECACHE_SCRIPTS:-200} cargo test --locked --no-fail-fast -- --include-ignored --skip deep_ --skip tls_child
	cargo test --locked --profile profiling --lib deep_ -- --ignored
	.ci/fuzz

# SIDECACHE_FUZZ_SECONDS: for each target. TARGET=sql: that one alone.
fuzz: ## hostile bytes, guided by coverage
	.ci/fuzz $(TARGET)

# VERSIONS: other PostgreSQLs than the installed one, of 16, 17 and 18.
test-versions: install-deps ## the tests that need servers, on other versions of PostgreSQL
	@set -e; for version in $${VERSIONS:-16 17 18}; do \
	  SIDECACHE_PG_BIN=$$(.ci/install-postgres $$version) cargo test --locked --test it --test catalog; done

# libclang alone does not know where the compiler's own headers are.
oracle: ## PostgreSQL's own grammar as a program, with which test-all compares ours
	@.ci/install oracle
	BINDGEN_EXTRA_CLANG_ARGS="-I$$(cc -print-file-name=include)" cargo build --quiet --locked --manifest-path tests/oracle/Cargo.toml --target-dir target/oracle

# SECONDS shortens or lengthens its two phases; KEEP=1 keeps its servers until Ctrl-C.
demo: install-servers ## a real workload on a real cluster, direct and through Sidecache
	cargo build --release --quiet --locked --bin sidecache --example demo
	@exec target/release/examples/demo $(if $(KEEP),--keep) $(if $(SECONDS),--seconds $(SECONDS))

bench: ## microbenches
	cargo bench --locked

# CROWD=1 measures many clients and large results instead.
figures: install-deps ## throughput and CPU against PostgreSQL, PgBouncer and a server that only answers
	cargo build --release --quiet --locked --bin sidecache --example figures
	@exec target/release/examples/figures $(if $(CROWD),--crowd)

ci: ## the whole gate
	.ci/run

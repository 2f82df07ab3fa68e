# `make` alone lists what there is to make.
.DEFAULT_GOAL := help
.PHONY: help toolchain guests run test test-dapr-sidecar lint check bench

GUESTS := -p hello -p product-api
GUEST_TARGET := wasm32-wasip2
# Optimised as a whole: a tenth to a fifth smaller, so that they compile and load faster.
BUILD_GUESTS := cargo build --release --target $(GUEST_TARGET) \
	--config 'profile.release.lto="fat"' --config profile.release.codegen-units=1

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

toolchain: ## Install the guests' target (once; quiet when it is there)
	@rustup target list --installed | grep -qx $(GUEST_TARGET) || rustup target add $(GUEST_TARGET)

guests: toolchain ## Build the example packages
	$(BUILD_GUESTS) $(GUESTS)

run: guests ## Build everything and serve wasmgate.toml
	cargo run --release -p wasmgate -- up

test: toolchain ## Run every test
	$(BUILD_GUESTS) $(GUESTS)
	cargo build --release --target $(GUEST_TARGET) -p wasmgate-test-guests --examples
	cargo test --workspace --exclude wasmgate-test-guests

test-dapr-sidecar: toolchain ## Run the Dapr scenarios against the sidecar at DAPR_HTTP_ENDPOINT too
	@test -n "$$DAPR_HTTP_ENDPOINT" || echo "DAPR_HTTP_ENDPOINT is not set: what needs a sidecar is skipped"
	cargo test -p wasmgate-dapr --test it beside_a_sidecar
	cargo test -p wasmgate --test it real_sidecar -- --nocapture

lint: ## Check the formatting and the lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

check: guests ## Check wasmgate.toml without listening
	cargo run --release -p wasmgate -- check

bench: ## Measure route look-ups
	cargo bench -p wasmgate --bench routes

# `make` alone lists what there is to make.
.DEFAULT_GOAL := help
.PHONY: help toolchain guests run test lint check check-macos release release-aarch64 test-aarch64 dist bench bench-peers \
	bench-languages bench-parts record-costs torture torturers faults fuzz dapr rendered test-readme test-languages test-page test-deploy test-image test-cluster cluster \
	test-dapr-sidecar beside-dapr package image

GUESTS := -p hello -p product-api -p counter-api -p barista-api -p kitchen-api -p shop -p wasmgate-loadtest-guest
GUEST_TARGET := wasm32-wasip2
# Of the programs that run as CGI, in the tests.
PROGRAM_TARGET := wasm32-wasip1
# Optimised as a whole: a tenth to a fifth smaller, so that they compile and load faster.
BUILD_GUESTS := cargo build --release --target $(GUEST_TARGET) \
	--config 'profile.release.lto="fat"' --config profile.release.codegen-units=1

# With which profile `make run` builds the gateway; `dev` is there in a tenth of the time, and several times slower.
GATEWAY_PROFILE ?= release

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

toolchain: ## Install the guests' targets (once; quiet when they are there)
	@for target in $(GUEST_TARGET) $(PROGRAM_TARGET); do \
		rustup target list --installed | grep -qx $$target || rustup target add $$target || exit 1; done

guests: toolchain ## Build the example packages
	$(BUILD_GUESTS) $(GUESTS)

run: guests ## Build everything and serve wasmgate.toml
	cargo run --profile $(GATEWAY_PROFILE) -p wasmgate -- up

# Here a test that lacks something says so: a line with its name and the reason.
LEFT_OUT := $(CURDIR)/target/left-out
export WASMGATE_LEFT_OUT := $(LEFT_OUT)
define tell-left-out
	@echo "Tests left out: $$(cat $(LEFT_OUT) 2>/dev/null | wc -l)"
	@[ ! -e $(LEFT_OUT) ] || cut -f 2 $(LEFT_OUT) | sort | uniq -c
endef

test: toolchain ## Run every test; what needs a tool that is not there is left out with a word, and counted
	@rm -f $(LEFT_OUT)
	$(BUILD_GUESTS) $(GUESTS)
	cargo build --release --target $(GUEST_TARGET) -p wasmgate-test-guests --examples
	cargo test --workspace --exclude wasmgate-test-guests --no-fail-fast
	@$(call if-there,python3 curl openssl,the READMEs are not tried,$(MAKE) test-readme)
	@$(call if-there,python3,the crates are not packed,apps/package-test)
	@$(call if-there,python3,no template of another language is tried,$(MAKE) test-languages)
	@$(call if-there,node npm chromium,the coffee shop's page is not tried,$(MAKE) test-page)
	@$(call if-there,python3 go,deploy/ is not checked,$(MAKE) test-deploy)
	@$(call if-there,python3 buildah strip,no image of a project of one's own is built,$(MAKE) test-image)
	$(tell-left-out)

# $(call if-there,TOOLS,what is left out without them,command)
if-there = for tool in $(1); do command -v $$tool >/dev/null || \
	{ echo "$(2): $$tool is not there"; printf 'make\t%s\n' "$(2): $$tool is not there" >> $(LEFT_OUT); exit 0; }; done; $(3)

test-readme: guests ## Run the commands of the READMEs and the guide, and build the first package outside
	cargo build -p wasmgate
	apps/readme-test

test-languages: guests ## Make, build, serve and change a package of each other language's template, with its own tools
	cargo build -p wasmgate
	apps/language-test

test-page: guests ## Order a coffee in headless Chromium; pictures are kept in target/page
	cargo build -p wasmgate
	cd apps/shop/tests/page && npm ci --silent && npm test

lint: toolchain ## Check the formatting, the lints, and the licences and sources of crates
	cargo fmt --all --check
	@$(call if-there,python3,imports and comments are not checked,.ci/check-source)
	@$(call if-there,cargo-deny,licences and sources of crates are not checked,cargo deny check licenses sources bans)
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --target $(GUEST_TARGET) -p wasmgate-sdk $(GUESTS) -- -D warnings
	cargo clippy --target $(GUEST_TARGET) -p wasmgate-test-guests --examples -- -D warnings

check: guests ## Check wasmgate.toml without listening
	cargo run --release -p wasmgate -- check

RELEASED := $(shell rustc -vV | sed -n 's/^host: //p')
release: ## Pack target/release-archives/wasmgate-*.tar.gz: binary, completions, manual page, SDK, unit, bill of materials
	cargo build --release -p wasmgate
	deploy/release --target $(RELEASED) --binary target/release/wasmgate --out target/release-archives

# zig is the C compiler and linker for other systems: its headers are theirs. From PyPI, and kept.
ZIG := target/tools/zig
ZIGBUILD := env PATH="$(CURDIR)/$(ZIG)/bin:$$PATH" cargo-zigbuild
$(ZIG)/bin/cargo-zigbuild:
	python3 -m venv $(ZIG)
	$(ZIG)/bin/pip install --quiet --disable-pip-version-check ziglang==0.15.2 cargo-zigbuild==0.24.1

# Checked, not linked: that would take Apple's frameworks.
MACOS := aarch64-apple-darwin
check-macos: $(ZIG)/bin/cargo-zigbuild ## Check that the gateway, the building blocks and the SDK compile for macOS
	rustup target list --installed | grep -qx $(MACOS) || rustup target add $(MACOS)
	$(ZIGBUILD) check --target $(MACOS) --target-dir target/macos -p wasmgate -p wasmgate-dapr -p wasmgate-sdk

# The oldest C library that the binary is to meet is Debian 10's. Programs of the other machine are run by QEMU, with
# that machine's libraries: Debian's qemu-user and libc6-arm64-cross.
AARCH64 := aarch64-unknown-linux-gnu
AARCH64_RUNNER := qemu-aarch64 -L /usr/aarch64-linux-gnu
BUILD_AARCH64 = rustup target list --installed | grep -qx $(AARCH64) || rustup target add $(AARCH64); \
	$(ZIGBUILD) zigbuild --target $(AARCH64).2.28 --target-dir target/cross -p wasmgate
release-aarch64: $(ZIG)/bin/cargo-zigbuild ## Pack the same archive for 64-bit ARM, on any Linux with qemu-user and libc6-arm64-cross
	$(BUILD_AARCH64) --release
	deploy/release --target $(AARCH64) --binary target/cross/$(AARCH64)/release/wasmgate --out target/release-archives \
		--runner "$(AARCH64_RUNNER)"

# Nothing is optimised but the compiler, which QEMU is to run: a build of everything takes some ten minutes.
AARCH64_QUICK := --config profile.dev.debug=0 --config 'profile.dev.package."*".opt-level=0' \
	--config profile.dev.package.cranelift-codegen.opt-level=1 --config profile.dev.package.regalloc2.opt-level=1
test-aarch64: export CARGO_INCREMENTAL = 0
test-aarch64: guests $(ZIG)/bin/cargo-zigbuild ## Serve hello with a gateway for 64-bit ARM, run by QEMU
	$(BUILD_AARCH64) $(AARCH64_QUICK)
	@$(call if-there,qemu-aarch64,the gateway for 64-bit ARM is not run,deploy/test-emulated target/cross/$(AARCH64)/debug/wasmgate $(AARCH64_RUNNER))

dist: guests ## Build target/dist/wasmgate as an image ships it, by a profile of real requests (two whole builds)
	deploy/build-gateway

# What `make dist` built, if it did: that is what an image has.
BENCHED := $(firstword $(wildcard target/dist/wasmgate) target/release/wasmgate)
LOADTEST := target/release/wasmgate-loadtest

bench: guests ## Measure against native axum and `wasmtime serve` (see bench-peers and dist)
	cargo build --release -p wasmgate -p wasmgate-loadtest
	PATH="$(CURDIR)/target/peers/bin:$$PATH" $(LOADTEST) compare --gateway $(BENCHED) --html target/bench.html
	$(LOADTEST) run cold --packages 1000 --gateway $(BENCHED)
	$(LOADTEST) run density --packages 2000 --gateway $(BENCHED)
	$(LOADTEST) run many-packages --gateway $(BENCHED)
	$(LOADTEST) run noisy-neighbour --gateway $(BENCHED)
	$(LOADTEST) run json --gateway $(BENCHED)
	$(LOADTEST) run body-64k --gateway $(BENCHED)
	$(LOADTEST) run state --gateway $(BENCHED)
	$(LOADTEST) run state --direction post --gateway $(BENCHED)

bench-peers: ## Install what `make bench` compares with (takes some minutes)
	cargo install wasmtime-cli --version 48.0.8 --locked --root target/peers

# Hello in each language, built with its own tools (Node.js, Go, Python), beside `wasmtime serve` of bench-peers.
bench-languages: guests ## Measure hello in each language against `wasmtime serve` on the same component
	cargo build --release -p wasmgate -p wasmgate-loadtest
	cargo build --release --target $(GUEST_TARGET) -p wasmgate-test-guests --example p3_hello --example starts_up
	WASMGATE_BIN=$(BENCHED) loadtest/build-languages
	PATH="$(CURDIR)/target/peers/bin:$$PATH" $(LOADTEST) languages --gateway $(BENCHED)

bench-parts: guests ## Measure route look-ups, guests and the building blocks by themselves
	cargo build --release --target $(GUEST_TARGET) -p wasmgate-test-guests --examples
	cargo bench -p wasmgate --bench routes --bench guests
	cargo bench -p wasmgate-dapr

record-costs: ## Put today's cost of a request on record
	RECORD_COSTS=1 cargo test -p wasmgate --test costs

# Optimised little, as it takes a build of everything with libFuzzer's counters in it; the targets have no unsafe code,
# which the sanitizers would be for.
FUZZ_SECONDS ?= 300
FUZZ_TARGETS ?= $(notdir $(wildcard fuzz/seeds/*))
FUZZ := env CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 PATH="$(CURDIR)/target/tools/bin:$$PATH" \
	cargo +nightly fuzz
fuzz: target/tools/bin/cargo-fuzz ## Look for findings: FUZZ_SECONDS for each of FUZZ_TARGETS (needs a nightly toolchain)
	$(FUZZ) build --sanitizer none --features libfuzzer --target-dir target/fuzz
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/corpus/$$target && echo "fuzz: $$target" && \
		TMPDIR=/dev/shm $(FUZZ) run --sanitizer none --features libfuzzer --target-dir target/fuzz $$target \
			target/fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -max_len=8192 || exit 1; \
	done

target/tools/bin/cargo-fuzz:
	cargo +nightly install cargo-fuzz --version 0.13.2 --locked --root target/tools

TORTURE := target/release/wasmgate-torture
torture: torturers ## Try hostile guests and clients beside a good package, and look for others' bytes, as root (10 minutes)
	target/release/examples/torture 120
	$(TORTURE) shapes
	$(TORTURE) cases

# The same seed brings the same requests and faults.
FAULT_REQUESTS ?= 200000
FAULT_SEED ?= 1
faults: torturers ## Send FAULT_REQUESTS requests while everything fails now and then, as root (10 minutes)
	$(TORTURE) faults --requests $(FAULT_REQUESTS) --seed $(FAULT_SEED)

torturers: toolchain
	cargo build --release --workspace --exclude wasmgate-test-guests --bins --examples
	cargo build --release --target $(GUEST_TARGET) -p wasmgate-test-guests --examples

rendered: ## Render deploy/base and deploy/overlays/dapr anew, of the coffee shop
	cargo build -p wasmgate
	WASMGATE_BIN=target/debug/wasmgate deploy/render

test-deploy: guests ## Check deploy/: schemas, Dapr's resources, and that all of it agrees
	cargo build -p wasmgate
	WASMGATE_BIN=target/debug/wasmgate deploy/validate

# A quarter of an hour of a processor the first time.
HELM_VERSION := v3.19.5
target/deploy/bin/helm:
	GOBIN=$(CURDIR)/$(@D) gateway/tests/go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

test-image: toolchain ## Build an image of a new project on ours with buildah, as the guide shows it, and ask it
	cargo build -p wasmgate
	deploy/test-image

# A real Dapr for the tests: its released Go modules, built again when ours beside them change.
DAPRD := target/dapr/daprd
SCHEDULER := target/dapr/scheduler
$(DAPRD): $(wildcard gateway/tests/daprd/*)
$(SCHEDULER): $(wildcard gateway/tests/scheduler/*)
$(DAPRD) $(SCHEDULER):
	cd gateway/tests/$(@F) && export GOFLAGS=-mod=readonly && ../go build -trimpath -buildvcs=false -o $(CURDIR)/$@ \
		-ldflags "-s -w -X github.com/dapr/dapr/pkg/buildinfo.version=$$(../go list -m -f '{{.Version}}' github.com/dapr/dapr)"

dapr: $(DAPRD) $(SCHEDULER) ## Build Dapr's sidecar and scheduler for the tests

# Debian keeps PostgreSQL's programs out of the PATH.
test-dapr-sidecar: export PATH := $(PATH):$(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin)))
test-dapr-sidecar: toolchain ## Build a real Dapr and run the shop and the scenarios beside it, with Redis and PostgreSQL
	@rm -f $(LEFT_OUT)
	@$(call if-there,go redis-server postgres setpriv,nothing is tried beside a real Dapr,$(MAKE) beside-dapr)
	$(tell-left-out)

# All packages at once, as `make test` has them: nothing is built anew.
beside-dapr: dapr
	$(BUILD_GUESTS) $(GUESTS)
	cargo build --release --target $(GUEST_TARGET) -p wasmgate-test-guests --examples
	WASMGATE_REAL_DAPR=$(CURDIR)/target/dapr \
		cargo test --workspace --exclude wasmgate-test-guests --test it beside_dapr -- --nocapture

# Kubernetes for the tests: its servers and its client, one binary of its released modules. The version is what it tells
# of itself, which its parts ask of each other.
KUBE := target/cluster/kube
KUBERNETES = $(shell sed -n 's|^require k8s.io/kubernetes v||p' deploy/cluster/kube/go.mod)
KUBE_TELLS = gitVersion=v$(KUBERNETES) gitMajor=1 gitMinor=$(word 2,$(subst ., ,$(KUBERNETES))) gitTreeState=clean
$(KUBE): $(wildcard deploy/cluster/kube/*)
	cd deploy/cluster/kube && export GOFLAGS=-mod=readonly CGO_ENABLED=0 && ../../../gateway/tests/go build -trimpath \
		-buildvcs=false -o $(CURDIR)/$@ -ldflags "-s -w $(foreach told,$(KUBE_TELLS),\
		-X k8s.io/component-base/version.$(told) -X k8s.io/client-go/pkg/version.$(told))"

# Its containerd mounts images as volumes, which Debian's is too old for.
CONTAINERD := target/cluster/bin/containerd
$(CONTAINERD): $(wildcard deploy/cluster/containerd/* deploy/cluster/containerd/*/*)
	cd deploy/cluster/containerd && export GOFLAGS=-mod=readonly CGO_ENABLED=0 && ../../../gateway/tests/go build -trimpath \
		-buildvcs=false -tags no_btrfs,no_devmapper,no_zfs,no_tracing -o $(CURDIR)/$(@D)/ -ldflags "-s -w" ./...

# The gateway that the cluster's image has.
CLUSTER_GATEWAY ?= target/debug/wasmgate
test-cluster: ## Bring a Kubernetes up on this machine, as root, and try deploy/ on it: what ends pods, rollouts, reloads
	@rm -f $(LEFT_OUT)
	@$(call if-there,go python3 etcd ctr runc buildah iptables conntrack openssl strip \
		redis-server setpriv curl,the cluster is not tried,$(MAKE) cluster)
	$(tell-left-out)

cluster: dapr guests $(KUBE) $(CONTAINERD)
	PYTHONPATH=$(CURDIR) deploy/python -m unittest --quiet deploy.cluster.tests
	$(if $(filter target/debug/wasmgate,$(CLUSTER_GATEWAY)),cargo build -p wasmgate)
	PYTHONPATH=$(CURDIR) deploy/python -m deploy.cluster --kube $(KUBE) --containerd $(CONTAINERD) --gateway $(CLUSTER_GATEWAY) --dapr target/dapr

# Those that may be published, each after those it needs.
PUBLISHED := -p wasmgate-common -p wasmgate-pool -p wasmgate-dapr -p wasmgate-sdk-macros -p wasmgate-sdk -p wasmgate

package: ## Pack the crates that may be published, build each from what was packed, and a project of one's own on them
	cargo package --allow-dirty $(PUBLISHED)
	apps/package-test

# What the image says of itself: which version it is, and of which commit.
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
# Several, such as linux/amd64,linux/arm64, are one image where the store of images can hold it (containerd's can).
PLATFORMS ?=
image: ## Build the container image, for this kind of machine or for PLATFORMS
	docker build -f deploy/Dockerfile $(if $(PLATFORMS),--platform $(PLATFORMS)) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t wasmgate .

# The front door; the work is in cargo, tests/tools and tests/e2e/run. `make help` lists the targets.
# One profile for everything: optimised like a release but without LTO, so that the dependencies are compiled once.
export ARGOCD_SOPS_TEST_TOOLS := $(shell tests/tools --cache)
cargo := --locked --profile quick

.PHONY: help demo test e2e

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' Makefile

demo: ## render an example chart with encrypted values: no cluster, no cloud
	@command -v helm >/dev/null || tests/tools helm
	@echo 'SOPS_AGE_KEY_FILE=tests/charts/keys/age.txt argocd-sops generate tests/charts/applications/web.yaml' >&2
	@cargo build --quiet $(cargo)
	@PATH="$$PATH:$$(tests/tools --path helm)" SOPS_AGE_KEY_FILE=tests/charts/keys/age.txt \
		cargo run --quiet $(cargo) -- generate tests/charts/applications/web.yaml --kube-version 1.37.0

test: ## install what the tests need, and run them
	tests/tools debian sops helm helm3 age registry
	cargo test $(cargo)

e2e: ## the same charts through the real Argo CD, behind its plugin server and behind ours (builds Argo CD once)
	tests/tools debian debian-e2e sops helm helm3 age argocd e2e
	cargo build $(cargo)
	tests/e2e/run

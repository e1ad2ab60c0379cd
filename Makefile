# Thin names for `cargo xtask`; `cargo xtask --help` lists every chore.
CARGO ?= cargo

.PHONY: demo test lint bench e2e corpus fuzz

demo: ## Bookinfo behind real Envoys, no cluster; ONCE=1 runs unattended
	$(CARGO) run --release --package xtask -- demo

test lint bench e2e corpus fuzz:
	$(CARGO) xtask $@

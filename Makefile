# Thin names for `cargo xtask`; `cargo xtask --help` lists every chore.
CARGO ?= cargo

.PHONY: demo test lint bench e2e corpus kube fuzz image-root

# Bookinfo behind real Envoys, no cluster; ONCE=1 runs unattended. The first build takes minutes, the demo seconds.
demo:
	$(CARGO) build --release --locked --package xtask --package pilothouse
	$${CARGO_TARGET_DIR:-target}/release/xtask demo

test lint bench e2e corpus kube fuzz:
	$(CARGO) xtask $@

# What an image would hold, without an engine: target/image/root.
image-root:
	$(CARGO) xtask rootfs

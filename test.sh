#!/usr/bin/env bash
# Sets up and passes the tests. Needs Rust (rustup) and a C compiler; what the foreign clients need
# (Python, Node, Go, Java) is installed where that can be done, and reported as skipped where it cannot.
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v cargo >/dev/null; then
    echo "Rust is missing: install it with rustup (rust-toolchain.toml names the version)" >&2
    exit 1
fi
exec cargo xtask ci "$@"

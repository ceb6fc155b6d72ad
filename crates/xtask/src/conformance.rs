//! `cargo xtask conformance ...`: the program of that name in the tests' package does it all.

use std::path::Path;

use anyhow::Result;

use crate::cargo;

/// Runs it with `args`; without any it says what it can do.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<()> {
    let mut all = vec![
        "run",
        "--quiet",
        "--package",
        "ottla-tests",
        "--bin",
        "conformance",
        "--",
    ];
    all.extend(args);
    cargo(root, &all)
}

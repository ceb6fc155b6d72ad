//! Our workspaces, and what cargo knows of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;

/// Their manifests, from the root.
pub(crate) const WORKSPACES: &[&str] = &["Cargo.toml", "fuzz/Cargo.toml"];

/// What `cargo metadata` says of a workspace, as far as `T` reads it.
pub(crate) fn metadata<T: DeserializeOwned>(
    root: &Path,
    manifest: &str,
    options: &[&str],
) -> Result<T> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1"])
        .args(["--manifest-path", manifest])
        .args(options)
        .current_dir(root)
        .output()
        .context("cargo metadata cannot be started")?;
    if !output.status.success() {
        bail!(
            "cargo metadata of {manifest} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("what cargo metadata says of {manifest} cannot be read"))
}

//! `cargo xtask settings`: the page of settings, from the table that the broker works with.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const PAGE: &str = "docs/operating/settings.md";

/// Writes the page, or only says whether it is up to date.
pub(crate) fn run(root: &Path, only_check: bool) -> Result<()> {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "ottla-metadata"])
        .args(["--example", "settings_page"])
        .current_dir(root)
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        bail!(
            "the page of settings cannot be made: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let path = root.join(PAGE);
    if !only_check {
        return std::fs::write(path, output.stdout).context(PAGE);
    }
    if std::fs::read(path).unwrap_or_default() != output.stdout {
        bail!("{PAGE} is out of date: run `cargo xtask settings`");
    }
    Ok(())
}

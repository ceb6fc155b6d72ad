//! Checks that everything we build on has a licence that `deny.toml` allows, and comes from the registry.
//!
//! The same rules as `cargo deny check licenses sources`, from the same file, for machines that do not have
//! that program.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Reports every package whose licence or source is not allowed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let deny = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    let allowed = allowed(&deny);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo metadata cannot be started")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let is_registry = package
            .source
            .as_ref()
            .is_none_or(|source| source.starts_with("registry+"));
        if !is_registry {
            problems.push(format!(
                "{} {}: not from the registry",
                package.name, package.version
            ));
        }
        let licence = package.license.as_deref().unwrap_or_default();
        if !is_allowed(licence, &allowed) {
            problems.push(format!("{} {}: `{licence}`", package.name, package.version));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!(
        "licences that deny.toml does not allow:\n  {}",
        problems.join("\n  ")
    )
}

/// The strings of the list `allow`.
fn allowed(deny: &str) -> BTreeSet<&str> {
    let list = deny.split_once("allow = [").map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).collect()
}

/// Whether an SPDX expression can be met: of alternatives one is enough, of conjunctions all are needed.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    expression.split(" AND ").all(|all| {
        all.split(" OR ").any(|one| {
            let one = one.split_whitespace().collect::<Vec<_>>().join(" ");
            allowed.contains(one.as_str())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        let allowed = allowed("x\nallow = [\n  \"MIT\",\n  \"Apache-2.0\",\n]\n");
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/Apache-2.0",
            "(MIT OR BSD) AND Apache-2.0",
        ] {
            assert!(is_allowed(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "BSD OR GPL-3.0"] {
            assert!(!is_allowed(bad, &allowed), "{bad}");
        }
    }
}

//! Checks everything we build on against `deny.toml`: its licence is allowed, its name is not banned, its version is
//! said, and it comes from the registry. Both workspaces are asked, ours and that of `fuzz/`.
//!
//! Where `cargo-deny` is installed it is run as well, over the same file; docs/decisions/0006-licences.md says why it
//! is not the only judge.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::cargo;
use crate::workspaces::{self, WORKSPACES};

/// The only source that `deny.toml` lets pass: other registries and git are denied there.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What `deny.toml` says, as far as it is read here.
#[derive(Deserialize)]
struct Rules {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

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
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    req: String,
    path: Option<String>,
}

/// Reports every package that the rules do not allow.
pub(crate) fn run(root: &Path) -> Result<()> {
    let deny = std::fs::read_to_string(root.join("deny.toml")).context("deny.toml")?;
    let rules: Rules = toml::from_str(&deny).context("deny.toml")?;
    let mut problems = Vec::new();
    for manifest in WORKSPACES {
        let options = ["--locked", "--all-features"];
        let metadata: Metadata = workspaces::metadata(root, manifest, &options)?;
        let found = metadata.packages.iter().flat_map(|one| judge(one, &rules));
        problems.extend(found.map(|problem| format!("{manifest}: {problem}")));
    }
    if !problems.is_empty() {
        bail!("deny.toml does not allow:\n  {}", problems.join("\n  "));
    }
    if has_cargo_deny(root) {
        for manifest in WORKSPACES {
            let line = format!(
                "deny --log-level error --manifest-path {manifest} --all-features check licenses bans sources"
            );
            cargo(root, &line.split(' ').collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

fn has_cargo_deny(root: &Path) -> bool {
    Command::new(env!("CARGO"))
        .args(["deny", "--version"])
        .current_dir(root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn judge(package: &Package, rules: &Rules) -> Vec<String> {
    let called = format!("{} {}", package.name, package.version);
    let mut problems = Vec::new();
    let licence = package.license.as_deref().unwrap_or_default();
    if !is_allowed(licence, &rules.licenses.allow) {
        problems.push(format!("{called}: its licence `{licence}`"));
    }
    if rules.bans.deny.iter().any(|ban| ban.name == package.name) {
        problems.push(format!("{called}: it is banned"));
    }
    match &package.source {
        Some(source) if source != REGISTRY => {
            problems.push(format!("{called}: it comes from {source}"));
        }
        Some(_) => {}
        None => {
            let any = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.req == "*" && dependency.path.is_none());
            problems.extend(any.map(|any| format!("{called}: any version of {}", any.name)));
        }
    }
    problems
}

/// Whether an SPDX expression can be met: of alternatives one is enough, of conjunctions all are needed. Brackets are
/// not understood, which can only refuse too much.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    expression.split(" AND ").all(|all| {
        all.split(" OR ").any(|one| {
            let one = one.split_whitespace().collect::<Vec<_>>().join(" ");
            allowed.contains(&one)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        toml::from_str(
            "[licenses]\nallow = ['MIT', 'Apache-2.0']\n[bans]\ndeny = [{ crate = 'openssl' }]\n",
        )
        .unwrap()
    }

    #[test]
    fn expressions() {
        let allowed = rules().licenses.allow;
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

    #[test]
    fn what_is_banned_or_from_elsewhere_is_found() {
        let metadata: Metadata = serde_json::from_str(
            r#"{"packages":[
            {"name":"ours","version":"1.0.0","license":"MIT","source":null,"dependencies":[
                {"name":"core","req":"*","path":"../core"},
                {"name":"bytes","req":"^1","path":null},
                {"name":"rand","req":"*","path":null}]},
            {"name":"openssl","version":"0.10.0","license":"Apache-2.0","dependencies":[],
                "source":"registry+https://github.com/rust-lang/crates.io-index"},
            {"name":"forked","version":"0.1.0","license":"MIT","dependencies":[],
                "source":"git+https://example.org/forked#1"}]}"#,
        )
        .unwrap();
        let rules = rules();
        let found: Vec<String> = metadata
            .packages
            .iter()
            .flat_map(|package| judge(package, &rules))
            .collect();
        assert_eq!(
            found,
            [
                "ours 1.0.0: any version of rand",
                "openssl 0.10.0: it is banned",
                "forked 0.1.0: it comes from git+https://example.org/forked#1",
            ]
        );
    }

    #[test]
    fn the_real_rules_can_be_read() {
        let deny = include_str!("../../../deny.toml");
        let rules: Rules = toml::from_str(deny).unwrap();
        assert!(rules.licenses.allow.contains("Apache-2.0"));
        assert!(rules.bans.deny.iter().any(|ban| ban.name == "openssl-sys"));
    }
}

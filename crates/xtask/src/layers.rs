//! Checks that arrows between crates point native -> portable -> pure and never back.
//!
//! Each crate states its class in its manifest (`[package.metadata] layer`). A pure crate may use pure
//! crates and a short list of others; a portable crate pure and portable ones and a longer list.
//! Dependencies of tests are not asked about: a test may use the whole world.
//!
//! What manifests do not show, the code does: [`leaks`].

mod leaks;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::workspaces::{self, WORKSPACES};

/// What pure crates may use from outside: values, codecs, and nothing that waits or looks at a clock.
const PURE: &[&str] = &[
    "bytes",
    "crc-fast",
    "flate2",
    "lz4_flex",
    "rand_chacha",
    "rand_core",
    "rustc-hash",
    "serde",
    "serde_json",
    "snap",
    "thiserror",
    "tracing",
    "zstd",
];
/// What portable crates may use besides: the parts of async that need no runtime.
const PORTABLE: &[&str] = &["futures-core", "futures-util", "tokio"];
/// Features of tokio that need no runtime.
const TOKIO_FEATURES: &[&str] = &["io-util", "sync"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    source: Option<String>,
    manifest_path: String,
    metadata: Option<PackageMetadata>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct PackageMetadata {
    layer: Option<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    features: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Pure,
    Portable,
    Native,
}

/// Reports every arrow that points the wrong way.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut metadata = Metadata {
        packages: Vec::new(),
    };
    for manifest in WORKSPACES {
        let more: Metadata = workspaces::metadata(root, manifest, &["--no-deps"])?;
        metadata.packages.extend(more.packages);
    }
    let mut problems = check(&metadata)?;
    for package in &metadata.packages {
        problems.extend(leaks::check(root, package)?);
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("layers:\n  {}", problems.join("\n  "))
}

fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let mut layers = BTreeMap::new();
    for package in metadata
        .packages
        .iter()
        .filter(|package| package.source.is_none())
    {
        let stated = package
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.layer.as_deref());
        let layer = match stated {
            Some("pure") => Layer::Pure,
            Some("portable") => Layer::Portable,
            Some("native") => Layer::Native,
            other => bail!(
                "{} states the layer {other:?}: pure, portable or native",
                package.name
            ),
        };
        layers.insert(package.name.as_str(), layer);
    }
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let layer = layers[package.name.as_str()];
        if layer == Layer::Native {
            continue;
        }
        for dependency in package.dependencies.iter().filter(|d| d.kind.is_none()) {
            if let Some(problem) = judge(package, layer, dependency, &layers) {
                problems.push(problem);
            }
        }
    }
    Ok(problems)
}

fn judge(
    package: &Package,
    layer: Layer,
    dependency: &Dependency,
    layers: &BTreeMap<&str, Layer>,
) -> Option<String> {
    let (from, to) = (&package.name, &dependency.name);
    if let Some(other) = layers.get(to.as_str()) {
        return (*other > layer).then(|| format!("{from} ({layer:?}) depends on {to} ({other:?})"));
    }
    let allowed = PURE.contains(&to.as_str())
        || (layer == Layer::Portable && PORTABLE.contains(&to.as_str()));
    if !allowed {
        return Some(format!(
            "{from} ({layer:?}) depends on {to}, which is not on its list"
        ));
    }
    let runtime = dependency
        .features
        .iter()
        .find(|f| !TOKIO_FEATURES.contains(&f.as_str()));
    match runtime {
        Some(feature) if to == "tokio" => Some(format!(
            "{from} ({layer:?}) uses tokio's feature {feature}, which needs a runtime"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<String> {
        check(&serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn arrows_that_point_back_are_found() {
        let found = problems(
            r#"{"packages":[
            {"name":"core","source":null,"manifest_path":"/core/Cargo.toml","metadata":{"layer":"pure"},"dependencies":[
                {"name":"shell","kind":null,"features":[]},
                {"name":"shell","kind":"dev","features":[]},
                {"name":"rand","kind":null,"features":[]},
                {"name":"bytes","kind":null,"features":[]}]},
            {"name":"shell","source":null,"manifest_path":"/shell/Cargo.toml","metadata":{"layer":"portable"},"dependencies":[
                {"name":"core","kind":null,"features":[]},
                {"name":"tokio","kind":null,"features":["sync","rt"]}]}]}"#,
        );
        assert_eq!(
            found,
            [
                "core (Pure) depends on shell (Portable)",
                "core (Pure) depends on rand, which is not on its list",
                "shell (Portable) uses tokio's feature rt, which needs a runtime",
            ]
        );
    }
}

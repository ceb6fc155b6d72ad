//! All that CI runs, quick things first. It writes nothing into the tree.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::{cargo, codegen, command, layers, licences, tidy};

/// How much to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Full,
    /// What one build of the workspace is enough for.
    Quick,
}

/// Crates that judge their own planted bugs, in `tests/mutants.rs`.
const HUNTERS: &[&str] = &[
    "ottla-client",
    "ottla-controller",
    "ottla-group",
    "ottla-metadata",
    "ottla-partition",
    "ottla-records",
    "ottla-storage",
];

/// Runs it.
pub(crate) fn run(root: &Path, extent: Extent) -> Result<()> {
    let start = Instant::now();
    step("layers", || layers::run(root))?;
    step("licences", || licences::run(root))?;
    step("tidy", || tidy::run(root))?;
    step("codegen", || codegen::run(root, true))?;
    step("format", || words(root, "fmt --all --check"))?;
    step("lints", || {
        words(
            root,
            "clippy --quiet --workspace --all-targets -- -D warnings",
        )
    })?;
    step("fuzz targets", || fuzz_targets(root))?;
    step("tests", || {
        // What starts the built program belongs to the last step.
        words(root, "test --quiet --workspace --exclude ottla-tests")?;
        words(root, "test --quiet -p ottla-tests --lib")
    })?;
    if extent == Extent::Full {
        step("mutants", || mutants(root))?;
        let simulate = |args: &str| {
            let sim =
                "run --quiet --profile sim -p ottla-sim --features tripwire --bin ottla-sim --";
            words(root, &format!("{sim} {args}"))
        };
        step("simulator", || {
            simulate("run --seeds 2000 --threads 2 --no-holes")
        })?;
        step("determinism", || simulate("meta --seed 7"))?;
        step("release build", || {
            words(root, "build --quiet --release --bin ottla")
        })?;
        step("outside", || command(root, "bash", &["tests/run.sh"]))?;
    }
    eprintln!("== all: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Every planted bug is found by its own crate's judges, and by the models.
fn mutants(root: &Path) -> Result<()> {
    hunters_are_known(root)?;
    let packages: Vec<String> = HUNTERS.iter().map(|name| format!("-p {name}")).collect();
    let features: Vec<String> = HUNTERS
        .iter()
        .map(|name| format!("{name}/mutants"))
        .collect();
    let (packages, features) = (packages.join(" "), features.join(","));
    words(
        root,
        &format!("test --quiet {packages} --features {features} --test mutants"),
    )?;
    for target in [
        "-p ottla-client --features mutants --lib",
        "-p ottla-broker --features mutants --test hostile",
    ] {
        words(
            root,
            &format!("test --quiet {target} each_planted_bug_shows"),
        )?;
    }
    words(
        root,
        "test --quiet -p ottla-specs --features mutants --test models",
    )
}

/// A crate that gains a `tests/mutants.rs` and is not on the list would be judged by nobody.
fn hunters_are_known(root: &Path) -> Result<()> {
    for entry in std::fs::read_dir(root.join("crates"))? {
        let entry = entry?;
        let name = format!("ottla-{}", entry.file_name().to_string_lossy());
        let judges = entry.path().join("tests/mutants.rs").exists();
        if judges != HUNTERS.contains(&name.as_str()) {
            bail!("{name}: tests/mutants.rs and the list in crates/xtask/src/ci.rs disagree");
        }
    }
    Ok(())
}

/// They are a workspace of their own and need nothing but checking: linking the fuzzer takes a C++ compiler, running
/// it a nightly one.
fn fuzz_targets(root: &Path) -> Result<()> {
    words(
        root,
        "check --quiet --locked --manifest-path fuzz/Cargo.toml --no-default-features",
    )
}

/// Runs cargo with the words of a line.
fn words(root: &Path, line: &str) -> Result<()> {
    let args: Vec<&str> = line.split_whitespace().collect();
    cargo(root, &args)
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    run()?;
    eprintln!("   {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

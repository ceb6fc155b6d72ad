//! All that CI runs, quick things first. It writes nothing into the tree.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::{cargo, codegen, command, layers, licences, tidy};

/// How much to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Everything.
    Full,
    /// What needs no release build and no foreign client.
    Quick,
}

/// Runs it.
pub(crate) fn run(root: &Path, extent: Extent) -> Result<()> {
    step("layers", || layers::run(root))?;
    step("licences", || licences::run(root))?;
    step("tidy", || tidy::run(root))?;
    step("codegen", || codegen::run(root, true))?;
    step("format", || cargo(root, &["fmt", "--all", "--check"]))?;
    step("lints", || {
        cargo(
            root,
            &[
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        )
    })?;
    step("tests", || {
        // What starts the built program belongs to the last step.
        cargo(
            root,
            &["test", "--quiet", "--workspace", "--exclude", "ottla-tests"],
        )?;
        cargo(root, &["test", "--quiet", "-p", "ottla-tests", "--lib"])
    })?;
    if extent == Extent::Full {
        let simulate = |args: &str| {
            let sim = "run --quiet --profile sim -p ottla-sim --bin ottla-sim --";
            let args: Vec<&str> = sim.split(' ').chain(args.split(' ')).collect();
            cargo(root, &args)
        };
        step("simulator", || {
            simulate("run --seeds 2000 --threads 2 --no-holes")
        })?;
        step("determinism", || simulate("meta --seed 7"))?;
        step("release build", || {
            cargo(root, &["build", "--quiet", "--release", "--bin", "ottla"])
        })?;
        step("outside", || command(root, "bash", &["tests/run.sh"]))?;
    }
    Ok(())
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("== {name}");
    let start = Instant::now();
    run()?;
    eprintln!("   {name}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

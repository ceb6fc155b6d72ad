//! The project's own commands.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "native: this crate is where the program meets the operating system"
)]

mod ci;
mod codegen;
mod conformance;
mod layers;
mod licences;
mod settings;
mod tidy;
mod workspaces;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  ci                    everything that CI checks, quick things first; writes nothing
  ci quick              the same up to the tests: no mutants, simulator, release build, foreign clients
  fix                   format, regenerate, fix what lints can fix
  codegen [--check]     crates/protocol/src/generated from crates/protocol/schemas
  conformance ...       record Kafka's answers, compare others with them (tests/conformance/README.md)
  licences              what we build on is allowed by deny.toml
  settings [--check]    docs/operating/settings.md from the table of settings
  layers                which crate may depend on which, and what its code may not say (docs/ARCHITECTURE.md)
  tidy                  paths and links in docs, file sizes, module docs, left-overs";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    let root = root()?;
    match args {
        ["ci"] => ci::run(&root, ci::Extent::Full),
        ["ci", "quick"] => ci::run(&root, ci::Extent::Quick),
        ["fix"] => fix(&root),
        ["codegen"] => codegen::run(&root, false),
        ["codegen", "--check"] => codegen::run(&root, true),
        ["layers"] => layers::run(&root),
        ["licences"] => licences::run(&root),
        ["conformance", rest @ ..] => conformance::run(&root, rest),
        ["settings"] => settings::run(&root, false),
        ["settings", "--check"] => settings::run(&root, true),
        ["tidy"] => tidy::run(&root),
        _ => bail!("{USAGE}"),
    }
}

fn root() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    Ok(root
        .context("the crate is not in the workspace")?
        .to_path_buf())
}

fn fix(root: &Path) -> Result<()> {
    codegen::run(root, false)?;
    settings::run(root, false)?;
    // Adds to fuzz/Cargo.lock what our crates have come to need; CI takes it as it is.
    cargo(
        root,
        &[
            "update",
            "--workspace",
            "--manifest-path",
            "fuzz/Cargo.toml",
        ],
    )?;
    cargo(root, &["fmt", "--all"])?;
    cargo(
        root,
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--fix",
            "--allow-dirty",
            "--allow-staged",
        ],
    )
}

/// Runs cargo, and fails if it does.
fn cargo(root: &Path, args: &[&str]) -> Result<()> {
    command(root, env!("CARGO"), args)
}

/// Runs a program in the project's root, and fails if it does.
fn command(root: &Path, program: &str, args: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(args)
        .current_dir(root)
        .status()
        .with_context(|| format!("{program} cannot be started"))?;
    if !status.success() {
        bail!(
            "`{} {}` failed ({status})",
            program.rsplit('/').next().unwrap_or(program),
            args.join(" ")
        );
    }
    Ok(())
}

//! `ottla version`.

use anyhow::Result;
use clap::Args;

use crate::exit::Exit;
use crate::output::{self, Output, rows};

/// Show the program's version.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla version
  ottla version --output json
  ottla version --output json | jq -r .version

Replaces: kafka-broker-api-versions.sh --version")]
pub(crate) struct Version {}

rows! {
    /// The program.
    struct VersionInfo {
        /// Its version.
        version: String,
        /// The operating system that it was built for.
        os: String,
        /// The processor that it was built for.
        arch: String,
        /// Whether it was built with checks that cost speed.
        debug: bool,
    }
}

/// Shows the version.
pub(crate) fn run(output: Output) -> Result<Exit> {
    let info = VersionInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        debug: cfg!(debug_assertions),
    };
    let kind = if info.debug { ", debug build" } else { "" };
    let text = format!("ottla {} ({}-{}{kind})", info.version, info.arch, info.os);
    output::value(output, &info, &text)?;
    Ok(Exit::Ok)
}

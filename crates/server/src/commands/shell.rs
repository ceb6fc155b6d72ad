//! What a shell and a manual want of the program: completions and pages.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;

/// Print a script that completes commands, options and their values.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla completions bash > /etc/bash_completion.d/ottla
  ottla completions zsh > ~/.zfunc/_ottla
  ottla completions fish > ~/.config/fish/completions/ottla.fish")]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

/// Write manual pages: one for each command.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla man /usr/local/share/man/man1
  ottla man target/man && man -l target/man/ottla-topic-create.1")]
pub(crate) struct Man {
    /// The directory; it is made if it is not there.
    dir: PathBuf,
}

/// Prints the script.
pub(crate) fn completions(args: &Completions, mut command: clap::Command) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ottla", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Ok)
}

/// Writes the pages.
pub(crate) fn man(args: &Man, command: clap::Command) -> Result<Exit> {
    let make = || std::fs::create_dir_all(&args.dir);
    make().with_context(|| format!("the directory {} cannot be made", args.dir.display()))?;
    clap_mangen::generate_to(command.disable_help_subcommand(true), &args.dir)
        .with_context(|| format!("the pages cannot be written to {}", args.dir.display()))?;
    Ok(Exit::Ok)
}

//! The command tree.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::exit::{self, Exit};
use crate::logging::{self, LogFormat};
use crate::output::Output;

/// A Kafka-compatible distributed event log.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, max_term_width = 100)]
struct Cli {
    /// The form of the result.
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Output,
    /// What is logged, on stderr: a level, or a list by module.
    #[arg(long, global = true, env = "OTTLA_LOG", default_value = "info")]
    log: String,
    /// The form of log lines.
    #[arg(
        long,
        global = true,
        env = "OTTLA_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Serve(Serve),
}

/// What `ottla serve` takes.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A configuration file: Kafka's server.properties, or ottla.toml.
    #[arg(long, env = "OTTLA_CONFIG")]
    pub config: Option<PathBuf>,
    /// A setting, stronger than the file and the environment.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    pub settings: Vec<(String, String)>,
    /// Start although there are settings that nobody knows.
    #[arg(long)]
    pub lenient: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Parses the command line and does what it says.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let is_error = error.use_stderr();
            // The terminal may be gone; there is nobody left to tell then.
            let _ = error.print();
            return if is_error {
                Exit::Usage.into()
            } else {
                Exit::Ok.into()
            };
        }
    };
    let result = logging::start(&cli.log, cli.log_format).and_then(|()| match cli.command {
        Command::Serve(serve) => commands::serve::run(&serve, cli.output),
    });
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("ottla: {error:#}");
            exit::of(&error).into()
        }
    }
}

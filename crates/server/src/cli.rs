//! The command tree.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::{
    cluster, config, consume, explain, format, group, log, produce, serve, shell, simulator, topic,
    version,
};
use crate::exit::{self, Exit};
use crate::logging::{self, LogFormat};
use crate::output::{self, Output};
use crate::settings::Sources;
use crate::shapes;

/// Under this, at the end of each help, stand the options that every command has.
const GLOBAL: &str = "Global options";

const AFTER: &str = "\
Exit codes: 0 done, 1 failed, 2 asked wrongly, 3 some items failed, 4 not found, 5 not authorised,
6 nobody answered in time, 7 needs --yes or another state of things, 130 interrupted.
Results are on stdout, everything else is on stderr. `--output help` prints the schema of the JSON forms.";

/// A Kafka-compatible distributed event log.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, max_term_width = 100, after_help = AFTER)]
struct Cli {
    /// The form of the result.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "FORM",
        help_heading = GLOBAL,
        display_order = 1001,
        help = "The form of the result: table, wide, json, jsonl, yaml, or help for its schema"
    )]
    output: Output,
    /// What is logged, on stderr: a level, or a list by module [default: info for serve, else warn].
    #[arg(
        long,
        global = true,
        env = "OTTLA_LOG",
        hide_env_values = true,
        value_name = "FILTER",
        help_heading = GLOBAL,
        display_order = 1002
    )]
    log: Option<String>,
    /// The form of log lines: text or json.
    #[arg(
        long,
        global = true,
        env = "OTTLA_LOG_FORMAT",
        hide_env_values = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "FORM",
        help_heading = GLOBAL,
        display_order = 1003
    )]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
    Format(format::Format),
    Topic(topic::TopicArgs),
    Produce(produce::Produce),
    #[command(visible_alias = "tail")]
    Consume(consume::Consume),
    Group(group::GroupArgs),
    Cluster(cluster::ClusterArgs),
    Config(config::Config),
    Explain(explain::Explain),
    Log(log::LogArgs),
    Sim(simulator::SimArgs),
    Completions(shell::Completions),
    Man(shell::Man),
    Version(version::Version),
}

/// Run a node: with nothing said, a single one on localhost:9092 with its data in ./data.
///
/// Prints one line on stdout when it is ready, and stops in order on SIGTERM and Ctrl-C. Takes Kafka's
/// configuration: a server.properties, KAFKA_* variables, -X. `ottla config explain KEY` tells of each key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla serve
  ottla serve --listen 0.0.0.0:9092 --data /var/lib/ottla
  ottla serve --listen localhost:0 --output json
  ottla serve --config server.properties -X num.partitions=6

Replaces: kafka-server-start.sh")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub sources: Sources,
    /// Where to listen, without TLS; port 0 takes a free one. Short for -X listeners=PLAINTEXT://HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where the data is. Short for -X log.dirs=DIR.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Start although there are settings that nobody knows.
    #[arg(long)]
    pub lenient: bool,
}

/// Reads `KEY=VALUE`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Parses the command line and does what it says.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.len() <= 1 {
        // A terminal that is gone has nobody to tell.
        let _ = Cli::command().print_long_help();
        return Exit::Ok.into();
    }
    if let Some(schema) = asked_for_schema(&args) {
        return end(output::value(Output::Json, &schema, "").map(|()| Exit::Ok));
    }
    let words = args.clone();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let is_error = error.use_stderr();
            let _ = with_plain_usage(error, &words).print();
            return if is_error {
                Exit::Usage.into()
            } else {
                Exit::Ok.into()
            };
        }
    };
    end(dispatch(cli))
}

/// clap shows an option that a variable sets in the usage of an error, as if it had to be there. This puts the usage
/// of the help in its place.
fn with_plain_usage(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    if error.get(ContextKind::Usage).is_none() {
        return error;
    }
    let mut command = Cli::command();
    command.build();
    for word in words.iter().skip(1) {
        if let Some(sub) = command.find_subcommand(word) {
            command = sub.clone();
        }
    }
    let usage = command.render_usage();
    error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    error
}

fn dispatch(cli: Cli) -> Result<Exit> {
    let output = cli.output;
    let level = match cli.command {
        Command::Serve(_) => "info",
        _ => "warn",
    };
    // The simulator has a log of its own, in the time of its worlds.
    if !matches!(cli.command, Command::Sim(_)) {
        logging::start(cli.log.as_deref().unwrap_or(level), cli.log_format)?;
    }
    match &cli.command {
        Command::Serve(args) => serve::run(args, output),
        Command::Format(args) => format::run(args, output),
        Command::Topic(args) => topic::run(args, output),
        Command::Produce(args) => produce::run(args, output),
        Command::Consume(args) => consume::run(args, output),
        Command::Group(args) => group::run(args, output),
        Command::Cluster(args) => cluster::run(args, output),
        Command::Config(args) => config::run(args, output),
        Command::Explain(args) => explain::run(args, output),
        Command::Log(args) => log::run(args, output),
        Command::Sim(args) => simulator::run(args, cli.log.as_deref(), output),
        Command::Completions(args) => shell::completions(args, Cli::command()),
        Command::Man(args) => shell::man(args, Cli::command()),
        Command::Version(_) => version::run(output),
    }
}

fn end(result: Result<Exit>) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) => match exit::of(&error) {
            Some(exit) => {
                eprintln!("ottla: {error:#}");
                exit.into()
            }
            // Whoever read the output has seen enough.
            None => Exit::Ok.into(),
        },
    }
}

/// The schema of a command, if `--output help` asks for it. It is found before the rest of the line is looked at:
/// nobody should have to name a topic to see what `topic describe` prints.
fn asked_for_schema(args: &[OsString]) -> Option<serde_json::Value> {
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    let asked = words.windows(2).any(|pair| pair == ["--output", "help"])
        || words.contains(&"--output=help");
    if !asked {
        return None;
    }
    let mut command = Cli::command();
    let mut path = Vec::new();
    for word in words {
        if let Some(sub) = command.find_subcommand(word) {
            path.push(sub.get_name().to_owned());
            command = sub.clone();
        }
    }
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    shapes::of(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(command: &clap::Command, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
        let mut is_leaf = true;
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            is_leaf = false;
            path.push(sub.get_name().to_owned());
            leaves(sub, path, found);
            path.pop();
        }
        if is_leaf {
            found.push(path.clone());
        }
    }

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_leaf_has_examples_and_a_schema() {
        let mut found = Vec::new();
        leaves(&Cli::command(), &mut Vec::new(), &mut found);
        assert!(found.len() > 20, "{found:?}");
        for path in found {
            let words: Vec<&str> = path.iter().map(String::as_str).collect();
            let mut command = Cli::command();
            for word in &words {
                command = command.find_subcommand(word).unwrap().clone();
            }
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:"), "{words:?} has no examples");
            assert!(command.get_about().is_some(), "{words:?} has no summary");
            if !matches!(words[..], ["completions" | "man"]) {
                let schema =
                    shapes::of(&words).unwrap_or_else(|| panic!("{words:?} has no schema"));
                assert!(schema.is_object());
            }
        }
    }

    /// The command lines of a text: what stands before a pipe or a redirection, without variables in front.
    fn examples(text: &str) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
            let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
            let mut commands = Vec::new();
            for c in line.chars().chain([' ']) {
                match c {
                    '\'' => quoted = !quoted,
                    _ if quoted => word.push(c),
                    '|' | '<' | '>' | '&' => commands.push(std::mem::take(&mut words)),
                    ' ' if word.is_empty() => {}
                    ' ' => words.push(std::mem::take(&mut word)),
                    c => word.push(c),
                }
            }
            commands.push(words);
            for words in commands {
                let skipped = words.iter().take_while(|word| word.contains('=')).count();
                let words = &words[skipped..];
                if words.first().is_some_and(|word| word == "ottla") {
                    // `ottla explain 19     an error by its number` says what it is.
                    let said = line.split("   ").next().unwrap_or(line).split_whitespace();
                    found.push(words[..words.len().min(said.count())].to_vec());
                }
            }
        }
        found
    }

    #[test]
    fn every_example_is_a_command_line() {
        let mut found = Vec::new();
        leaves(&Cli::command(), &mut Vec::new(), &mut found);
        let mut count = 0;
        for path in found {
            let mut command = Cli::command();
            for word in &path {
                command = command.find_subcommand(word).unwrap().clone();
            }
            let text = command.get_after_help().map(ToString::to_string);
            for example in examples(&text.unwrap_or_default()) {
                count += 1;
                match Cli::try_parse_from(&example) {
                    Ok(_) => {}
                    Err(error) if !error.use_stderr() => {}
                    Err(error) => panic!("{example:?}: {error}"),
                }
            }
        }
        assert!(count > 80, "{count} examples");
    }

    #[test]
    fn a_schema_is_found_whatever_else_is_said() {
        let asked =
            |line: &str| asked_for_schema(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(
            asked("ottla topic list --output help").unwrap()["type"],
            "array"
        );
        assert_eq!(
            asked("ottla --output=help version").unwrap()["type"],
            "object"
        );
        assert_eq!(asked("ottla topic list --output json"), None);
        assert_eq!(asked("ottla completions --output help"), None);
    }

    #[test]
    fn settings_are_keys_and_values() {
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(key_value("a="), Ok(("a".to_owned(), String::new())));
        assert!(key_value("a").is_err() && key_value("=b").is_err());
    }
}

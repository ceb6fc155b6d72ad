//! The command line of the simulator, whichever program it is part of.
//!
//! [`Command`] is what can be asked for, [`run`] does it, and [`Done`] is what came of it: whoever asked shows it.
#![allow(
    clippy::disallowed_macros,
    reason = "a command line prints; this is where the simulator does"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use world::TraceOptions;
use world::meta::{self, Ask, MetaError, Verdict};

use crate::campaign::{Campaign, Report, run_with};
use crate::run::run_scenario;
use crate::scenario::Scenario;
use crate::scoreboard::Board;
use crate::{scoreboard, swarm};

/// What the simulator can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run many seeds.
    #[command(after_help = "\
Examples:
  ottla sim run
  ottla sim run --seeds 2000 --threads 2 --no-holes
  ottla sim run --start 0x1eb --seeds 1 --no-shrink --output json

The exit code is 1 if a seed failed; each failure is a file for `ottla sim replay`.")]
    Run(Run),
    /// Run one scenario file again.
    #[command(after_help = "\
Examples:
  ottla sim replay failures/1eb.toml
  ottla sim replay failures/1eb.toml --trace
  ottla sim replay failures/1eb.toml --trace --tail 100 --log ottla_broker=debug

The exit code is 1 if it fails.")]
    Replay(Replay),
    /// Print the scenario of a seed.
    #[command(after_help = "\
Examples:
  ottla sim draw --seed 7
  ottla sim draw --seed 0x1eb > scenario.toml
  ottla sim draw --seed 7 --output json | jq .faults")]
    Draw(Draw),
    /// Run a seed in two processes, and say whether they are the same, event by event.
    #[command(after_help = "\
Examples:
  ottla sim meta
  ottla sim meta --seed 7
  ottla sim meta --seed 7 --output json | jq .same

The exit code is 1 if they differ.")]
    Meta(Meta),
    /// Plant historic bugs one by one, and say which are found, and how soon.
    #[command(after_help = "\
Examples:
  ottla sim scoreboard
  ottla sim scoreboard --only STO- --seeds 500
  ottla sim scoreboard --write scoreboard.md

Only of a program that was built with the feature `mutants`.")]
    Scoreboard(Scoreboard),
}

/// A campaign.
#[derive(Debug, Args)]
pub struct Run {
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first.
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = seed)]
    start: u64,
    /// How many run at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: u64,
    /// Where to put the files of failures.
    #[arg(long, value_name = "DIR", default_value = "failures")]
    failures: PathBuf,
    /// Leave failures as they are, instead of taking away what they do not need.
    #[arg(long)]
    no_shrink: bool,
    /// Fail also when a kind of fault or an invariant was never exercised.
    #[arg(long)]
    no_holes: bool,
}

/// A scenario.
#[derive(Debug, Args)]
pub struct Replay {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print what happens before the end, and on stderr what the broker logs.
    #[arg(long)]
    trace: bool,
    /// How many of the last events `--trace` prints.
    #[arg(long, value_name = "N", default_value_t = 2_000, requires = "trace")]
    tail: usize,
}

/// A seed.
#[derive(Debug, Args)]
pub struct Draw {
    /// The seed.
    #[arg(long, value_name = "SEED", value_parser = seed)]
    seed: u64,
}

/// A comparison.
#[derive(Debug, Args)]
pub struct Meta {
    /// The seed.
    #[arg(long, value_name = "SEED", default_value = "1", value_parser = seed)]
    seed: u64,
    /// What a child process is to report.
    #[arg(long, hide = true)]
    child: Option<Ask>,
}

/// A scoreboard.
#[derive(Debug, Args)]
pub struct Scoreboard {
    /// Most seeds for each bug.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first.
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = seed)]
    start: u64,
    /// Only bugs whose names contain this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where to write the table.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// A seed, as people write it or as failures show it: `491` or `0x1eb`.
fn seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| error.to_string())
}

/// What came of a command.
#[derive(Debug)]
pub enum Done {
    /// Seeds were run.
    Run {
        /// What came of them.
        report: Report,
        /// How long it took, in real seconds.
        seconds: f64,
        /// Whether what was never exercised counts as a failure.
        no_holes: bool,
    },
    /// A scenario was run.
    Replay(Replayed),
    /// A scenario was drawn.
    Draw(Scenario),
    /// A seed was compared with itself.
    Meta {
        /// The seed.
        seed: u64,
        /// What came of it.
        verdict: Verdict,
    },
    /// Bugs were planted.
    Scoreboard(Board),
    /// A child process of a comparison: the text is its report, and for its parent alone.
    Child(String),
}

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The last events, if they were asked for.
    pub tail: Vec<String>,
    /// What was broken, and after how many simulated seconds.
    pub failure: Option<(String, f64)>,
    /// Events.
    pub events: u64,
    /// Their hash.
    pub hash: u64,
}

/// Why a command did nothing.
#[derive(Debug)]
pub enum SimError {
    /// A file cannot be read or written.
    File(PathBuf, std::io::Error),
    /// A file is no scenario.
    Scenario(PathBuf, String),
    /// There are not so many seeds.
    Seeds,
    /// The words are no filter of logs.
    Log(String),
    /// The two processes cannot be compared.
    Meta(MetaError),
    /// No bugs are in this program.
    NotBuiltIn,
}

impl fmt::Display for SimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SimError::File(path, error) => write!(f, "{}: {error}", path.display()),
            SimError::Scenario(path, error) => {
                write!(f, "{} is no scenario: {error}", path.display())
            }
            SimError::Seeds => f.write_str("the last of so many seeds is above 2^64-1"),
            SimError::Log(error) => write!(f, "the log filter is none: {error}"),
            SimError::Meta(error) => error.fmt(f),
            SimError::NotBuiltIn => f.write_str(
                "this program was built without the feature `mutants`: no historic bug is in it",
            ),
        }
    }
}

impl std::error::Error for SimError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Runs the broker in simulated worlds that break.
#[derive(Debug, Parser)]
#[command(name = "ottla-sim", no_binary_name = true)]
struct Alone {
    /// What `run` prints at the end.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// What `replay --trace` logs.
    #[arg(long, global = true, value_name = "FILTER", default_value = "info")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

/// Runs the command line of a program that is the simulator alone (without its name), and gives the exit code: 0 for
/// good, 1 for a failure that was found, 2 for a command that makes no sense.
pub fn main(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let alone = match Alone::try_parse_from(arguments) {
        Ok(alone) => alone,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    match run(&alone.command, &alone.log) {
        Ok(done) => {
            match (&done, alone.output) {
                (Done::Run { report, .. }, Output::Json) => {
                    let text = serde_json::to_string_pretty(report);
                    println!("{}", text.expect("maps, lists and scalars"));
                }
                _ => print!("{}", done.text()),
            }
            u8::from(!done.is_good())
        }
        Err(error) => {
            eprintln!("{error}");
            2
        }
    }
}

/// Does what a command says. Failures of seeds are told on stderr as they come, and `log` says what of the broker's
/// log.
///
/// # Errors
/// Nothing could be run.
pub fn run(command: &Command, log: &str) -> Result<Done, SimError> {
    quiet_panics();
    match command {
        Command::Run(args) => {
            if args.start.checked_add(args.seeds).is_none() {
                return Err(SimError::Seeds);
            }
            let campaign = Campaign {
                seeds: args.seeds,
                start: args.start,
                failures: Some(args.failures.clone()),
                shrink: !args.no_shrink,
            };
            let begun = std::time::Instant::now();
            let report = in_threads(&campaign, args.threads);
            Ok(Done::Run {
                report,
                seconds: begun.elapsed().as_secs_f64(),
                no_holes: args.no_holes,
            })
        }
        Command::Replay(args) => replay(&args.file, args.trace.then_some(args.tail), log),
        Command::Draw(args) => Ok(Done::Draw(swarm::draw(args.seed))),
        Command::Meta(args) => match &args.child {
            None => compare(args.seed),
            Some(ask) => {
                let (_, world) = run_scenario(&swarm::draw(args.seed), ask.trace_options());
                Ok(Done::Child(meta::report(&world, ask)))
            }
        },
        Command::Scoreboard(args) => scores(args),
    }
}

/// A task that panics is reported as a failure of its seed; its words belong there.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

impl Done {
    /// Whether nothing was found that should not be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match self {
            Done::Run {
                report, no_holes, ..
            } => report.failed.is_empty() && (!*no_holes || report.holes().is_empty()),
            Done::Replay(replayed) => replayed.failure.is_none(),
            Done::Draw(_) | Done::Child(_) => true,
            Done::Meta { verdict, .. } => matches!(verdict, Verdict::Same { .. }),
            Done::Scoreboard(board) => board.control_is_clean(),
        }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Done::Run {
                report, seconds, ..
            } => report_text(report, *seconds),
            Done::Replay(replayed) => replayed.text(),
            Done::Draw(scenario) => scenario.to_toml(),
            Done::Meta { seed, verdict } => verdict_text(*seed, verdict),
            Done::Scoreboard(board) => board.to_markdown(),
            Done::Child(text) => text.clone(),
        }
    }
}

fn in_threads(campaign: &Campaign, threads: u64) -> Report {
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let each = campaign.seeds.div_ceil(threads);
        let parts = (0..threads).map(|thread| {
            let from = thread.saturating_mul(each).min(campaign.seeds);
            let part = Campaign {
                seeds: each.min(campaign.seeds - from),
                start: campaign.start + from,
                ..campaign.clone()
            };
            scope.spawn(move || run_with(&part, |failure| eprint!("{failure}")))
        });
        let parts: Vec<_> = parts.collect();
        let joined = parts.into_iter().map(|part| part.join());
        joined
            .map(|report| report.expect("worlds keep their panics"))
            .collect()
    });
    let mut report = Report {
        start: campaign.start,
        ..Report::default()
    };
    for part in reports {
        merge(&mut report, part);
    }
    report
}

fn merge(into: &mut Report, part: Report) {
    let add = |into: &mut BTreeMap<String, u64>, part: BTreeMap<String, u64>| {
        for (key, value) in part {
            *into.entry(key).or_default() += value;
        }
    };
    into.seeds += part.seeds;
    into.events += part.events;
    into.simulated_s += part.simulated_s;
    into.failed.extend(part.failed);
    add(&mut into.exercised, part.exercised);
    add(&mut into.exercised_in, part.exercised_in);
    add(&mut into.evaluations, part.evaluations);
}

fn report_text(report: &Report, seconds: f64) -> String {
    // Writing to a String cannot fail.
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} seeds from {} in {seconds:.1} s ({:.1} seeds/s), {} events, {:.0} s simulated: {} failed",
        report.seeds,
        report.start,
        report.seeds as f64 / seconds.max(1e-3),
        report.events,
        report.simulated_s,
        report.failed.len(),
    );
    text.push_str("exercised (times, seeds):\n");
    for (what, times) in &report.exercised {
        let seeds = report.exercised_in.get(what).copied().unwrap_or(0);
        let _ = writeln!(text, "  {what:<24} {times:>9} {seeds:>7}");
    }
    text.push_str("judged:\n");
    for (id, times) in &report.evaluations {
        let name = crate::oracles::name_of(id);
        let _ = writeln!(text, "  {id:<4} {name:<28} {times:>9}");
    }
    for hole in report.holes() {
        let _ = writeln!(text, "never exercised: {hole}");
    }
    text
}

/// Time and ordinal of the world, as in the text of its events.
struct WorldTime;

impl FormatTime for WorldTime {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        let (now, ordinal) = world::trace::moment();
        let (seconds, rest) = (now / 1_000_000_000, now % 1_000_000_000);
        write!(w, "{seconds:>4}.{rest:09} {ordinal:>8}")
    }
}

fn replay(file: &Path, tail: Option<usize>, log: &str) -> Result<Done, SimError> {
    let text =
        std::fs::read_to_string(file).map_err(|error| SimError::File(file.to_path_buf(), error))?;
    let scenario = Scenario::from_toml(&text)
        .map_err(|error| SimError::Scenario(file.to_path_buf(), error))?;
    let trace = TraceOptions {
        lines: None,
        tail: tail.unwrap_or(0),
    };
    if tail.is_some() {
        let filter = EnvFilter::try_new(log).map_err(|error| SimError::Log(error.to_string()))?;
        // What the broker has to say, at its place among the events.
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_timer(WorldTime)
            .with_writer(std::io::stderr);
        log.init();
    }
    let (outcome, _) = run_scenario(&scenario, trace);
    Ok(Done::Replay(Replayed {
        tail: outcome.tail,
        failure: outcome
            .failure
            .map(|failure| (failure.violation.to_string(), failure.at_ns as f64 / 1e9)),
        events: outcome.events,
        hash: outcome.fingerprint.hash,
    }))
}

impl Replayed {
    fn text(&self) -> String {
        let mut text: String = self.tail.iter().map(|line| format!("{line}\n")).collect();
        let _ = match &self.failure {
            Some((what, at)) => writeln!(text, "FAIL {what} at {at:.3}s"),
            None => writeln!(
                text,
                "passed: {} events, hash {:#x}",
                self.events, self.hash
            ),
        };
        text
    }
}

fn compare(seed: u64) -> Result<Done, SimError> {
    let program = std::env::current_exe()
        .map_err(|error| SimError::File(PathBuf::from("the path of this program"), error))?;
    // The part of the command line that led here, if this is part of another program.
    let lead: Vec<OsString> = std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != "meta")
        .collect();
    let verdict = meta::compare(|ask| {
        let mut command = std::process::Command::new(&program);
        command.args(&lead).arg("meta");
        command.arg("--seed").arg(seed.to_string());
        command.arg("--child").arg(ask.to_string());
        command
    });
    let verdict = verdict.map_err(SimError::Meta)?;
    Ok(Done::Meta { seed, verdict })
}

fn verdict_text(seed: u64, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Same { events, hash } => {
            format!("seed {seed}: the same twice, {events} events, hash {hash:#x}\n")
        }
        Verdict::Different {
            window,
            before,
            first,
            second,
        } => {
            let mut text = format!("seed {seed}: the runs differ within events {window:?}\n");
            for line in before {
                let _ = writeln!(text, "  both   {line}");
            }
            for (which, line) in [("first", first), ("second", second)] {
                let line = line.as_deref().unwrap_or("(has ended)");
                let _ = writeln!(text, "  {which:<6} {line}");
            }
            text
        }
    }
}

fn scores(args: &Scoreboard) -> Result<Done, SimError> {
    if args.start.checked_add(args.seeds).is_none() {
        return Err(SimError::Seeds);
    }
    if !scoreboard::is_built_in() {
        return Err(SimError::NotBuiltIn);
    }
    let only = args.only.as_deref();
    let board = scoreboard::run(args.seeds, args.start, only, |line| eprintln!("{line}"));
    if let Some(path) = &args.write {
        std::fs::write(path, board.to_markdown())
            .map_err(|error| SimError::File(path.clone(), error))?;
    }
    Ok(Done::Scoreboard(board))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_sound_and_has_at_least_one_seed() {
        use clap::CommandFactory as _;
        Alone::command().debug_assert();
        let parsed = |line: &str| Alone::try_parse_from(line.split(' ')).is_ok();
        assert!(parsed("run --seeds 1 --start 0x1eb"));
        assert!(parsed("run --output json"));
        assert!(!parsed("run --seeds 0"));
        assert!(!parsed("run --threads 0"));
        assert!(!parsed("draw --seed x"));
        assert_eq!(seed("0x1eb"), Ok(491));
        assert_eq!(
            main(["run", "--seeds", "2", "--start", "18446744073709551615"]),
            2
        );
        assert_eq!(main(["replay", "/nowhere/at/all"]), 2);
    }

    #[test]
    fn events_are_counted_in_full() {
        let report = Report {
            seeds: 2,
            events: 12_345,
            ..Report::default()
        };
        let text = report_text(&report, 0.0);
        assert!(
            text.starts_with("2 seeds from 0 in 0.0 s (2000.0 seeds/s), 12345 events, "),
            "{text}"
        );
    }

    #[test]
    fn what_is_logged_has_the_time_of_the_world() {
        let mut world = world::World::new(1, world::Profile::calm());
        let node = world.start_node("node", |_| std::future::pending());
        let text = world.block_on(node, async {
            let mut text = String::new();
            let written = WorldTime.format_time(&mut Writer::new(&mut text));
            (text, written.is_ok())
        });
        let (text, written) = text.expect("it only writes");
        assert!(written);
        // A start and a poll of the main task, or of this one, came before.
        assert!(text.starts_with("   0.0000"), "{text}");
        assert!(text.ends_with(" 2") || text.ends_with(" 3"), "{text}");
    }
}

//! The command line of the simulator, whichever program it is part of.
#![allow(
    clippy::disallowed_macros,
    reason = "a command line prints; this is where the simulator does"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use world::TraceOptions;
use world::meta::{self, Ask, Verdict};

use crate::campaign::{Campaign, Report, run_with};
use crate::run::run_scenario;
use crate::scenario::Scenario;
use crate::{scoreboard, swarm};

/// Runs the broker in simulated worlds that break.
#[derive(Debug, Parser)]
#[command(name = "sim", no_binary_name = true)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Runs many seeds.
    Run {
        /// How many.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        start: u64,
        /// Threads.
        #[arg(long, default_value_t = 1)]
        threads: u64,
        /// What to print at the end.
        #[arg(long, value_enum, default_value_t = Output::Text)]
        output: Output,
        /// Where to put the files of failures.
        #[arg(long, default_value = "failures")]
        failures: PathBuf,
        /// Leaves failures as they are.
        #[arg(long)]
        no_shrink: bool,
        /// Fails also when a kind of fault or an invariant was never exercised.
        #[arg(long)]
        no_holes: bool,
    },
    /// Runs one scenario file.
    Replay {
        /// The file.
        file: PathBuf,
        /// Prints what happens before the end.
        #[arg(long)]
        trace: bool,
        /// How many of the last events `--trace` prints.
        #[arg(long, default_value_t = 2_000)]
        tail: usize,
    },
    /// Prints the scenario of a seed.
    Draw {
        /// The seed.
        #[arg(long)]
        seed: u64,
    },
    /// Runs a seed in two processes, and says whether they are the same, event by event.
    Meta {
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// What a child process is to report.
        #[arg(long, hide = true)]
        child: Option<Ask>,
    },
    /// Plants historic bugs one by one, and says which are found, and how soon.
    Scoreboard {
        /// Most seeds for each bug.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        start: u64,
        /// Only bugs whose names contain this.
        #[arg(long)]
        only: Option<String>,
        /// Where to write the table.
        #[arg(long)]
        write: Option<PathBuf>,
    },
}

/// Runs a command line (without the name of the program), and gives the exit code: 0 for good, 1 for a
/// failure that was found, 2 for a command that makes no sense.
pub fn main(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    quiet_panics();
    match arguments.command {
        What::Run {
            seeds,
            start,
            threads,
            output,
            failures,
            no_shrink,
            no_holes,
        } => {
            let campaign = Campaign {
                seeds,
                start,
                failures: Some(failures),
                shrink: !no_shrink,
            };
            run(&campaign, threads.max(1), output, no_holes)
        }
        What::Replay { file, trace, tail } => replay(&file, trace.then_some(tail)),
        What::Draw { seed } => {
            print!("{}", swarm::draw(seed).to_toml());
            0
        }
        What::Meta { seed, child: None } => compare(seed),
        What::Meta {
            seed,
            child: Some(ask),
        } => {
            let (_, world) = run_scenario(&swarm::draw(seed), ask.trace_options());
            print!("{}", meta::report(&world, &ask));
            0
        }
        What::Scoreboard {
            seeds,
            start,
            only,
            write,
        } => scores(seeds, start, only.as_deref(), write.as_deref()),
    }
}

/// A task that panics is reported as a failure of its seed; its words belong there.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|_| {}));
}

fn run(campaign: &Campaign, threads: u64, output: Output, no_holes: bool) -> u8 {
    let begun = std::time::Instant::now();
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let each = campaign.seeds.div_ceil(threads);
        let parts = (0..threads).map(|thread| {
            let from = (thread * each).min(campaign.seeds);
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
    let seconds = begun.elapsed().as_secs_f64();
    match output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&report).expect("maps, lists and scalars");
            println!("{text}");
        }
        Output::Text => print_report(&report, seconds),
    }
    u8::from(!report.failed.is_empty() || (no_holes && !report.holes().is_empty()))
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

fn print_report(report: &Report, seconds: f64) {
    println!(
        "{} seeds from {} in {seconds:.1} s ({:.1} seeds/s), {:.1} M events, {:.0} s simulated: {} failed",
        report.seeds,
        report.start,
        report.seeds as f64 / seconds,
        report.events as f64 / 1e6,
        report.simulated_s,
        report.failed.len(),
    );
    println!("exercised (times, seeds):");
    for (what, times) in &report.exercised {
        let seeds = report.exercised_in.get(what).copied().unwrap_or(0);
        println!("  {what:<24} {times:>9} {seeds:>7}");
    }
    println!("judged:");
    for (id, times) in &report.evaluations {
        println!("  {id:<4} {:<28} {times:>9}", crate::oracles::name_of(id));
    }
    for hole in report.holes() {
        println!("never exercised: {hole}");
    }
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

fn replay(file: &Path, tail: Option<usize>) -> u8 {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return 2;
        }
    };
    let scenario = match Scenario::from_toml(&text) {
        Ok(scenario) => scenario,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return 2;
        }
    };
    let trace = TraceOptions {
        lines: None,
        tail: tail.unwrap_or(0),
    };
    if tail.is_some() {
        // What the broker has to say, at its place among the events.
        let log = tracing_subscriber::fmt()
            .with_timer(WorldTime)
            .with_writer(std::io::stderr);
        log.init();
    }
    let (outcome, _) = run_scenario(&scenario, trace);
    for line in &outcome.tail {
        println!("{line}");
    }
    match outcome.failure {
        Some(failure) => {
            println!(
                "FAIL {} at {:.3}s",
                failure.violation,
                failure.at_ns as f64 / 1e9
            );
            1
        }
        None => {
            println!(
                "passed: {} events, hash {:#x}",
                outcome.events, outcome.fingerprint.hash
            );
            0
        }
    }
}

fn compare(seed: u64) -> u8 {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("the path of this program is not known: {error}");
            return 2;
        }
    };
    // The part of the command line that led here, if this is part of another program.
    let lead: Vec<OsString> = std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != "meta")
        .collect();
    let verdict = meta::compare(|ask| {
        let mut command = Command::new(&program);
        command.args(&lead).arg("meta");
        command.arg("--seed").arg(seed.to_string());
        command.arg("--child").arg(ask.to_string());
        command
    });
    match verdict {
        Ok(Verdict::Same { events, hash }) => {
            println!("seed {seed}: the same twice, {events} events, hash {hash:#x}");
            0
        }
        Ok(Verdict::Different {
            window,
            before,
            first,
            second,
        }) => {
            println!("seed {seed}: the runs differ within events {window:?}");
            for line in before {
                println!("  both   {line}");
            }
            println!("  first  {}", first.as_deref().unwrap_or("(has ended)"));
            println!("  second {}", second.as_deref().unwrap_or("(has ended)"));
            1
        }
        Err(error) => {
            eprintln!("{error}");
            2
        }
    }
}

fn scores(seeds: u64, start: u64, only: Option<&str>, write: Option<&Path>) -> u8 {
    if !scoreboard::is_built_in() {
        eprintln!("this program was built without the feature `mutants`: no historic bug is in it");
        return 2;
    }
    let board = scoreboard::run(seeds, start, only, |line| eprintln!("{line}"));
    let table = board.to_markdown();
    print!("{table}");
    if let Some(path) = write
        && let Err(error) = std::fs::write(path, &table)
    {
        eprintln!("{}: {error}", path.display());
        return 2;
    }
    u8::from(!board.control_is_clean())
}

#[cfg(test)]
mod tests {
    use super::*;

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

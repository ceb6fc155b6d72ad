//! `ottla sim`: nodes in a simulated world that breaks. The simulator does it; here its results get the forms that all
//! results have.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::{Context as _, Result};
use clap::Args;
use sim::cli::{Done, SimError};
use sim::meta::Verdict;

use crate::exit::{Exit, Failure};
use crate::output::{self, Output, rows};

/// Nodes in a simulated world that breaks, from a seed.
///
/// The real broker and the real clients run in a world of their own: its clock, its network and its disks are drawn
/// from a seed, and so is what goes wrong with them. The same seed is the same run.
#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    command: sim::cli::Command,
}

rows! {
    /// What came of many seeds.
    struct SimReport {
        /// The first seed.
        start: u64,
        /// How many were run.
        seeds: u64,
        /// Those that failed.
        failed: Vec<FailedSeed>,
        /// How often each fault, and each thing worth counting, took place.
        exercised: BTreeMap<String, u64>,
        /// In how many seeds each took place.
        exercised_in: BTreeMap<String, u64>,
        /// How often each invariant was judged.
        evaluations: BTreeMap<String, u64>,
        /// Faults and invariants that were never exercised.
        holes: Vec<String>,
        /// How many events there were.
        events: u64,
        /// How many seconds of the worlds' time passed.
        simulated_s: f64,
        /// How long it took, in milliseconds.
        took_ms: f64,
    }
    /// A seed that failed.
    struct FailedSeed {
        /// The seed.
        seed: u64,
        /// The id of the invariant that was broken.
        invariant: String,
        /// What happened.
        detail: String,
        /// How many faults were planned before it was made smaller.
        faults_before: Option<usize>,
        /// The faults that are left.
        faults: Vec<String>,
        /// The file to replay.
        file: Option<String>,
    }
    /// What came of a scenario.
    struct SimReplay {
        /// Whether no invariant was broken.
        passed: bool,
        /// What was broken.
        failure: Option<String>,
        /// When, in seconds of the world's time.
        failed_at_s: Option<f64>,
        /// How many events there were.
        events: u64,
        /// Their hash, in hexadecimal.
        hash: String,
        /// The last events, if they were asked for.
        trace: Vec<String>,
    }
    /// A seed compared with itself.
    struct SimMeta {
        /// The seed.
        seed: u64,
        /// Whether both runs were the same.
        same: bool,
        /// How many events there were, if they were.
        events: Option<u64>,
        /// Their hash, in hexadecimal, if they were.
        hash: Option<String>,
        /// The numbers of the events in which they part: from, and up to but without.
        window: Vec<u64>,
        /// What both did before, for a few events.
        before: Vec<String>,
        /// What the first did then; null if it had ended.
        first: Option<String>,
        /// What the second did then.
        second: Option<String>,
    }
    /// Which planted bugs are found.
    struct SimScoreboard {
        /// How many seeds were tried for each.
        seeds: u64,
        /// The first seed.
        start: u64,
        /// Seeds that failed without any bug planted: none should.
        control: Vec<u64>,
        /// The bugs.
        bugs: Vec<SimBug>,
    }
    /// A planted bug.
    struct SimBug {
        /// Its name.
        bug: String,
        /// What is wrong.
        what: String,
        /// After how many seeds it was found.
        found_after: Option<u64>,
        /// By which invariant.
        invariant: Option<String>,
        /// Whether that is one of those that should find it.
        expected: Option<bool>,
    }
}

/// Runs a command of the simulator. `log` says what of the broker's log a traced replay shows.
pub(crate) fn run(args: &SimArgs, log: Option<&str>, output: Output) -> Result<Exit> {
    let done = sim::cli::run(&args.command, log.unwrap_or("info")).map_err(failure)?;
    match &done {
        Done::Run {
            report, seconds, ..
        } => {
            let failed = report.failed.iter().map(|failed| FailedSeed {
                seed: failed.seed,
                invariant: failed.invariant.clone(),
                detail: failed.detail.clone(),
                faults_before: failed.shrunk.map(|(before, _)| before),
                faults: failed.faults.clone(),
                file: failed.file.clone(),
            });
            let shown = SimReport {
                start: report.start,
                seeds: report.seeds,
                failed: failed.collect(),
                exercised: report.exercised.clone(),
                exercised_in: report.exercised_in.clone(),
                evaluations: report.evaluations.clone(),
                holes: report.holes(),
                events: report.events,
                simulated_s: report.simulated_s,
                took_ms: (seconds * 1000.0).round(),
            };
            output::value(output, &shown, &done.text())?;
        }
        Done::Replay(replayed) => {
            let shown = SimReplay {
                passed: replayed.failure.is_none(),
                failure: replayed.failure.as_ref().map(|(what, _)| what.clone()),
                failed_at_s: replayed.failure.as_ref().map(|(_, at)| *at),
                events: replayed.events,
                hash: format!("{:#x}", replayed.hash),
                trace: replayed.tail.clone(),
            };
            output::value(output, &shown, &done.text())?;
        }
        Done::Draw(scenario) => output::value(output, scenario, &done.text())?,
        Done::Meta { seed, verdict } => {
            output::value(output, &compared(*seed, verdict), &done.text())?;
        }
        Done::Scoreboard(board) => {
            let bugs = board.rows.iter().map(|row| SimBug {
                bug: row.mutant.name.to_owned(),
                what: row.mutant.what.to_owned(),
                found_after: row.found.map(|(after, _)| after),
                invariant: row.found.map(|(_, invariant)| invariant.to_owned()),
                expected: row
                    .found
                    .map(|(_, invariant)| row.mutant.expected.contains(&invariant)),
            });
            let shown = SimScoreboard {
                seeds: board.seeds,
                start: board.start,
                control: board.control.iter().map(|(seed, _)| *seed).collect(),
                bugs: bugs.collect(),
            };
            output::value(output, &shown, &done.text())?;
        }
        // For the parent process alone, which asked for no other form.
        Done::Child(text) => io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(match done.is_good() {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

fn compared(seed: u64, verdict: &Verdict) -> SimMeta {
    let blank = SimMeta {
        seed,
        same: false,
        events: None,
        hash: None,
        window: Vec::new(),
        before: Vec::new(),
        first: None,
        second: None,
    };
    match verdict {
        Verdict::Same { events, hash } => SimMeta {
            same: true,
            events: Some(*events),
            hash: Some(format!("{hash:#x}")),
            ..blank
        },
        Verdict::Different {
            window,
            before,
            first,
            second,
        } => SimMeta {
            window: vec![window.start, window.end],
            before: before.clone(),
            first: first.clone(),
            second: second.clone(),
            ..blank
        },
    }
}

fn failure(error: SimError) -> anyhow::Error {
    let text = error.to_string();
    match error {
        SimError::File(path, error) => Err::<(), _>(error)
            .with_context(|| path.display().to_string())
            .expect_err("it is an error"),
        SimError::Scenario(..) => Failure::usage(text)
            .next("`ottla sim draw --seed 1` prints one that is")
            .into(),
        SimError::Seeds | SimError::Log(_) => Failure::usage(text).into(),
        SimError::NotBuiltIn => Failure::new(Exit::Precondition, text)
            .next("build the program with `--features mutants`")
            .into(),
        SimError::Meta(_) => Failure::new(Exit::Failed, text).into(),
    }
}

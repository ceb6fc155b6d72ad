//! Whether a run is the same twice: in two processes, with other addresses and another environment.
//!
//! The program under test takes an [`Ask`] as an argument, runs its scenario with
//! [`Ask::trace_options`], and prints [`report`]. [`compare`] starts it twice, compares the hashes, and
//! if they differ asks both for the text of the first window of events in which they do.

use std::fmt;
use std::io;
use std::ops::Range;
use std::process::Command;
use std::str::FromStr;

use crate::trace::{Fingerprint, TraceOptions};
use crate::world::World;

/// What a process is asked to report of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The hashes.
    Fingerprint,
    /// The text of some events.
    Lines(Range<u64>),
}

impl Ask {
    /// How the world must be made, so that it can report this.
    #[must_use]
    pub fn trace_options(&self) -> TraceOptions {
        match self {
            Ask::Fingerprint => TraceOptions::default(),
            Ask::Lines(lines) => TraceOptions {
                lines: Some(lines.clone()),
                tail: 0,
            },
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Fingerprint => f.write_str("fingerprint"),
            Ask::Lines(lines) => write!(f, "lines:{}..{}", lines.start, lines.end),
        }
    }
}

impl FromStr for Ask {
    type Err = String;

    fn from_str(text: &str) -> Result<Ask, String> {
        let wrong = || format!("neither `fingerprint` nor `lines:FROM..TO`: {text}");
        if text == "fingerprint" {
            return Ok(Ask::Fingerprint);
        }
        let range = text.strip_prefix("lines:").ok_or_else(wrong)?;
        let (start, end) = range.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| text.parse().map_err(|_| wrong());
        Ok(Ask::Lines(number(start)?..number(end)?))
    }
}

/// Every line of a report begins so, because others print too.
const MARK: &str = "ottla-meta ";

/// What a process prints after its run.
#[must_use]
pub fn report(world: &World, ask: &Ask) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(MARK);
        out.push_str(text);
        out.push('\n');
    };
    match ask {
        Ask::Fingerprint => {
            let print = world.fingerprint();
            line(&format!("events {}", print.events));
            line(&format!("hash {}", print.hash));
            line(&format!("every {}", print.every));
            for checkpoint in print.checkpoints {
                line(&format!("checkpoint {checkpoint}"));
            }
        }
        Ask::Lines(_) => world.with_trace(|trace| {
            for text in trace.lines() {
                line(&format!("line {text}"));
            }
        }),
    }
    // So that half a report is not taken for a whole one.
    line("end");
    out
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The runs were the same.
    Same {
        /// Number of events.
        events: u64,
        /// Their hash.
        hash: u64,
    },
    /// They were not.
    Different {
        /// The events in which they part.
        window: Range<u64>,
        /// What both did before, for a few events.
        before: Vec<String>,
        /// What the first did then; `None` if it had ended.
        first: Option<String>,
        /// What the second did then.
        second: Option<String>,
    },
}

/// Why nothing came of a comparison.
#[derive(Debug)]
pub enum MetaError {
    /// A process could not be started.
    Start(io::Error),
    /// A process failed, or did not report.
    Failed {
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
}

impl fmt::Display for MetaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetaError::Start(error) => write!(f, "the run could not be started: {error}"),
            MetaError::Failed { status, stderr } => {
                write!(f, "the run did not report ({status}): {stderr}")
            }
        }
    }
}

impl std::error::Error for MetaError {}

/// The environment variable in which the two processes of a comparison certainly differ.
pub const NOISE: &str = "OTTLA_META_NOISE";

/// Runs a scenario twice and compares. `command` gives the command that runs it and reports what it is
/// asked.
///
/// # Errors
/// A process does not start, fails, or does not report.
pub fn compare(mut command: impl FnMut(&Ask) -> Command) -> Result<Verdict, MetaError> {
    let mut both = |ask: &Ask| -> Result<[Vec<String>; 2], MetaError> {
        Ok([run(command(ask), 0)?, run(command(ask), 1)?])
    };
    let prints = both(&Ask::Fingerprint)?.map(|lines| parse(&lines));
    let Some(window) = prints[0].first_difference(&prints[1]) else {
        let (events, hash) = (prints[0].events, prints[0].hash);
        return Ok(Verdict::Same { events, hash });
    };
    let asked = window.start.saturating_sub(5)..window.end;
    let [first, second] = both(&Ask::Lines(asked))?;
    let same = first
        .iter()
        .zip(&second)
        .take_while(|(first, second)| first == second)
        .count();
    let text = |lines: &[String], index: usize| {
        lines
            .get(index)
            .map(|line| line.strip_prefix("line ").unwrap_or(line).to_owned())
    };
    Ok(Verdict::Different {
        before: (same.saturating_sub(5)..same)
            .filter_map(|index| text(&first, index))
            .collect(),
        first: text(&first, same),
        second: text(&second, same),
        window,
    })
}

/// Runs one of the two processes, and gives back its report without the mark.
fn run(mut command: Command, which: usize) -> Result<Vec<String>, MetaError> {
    // Another length of the environment moves the stack; the layout of memory is random anyway.
    let noise = ["a", "a much longer value than the other process has"][which];
    let output = command
        .env(NOISE, noise)
        .env("TZ", ["UTC", "Pacific/Chatham"][which])
        .env("LANG", ["C", "de_DE.UTF-8"][which])
        .output()
        .map_err(MetaError::Start)?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A harness may have printed something before the first mark on its line.
    let mut lines: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(MARK).map(|(_, rest)| rest.to_owned()))
        .collect();
    if !output.status.success() || lines.pop().as_deref() != Some("end") {
        return Err(MetaError::Failed {
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(lines)
}

fn parse(lines: &[String]) -> Fingerprint {
    let mut print = Fingerprint::default();
    for line in lines {
        let Some((key, value)) = line.split_once(' ') else {
            continue;
        };
        let Ok(value) = value.parse() else { continue };
        match key {
            "events" => print.events = value,
            "hash" => print.hash = value,
            "every" => print.every = value,
            "checkpoint" => print.checkpoints.push(value),
            _ => {}
        }
    }
    print
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_are_read_as_they_are_written() {
        for ask in [Ask::Fingerprint, Ask::Lines(5..77)] {
            assert_eq!(ask.to_string().parse(), Ok(ask));
        }
        for wrong in ["", "lines", "lines:5", "lines:a..b"] {
            assert!(wrong.parse::<Ask>().is_err());
        }
    }
}

//! Runs the simulator's seeds, and holds the failures against the list of those that are known.
//!
//! `sim/open-seeds.txt` names seeds that fail today, with what they break. A failure that is not listed is an
//! error, and so is a listed seed that passes: then the bug is gone, and so must be its line.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// How many seeds, from 0 on.
const SEEDS: u64 = 2000;

#[derive(Deserialize)]
struct Report {
    seeds: u64,
    failed: Vec<Failed>,
}

#[derive(Deserialize)]
struct Failed {
    seed: u64,
    invariant: String,
    detail: String,
}

/// Runs the seeds.
pub(crate) fn run(root: &Path) -> Result<()> {
    let list =
        std::fs::read_to_string(root.join("sim/open-seeds.txt")).context("sim/open-seeds.txt")?;
    let known = parse(&list)?;
    let seeds = SEEDS.to_string();
    let output = Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--profile",
            "sim",
            "-p",
            "ottla-sim",
            "--bin",
            "ottla-sim",
            "--",
        ])
        .args([
            "run",
            "--seeds",
            &seeds,
            "--threads",
            "2",
            "--no-shrink",
            "--output",
            "json",
        ])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("the simulator cannot be started")?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .context("the simulator did not report; run it by hand: ottla sim run --seeds 10")?;
    let problems = judge(&report, &known);
    eprintln!(
        "   {} seeds, {} failed, {} of them known",
        report.seeds,
        report.failed.len(),
        report
            .failed
            .iter()
            .filter(|failed| known.contains_key(&failed.seed))
            .count()
    );
    if problems.is_empty() {
        return Ok(());
    }
    bail!("simulator:\n  {}", problems.join("\n  "))
}

/// Seed and invariant of each line; what follows is for people.
fn parse(list: &str) -> Result<BTreeMap<u64, String>> {
    list.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let seed = words.next().and_then(|word| word.parse().ok());
            let invariant = words.next().map(str::to_owned);
            seed.zip(invariant)
                .with_context(|| format!("`{line}`: SEED INVARIANT REASON"))
        })
        .collect()
}

fn judge(report: &Report, known: &BTreeMap<u64, String>) -> Vec<String> {
    let mut problems = Vec::new();
    for failed in &report.failed {
        if known.get(&failed.seed) != Some(&failed.invariant) {
            problems.push(format!(
                "seed {} breaks {}: {} (ottla sim run --seeds 1 --start {})",
                failed.seed, failed.invariant, failed.detail, failed.seed
            ));
        }
    }
    for seed in known.keys().filter(|seed| **seed < report.seeds) {
        if !report.failed.iter().any(|failed| failed.seed == *seed) {
            problems.push(format!(
                "seed {seed} passes: take it off sim/open-seeds.txt"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failed: &[(u64, &str)]) -> Report {
        let failed = failed.iter().map(|(seed, invariant)| Failed {
            seed: *seed,
            invariant: (*invariant).to_owned(),
            detail: String::new(),
        });
        Report {
            seeds: 10,
            failed: failed.collect(),
        }
    }

    #[test]
    fn news_of_either_kind_is_a_problem() {
        let known = parse("# seeds\n3 L6 why\n").unwrap();
        assert!(judge(&report(&[(3, "L6")]), &known).is_empty());
        assert_eq!(judge(&report(&[]), &known).len(), 1);
        assert_eq!(judge(&report(&[(3, "L6"), (4, "V1")]), &known).len(), 1);
        assert_eq!(judge(&report(&[(3, "R9")]), &known).len(), 1);
        assert!(parse("three").is_err());
    }
}

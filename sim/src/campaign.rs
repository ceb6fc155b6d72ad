//! Many seeds, one after the other: what failed, what was exercised, what was judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use world::{STRIKES, TraceOptions};

use crate::faults::Fault;
use crate::oracles::{INVARIANTS, NO_PANIC, name_of};
use crate::run::{Outcome, run_scenario};
use crate::scenario::Scenario;
use crate::{shrink, swarm};

/// Which seeds, and what to do with failures.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// How many.
    pub seeds: u64,
    /// The first.
    pub start: u64,
    /// Where to put the files of failures; none are written without.
    pub failures: Option<PathBuf>,
    /// Whether failures are made smaller first.
    pub shrink: bool,
}

/// A seed that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    /// The seed.
    pub seed: u64,
    /// The catalogue's id of the invariant that was broken.
    pub invariant: String,
    /// What happened.
    pub detail: String,
    /// Faults before and after shrinking.
    pub shrunk: Option<(usize, usize)>,
    /// The faults that are left.
    pub faults: Vec<String>,
    /// The file to replay.
    pub file: Option<String>,
}

/// What came of a campaign.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The first seed.
    pub start: u64,
    /// Seeds run.
    pub seeds: u64,
    /// Those that failed.
    pub failed: Vec<Failed>,
    /// How often each fault, and each thing worth counting, took place.
    pub exercised: BTreeMap<String, u64>,
    /// In how many seeds each took place.
    pub exercised_in: BTreeMap<String, u64>,
    /// How often each invariant was judged.
    pub evaluations: BTreeMap<String, u64>,
    /// Events.
    pub events: u64,
    /// Simulated seconds.
    pub simulated_s: f64,
}

impl Report {
    /// Faults and invariants that were never exercised: holes in the coverage.
    #[must_use]
    pub fn holes(&self) -> Vec<String> {
        let faults = (Fault::ACTED.iter())
            .chain(STRIKES)
            .filter(|name| !self.exercised.contains_key(**name))
            .map(|name| format!("fault {name}"));
        let invariants = INVARIANTS
            .iter()
            .filter(|(id, _)| *id != NO_PANIC && !self.evaluations.contains_key(*id))
            .map(|(id, name)| format!("invariant {id} {name}"));
        faults.chain(invariants).collect()
    }

    fn take(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.simulated_s += outcome.simulated_ns as f64 / 1e9;
        for (what, times) in &outcome.exercised {
            *self.exercised.entry((*what).to_owned()).or_default() += times;
            *self.exercised_in.entry((*what).to_owned()).or_default() += 1;
        }
        for (id, times) in &outcome.evaluations {
            *self.evaluations.entry((*id).to_owned()).or_default() += times;
        }
    }
}

/// Runs `seeds` seeds from `start` on, and writes no files.
#[must_use]
pub fn run(seeds: u64, start: u64) -> Report {
    let campaign = Campaign {
        seeds,
        start,
        failures: None,
        shrink: false,
    };
    run_with(&campaign, |_| {})
}

/// Runs a campaign. `tell` hears of each failure as it comes, in words.
pub fn run_with(campaign: &Campaign, mut tell: impl FnMut(&str)) -> Report {
    let mut report = Report {
        start: campaign.start,
        ..Report::default()
    };
    for seed in campaign.start..campaign.start.saturating_add(campaign.seeds) {
        let scenario = swarm::draw(seed);
        let (outcome, _) = run_scenario(&scenario, TraceOptions::default());
        report.take(&outcome);
        if let Some(failure) = &outcome.failure {
            let violation = &failure.violation;
            let (smaller, shrunk) = if campaign.shrink {
                let smaller = shrink::shrink(&scenario, violation.invariant);
                let counts = (scenario.faults.len(), smaller.faults.len());
                (smaller, Some(counts))
            } else {
                (scenario, None)
            };
            let file = campaign
                .failures
                .as_ref()
                .and_then(|dir| write_failure(dir, &smaller, &violation.to_string()).ok());
            let failed = Failed {
                seed,
                invariant: violation.invariant.to_owned(),
                detail: violation.detail.clone(),
                shrunk,
                faults: smaller
                    .faults
                    .iter()
                    .map(|p| format!("{:>8.3}s  {:?}", p.at_ms as f64 / 1e3, p.fault))
                    .collect(),
                file: file.map(|path| path.display().to_string()),
            };
            tell(&describe(&failed));
            report.failed.push(failed);
        }
    }
    report
}

/// Writes the file of a failure.
///
/// # Errors
/// The file cannot be written.
pub fn write_failure(dir: &Path, scenario: &Scenario, what: &str) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    let path = dir.join(format!("{:x}.toml", scenario.seed));
    let comment: String = what.lines().map(|line| format!("# {line}\n")).collect();
    std::fs::write(&path, format!("{comment}{}", scenario.to_toml()))?;
    Ok(path)
}

/// A failure as people read it.
#[must_use]
pub fn describe(failed: &Failed) -> String {
    let Failed {
        seed,
        invariant,
        detail,
        ..
    } = failed;
    let shrunk = failed.shrunk.map_or(String::new(), |(from, to)| {
        format!("  shrunk {from} -> {to} faults")
    });
    let mut text = format!(
        "FAIL {} {invariant}  seed {seed:#x}{shrunk}\n  {detail}\n",
        name_of(invariant)
    );
    for (number, fault) in failed.faults.iter().enumerate() {
        text.push_str(&format!("{:>4}  {fault}\n", number + 1));
    }
    if let Some(file) = &failed.file {
        text.push_str(&format!("replay: ottla sim replay {file} --trace\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Planned;

    #[test]
    fn a_failure_reads_like_this() {
        let fault = |at_ms: u64, fault: Fault| {
            let planned = Planned { at_ms, fault };
            format!("{:>8.3}s  {:?}", planned.at_ms as f64 / 1e3, planned.fault)
        };
        let failed = Failed {
            seed: 0x1eb,
            invariant: "R10".to_owned(),
            detail: "partition 1fd2..-3 offset 22 (0/7, Synced) was acknowledged and is gone"
                .to_owned(),
            shrunk: Some((30, 2)),
            faults: vec![
                fault(188, Fault::SlowDisk { factor: 8, ms: 49 }),
                fault(367, Fault::PowerLoss { down_ms: 5 }),
            ],
            file: Some("failures/1eb.toml".to_owned()),
        };
        insta::assert_snapshot!(describe(&failed), @"
        FAIL no-acked-loss R10  seed 0x1eb  shrunk 30 -> 2 faults
          partition 1fd2..-3 offset 22 (0/7, Synced) was acknowledged and is gone
           1     0.188s  SlowDisk { factor: 8, ms: 49 }
           2     0.367s  PowerLoss { down_ms: 5 }
        replay: ottla sim replay failures/1eb.toml --trace
        ");
    }
}

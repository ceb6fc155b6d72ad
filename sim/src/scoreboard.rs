//! Which of the planted bugs the simulator finds, how soon, and by which invariant; and that it finds
//! nothing where nothing is planted.

use std::fmt::Write as _;

use world::TraceOptions;

use crate::mutants::{MUTANTS, Mutant};
use crate::run::run_scenario;
use crate::swarm;

/// How a planted bug fared.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub mutant: Mutant,
    /// Seeds until it was found, counting the one that found it, and by which invariant.
    pub found: Option<(u64, &'static str)>,
}

/// How all of them fared.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Seeds tried for each.
    pub seeds: u64,
    /// The first seed.
    pub start: u64,
    /// Planted bugs.
    pub rows: Vec<Row>,
    /// Seeds that failed without any bug planted.
    pub control: Vec<(u64, String)>,
}

/// Whether this program has the bugs in it.
#[must_use]
pub const fn is_built_in() -> bool {
    cfg!(feature = "mutants")
}

fn activate(name: Option<&'static str>) {
    #[cfg(feature = "mutants")]
    types::mutants::activate(name);
    #[cfg(not(feature = "mutants"))]
    assert!(name.is_none(), "nothing is planted in this program");
}

/// Runs the control and then each planted bug, up to `seeds` seeds for each.
pub fn run(seeds: u64, start: u64, only: Option<&str>, mut tell: impl FnMut(&str)) -> Board {
    let mut board = Board {
        seeds,
        start,
        ..Board::default()
    };
    activate(None);
    for seed in start..start + seeds {
        if let Some(violation) = verdict(seed) {
            tell(&format!("control: seed {seed}: {violation}"));
            board.control.push((seed, violation.to_string()));
        }
    }
    let bad: Vec<u64> = board.control.iter().map(|(seed, _)| *seed).collect();
    for mutant in MUTANTS {
        if only.is_some_and(|only| !mutant.name.contains(only)) {
            continue;
        }
        activate(Some(mutant.name));
        // A seed that fails without the bug says nothing of it.
        let found = (start..start + seeds)
            .filter(|seed| !bad.contains(seed))
            .find_map(|seed| Some((seed - start + 1, verdict(seed)?)));
        match &found {
            Some((after, violation)) => {
                tell(&format!("{}: after {after}: {violation}", mutant.name))
            }
            None => tell(&format!("{}: not found", mutant.name)),
        }
        board.rows.push(Row {
            mutant: *mutant,
            found: found.map(|(after, violation)| (after, violation.invariant)),
        });
    }
    activate(None);
    board
}

fn verdict(seed: u64) -> Option<crate::oracles::Violation> {
    let (outcome, _) = run_scenario(&swarm::draw(seed), TraceOptions::default());
    outcome.failure.map(|failure| failure.violation)
}

impl Board {
    /// Whether nothing failed where nothing was planted.
    #[must_use]
    pub fn control_is_clean(&self) -> bool {
        self.control.is_empty()
    }

    /// The table.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let found = self.rows.iter().filter(|row| row.found.is_some()).count();
        let mut text = format!(
            "{found} of {} planted bugs found within {} seeds each (from seed {}); control over the same \
             seeds: {} failed.\n\n| Bug | Crate | What is wrong | Seeds | Broken | As expected | Tests of |\n\
             |---|---|---|---|---|---|---|\n",
            self.rows.len(),
            self.seeds,
            self.start,
            self.control.len()
        );
        for Row { mutant, found } in &self.rows {
            let (seeds, broken, right) = match found {
                Some((seeds, broken)) => {
                    let right = if mutant.expected.contains(broken) {
                        "yes"
                    } else {
                        "no"
                    };
                    (seeds.to_string(), *broken, right)
                }
                None => ("not found".to_owned(), "", ""),
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {seeds} | {broken} | {right} | {} |",
                mutant.name, mutant.at, mutant.what, mutant.tests
            );
        }
        text
    }
}

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
        let missed = |by_tests: bool| {
            let rows = self.rows.iter().filter(|row| row.found.is_none());
            let rows = rows.filter(|row| row.mutant.tests.is_empty() != by_tests);
            let names: Vec<&str> = rows.map(|row| row.mutant.name).collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let mut text = format!(
            "# Planted bugs\n\n\
             Bugs that some system really had, planted in the code (`docs/HACKING.md`), and who finds them. \
             Written by `ottla-sim scoreboard --write` of a program with the feature `mutants`.\n\n\
             * The simulator finds {found} of {} within {} seeds each, from seed {} on.\n\
             * Control, the same seeds with nothing planted: {} failed.\n\
             * Found by tests or models alone: {}.\n\
             * Found by nobody: {}.\n\n\
             \"Seeds\" counts up to the one that found it; \"broken\" is the invariant that it broke there, and \
             the next column whether that is one that it was expected to break. The last column names the \
             crates whose own tests of planted bugs, or the models of `specs`, find it, too.\n\n\
             | Bug | Crate | What is wrong | Seeds | Broken | As expected | Tests of |\n\
             |---|---|---|---|---|---|---|\n",
            self.rows.len(),
            self.seeds,
            self.start,
            self.control.len(),
            missed(true),
            missed(false),
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

//! Who judges. One file per family of invariants; each invariant counts how often it was really asked.
//!
//! Oracles stand outside of every node: they hear what clients were told and what nodes say of
//! themselves ([`env::Seen`]), and hold one against the other. None of them asks the broker.

pub mod admin;
pub mod group;
pub mod ledger;
pub mod liveness;
pub mod log;
pub mod producer;
pub mod reads;
pub mod wire;

use std::collections::BTreeMap;

/// The invariants that are judged here: the catalogue's id and a short name.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("L1", "offset-density"),
    ("L3", "offset-order"),
    ("L6", "durable-prefix-kept"),
    ("L9", "durable-before-claim"),
    ("L11", "no-corruption-served"),
    ("L14", "log-identity"),
    ("R8", "high-watermark-monotone"),
    ("R9", "committed-read-stable"),
    ("R10", "no-acked-loss"),
    ("R19", "acks-0-and-1-honest"),
    ("P1", "no-duplicate"),
    ("P2", "no-sequence-gap"),
    ("P3", "duplicate-acked-as-original"),
    ("P4", "producer-order"),
    ("P5", "producer-epoch-monotone"),
    ("P9", "ack-names-the-record"),
    ("G2", "assignment-as-decided"),
    ("G3", "generation-monotone"),
    ("G4", "commit-fenced"),
    ("G5", "no-commit-lost"),
    ("C6", "metadata-kept"),
    ("C10", "producer-ids-unique"),
    ("W1", "answers-in-order"),
    ("W2", "one-answer-each"),
    ("W3", "errors-honest"),
    ("W4", "ends-monotone"),
    ("W6", "fetch-whole"),
    ("X10", "retention-honest"),
    ("X11", "log-start-monotone"),
    ("V1", "live-after-heal"),
    ("V2", "no-panic"),
];

/// The short name of an invariant.
#[must_use]
pub fn name_of(id: &str) -> &'static str {
    let found = INVARIANTS.iter().find(|(known, _)| *known == id);
    found.map_or("unknown", |(_, name)| name)
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The catalogue's id.
    pub invariant: &'static str,
    /// What happened.
    pub detail: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Violation { invariant, detail } = self;
        write!(f, "{invariant} {}: {detail}", name_of(invariant))
    }
}

/// Counts what was judged, and keeps the first violation.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// How often each invariant was judged with a premise that held.
    pub evaluations: BTreeMap<&'static str, u64>,
    /// The first violation.
    pub violation: Option<Violation>,
}

impl Judge {
    /// Judges. `detail` is asked for only if the invariant is broken.
    pub fn check(&mut self, invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) {
        *self.evaluations.entry(invariant).or_default() += 1;
        if !holds && self.violation.is_none() {
            let detail = detail();
            self.violation = Some(Violation { invariant, detail });
        }
    }
}

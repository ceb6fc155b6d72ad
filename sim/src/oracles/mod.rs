//! Who judges. One file per family of invariants; each invariant counts how often it was really asked.
//!
//! Oracles stand outside of every node: they hear what clients were told and what nodes say of
//! themselves ([`env::Seen`]), and hold one against the other. None of them asks the broker.
//!
//! Of the catalogue's families L, R, P, G and W these have no oracle here:
//!
//! | id | why not yet |
//! |---|---|
//! | L7 | a single node never truncates: there is no leader to follow |
//! | R1-R6, R11-R16, R18 | need several replicas |
//! | R7 | the in-sync replicas are always the one that there is; refusals below `min.insync.replicas` are judged by the model of the partition in `specs` |
//! | G11 | needs the newer protocols of groups, in which the broker assigns |
//! | G12 | an order of callbacks: half of the members here speak the protocol themselves; the tests of `client` judge its consumer |
//! | G13 | needs a second protocol to change to |
//! | G15 | assignors run in clients; the tests of `client` compare them |
//!
//! Three are judged by their effects, not in the broker's memory: L2, L4 and L5 compare what the broker
//! answers (epoch ends, look-ups by time, known producers) with what follows from the log as it was read
//! back; G14 compares an offset before a restart with the one after it; G9 looks at the first answer of
//! each process.

pub mod admin;
pub mod expiry;
pub mod group;
pub mod ledger;
pub mod liveness;
pub mod log;
pub mod producer;
pub mod reads;
pub mod replay;
pub mod teams;
pub mod wire;

use std::collections::BTreeMap;

/// The one invariant that the catalogue takes for granted: no process ends by a panic or a tripwire.
pub const NO_PANIC: &str = "A0";

/// The invariants that are judged here: the catalogue's id and a short name.
pub const INVARIANTS: &[(&str, &str)] = &[
    ("L1", "offset-density"),
    ("L2", "epochs-follow-log"),
    ("L3", "offset-order"),
    ("L4", "look-up-as-scan"),
    ("L5", "producers-as-replay"),
    ("L6", "durable-prefix-kept"),
    ("L8", "reads-whole-under-change"),
    ("L9", "durable-before-claim"),
    ("L10", "silent-once-offline"),
    ("L11", "no-corruption-served"),
    ("L12", "damage-keeps-the-end"),
    ("L13", "failed-append-leaves-nothing"),
    ("L14", "log-identity"),
    ("R8", "high-watermark-monotone"),
    ("R9", "committed-read-stable"),
    ("R10", "no-acked-loss"),
    ("R17", "epoch-ends-sound"),
    ("R19", "acks-0-and-1-honest"),
    ("P1", "no-duplicate"),
    ("P2", "no-sequence-gap"),
    ("P3", "duplicate-acked-as-original"),
    ("P4", "producer-order"),
    ("P5", "producer-epoch-monotone"),
    ("P6", "failed-append-moves-no-sequence"),
    ("P7", "producer-not-forgotten"),
    ("P8", "sequence-wraps"),
    ("P9", "ack-names-the-record"),
    ("G1", "one-owner-each"),
    ("G2", "assignment-as-decided"),
    ("G3", "generation-monotone"),
    ("G4", "commit-fenced"),
    ("G5", "no-commit-lost"),
    ("G6", "commits-linearizable"),
    ("G7", "no-early-expiry"),
    ("G8", "one-member-an-instance"),
    ("G9", "loaded-before-answers"),
    ("G10", "groups-stay-placed"),
    ("G14", "offsets-as-replay"),
    ("C6", "metadata-kept"),
    ("C10", "producer-ids-unique"),
    ("W1", "answers-in-order"),
    ("W2", "one-answer-each"),
    ("W3", "errors-honest"),
    ("W4", "ends-monotone"),
    ("W5", "read-your-ack"),
    ("W6", "fetch-whole"),
    ("W7", "versions-round-trip"),
    ("W8", "no-silent-skip"),
    ("W9", "topic-id-honoured"),
    ("W10", "at-least-once"),
    ("X10", "retention-honest"),
    ("X11", "log-start-monotone"),
    ("V1", "live-after-heal"),
    (NO_PANIC, "no-panic"),
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

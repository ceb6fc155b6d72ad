//! Which planted bugs the models see, and that they see nothing where nothing is planted.
//!
//! A mutant is judged by the one model that is meant to see it; the board names the property that it broke and
//! how short the way there is. The control is every model over its full bounds without a mutant: it must visit
//! every state, find nothing broken and meet every situation that it names, or the board is void.

use crate::in_sync::{self, InSync};
use crate::quorum::{self, Quorum};
use crate::run::{Outcome, check};
use crate::single::{self, Single};

/// A model, ready to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// [`Single`] with plain batches.
    Single,
    /// [`Single`] with a transaction.
    SingleTransactional,
    /// [`InSync`] with `min.insync.replicas=2`.
    InSync,
    /// [`InSync`] with `min.insync.replicas=3`.
    InSyncMin3,
    /// [`Quorum`].
    Quorum,
}

impl Subject {
    /// All of them.
    pub const ALL: [Subject; 5] = [
        Subject::Single,
        Subject::SingleTransactional,
        Subject::InSync,
        Subject::InSyncMin3,
        Subject::Quorum,
    ];

    /// Its name on the board.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Subject::Single => "single",
            Subject::SingleTransactional => "single, transactional",
            Subject::InSync => "in-sync, min 2",
            Subject::InSyncMin3 => "in-sync, min 3",
            Subject::Quorum => "quorum",
        }
    }

    /// Its bounds in words.
    #[must_use]
    pub fn bounds(self, full: bool) -> String {
        match self {
            Subject::Single | Subject::SingleTransactional => {
                let bounds = single_bounds(full);
                format!(
                    "{} batches x {} sends, {} crash, {} EIO, {} refused append, {} election",
                    bounds.batches,
                    bounds.resends + 1,
                    bounds.crashes,
                    bounds.io_failures,
                    bounds.append_failures,
                    bounds.elections
                )
            }
            Subject::InSync | Subject::InSyncMin3 => {
                let bounds = in_sync_bounds(full);
                format!(
                    "{} batches x {} sends, {} election, {} shrink, {} expansion",
                    bounds.batches,
                    bounds.resends + 1,
                    bounds.elections,
                    bounds.shrinks,
                    bounds.proposals
                )
            }
            Subject::Quorum => {
                let bounds = quorum_bounds(full);
                format!(
                    "{} crashes, {} EIO, {} proposals, {} timer",
                    bounds.crashes, bounds.io_failures, bounds.proposals, bounds.timers
                )
            }
        }
    }

    /// Visits its states, to the end or to the first broken property.
    #[must_use]
    pub fn check(self, full: bool, first_only: bool) -> Outcome {
        let in_sync = |min_insync_replicas| InSync {
            bounds: in_sync_bounds(full),
            min_insync_replicas,
        };
        let single = |transactional| Single {
            bounds: single_bounds(full),
            transactional,
        };
        match self {
            Subject::Single => check(single(false), first_only),
            Subject::SingleTransactional => check(single(true), first_only),
            Subject::InSync => check(in_sync(2), first_only),
            Subject::InSyncMin3 => check(in_sync(3), first_only),
            Subject::Quorum => check(
                Quorum {
                    bounds: quorum_bounds(full),
                },
                first_only,
            ),
        }
    }
}

fn single_bounds(full: bool) -> single::Bounds {
    if full {
        single::Bounds::FULL
    } else {
        single::Bounds::SMALL
    }
}

fn in_sync_bounds(full: bool) -> in_sync::Bounds {
    if full {
        in_sync::Bounds::FULL
    } else {
        in_sync::Bounds::SMALL
    }
}

fn quorum_bounds(full: bool) -> quorum::Bounds {
    if full {
        quorum::Bounds::FULL
    } else {
        quorum::Bounds::SMALL
    }
}

/// A planted bug and who must see it.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its row in the catalogue of historic bugs.
    pub name: &'static str,
    /// What it does wrong.
    pub mechanism: &'static str,
    /// Who must see it.
    pub subject: Subject,
}

const fn mutant(name: &'static str, subject: Subject, mechanism: &'static str) -> Mutant {
    Mutant {
        name,
        mechanism,
        subject,
    }
}

/// The planted bugs of `partition` and `raft`.
pub const MUST_KILL: &[Mutant] = &[
    mutant("TXN-21", Subject::Single, "a wrapped sequence is a gap"),
    mutant(
        "TXN-28",
        Subject::Single,
        "a repeat in flight is out of order",
    ),
    mutant(
        "TXN-30",
        Subject::Single,
        "a repeat is answered with the end of the log",
    ),
    mutant(
        "TXN-35",
        Subject::SingleTransactional,
        "the next batch begins the transaction anew",
    ),
    mutant(
        "TXN-42",
        Subject::Single,
        "a repeat is answered with offset 0",
    ),
    mutant(
        "TXN-43",
        Subject::Single,
        "a failed append leaves its sequence behind",
    ),
    mutant(
        "TXN-45",
        Subject::InSyncMin3,
        "a refused append leaves its sequence behind",
    ),
    mutant("STO-08", Subject::Single, "written counts as durable"),
    mutant(
        "STO-13",
        Subject::Single,
        "appends go on after an error of the disk",
    ),
    mutant(
        "STO-25",
        Subject::Single,
        "news of a log since reopened is believed",
    ),
    mutant(
        "STO-26",
        Subject::Single,
        "a late sync moves the durable end back",
    ),
    mutant(
        "REP-03",
        Subject::InSync,
        "an epoch it lacks ends where the next begins",
    ),
    mutant(
        "REP-04",
        Subject::InSync,
        "a fetch of an earlier epoch counts",
    ),
    mutant(
        "REP-07",
        Subject::Single,
        "an election without writes is not noted",
    ),
    mutant("REP-10", Subject::InSync, "a diverging fetch counts"),
    mutant(
        "REP-15",
        Subject::InSync,
        "a proposed replica does not count yet",
    ),
    mutant(
        "REP-22",
        Subject::InSyncMin3,
        "commits below min.insync.replicas",
    ),
    mutant(
        "REP-30",
        Subject::Single,
        "epochs past the end of the log stay",
    ),
    mutant(
        "REP-35",
        Subject::InSync,
        "older news of the controller is applied",
    ),
    mutant(
        "REP-44",
        Subject::InSync,
        "what a follower held in an earlier epoch counts",
    ),
    mutant(
        "STO-35",
        Subject::Quorum,
        "the only voter commits before it stores",
    ),
    mutant(
        "CON-02",
        Subject::Quorum,
        "commits up to its epoch's start, without its own record",
    ),
    mutant(
        "CON-06",
        Subject::Quorum,
        "campaigns again in the same epoch",
    ),
    mutant(
        "CON-07",
        Subject::Quorum,
        "commits records of earlier epochs by count",
    ),
    mutant(
        "CON-08",
        Subject::Quorum,
        "appends a proposal of another epoch",
    ),
    mutant(
        "CON-27",
        Subject::Quorum,
        "assigns the commit index, and not the greater",
    ),
    mutant(
        "CON-51",
        Subject::Quorum,
        "counts its own vote before it is durable",
    ),
    mutant(
        "REP-39",
        Subject::Quorum,
        "serves before its epoch is confirmed",
    ),
];

/// Brings a mutant to life, lets its model look for it within the small bounds and, if need be, within the full
/// ones, and lays it to rest. Tells whether the full bounds were needed.
#[cfg(feature = "mutants")]
#[must_use]
pub fn hunt(mutant: &Mutant) -> (Outcome, bool) {
    types::mutants::activate(Some(mutant.name));
    let mut outcome = mutant.subject.check(false, true);
    let full = outcome.broken.is_empty();
    if full {
        outcome = mutant.subject.check(true, true);
    }
    types::mutants::activate(None);
    (outcome, full)
}

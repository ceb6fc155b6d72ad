//! A torn tail or damage: what recovery does about the bytes at one place, as a decision table.
//!
//! Rows are those of the design's table. Two refinements, both because the claims (see
//! [`crate::claims`]) prove more than "an entry is there":
//!
//! * a claim that is *intended* and not yet confirmed is settled by the sectors: missing ones mean that the
//!   job never finished, so nobody was told; garbage means damage;
//! * when the claims are intact and know nothing of the place, it was never acknowledged, even if a later
//!   batch is whole: a disk may write the sectors of one unsynced job in any order. Keeping the later batch
//!   would leave a hole for ever where no one lost anything.
//!
//! Only when the claims themselves are damaged does nothing prove absence; then invalid bytes are damage. A block
//! that cannot be read may then hide the log's last batches, of which nothing tells how many they were: a log that
//! ended before them would give their offsets out again.

/// What the claims say about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claimed {
    /// It was made durable, and maybe acknowledged.
    Confirmed,
    /// The same; but the claims are damaged, and of what follows nothing is known.
    ConfirmedLast,
    /// It was about to be made durable, and maybe acknowledged.
    Intended,
    /// It was never acknowledged as durable.
    Absent,
    /// The claims are damaged.
    Unknown,
}

/// What is at the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// A whole batch that continues the log.
    Valid,
    /// A whole batch of another place: its offset does not continue the log, or the chain does not fit.
    Foreign,
    /// Zeros or nothing up to the end of the file.
    Nothing,
    /// Bytes that fail their checks.
    Invalid {
        /// Whether sectors that were never written explain it.
        sectors_missing: bool,
    },
    /// The disk refuses to read it.
    Unreadable,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Keep the batch and go on behind it.
    Keep,
    /// The log ends here, in order.
    End,
    /// Torn: cut the log here. Nobody was told of what follows.
    Truncate,
    /// Damaged: mark the range, keep the log's end, go on at the next whole batch.
    Faulty,
    /// Nothing can be said; the log stays closed and its files as they are.
    Refuse,
}

/// The decision table.
#[must_use]
pub fn verdict(claimed: Claimed, found: Found, later_valid: bool) -> Verdict {
    use Claimed::{Absent, Confirmed, ConfirmedLast, Intended, Unknown};
    use Found::{Foreign, Invalid, Nothing, Unreadable, Valid};
    match (claimed, found) {
        (_, Valid) => Verdict::Keep,
        (Confirmed, Foreign | Nothing | Invalid { .. } | Unreadable) => Verdict::Faulty,
        (ConfirmedLast, Foreign | Nothing | Invalid { .. }) => Verdict::Faulty,
        (
            Intended,
            Nothing
            | Invalid {
                sectors_missing: true,
            },
        ) => Verdict::Truncate,
        (
            Intended,
            Foreign
            | Invalid {
                sectors_missing: false,
            }
            | Unreadable,
        ) => Verdict::Faulty,
        (Absent | Unknown, Nothing) => Verdict::End,
        (Absent, Foreign | Invalid { .. }) => Verdict::Truncate,
        (Absent, Unreadable) => Verdict::Refuse,
        (Unknown, Foreign | Invalid { .. }) => Verdict::Faulty,
        (Unknown | ConfirmedLast, Unreadable) => {
            if later_valid {
                Verdict::Faulty
            } else {
                Verdict::Refuse
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMED: [Claimed; 5] = [
        Claimed::Confirmed,
        Claimed::ConfirmedLast,
        Claimed::Intended,
        Claimed::Absent,
        Claimed::Unknown,
    ];
    const FOUND: [Found; 6] = [
        Found::Valid,
        Found::Foreign,
        Found::Nothing,
        Found::Invalid {
            sectors_missing: true,
        },
        Found::Invalid {
            sectors_missing: false,
        },
        Found::Unreadable,
    ];

    /// Every pattern of inputs, against the statements that the table stands for.
    #[test]
    fn the_whole_table() {
        for claimed in CLAIMED {
            for found in FOUND {
                for later in [false, true] {
                    let got = verdict(claimed, found, later);
                    let case = format!("{claimed:?} {found:?} later={later} -> {got:?}");
                    // A whole batch in its place is always kept, and nothing else is.
                    assert_eq!(got == Verdict::Keep, found == Found::Valid, "{case}");
                    // What may have been acknowledged is cut off only if the write provably never
                    // finished.
                    if got == Verdict::Truncate {
                        let unfinished = matches!(
                            found,
                            Found::Nothing
                                | Found::Invalid {
                                    sectors_missing: true
                                }
                        );
                        assert!(
                            claimed == Claimed::Absent
                                || claimed == Claimed::Intended && unfinished,
                            "{case}"
                        );
                    }
                    // What was confirmed never goes without a trace.
                    let confirmed = [Claimed::Confirmed, Claimed::ConfirmedLast].contains(&claimed);
                    if confirmed && found != Found::Valid {
                        assert!(matches!(got, Verdict::Faulty | Verdict::Refuse), "{case}");
                    }
                    // With sound claims, or a batch behind the damage, it is known how far the log goes.
                    if got == Verdict::Refuse {
                        let unknown = [Claimed::Unknown, Claimed::ConfirmedLast];
                        let hidden = unknown.contains(&claimed) && !later;
                        assert!(hidden || claimed == Claimed::Absent, "{case}");
                    }
                    // A plain crash leaves no damage: unacknowledged places are never faulty while the
                    // claims are intact.
                    if claimed == Claimed::Absent {
                        assert_ne!(got, Verdict::Faulty, "{case}");
                    }
                    // Without claims, absence is not proven, so nothing is cut.
                    if claimed == Claimed::Unknown {
                        assert_ne!(got, Verdict::Truncate, "{case}");
                    }
                    // An error of the disk is never taken for absence.
                    if found == Found::Unreadable {
                        assert!(matches!(got, Verdict::Faulty | Verdict::Refuse), "{case}");
                    }
                    // The log's end is believed only where nothing was claimed.
                    if got == Verdict::End {
                        assert_eq!(found, Found::Nothing, "{case}");
                        assert!(
                            matches!(claimed, Claimed::Absent | Claimed::Unknown),
                            "{case}"
                        );
                    }
                }
            }
        }
    }
}

//! The historic bugs that are planted in the code, with the invariants that each is expected to break.
//!
//! The names are those of the catalogue of historic bugs; `mutant!("…")` marks the spot. A bug is found
//! by the simulator, or by the tests of the crate in which it is planted, or by both.

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// Its name, as at its spot.
    pub name: &'static str,
    /// The crate.
    pub at: &'static str,
    /// What was wrong, in a few words.
    pub what: &'static str,
    /// The invariants, any of which is the right one to break.
    pub expected: &'static [&'static str],
    /// The crates whose own tests or models find it, too.
    pub tests: &'static str,
}

/// Every planted bug that a single node can show. Those that need several (replication, elections) are
/// found by the models of `specs`.
pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "CMP-17",
        at: "metadata",
        what: "a broker's setting resets what a topic was set to",
        expected: &["C6", "X10"],
        tests: "metadata",
    },
    Mutant {
        name: "CTL-08",
        at: "client",
        what: "a hint about a leader replaces newer metadata",
        expected: &["V1"],
        tests: "client",
    },
    Mutant {
        name: "CTL-08/b",
        at: "client",
        what: "the same, as metadata are merged",
        expected: &["V1"],
        tests: "client",
    },
    Mutant {
        name: "CTL-11",
        at: "controller",
        what: "a block of producer ids is given out a second time",
        expected: &["C10", "P1"],
        tests: "controller",
    },
    Mutant {
        name: "GRP-02",
        at: "group",
        what: "of two commits in one batch the older wins after loading",
        expected: &["G5", "G7", "G9", "G14"],
        tests: "group",
    },
    Mutant {
        name: "GRP-03",
        at: "group",
        what: "offsets expire while a coordinator still loads",
        expected: &["G5", "G7", "G9", "G14"],
        tests: "group",
    },
    Mutant {
        name: "GRP-05",
        at: "group",
        what: "offsets of a group expire while it rebalances",
        expected: &["G5", "G7", "G9", "G14"],
        tests: "group",
    },
    Mutant {
        name: "GRP-06",
        at: "group",
        what: "the age of offsets is counted from loading",
        expected: &["G5", "G7", "G9", "G14"],
        tests: "group",
    },
    Mutant {
        name: "GRP-08",
        at: "broker",
        what: "a coordinator whose log cannot be read serves what it has",
        expected: &["G9", "G5", "G7", "G14"],
        tests: "broker",
    },
    Mutant {
        name: "GRP-09",
        at: "group",
        what: "a static member's replacement does not fence it",
        expected: &["G4", "G2"],
        tests: "group",
    },
    Mutant {
        name: "GRP-10",
        at: "group",
        what: "a static member that comes back gets an old assignment",
        expected: &["G2", "V1"],
        tests: "group",
    },
    Mutant {
        name: "GRP-12",
        at: "group",
        what: "a static member with another protocol is not replaced",
        expected: &["V1"],
        tests: "group",
    },
    Mutant {
        name: "GRP-12/b",
        at: "group",
        what: "an answer that this version cannot carry",
        expected: &["W2", "V1"],
        tests: "group",
    },
    Mutant {
        name: "GRP-21",
        at: "broker",
        what: "what is read from a coordinator is answered before it is committed",
        expected: &["G5", "G6", "G14"],
        tests: "broker",
    },
    Mutant {
        name: "GRP-22",
        at: "client",
        what: "positions not yet handed out are committed",
        expected: &["W10"],
        tests: "",
    },
    Mutant {
        name: "GRP-24",
        at: "client",
        what: "claims of an old generation are believed",
        expected: &["G1", "G2"],
        tests: "client",
    },
    Mutant {
        name: "GRP-24/b",
        at: "client",
        what: "the same, with equal generations",
        expected: &["G1", "G2"],
        tests: "client",
    },
    Mutant {
        name: "GRP-25",
        at: "controller",
        what: "the offsets topic grows, and groups hash elsewhere",
        expected: &["G10", "G1", "G5", "G7", "G9", "G14"],
        tests: "controller",
    },
    Mutant {
        name: "GRP-28",
        at: "group",
        what: "an append that failed is taken for a success",
        expected: &["G5", "G3", "G7", "G9", "G14"],
        tests: "group",
    },
    Mutant {
        name: "GRP-31",
        at: "group",
        what: "commits of an older generation are accepted",
        expected: &["G4"],
        tests: "group",
    },
    Mutant {
        name: "GRP-32",
        at: "group",
        what: "an offset's removal is written after its new value",
        expected: &["G5", "G7", "G9", "G14"],
        tests: "group",
    },
    Mutant {
        name: "STO-01",
        at: "storage",
        what: "recovery takes the last batch without its checksum",
        expected: &["L11", "L6", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-01/b",
        at: "storage",
        what: "recovery takes a batch that reaches past the end of the file",
        expected: &["L11", "L6", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-01/c",
        at: "storage",
        what: "reads do not check what they give out",
        expected: &["L11"],
        tests: "storage",
    },
    Mutant {
        name: "STO-03",
        at: "storage",
        what: "recovery skips a broken batch and goes on after it",
        expected: &["L1", "L6", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-05",
        at: "storage",
        what: "an unreadable checkpoint counts as an empty one",
        expected: &["L6", "X11"],
        tests: "storage",
    },
    Mutant {
        name: "STO-06",
        at: "storage",
        what: "the mark of a clean stop outlives the start",
        expected: &["L6", "L11", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-07",
        at: "storage",
        what: "a clean stop is marked although it was not",
        expected: &["L6", "L11", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-08",
        at: "partition, storage",
        what: "the recovery point moves without a sync",
        expected: &["L9", "L6", "R10"],
        tests: "storage, specs",
    },
    Mutant {
        name: "STO-10",
        at: "storage",
        what: "epoch 0 is not restored",
        expected: &["L2", "R17", "L6", "A0"],
        tests: "storage",
    },
    Mutant {
        name: "STO-11",
        at: "storage",
        what: "a snapshot of producers holds what is not yet in the log",
        expected: &["P1", "P2", "P7", "L5", "W3"],
        tests: "storage",
    },
    Mutant {
        name: "STO-13",
        at: "partition, storage",
        what: "appends are taken after the disk has failed",
        expected: &["L1", "L6", "R10"],
        tests: "storage, specs",
    },
    Mutant {
        name: "STO-13/b",
        at: "storage",
        what: "syncs are believed after the disk has failed",
        expected: &["L6", "R10", "L9"],
        tests: "storage",
    },
    Mutant {
        name: "STO-14",
        at: "storage",
        what: "a snapshot of producers is named after the wrong offset",
        expected: &["P1", "P2", "P7", "L5", "W3"],
        tests: "storage",
    },
    Mutant {
        name: "STO-15",
        at: "storage",
        what: "a segment is rolled onto itself",
        expected: &["L1", "A0"],
        tests: "storage",
    },
    Mutant {
        name: "STO-17",
        at: "storage",
        what: "an offset overflows its index entry",
        expected: &["W6", "L1", "L4", "L11"],
        tests: "storage",
    },
    Mutant {
        name: "STO-18",
        at: "storage",
        what: "a read goes past its limit",
        expected: &["R8", "W6"],
        tests: "storage",
    },
    Mutant {
        name: "STO-19",
        at: "partition",
        what: "a reader at the end of the log is told that there is no such offset",
        expected: &["W8"],
        tests: "partition",
    },
    Mutant {
        name: "STO-20",
        at: "storage",
        what: "an append may repeat offsets",
        expected: &["L1"],
        tests: "storage",
    },
    Mutant {
        name: "STO-22",
        at: "storage",
        what: "a topic that was made anew gets the files of the old one",
        expected: &["L14", "L6"],
        tests: "storage",
    },
    Mutant {
        name: "STO-22/b",
        at: "storage",
        what: "bytes of another topic are given out",
        expected: &["L14", "L11"],
        tests: "storage",
    },
    Mutant {
        name: "STO-22/c",
        at: "storage",
        what: "a batch of another log says where this one ends",
        expected: &["L6", "L1"],
        tests: "storage",
    },
    Mutant {
        name: "STO-25",
        at: "partition",
        what: "a sync from before a truncation counts after it",
        expected: &["L9", "L6"],
        tests: "specs",
    },
    Mutant {
        name: "STO-26",
        at: "partition",
        what: "syncs that end out of order move the durable end back",
        expected: &["L3", "R8"],
        tests: "specs",
    },
    Mutant {
        name: "STO-28",
        at: "storage",
        what: "an offset is assigned twice beside a removal of old records",
        expected: &["L1"],
        tests: "storage",
    },
    Mutant {
        name: "STO-31",
        at: "storage",
        what: "what cannot be read counts as absent",
        expected: &["L6", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-32",
        at: "storage",
        what: "another node's directory is taken",
        expected: &["L14"],
        tests: "storage",
    },
    Mutant {
        name: "STO-33",
        at: "storage",
        what: "a checkpoint is written before what it names",
        expected: &["L6", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-35",
        at: "raft, storage",
        what: "an entry is reported before it is stored",
        expected: &["L9", "L6", "R10", "C6"],
        tests: "storage, specs",
    },
    Mutant {
        name: "STO-36",
        at: "storage",
        what: "a file that was replaced is not synced",
        expected: &["L6", "X11"],
        tests: "storage",
    },
    Mutant {
        name: "STO-40",
        at: "storage",
        what: "half a batch is left when the disk is full",
        expected: &["L1", "L6", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "STO-45",
        at: "storage",
        what: "the mark of a clean stop is read the wrong way round",
        expected: &["L6", "L11", "R10", "V1"],
        tests: "storage",
    },
    Mutant {
        name: "STO-47",
        at: "broker",
        what: "logs that are in no topic yet count as nobody's",
        expected: &["L6", "R10", "R9", "R8"],
        tests: "",
    },
    Mutant {
        name: "STO-48",
        at: "storage",
        what: "state is written before the log that it names",
        expected: &["L6", "R10"],
        tests: "storage",
    },
    Mutant {
        name: "TXN-21",
        at: "partition",
        what: "sequence numbers do not wrap",
        expected: &["W3", "P2", "P8", "L5"],
        tests: "specs",
    },
    Mutant {
        name: "TXN-21/b",
        at: "records",
        what: "a batch's last sequence does not wrap",
        expected: &["W3", "P2", "P8", "L5"],
        tests: "records",
    },
    Mutant {
        name: "TXN-25",
        at: "client",
        what: "batches that go back are sorted by age",
        expected: &["P4", "P2"],
        tests: "client",
    },
    Mutant {
        name: "TXN-28",
        at: "client, partition",
        what: "a duplicate that is under way is refused as out of order",
        expected: &["W3", "P1"],
        tests: "specs, client",
    },
    Mutant {
        name: "TXN-30",
        at: "partition",
        what: "a duplicate is answered with the place of another batch",
        expected: &["P3", "P9"],
        tests: "specs",
    },
    Mutant {
        name: "TXN-35",
        at: "partition",
        what: "a transaction that begins twice forgets where it began",
        expected: &["P2"],
        tests: "specs",
    },
    Mutant {
        name: "TXN-42",
        at: "partition",
        what: "a duplicate is answered with offset 0",
        expected: &["P3", "P9"],
        tests: "specs",
    },
    Mutant {
        name: "TXN-43",
        at: "partition",
        what: "a sequence counts as seen before its batch is kept",
        expected: &["R10", "P9", "W3"],
        tests: "specs",
    },
    Mutant {
        name: "TXN-44",
        at: "client",
        what: "after a new epoch some partitions keep the old sequence",
        expected: &["P2", "V1"],
        tests: "client",
    },
    Mutant {
        name: "TXN-45",
        at: "partition",
        what: "a refused append moves the sequence",
        expected: &["W3", "P6", "P2", "P1"],
        tests: "specs",
    },
    Mutant {
        name: "WIR-01",
        at: "client",
        what: "an answer that says nothing of the outcome counts as a refusal",
        expected: &["W3"],
        tests: "client",
    },
    Mutant {
        name: "WIR-06",
        at: "broker",
        what: "answers overtake each other",
        expected: &["W1", "W2"],
        tests: "",
    },
    Mutant {
        name: "WIR-07",
        at: "broker",
        what: "a partition's answer goes to another of the same request",
        expected: &["P9", "W2", "W3", "P3"],
        tests: "",
    },
    Mutant {
        name: "WIR-08",
        at: "client",
        what: "what was known of a topic is believed of another of its name",
        expected: &["W9", "L14"],
        tests: "client",
    },
    Mutant {
        name: "WIR-10/b",
        at: "records",
        what: "the search for a timestamp misses records",
        expected: &["L4"],
        tests: "records",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every name in the list is planted somewhere.
    #[test]
    fn the_list_is_true() {
        let mut text = String::new();
        read(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates"),
            &mut text,
        );
        for mutant in MUTANTS {
            let spot = format!("mutant!(\"{}\")", mutant.name);
            assert!(text.contains(&spot), "{}", mutant.name);
            for id in mutant.expected {
                assert_ne!(crate::oracles::name_of(id), "unknown", "{}", mutant.name);
            }
        }
    }

    fn read(dir: &Path, text: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
            }
        }
    }
}

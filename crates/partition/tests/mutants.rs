//! The historic bugs planted in this crate are seen by what its tests ask. Most are found by the models; here are
//! those that take no interleaving to show.

#![cfg(feature = "mutants")]
#![allow(
    clippy::unwrap_used,
    reason = "a script or a world that makes no sense ends the test"
)]

mod script;

use types::mutants::activate;

/// A reader that was told of the log's end is let in there, although nothing up to it is committed yet.
fn the_end_can_be_read_from() -> bool {
    let transcript = script::run("leader epoch=1 isr=1 replicas=1\nappend t=1 n=2\nread at=2\n");
    transcript.contains("up to 0")
}

// One test, because the living mutant is the whole process's.
#[test]
fn each_planted_bug_shows() {
    assert!(the_end_can_be_read_from());
    activate(Some("STO-19"));
    assert!(!the_end_can_be_read_from());
    activate(None);
    assert!(the_end_can_be_read_from());
}

//! The historic bugs planted in this crate are seen by what its tests ask.

#![cfg(feature = "mutants")]

use ottla_records::search::first_at_or_after;
use ottla_records::{Batch, BatchBuilder, Codec};
use types::mutants::activate;
use types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

// One test, because the living mutant is the whole process's.
#[test]
fn each_planted_bug_shows() {
    let last = Sequence(i32::MAX);
    let mut builder =
        BatchBuilder::new(Codec::None).producer(ProducerId(1), ProducerEpoch(0), last);
    builder.append(TimestampMs(10), None, None, &[]);
    builder.append(TimestampMs(20), None, None, &[]);
    let batch = Batch::parse(&builder.build()).expect("what was built is a batch");
    let wraps = || batch.header().last_sequence() == Sequence(0);
    let finds_equal = || {
        let found = first_at_or_after(&batch, TimestampMs(20), Offset(0), 0).expect("good records");
        found.map(|found| found.offset) == Some(Offset(1))
    };
    assert!(wraps() && finds_equal());
    activate(Some("TXN-21/b"));
    assert!(!wraps() && finds_equal());
    activate(Some("WIR-10/b"));
    assert!(wraps() && !finds_equal());
    activate(None);
    assert!(wraps() && finds_equal());
}

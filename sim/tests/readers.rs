//! What readers and writers are told is judged as it comes: a correct answer is accepted, and each lie in it
//! is named.

use std::collections::{BTreeMap, BTreeSet};

use env::Seen;
use ottla_sim::history::{Answer, Asked, Audit, History, TopicFacts, partition_of, stamps_of};
use ottla_sim::payload::{self, Stamp};
use records::{BatchBuilder, Batches, Codec};
use types::{LeaderEpoch, NextOffset, Offset, TimestampMs, Uuid};
use world::{Profile, SeenAt, World};

const ID: Uuid = Uuid([7; 16]);

fn facts(retention: bool) -> TopicFacts {
    TopicFacts {
        name: "load".to_owned(),
        id: ID,
        partitions: 1,
        synced: true,
        retention,
    }
}

/// A topic with three records, all acknowledged, and the answer that gives them.
fn history() -> (History, Answer) {
    let history = History::new(true);
    history.topic_created(facts(false));
    let at = partition_of(ID, 0);
    let mut batch = BatchBuilder::new(Codec::None);
    let writer = history.lock().ledger.new_writer(ID, false);
    for offset in 0..3 {
        let stamp = history.lock().ledger.attempt(writer);
        batch.append(TimestampMs(5), None, Some(&payload::encode(stamp, 40)), &[]);
        history.acked(at, offset, stamp, true);
    }
    let answer = Answer {
        at,
        from: 0,
        high_watermark: 3,
        bytes: batch.build(),
        asked: history.asking(at),
    };
    (history, answer)
}

fn stamps(answer: &Answer) -> BTreeMap<i64, Stamp> {
    let first = Batches::new(answer.bytes.clone()).next();
    let batch = first.expect("there is a batch").expect("it is whole");
    let stamps = stamps_of(&batch).expect("its records are of a writer here");
    stamps.into_iter().collect()
}

fn broken(history: &History) -> Option<&'static str> {
    history.violation().map(|violation| violation.invariant)
}

fn count(history: &History, id: &str) -> u64 {
    let inner = history.lock();
    inner.judge.evaluations.get(id).copied().unwrap_or(0)
}

#[test]
fn a_correct_answer_is_accepted_and_counted() {
    let (history, answer) = history();
    let got = history.fetched(&answer);
    assert_eq!(got.next, Some(3));
    let read: BTreeSet<i64> = got.offsets.into_iter().collect();
    history.read_up_to(answer.at, 3, answer.asked, &read);
    history.is_of(&facts(false), "load", ID);
    history.is_of(&facts(false), "", ID);
    history.is_of(&facts(false), "load", Uuid::ZERO);
    history.deleting_records(answer.at, 2);
    history.out_of_range(answer.at, 1);
    history.read_up_to(answer.at, 3, answer.asked, &BTreeSet::from([2]));
    assert_eq!(broken(&history), None);
    for id in ["W5", "W6", "W8", "W9", "W10"] {
        assert!(count(&history, id) > 0, "{id}");
    }
}

#[test]
fn what_was_acknowledged_is_visible_to_who_asks_then() {
    let (history, mut answer) = history();
    answer.high_watermark = 2;
    history.fetched(&answer);
    assert_eq!(broken(&history), Some("W5"));
    // Who asked before it was acknowledged may get less.
    let (history, _) = self::history();
    answer.asked = Asked::default();
    answer.bytes.clear();
    history.fetched(&answer);
    assert_eq!(broken(&history), None);
}

#[test]
fn nothing_is_left_out_in_silence() {
    let (history, answer) = history();
    history.read_up_to(answer.at, 3, answer.asked, &BTreeSet::from([0, 2]));
    assert_eq!(broken(&history), Some("W10"));
    // In a session, silence about a partition says that it has nothing new.
    let (history, answer) = self::history();
    history.read_up_to(answer.at, 2, answer.asked, &BTreeSet::from([0, 1]));
    assert_eq!(broken(&history), Some("W6"));
    let (history, answer) = self::history();
    history.read_up_to(answer.at, 2, Asked::default(), &BTreeSet::from([0, 1]));
    assert_eq!(broken(&history), None, "it was acknowledged later");
    let (history, answer) = self::history();
    history.out_of_range(answer.at, 1);
    assert_eq!(broken(&history), Some("W8"));
    let (history, answer) = self::history();
    history.deleting_records(answer.at, 1);
    history.out_of_range(answer.at, 1);
    assert_eq!(broken(&history), Some("W8"), "only what is before it");
    let (history, answer) = self::history();
    history.topic_created(facts(true));
    history.out_of_range(answer.at, 1);
    assert_eq!(broken(&history), None, "retention may take it");
}

#[test]
fn a_log_begins_where_it_may() {
    for (start, deleted, retention, expected) in [
        (0, 0, false, None),
        (2, 2, false, None),
        (1, 2, false, None),
        (1, 0, true, None),
        (1, 0, false, Some("X10")),
        (3, 2, false, Some("X10")),
    ] {
        let (history, answer) = history();
        history.topic_created(facts(retention));
        history.deleting_records(answer.at, deleted);
        let records = stamps(&answer).split_off(&start);
        let audit = Audit {
            log_start: start,
            records,
            ..Audit::default()
        };
        history.audited(answer.at, &audit);
        assert_eq!(broken(&history), expected, "{start} {deleted} {retention}");
    }
}

#[test]
fn an_answer_is_for_the_topic_that_was_asked_for() {
    for (name, id) in [("other", ID), ("load", Uuid([8; 16])), ("", Uuid([8; 16]))] {
        let (history, _) = history();
        history.is_of(&facts(false), name, id);
        assert_eq!(broken(&history), Some("W9"));
    }
}

#[test]
fn a_read_beside_a_change_gives_no_halves() {
    for (bytes, expected) in [(0, None), (20, Some("L8"))] {
        let (history, mut answer) = history();
        let seen = Seen::LogOpened {
            partition: answer.at,
            log_start: Offset(0),
            log_end: NextOffset(3),
            clean: true,
        };
        history
            .seen(&SeenAt {
                now_ns: 0,
                node: World::new(1, Profile::calm()).add_node("broker", |_| async {}),
                incarnation: 1,
                seen,
            })
            .unwrap();
        answer.bytes.truncate(answer.bytes.len() - bytes);
        history.fetched(&answer);
        assert_eq!(broken(&history), expected);
        assert_eq!(count(&history, "L8"), 1);
    }
}

#[test]
fn what_nobody_is_shown_yet_is_known() {
    let (history, answer) = history();
    let node = World::new(1, Profile::calm()).add_node("broker", |_| async {});
    let partition = answer.at;
    let opened = Seen::LogOpened {
        partition,
        log_start: Offset(0),
        log_end: NextOffset(3),
        clean: true,
    };
    let appended = Seen::Appended {
        partition,
        leader_epoch: LeaderEpoch(0),
        base_offset: Offset(3),
        next_offset: NextOffset(5),
        crc: 0,
    };
    assert!(!history.ends_at(partition, 0), "nobody told");
    for (seen, end) in [(opened, 3), (appended, 5)] {
        let seen = SeenAt {
            now_ns: 0,
            node,
            incarnation: 1,
            seen,
        };
        assert_eq!(history.seen(&seen), Ok(()));
        assert!(history.ends_at(partition, end) && !history.ends_at(partition, end - 1));
    }
    history.deleting_records(partition, 2);
    assert!(history.may_be_deleted(partition, 1) && !history.may_be_deleted(partition, 2));
}

#[test]
fn a_broken_batch_leaves_nothing() {
    let (history, answer) = history();
    let writer = history.lock().ledger.new_writer(ID, true);
    let stamp = history.lock().ledger.attempt(writer);
    history.lock().ledger.broken(stamp);
    for (there, expected) in [(false, None), (true, Some("L13"))] {
        let mut inner = history.lock();
        let inner = &mut *inner;
        let records = there.then_some((3, stamp)).into_iter().collect();
        (inner.ledger).finish(answer.at, 3, &records, |_| false, &mut inner.judge);
        let found = inner.judge.violation.as_ref().map(|v| v.invariant);
        assert_eq!(found, expected);
    }
}

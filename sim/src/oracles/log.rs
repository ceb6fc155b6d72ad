//! What a partition's log says of itself: dense, in order, durable before it is claimed, kept over
//! restarts.

use std::collections::BTreeMap;

use env::Seen;
use types::{NextOffset, Offset, TopicPartition};

use super::Judge;
use crate::damage::Marks;

/// What is known of one log.
#[derive(Clone, Debug, Default)]
struct Known {
    /// The process that spoke last.
    incarnation: u32,
    /// End, as far as this process told.
    end: Option<NextOffset>,
    start: Offset,
    high_watermark: Option<NextOffset>,
    /// The end of what was ever said to be durable.
    synced: NextOffset,
    /// The end of what was ever said to be committed.
    committed: NextOffset,
    /// The end of what was durable when its disk failed; it makes no claim beyond that until it is opened
    /// again.
    offline_at: Option<NextOffset>,
    /// Where damage was found that left the end alone.
    faulty_from: i64,
    /// How often what readers look at has changed under them.
    changes: u64,
}

/// What is expected of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whether what is committed outlives a loss of power.
    pub synced: bool,
    /// Whether records may be removed by size or age.
    pub retention: bool,
    /// Records before this offset may have been deleted by request.
    pub deleted_before: i64,
    /// What befell its files. If that may hide its end, what was durable and committed may be gone; if it is
    /// anything, a start that only a side file knew may be forgotten, and then the log begins earlier.
    pub harmed: Marks,
}

/// All logs.
#[derive(Clone, Debug, Default)]
pub struct LogOracle {
    logs: BTreeMap<TopicPartition, Known>,
}

impl LogOracle {
    /// The end of a log, with what no reader is shown yet, if its process has told of it.
    #[must_use]
    pub fn end(&self, partition: &TopicPartition) -> Option<NextOffset> {
        self.logs.get(partition)?.end
    }

    /// How often a log was opened, cut or lost its oldest records so far: a read during which this changes
    /// is one that could see halves.
    #[must_use]
    pub fn changes(&self, partition: &TopicPartition) -> u64 {
        self.logs.get(partition).map_or(0, |log| log.changes)
    }

    /// A log was opened; what is missing from it is to be judged.
    fn opened(
        log: &mut Known,
        at: TopicPartition,
        start: Offset,
        end: NextOffset,
        expected: Expected,
        judge: &mut Judge,
    ) {
        if expected.synced && !expected.harmed.hides {
            judge.check("L6", end >= log.synced, || {
                format!(
                    "{} opens with end {end:?}, but was durable up to {:?}",
                    show(at),
                    log.synced
                )
            });
            judge.check("R8", end >= log.committed, || {
                format!(
                    "{} opens with end {end:?}, but {:?} was committed",
                    show(at),
                    log.committed
                )
            });
        }
        if log.faulty_from > 0 && !expected.harmed.hides {
            judge.check("L12", end.0 >= log.faulty_from, || {
                let from = log.faulty_from;
                format!(
                    "{} opens with end {end:?}, it was damaged at {from}",
                    show(at)
                )
            });
        }
        log.offline_at = None;
        log.changes += 1;
        judge.check("X11", start >= log.start || expected.harmed.any, || {
            format!(
                "{} opens with start {start:?} after {:?}",
                show(at),
                log.start
            )
        });
        let may_start = expected.deleted_before.max(log.start.0);
        let may_be_cut = expected.retention || expected.harmed.hides;
        judge.check("X10", start.0 <= may_start || may_be_cut, || {
            format!(
                "{} opens with start {start:?}, it was {:?}, and asked was {}",
                show(at),
                log.start,
                expected.deleted_before
            )
        });
        log.start = start;
        log.end = Some(end);
        log.high_watermark = None;
        if expected.synced {
            // Whoever recovers a log vouches for all of it.
            log.synced = end;
            log.committed = log.committed.min(end);
        } else {
            log.synced = log.synced.min(end);
            log.committed = log.committed.min(end);
        }
    }

    /// Hears what a node says.
    pub fn seen(
        &mut self,
        incarnation: u32,
        seen: &Seen,
        expected: impl Fn(&TopicPartition) -> Expected,
        judge: &mut Judge,
    ) {
        let at = match *seen {
            Seen::LogOpened { partition, .. }
            | Seen::Appended { partition, .. }
            | Seen::Synced { partition, .. }
            | Seen::HighWatermark { partition, .. }
            | Seen::LogStart { partition, .. }
            | Seen::Acked { partition, .. }
            | Seen::BecameLeader { partition, .. }
            | Seen::WentOffline { partition }
            | Seen::Faulty { partition, .. }
            | Seen::Truncated { partition, .. } => partition,
            _ => return,
        };
        let expected = expected(&at);
        let log = self.logs.entry(at).or_default();
        if log.incarnation != incarnation {
            log.incarnation = incarnation;
            log.end = None;
            log.high_watermark = None;
            log.offline_at = None;
        }
        if let Some(durable) = log.offline_at {
            let claimed = match *seen {
                Seen::Appended { next_offset, .. } => Some(next_offset),
                Seen::Synced { upto, .. } => Some(upto),
                Seen::Acked {
                    next_offset, acks, ..
                } => (acks == -1 && expected.synced).then_some(next_offset),
                _ => None,
            };
            if let Some(claimed) = claimed {
                judge.check("L10", claimed <= durable, || {
                    format!("{} was offline at {durable:?}: {seen:?}", show(at))
                });
            }
        }
        match *seen {
            Seen::WentOffline { .. } => {
                judge.check("L10", log.end.is_none_or(|end| log.synced <= end), || {
                    format!("{} goes offline, durable beyond its end", show(at))
                });
                log.offline_at = Some(log.synced);
            }
            Seen::Faulty { from, .. } => {
                if let Some(end) = log.end.filter(|_| !expected.harmed.hides) {
                    judge.check("L12", end.0 > from.0, || {
                        format!("{} ends at {end:?}, damaged is {from:?}", show(at))
                    });
                }
                log.faulty_from = log.faulty_from.max(from.0);
            }
            Seen::LogOpened {
                log_start, log_end, ..
            } => Self::opened(log, at, log_start, log_end, expected, judge),
            Seen::BecameLeader { log_end, .. } => match log.end {
                // The metadata log says nothing when it is opened, but when it is led.
                None => {
                    let start = log.start;
                    Self::opened(log, at, start, log_end, expected, judge);
                }
                Some(end) => judge.check("L3", log_end == end, || {
                    format!("{} is led with end {log_end:?}, and has {end:?}", show(at))
                }),
            },
            Seen::Appended {
                base_offset,
                next_offset,
                ..
            } => {
                if log.end.is_none() {
                    // The metadata log is not opened aloud.
                    let start = log.start;
                    Self::opened(log, at, start, base_offset.end_before(), expected, judge);
                }
                if let Some(end) = log.end {
                    judge.check("L1", base_offset.end_before() == end, || {
                        format!(
                            "{} appends at {base_offset:?}, its end is {end:?}",
                            show(at)
                        )
                    });
                }
                judge.check("L1", next_offset.0 > base_offset.0, || {
                    format!("{} appends nothing at {base_offset:?}", show(at))
                });
                log.end = Some(next_offset);
            }
            Seen::Synced { upto, .. } => {
                if let Some(end) = log.end {
                    judge.check("L3", upto <= end, || {
                        format!("{} is durable up to {upto:?}, its end is {end:?}", show(at))
                    });
                }
                log.synced = log.synced.max(upto);
            }
            Seen::HighWatermark { high_watermark, .. } => {
                if let Some(end) = log.end {
                    let fits = high_watermark <= end && high_watermark.0 >= log.start.0;
                    judge.check("L3", fits, || {
                        format!(
                            "{} has high watermark {high_watermark:?} outside of {:?} to {end:?}",
                            show(at),
                            log.start
                        )
                    });
                }
                if let Some(before) = log.high_watermark {
                    judge.check("R8", high_watermark >= before, || {
                        format!(
                            "{} goes back from {before:?} to {high_watermark:?}",
                            show(at)
                        )
                    });
                }
                log.high_watermark = Some(high_watermark);
                log.committed = log.committed.max(high_watermark);
            }
            Seen::LogStart {
                log_start,
                by_request,
                ..
            } => {
                judge.check("X11", log_start >= log.start, || {
                    format!(
                        "{} goes back from start {:?} to {log_start:?}",
                        show(at),
                        log.start
                    )
                });
                let asked = log_start.0 <= expected.deleted_before;
                judge.check("X10", asked || expected.retention, || {
                    format!(
                        "{} starts at {log_start:?} (by request: {by_request}), asked was {}",
                        show(at),
                        expected.deleted_before
                    )
                });
                if let Some(committed) = log.high_watermark {
                    judge.check("X10", log_start.0 <= committed.0, || {
                        format!("{} starts at {log_start:?}, after {committed:?}", show(at))
                    });
                }
                log.start = log.start.max(log_start);
                log.changes += 1;
            }
            Seen::Acked {
                next_offset, acks, ..
            } => {
                if acks == -1 && expected.synced {
                    judge.check("L9", next_offset <= log.synced, || {
                        format!(
                            "{} acknowledges up to {next_offset:?}, durable is {:?}",
                            show(at),
                            log.synced
                        )
                    });
                } else if let Some(end) = log.end {
                    judge.check("R19", next_offset <= end, || {
                        format!(
                            "{} acknowledges up to {next_offset:?}, its end is {end:?}",
                            show(at)
                        )
                    });
                }
            }
            Seen::Truncated { to, .. } => {
                judge.check("R8", to >= log.committed || expected.harmed.hides, || {
                    format!(
                        "{} is cut to {to:?}, committed was {:?}",
                        show(at),
                        log.committed
                    )
                });
                log.end = Some(to);
                log.changes += 1;
            }
            _ => {}
        }
    }
}

/// A partition, in few letters.
#[must_use]
pub fn show(at: TopicPartition) -> String {
    let id = at.topic_id.0;
    format!("partition {:02x}{:02x}..-{}", id[0], id[1], at.partition.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{LeaderEpoch, PartitionIndex, Uuid};

    const AT: TopicPartition = TopicPartition {
        topic_id: Uuid([9; 16]),
        partition: PartitionIndex(0),
    };

    fn verdict(history: &[(u32, Seen)]) -> Option<&'static str> {
        let (mut oracle, mut judge) = (LogOracle::default(), Judge::default());
        let expected = |_: &TopicPartition| Expected {
            synced: true,
            retention: false,
            deleted_before: 3,
            harmed: Marks::default(),
        };
        for (incarnation, seen) in history {
            oracle.seen(*incarnation, seen, expected, &mut judge);
        }
        judge.violation.map(|violation| violation.invariant)
    }

    fn opened(start: i64, end: i64) -> Seen {
        Seen::LogOpened {
            partition: AT,
            log_start: Offset(start),
            log_end: NextOffset(end),
            clean: false,
        }
    }
    fn appended(base: i64, next: i64) -> Seen {
        Seen::Appended {
            partition: AT,
            leader_epoch: LeaderEpoch(0),
            base_offset: Offset(base),
            next_offset: NextOffset(next),
            crc: 0,
        }
    }
    fn synced(upto: i64) -> Seen {
        Seen::Synced {
            partition: AT,
            upto: NextOffset(upto),
        }
    }
    fn high_watermark(at: i64) -> Seen {
        Seen::HighWatermark {
            partition: AT,
            high_watermark: NextOffset(at),
        }
    }
    fn acked(base: i64, next: i64) -> Seen {
        Seen::Acked {
            partition: AT,
            base_offset: Offset(base),
            next_offset: NextOffset(next),
            acks: -1,
        }
    }
    fn offline() -> Seen {
        Seen::WentOffline { partition: AT }
    }
    fn faulty(from: i64) -> Seen {
        Seen::Faulty {
            partition: AT,
            from: Offset(from),
            to: NextOffset(from + 1),
        }
    }
    fn start(at: i64) -> Seen {
        Seen::LogStart {
            partition: AT,
            log_start: Offset(at),
            by_request: true,
        }
    }

    #[test]
    fn an_honest_log_passes() {
        let history = [
            (1, opened(0, 0)),
            (1, appended(0, 5)),
            (1, synced(5)),
            (1, high_watermark(5)),
            (1, acked(0, 5)),
            (1, start(3)),
            (1, appended(5, 9)),
            (2, opened(3, 5)),
            (2, acked(4, 5)),
            (2, high_watermark(5)),
        ];
        assert_eq!(verdict(&history), None);
    }

    #[test]
    fn each_lie_is_seen() {
        let begun = [(1, opened(0, 0)), (1, appended(0, 5))];
        let lies: [(&str, Vec<(u32, Seen)>); 16] = [
            ("L1", vec![(1, appended(6, 7))]),
            ("L10", vec![(1, synced(4)), (1, offline()), (1, synced(5))]),
            ("L10", vec![(1, offline()), (1, appended(5, 6))]),
            ("L12", vec![(1, faulty(5))]),
            ("L12", vec![(1, faulty(4)), (2, opened(0, 3))]),
            ("L3", vec![(1, synced(6))]),
            ("L3", vec![(1, high_watermark(6))]),
            ("L6", vec![(1, synced(5)), (2, opened(0, 4))]),
            ("L6", vec![(1, synced(5)), (2, appended(0, 1))]),
            ("L9", vec![(1, synced(4)), (1, acked(0, 5))]),
            ("R8", vec![(1, high_watermark(4)), (1, high_watermark(3))]),
            ("R8", vec![(1, high_watermark(4)), (2, opened(0, 3))]),
            ("X10", vec![(1, start(4))]),
            ("X10", vec![(1, synced(5)), (2, opened(4, 5))]),
            ("X10", vec![(1, synced(5)), (2, opened(6, 6))]),
            ("X11", vec![(1, start(3)), (2, opened(2, 5))]),
        ];
        for (invariant, lie) in lies {
            let history: Vec<_> = begun.iter().cloned().chain(lie).collect();
            assert_eq!(verdict(&history), Some(invariant), "{history:?}");
        }
    }
}

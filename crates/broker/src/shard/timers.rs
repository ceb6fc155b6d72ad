//! A shard's timers.

use std::collections::BTreeMap;

use types::{Mono, TopicPartition};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Some produce request may have waited as long as its client wanted.
    ProduceTimeouts,
    /// A coordinator has something to do.
    Coordinator(TopicPartition),
    /// A reader has waited long enough for a sync.
    Parked,
    /// What nobody waits for becomes durable all the same.
    Sync(TopicPartition),
    /// A log whose disk was full tries again.
    Retry(TopicPartition),
    /// Records have stayed unsynced as long as `flush.ms` lets them.
    Flush(TopicPartition),
    /// Retention, and producers to be forgotten.
    Housekeeping,
}

/// Timers, the next one first; those of one instant in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<(Mono, u64), Timer>,
    added: u64,
}

impl Timers {
    /// Makes `timer` due at `at`.
    pub fn add(&mut self, at: Mono, timer: Timer) {
        self.added += 1;
        self.due.insert((at, self.added), timer);
    }

    /// When the next timer is due.
    pub fn next(&self) -> Option<Mono> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes a timer that is due at `now`.
    pub fn due(&mut self, now: Mono) -> Option<Timer> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

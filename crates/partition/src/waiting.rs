//! Who waits for what.

use std::collections::{BTreeMap, BTreeSet};

use types::{NextOffset, Offset};

use crate::effect::Appended;

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Until {
    /// The batch is written here.
    Written,
    /// The batch is committed.
    Committed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Wait {
    Produce(Until, Appended),
    Delete(Offset),
}

/// Answers that are not due yet. Each list is ordered by the offset that it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Waiting {
    waits: BTreeMap<u64, Wait>,
    written: BTreeSet<(NextOffset, u64)>,
    committed: BTreeSet<(NextOffset, u64)>,
    deletes: BTreeSet<(Offset, u64)>,
}

impl Waiting {
    pub(crate) fn produce(&mut self, token: u64, until: Until, appended: Appended) {
        self.insert(token, Wait::Produce(until, appended));
        self.list(until).insert((appended.next_offset, token));
    }

    pub(crate) fn delete(&mut self, token: u64, before: Offset) {
        self.insert(token, Wait::Delete(before));
        self.deletes.insert((before, token));
    }

    fn insert(&mut self, token: u64, wait: Wait) {
        let before = self.waits.insert(token, wait);
        assert!(before.is_none(), "token {token} already waits");
    }

    fn list(&mut self, until: Until) -> &mut BTreeSet<(NextOffset, u64)> {
        match until {
            Until::Written => &mut self.written,
            Until::Committed => &mut self.committed,
        }
    }

    /// The next produce that is due now that everything below `upto` is written or committed.
    pub(crate) fn next_due(&mut self, until: Until, upto: NextOffset) -> Option<(u64, Appended)> {
        let list = self.list(until);
        let (end, token) = *list.first()?;
        if end > upto {
            return None;
        }
        list.pop_first();
        match self.waits.remove(&token) {
            Some(Wait::Produce(_, appended)) => Some((token, appended)),
            other => panic!("token {token} waits as {other:?} and is listed as a produce"),
        }
    }

    /// The next deletion that is done now that the log starts at `log_start`.
    pub(crate) fn next_deleted(&mut self, log_start: Offset) -> Option<u64> {
        let (before, token) = *self.deletes.first()?;
        if before > log_start {
            return None;
        }
        self.deletes.pop_first();
        self.waits.remove(&token);
        Some(token)
    }

    /// Forgets one. Returns whether it waited.
    pub(crate) fn remove(&mut self, token: u64) -> bool {
        match self.waits.remove(&token) {
            Some(Wait::Produce(until, appended)) => {
                self.list(until).remove(&(appended.next_offset, token));
                true
            }
            Some(Wait::Delete(before)) => {
                self.deletes.remove(&(before, token));
                true
            }
            None => false,
        }
    }

    /// Forgets all of them, and names them.
    pub(crate) fn drain(&mut self) -> Vec<u64> {
        let tokens = self.waits.keys().copied().collect();
        *self = Waiting::default();
        tokens
    }

    /// Forgets those that wait for a commit, and names them.
    pub(crate) fn drain_committed(&mut self) -> Vec<u64> {
        let tokens: Vec<u64> = self.committed.iter().map(|(_, token)| *token).collect();
        self.committed.clear();
        for token in &tokens {
            self.waits.remove(token);
        }
        tokens
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waits.len()
    }

    /// Panics if somebody waits for what has happened already.
    pub(crate) fn check(&self, written_end: NextOffset, high_watermark: NextOffset) {
        if let Some((end, token)) = self.written.first() {
            assert!(
                *end > written_end,
                "token {token} waits for a written batch"
            );
        }
        if let Some((end, token)) = self.committed.first() {
            assert!(
                *end > high_watermark,
                "token {token} waits for a committed batch"
            );
        }
    }

    /// Panics if the lists contradict each other.
    pub(crate) fn check_all(&self) {
        assert_eq!(
            self.waits.len(),
            self.written.len() + self.committed.len() + self.deletes.len()
        );
    }
}

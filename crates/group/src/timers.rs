//! The deadlines of a coordinator partition, in one ordered set.
//!
//! Arming and disarming cost a logarithm of the number of timers; a heartbeat does one of each and
//! looks at no other member. Whoever arms a timer remembers its deadline, which is needed to disarm it.

use std::collections::BTreeSet;

use protocol::Str;
use types::Mono;

/// What becomes due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A rebalance ends its join phase, with whoever has joined.
    Join { group_id: Str },
    /// A member, or one that was only given an id, has been silent for too long.
    Session { group_id: Str, member_id: Str },
    /// The members of a generation have had time to send SyncGroup.
    Sync { group_id: Str },
}

/// The timers that are armed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timers {
    armed: BTreeSet<(Mono, Timer)>,
}

impl Timers {
    /// Arms a timer that is not armed.
    pub fn arm(&mut self, at: Mono, timer: Timer) {
        let new = self.armed.insert((at, timer));
        debug_assert!(new, "a timer is armed twice");
    }

    /// Disarms a timer that is armed for `at`.
    pub fn disarm(&mut self, at: Mono, timer: Timer) {
        let was_armed = self.armed.remove(&(at, timer));
        debug_assert!(was_armed, "a timer that is not armed is disarmed");
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Mono> {
        self.armed.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due.
    pub fn pop_due(&mut self, now: Mono) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.armed.pop_first().map(|(_, timer)| timer)
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.armed.len()
    }
}

//! What is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::task::Waker;

/// What happens at a moment.
#[derive(Debug)]
pub(crate) enum Due {
    /// A sleeping task is woken.
    Wake(Waker),
    /// A call to a disk makes progress.
    Disk { disk: u32, op: u32, part: bool },
    /// Something arrives in the network.
    Network(crate::network::Arrival),
    /// A planned action of the world's owner.
    Action(u32),
    /// A node that was paused runs again.
    Resume { node: u32 },
}

/// Names an entry, so that it can be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerId {
    slot: u32,
    sequence: u64,
}

/// All that is due. Entries for the same moment come in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<(u64, Due)>>,
    vacant: Vec<u32>,
    sequence: u64,
}

impl Timers {
    pub(crate) fn insert(&mut self, at: u64, due: Due) -> TimerId {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 timers at a time")
        });
        self.sequence += 1;
        self.slots[slot as usize] = Some((self.sequence, due));
        self.heap.push(Reverse((at, self.sequence, slot)));
        TimerId {
            slot,
            sequence: self.sequence,
        }
    }

    pub(crate) fn cancel(&mut self, id: TimerId) -> Option<Due> {
        let slot = &mut self.slots[id.slot as usize];
        if slot
            .as_ref()
            .is_none_or(|(sequence, _)| *sequence != id.sequence)
        {
            return None;
        }
        let due = slot.take().map(|(_, due)| due);
        self.vacant.push(id.slot);
        // Cancelled entries stay in the heap until they are due, or outnumber the live ones.
        let live = self.slots.len() - self.vacant.len();
        if self.heap.len() > 64 && self.heap.len() > 3 * live {
            let slots = &self.slots;
            self.heap.retain(|Reverse((_, sequence, slot))| {
                slots[*slot as usize]
                    .as_ref()
                    .is_some_and(|(live, _)| live == sequence)
            });
        }
        due
    }

    /// The waker of a sleeper, to be replaced.
    pub(crate) fn waker_mut(&mut self, id: TimerId) -> Option<&mut Waker> {
        match self.slots[id.slot as usize].as_mut() {
            Some((sequence, Due::Wake(waker))) if *sequence == id.sequence => Some(waker),
            _ => None,
        }
    }

    /// The moment of the first entry.
    pub(crate) fn next_at(&mut self) -> Option<u64> {
        while let Some(Reverse((at, sequence, slot))) = self.heap.peek() {
            if self.slots[*slot as usize]
                .as_ref()
                .is_some_and(|(live, _)| live == sequence)
            {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// The first entry that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Due> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((_, _, slot)) = self.heap.pop()?;
        self.vacant.push(slot);
        self.slots[slot as usize].take().map(|(_, due)| due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_by_time_and_then_in_order() {
        let mut timers = Timers::default();
        for (at, action) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            timers.insert(at, Due::Action(action));
        }
        let mut seen = Vec::new();
        for now in 0..10 {
            while let Some(Due::Action(action)) = timers.pop_due(now) {
                seen.push((now, action));
            }
        }
        assert_eq!(seen, [(3, 1), (3, 3), (5, 0), (5, 2)]);
    }

    #[test]
    fn cancelled_entries_cost_no_memory_for_long() {
        let mut timers = Timers::default();
        let kept = timers.insert(1_000_000, Due::Action(1));
        for at in 0..100_000 {
            let id = timers.insert(2_000_000 + at, Due::Action(0));
            assert!(timers.cancel(id).is_some());
            assert!(timers.cancel(id).is_none(), "only once");
        }
        assert!(timers.heap.len() <= 66, "{}", timers.heap.len());
        assert_eq!(timers.next_at(), Some(1_000_000));
        assert!(timers.cancel(kept).is_some());
        assert_eq!(timers.next_at(), None);
    }
}

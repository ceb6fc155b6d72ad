//! How many bytes of requests the node holds, by what has come and never by what was promised; and how many
//! bytes of records it has read for answers that have not left.
//!
//! A large request is counted as it grows, so eight bytes that announce 100 MiB hold eight bytes. That alone
//! would let half requests lock each other out: six of them have taken everything, each needs more, and
//! none can be finished. So one at a time has *the turn*: it goes on beyond the limit, and has to hurry
//! ([`Grown::Hurry`]); if it does not, its connection is closed, its bytes are free, and the next one has
//! the turn. What is held is therefore at most the limit and one request.
//!
//! Small requests have a part of their own and are counted once they are complete: heartbeats, fetches and
//! metadata go on however many large requests wait for room.
//!
//! Answers are counted whole, before anything is read for them, and held until they are written. Who takes them
//! slowly may keep his room for long, so what was said of half requests goes for them: while there is no room,
//! one answer at a time is read all the same, and has to leave in a hurry.
//!
//! The rooms before: `connection`, `api/fetch`.

use std::sync::Arc;

use env::{Either, race};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long what goes on without room may take until it has left.
pub(crate) const HURRY_MS: i64 = 30_000;

/// Bytes are counted in units of so many.
const UNIT_BYTES: usize = 64;
/// The part of the limit that is kept for small requests: one in so many.
const SMALL_PART: usize = 8;

/// The memory of all requests that are being read or served, or of all answers that are being written.
pub(crate) struct Memory {
    small: Pool,
    large: Pool,
    turn: Arc<Semaphore>,
    /// A request up to this size is small.
    small_bytes_max: usize,
}

struct Pool {
    free: Arc<Semaphore>,
    capacity: usize,
}

/// What one request or answer holds. Given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Held {
    room: Option<OwnedSemaphorePermit>,
    turn: Option<OwnedSemaphorePermit>,
}

/// How a request came to hold more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grown {
    /// There was room.
    AtOnce,
    /// It had to wait for room; its sender could not send meanwhile.
    Waited,
    /// There is no room: it may go on alone, and has to hurry.
    Hurry,
    /// The node is going down.
    Closed,
}

impl Memory {
    /// Room for `bytes` of requests, of which those up to `small_bytes_max` have a part of their own.
    pub fn new(bytes: usize, small_bytes_max: usize) -> Memory {
        let units = (bytes / UNIT_BYTES).clamp(2, Semaphore::MAX_PERMITS);
        let small = (units / SMALL_PART).max(1);
        Memory {
            small: Pool::new(small),
            large: Pool::new(units - small),
            turn: Arc::new(Semaphore::new(1)),
            small_bytes_max,
        }
    }

    /// Whether a request of `bytes` is counted only once it is complete.
    pub fn is_small(&self, bytes: usize) -> bool {
        bytes <= self.small_bytes_max
    }

    /// Holds a small request, which is complete; `None` if the node is going down.
    pub async fn hold(&self, bytes: usize) -> Option<Held> {
        let free = self.small.free.clone();
        let room = free.acquire_many_owned(self.small.units(bytes)).await.ok();
        room.map(|room| Held {
            room: Some(room),
            turn: None,
        })
    }

    /// Holds an answer of `bytes`, of which nothing has been read yet; `None` if the node is going down.
    pub async fn hold_answer(&self, bytes: usize) -> Option<Held> {
        if bytes == 0 {
            return Some(Held::default());
        }
        if self.is_small(bytes) {
            return self.hold(bytes).await;
        }
        let mut held = Held::default();
        match self.grow(&mut held, bytes).await {
            Grown::AtOnce | Grown::Waited | Grown::Hurry => Some(held),
            Grown::Closed => None,
        }
    }

    /// Has a large request hold `bytes`, if it does not hold as many already.
    pub async fn grow(&self, held: &mut Held, bytes: usize) -> Grown {
        if held.turn.is_some() {
            return Grown::AtOnce;
        }
        let have = held.room.as_ref().map_or(0, |room| room.num_permits());
        let missing = self.large.units(bytes).saturating_sub(have as u32);
        if missing == 0 {
            return Grown::AtOnce;
        }
        if let Ok(more) = self.large.free.clone().try_acquire_many_owned(missing) {
            held.take(more);
            return Grown::AtOnce;
        }
        let room = self.large.free.clone().acquire_many_owned(missing);
        match race(room, self.turn.clone().acquire_owned()).await {
            Either::First(Ok(more)) => {
                held.take(more);
                Grown::Waited
            }
            Either::Second(Ok(turn)) => {
                held.turn = Some(turn);
                Grown::Hurry
            }
            Either::First(Err(_)) | Either::Second(Err(_)) => Grown::Closed,
        }
    }
}

impl Pool {
    fn new(capacity: usize) -> Pool {
        Pool {
            free: Arc::new(Semaphore::new(capacity)),
            capacity,
        }
    }

    /// Units of so many bytes: a request larger than the pool takes it all.
    fn units(&self, bytes: usize) -> u32 {
        let units = bytes.div_ceil(UNIT_BYTES).clamp(1, self.capacity);
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

impl Held {
    /// Whether others wait for it to be done.
    pub fn has_turn(&self) -> bool {
        self.turn.is_some()
    }

    fn take(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.room {
            Some(room) => room.merge(more),
            None => self.room = Some(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn grow(memory: &Memory, held: &mut Held, bytes: usize) -> Option<Grown> {
        memory.grow(held, bytes).now_or_never()
    }

    #[test]
    fn half_requests_that_hold_everything_do_not_lock_each_other_out() {
        let memory = Memory::new(64 * UNIT_BYTES, 0);
        let capacity = memory.large.capacity * UNIT_BYTES;
        let (mut a, mut b) = (Held::default(), Held::default());
        assert_eq!(grow(&memory, &mut a, capacity / 2), Some(Grown::AtOnce));
        assert_eq!(grow(&memory, &mut b, capacity / 2), Some(Grown::AtOnce));
        assert_eq!(grow(&memory, &mut a, capacity), Some(Grown::Hurry));
        assert_eq!(grow(&memory, &mut a, 2 * capacity), Some(Grown::AtOnce));
        assert_eq!(grow(&memory, &mut b, capacity), None, "one at a time");
        // Whether it was served or its connection closed: what it held is free.
        drop(a);
        assert_eq!(grow(&memory, &mut b, capacity), Some(Grown::AtOnce));
    }

    #[test]
    fn small_requests_have_room_while_large_ones_have_none() {
        let memory = Memory::new(64 * UNIT_BYTES, UNIT_BYTES);
        let mut large = Held::default();
        assert_eq!(grow(&memory, &mut large, 1 << 20), Some(Grown::AtOnce));
        let held: Vec<_> = (0..memory.small.capacity)
            .map(|_| memory.hold(UNIT_BYTES).now_or_never().flatten())
            .collect();
        assert!(held.iter().all(Option::is_some));
        assert!(memory.hold(1).now_or_never().is_none(), "bounded as well");
        drop(held);
        assert!(memory.hold(1).now_or_never().is_some());
    }

    #[test]
    fn what_is_held_is_what_has_come() {
        let memory = Memory::new(64 * UNIT_BYTES, 0);
        let mut held = Held::default();
        assert_eq!(grow(&memory, &mut held, 8), Some(Grown::AtOnce));
        let free = memory.large.free.available_permits();
        assert_eq!(free, memory.large.capacity - 1);
        drop(held);
        assert_eq!(memory.large.free.available_permits(), memory.large.capacity);
    }
}

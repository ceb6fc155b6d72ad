//! One direction of a connection.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::profile::NetworkProfile;
use crate::seed::{ChaCha8Rng, Draw};

/// What befalls a direction once so many bytes have been sent in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Fine,
    /// The connection is reset after exactly this byte.
    ResetAt(u64),
    /// Nothing moves for a while after this byte.
    StallAt { byte: u64, for_ns: u64 },
    /// Nothing passes after this byte, and nobody is told: half-open.
    SilentAt(u64),
}

impl Fate {
    fn draw(rng: &mut ChaCha8Rng, profile: &NetworkProfile) -> Fate {
        let byte = rng.magnitude(1, profile.fate_bytes_max);
        if rng.chance(profile.reset_ppm) {
            Fate::ResetAt(byte)
        } else if rng.chance(profile.stall_ppm) {
            Fate::StallAt {
                byte,
                for_ns: rng.magnitude(1_000_000, profile.stall_ns_max),
            }
        } else if rng.chance(profile.silent_ppm) {
            Fate::SilentAt(byte)
        } else {
            Fate::Fine
        }
    }
}

#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) fate: Fate,
    /// Bytes that the sender may have under way, or unread.
    window: usize,
    /// Sent and not yet there, with the moment of arrival. Moments never go back.
    pub(crate) under_way: VecDeque<(u64, Bytes)>,
    /// There, and not yet read.
    pub(crate) arrived: VecDeque<Bytes>,
    occupied: usize,
    pub(crate) sent: u64,
    pub(crate) last_moment: u64,
    /// Whether the arrival of what is next has been planned.
    pub(crate) planned: bool,
    /// The sender will send no more.
    pub(crate) finishing: bool,
    /// The reader knows that.
    pub(crate) finished: bool,
    /// Nothing gets through any more.
    pub(crate) dead: bool,
}

impl Pipe {
    pub(crate) fn new(rng: &mut ChaCha8Rng, profile: &NetworkProfile) -> Pipe {
        Pipe {
            fate: Fate::draw(rng, profile),
            window: rng.magnitude(profile.window.start, profile.window.end) as usize,
            under_way: VecDeque::new(),
            arrived: VecDeque::new(),
            occupied: 0,
            sent: 0,
            last_moment: 0,
            planned: false,
            finishing: false,
            finished: false,
            dead: false,
        }
    }

    pub(crate) fn room(&self) -> usize {
        self.window.saturating_sub(self.occupied)
    }

    /// Whether something is still to reach the other side.
    pub(crate) fn has_news(&self) -> bool {
        !self.under_way.is_empty() || (self.finishing && !self.finished)
    }

    /// Takes bytes from the sender; there must be room.
    pub(crate) fn push(&mut self, moment: u64, data: Bytes) {
        debug_assert!(moment >= self.last_moment, "bytes do not overtake");
        self.occupied += data.len();
        self.sent += data.len() as u64;
        self.last_moment = moment;
        self.under_way.push_back((moment, data));
    }

    /// Moves what is due by now to the reader's side. Gives back how many bytes that is.
    pub(crate) fn arrive(&mut self, now: u64) -> usize {
        let mut bytes = 0;
        while self
            .under_way
            .front()
            .is_some_and(|(moment, _)| *moment <= now)
        {
            let Some((_, data)) = self.under_way.pop_front() else {
                break;
            };
            bytes += data.len();
            self.arrived.push_back(data);
        }
        bytes
    }

    pub(crate) fn unread(&self) -> usize {
        self.arrived.iter().map(Bytes::len).sum()
    }

    /// Gives the reader up to `max` bytes, glued from as many pieces as it takes.
    pub(crate) fn read(&mut self, max: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        while taken < max
            && let Some(front) = self.arrived.front_mut()
        {
            let part = front.len().min(max - taken);
            take(&front[..part]);
            front.advance(part);
            taken += part;
            if front.is_empty() {
                self.arrived.pop_front();
            }
        }
        self.occupied -= taken;
        taken
    }

    /// Forgets everything that has not been read.
    pub(crate) fn clear(&mut self) {
        self.under_way.clear();
        self.arrived.clear();
        self.occupied = 0;
    }
}

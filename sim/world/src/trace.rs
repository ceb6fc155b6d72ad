//! What happened, as a rolling hash and, on demand, as text.
//!
//! Two runs are the same if and only if their hashes are. Checkpoints of the hash, taken every so many
//! events, let two runs that differ be bisected to the first window in which they do; asking both for
//! the text of that window then shows the first event (see [`crate::meta`]).

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use env::Seen;

use crate::seed::Mixer;

thread_local! {
    /// Of the world whose crank turns on this thread.
    static MOMENT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// The world's time in nanoseconds, and the ordinal of the next event, in the world whose crank turns on this
/// thread: for what nodes log.
#[must_use]
pub fn moment() -> (u64, u64) {
    MOMENT.get()
}

/// A world lets a task of its own run.
pub(crate) fn begin_moment(now: u64, ordinal: u64) {
    MOMENT.set((now, ordinal));
}

/// An event of the world.
#[derive(Clone, Copy, Debug, Hash)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields are what the names say, and are only printed"
)]
pub enum Event {
    /// A process began.
    Started { incarnation: u32 },
    /// A process ended.
    Stopped { how: crate::node::Stop },
    /// A process stopped running for a while, or runs again.
    Paused { paused: bool },
    /// The wall clock jumped.
    WallJumped { by_ms: i64 },
    /// A task came to be.
    Spawned { task: u32, name: &'static str },
    /// A task was polled.
    Polled {
        task: u32,
        name: &'static str,
        done: bool,
    },
    /// A call to the disk was made.
    DiskCall {
        op: u32,
        call: &'static str,
        what: u64,
        offset: u64,
        len: u64,
    },
    /// A call to the disk completed. `digest` is of what was read or written.
    DiskDone { op: u32, ok: bool, digest: u64 },
    /// A connection was asked for.
    Connect { connection: u32, to: u32, port: u16 },
    /// A connection was accepted, refused or timed out.
    Connected {
        connection: u32,
        outcome: &'static str,
    },
    /// Bytes entered the network.
    Sent {
        connection: u32,
        end: u8,
        bytes: u32,
        digest: u64,
    },
    /// Bytes reached the other side.
    Delivered {
        connection: u32,
        end: u8,
        bytes: u32,
    },
    /// One side will send no more.
    Finished { connection: u32, end: u8 },
    /// A connection broke, as this end learns.
    Reset { connection: u32, end: u8 },
    /// A fault was asked for, or begins.
    Fault { kind: &'static str, a: u64, b: u64 },
    /// A fault struck.
    Struck { kind: &'static str },
    /// A node told the oracles something.
    Seen(Seen),
}

/// What to keep of a run besides its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceOptions {
    /// Events, by ordinal, whose text is kept.
    pub lines: Option<Range<u64>>,
    /// How many of the last events' texts are kept, for reports of failures.
    pub tail: usize,
}

/// The record of a run.
#[derive(Debug)]
pub struct Trace {
    hash: Mixer,
    events: u64,
    every: u64,
    checkpoints: Vec<u64>,
    options: TraceOptions,
    lines: Vec<String>,
    tail: std::collections::VecDeque<String>,
}

/// Checkpoints kept at most; when there are more, every second one is dropped.
const CHECKPOINTS_MAX: usize = 4096;

impl Trace {
    pub(crate) fn new(options: TraceOptions) -> Trace {
        Trace {
            hash: Mixer::new(0),
            events: 0,
            every: 256,
            checkpoints: Vec::new(),
            options,
            lines: Vec::new(),
            tail: std::collections::VecDeque::new(),
        }
    }

    #[inline]
    pub(crate) fn event(&mut self, now: u64, node: &str, node_index: u32, event: Event) {
        self.hash.write_u64(now ^ (u64::from(node_index) << 48));
        event.hash(&mut self.hash);
        if self.options.tail > 0 || self.options.lines.is_some() {
            self.text(now, node, event);
        }
        self.events += 1;
        if self.events.is_multiple_of(self.every) {
            self.checkpoint();
        }
    }

    #[cold]
    fn text(&mut self, now: u64, node: &str, event: Event) {
        begin_moment(now, self.events + 1);
        let wanted = self
            .options
            .lines
            .as_ref()
            .is_some_and(|lines| lines.contains(&self.events));
        if !wanted && self.options.tail == 0 {
            return;
        }
        let line = format!(
            "{:>4}.{:09} {:>8} {node} {event:?}",
            now / 1_000_000_000,
            now % 1_000_000_000,
            self.events,
        );
        if self.options.tail > 0 {
            if self.tail.len() == self.options.tail {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
        }
        if wanted {
            self.lines.push(line);
        }
    }

    #[cold]
    fn checkpoint(&mut self) {
        self.checkpoints.push(self.hash.finish());
        if self.checkpoints.len() > CHECKPOINTS_MAX {
            // Keep those after 2, 4, 6, ... times `every` events.
            let mut index = 0;
            self.checkpoints.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.every *= 2;
        }
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The text of the events asked for: time, ordinal, node, event.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The text of the last events, if asked for.
    pub fn tail(&self) -> impl Iterator<Item = &str> {
        self.tail.iter().map(String::as_str)
    }

    /// What two runs are compared by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint {
            events: self.events,
            hash: self.hash(),
            every: self.every,
            checkpoints: self.checkpoints.clone(),
        }
    }
}

/// The hashes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// Number of events.
    pub events: u64,
    /// The hash after the last.
    pub hash: u64,
    /// Distance of the checkpoints in events.
    pub every: u64,
    /// The hash after `every`, twice `every`, ... events.
    pub checkpoints: Vec<u64>,
}

impl Fingerprint {
    /// The first window of events within which two runs part; `None` if they are the same.
    #[must_use]
    pub fn first_difference(&self, other: &Fingerprint) -> Option<Range<u64>> {
        if (self.events, self.hash) == (other.events, other.hash) {
            return None;
        }
        // Distances are doubled as a run goes on, so the longer one is a multiple of the shorter.
        let step = self.every.max(other.every).max(1);
        let at = |print: &Fingerprint, event: u64| {
            let index = (event / print.every.max(1)).checked_sub(1)?;
            print.checkpoints.get(usize::try_from(index).ok()?).copied()
        };
        let agreed = (1..)
            .map(|n| n * step)
            .take_while(|&event| {
                let (mine, theirs) = (at(self, event), at(other, event));
                mine.is_some() && mine == theirs
            })
            .last()
            .unwrap_or(0);
        Some(agreed..agreed + step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: u64, odd_at: Option<u64>) -> Trace {
        let mut trace = Trace::new(TraceOptions {
            lines: Some(0..2),
            tail: 3,
        });
        for n in 0..events {
            let incarnation = u32::from(odd_at == Some(n));
            trace.event(n, "node", 0, Event::Started { incarnation });
        }
        trace
    }

    #[test]
    fn the_first_differing_window_is_found() {
        let events = 1_100_000;
        let same = run(events, None).fingerprint();
        assert_eq!(
            same.first_difference(&run(events, None).fingerprint()),
            None
        );
        for odd in [255, 256, 1_034_567, events - 1] {
            let window = same
                .first_difference(&run(events, Some(odd)).fingerprint())
                .expect("one event differs");
            assert!(window.contains(&odd), "{odd} in {window:?}");
        }
        let shorter = run(1000, None).fingerprint();
        assert!(same.first_difference(&shorter).is_some());
    }

    #[test]
    fn text_is_kept_where_asked_for() {
        let trace = run(10, None);
        assert_eq!(trace.lines().len(), 2);
        assert_eq!(
            trace.lines()[1],
            "   0.000000001        1 node Started { incarnation: 0 }"
        );
        assert_eq!(trace.tail().count(), 3);
    }
}

//! Three kinds of time, which must not be mixed.

use std::time::Duration;

/// Nanoseconds on this process's monotonic clock. Meaningless elsewhere and after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Milliseconds since the Unix epoch on this node's wall clock. May jump; never decides safety.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// A record's timestamp: milliseconds since the Unix epoch, or -1 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimestampMs(pub i64);

/// The two clocks, read together: what a core is told of the time with each input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// For timeouts.
    pub mono: Mono,
    /// For timestamps and expiry.
    pub wall: Wall,
}

impl Mono {
    /// The instant `duration` later, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// The instant `ms` milliseconds later, saturating; a negative `ms` is taken as zero.
    #[must_use]
    pub fn after_ms(self, ms: i64) -> Mono {
        Mono(
            self.0
                .saturating_add(u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)),
        )
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl TimestampMs {
    /// No timestamp.
    pub const NONE: TimestampMs = TimestampMs(-1);
}

impl From<Wall> for TimestampMs {
    fn from(wall: Wall) -> Self {
        TimestampMs(wall.0)
    }
}

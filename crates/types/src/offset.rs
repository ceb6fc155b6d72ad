//! Positions in a partition's log.

use std::fmt;

/// The offset of a record: inclusive. Base offsets, last offsets and fetch positions are `Offset`s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub i64);

/// The end of a range of records: exclusive. Log end offset, high watermark and last stable offset
/// are `NextOffset`s: the offset that the next record has or will have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub i64);

impl Offset {
    /// The end of a range whose last record is this one.
    #[must_use]
    pub const fn next(self) -> NextOffset {
        NextOffset(self.0 + 1)
    }

    /// The end of a range that stops just before this record.
    #[must_use]
    pub const fn end_before(self) -> NextOffset {
        NextOffset(self.0)
    }

    /// Whether this record lies before `end`.
    #[must_use]
    pub const fn is_before(self, end: NextOffset) -> bool {
        self.0 < end.0
    }

    /// This offset moved by `delta` records.
    #[must_use]
    pub const fn plus(self, delta: i64) -> Offset {
        Offset(self.0 + delta)
    }
}

impl NextOffset {
    /// The offset that the next record will have.
    #[must_use]
    pub const fn position(self) -> Offset {
        Offset(self.0)
    }

    /// The last record before this end, or `None` for the start of the offset space.
    #[must_use]
    pub const fn last(self) -> Option<Offset> {
        if self.0 > 0 {
            Some(Offset(self.0 - 1))
        } else {
            None
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for NextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

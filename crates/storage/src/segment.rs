//! A closed segment as the log remembers it: a row of numbers, and its file and indexes once someone
//! has asked for them.

use std::sync::{Arc, OnceLock};

use env::Disk;

use crate::index::SegmentIndex;
use crate::state::SegmentRow;
use crate::transactions::OpenTransaction;

/// A file that is opened by its first reader.
pub(crate) type FileCell<D> = Arc<OnceLock<<D as Disk>::File>>;

/// Indexes that are loaded by their first reader.
pub(crate) type IndexCell = Arc<OnceLock<Arc<SegmentIndex>>>;

pub(crate) struct Segment<D: Disk> {
    pub(crate) row: SegmentRow,
    /// What the segment's age was counted from while it was active, or -1.
    pub(crate) first_timestamp: i64,
    pub(crate) file: FileCell<D>,
    pub(crate) index: IndexCell,
    /// The transactions that were open where it starts; known of segments that were active in this life.
    pub(crate) open: Arc<[OpenTransaction]>,
}

impl<D: Disk> Segment<D> {
    pub(crate) fn new(row: SegmentRow) -> Segment<D> {
        Segment {
            row,
            first_timestamp: -1,
            file: FileCell::<D>::default(),
            index: IndexCell::default(),
            open: Arc::default(),
        }
    }
}

//! Closed segments at a start: whether they are all there, and their index files, read, built and written.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, File, OpenOptions};
use records::layout::HEADER_SIZE;
use records::{BatchHeader, EndTransactionMarker};
use types::{NextOffset, Offset};

use crate::error::StorageError;
use crate::files;
use crate::index::{IndexBuilder, SegmentIndex, names_txns};
use crate::job::{is_full, is_starved, write_side_file};
use crate::log::Log;
use crate::names::{self, segment_file};
use crate::recovery::Listing;
use crate::scan::damage;
use crate::segment::IndexCell;
use crate::source::Source;
use crate::state::{FaultyRange, SegmentRow};
use crate::transactions::{OpenTransaction, Transactions, end_at, open_at_start};

impl<D: Disk> Log<D> {
    /// Looks at the closed segments' files: there, long enough, with sound indexes.
    pub(crate) async fn check_sealed(
        &mut self,
        listing: &Listing,
        active: i64,
        alarms: &mut Vec<String>,
    ) -> Result<(), StorageError> {
        let rows: Vec<SegmentRow> = self.sealed.iter().map(|segment| segment.row).collect();
        for row in rows {
            let path = self.dir.join(segment_file(row.base, names::LOG));
            let len = match self.disk.open(&path, OpenOptions::READ).await {
                Ok(file) => file.len().await.map_err(StorageError::io(&path))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(StorageError::io(&path)(error)),
            };
            if len < u64::from(row.size) {
                let from = Offset(row.base).max(self.log_start);
                let range = FaultyRange {
                    from,
                    to: NextOffset(row.next),
                };
                if self.add_faulty(range) {
                    let place =
                        format!("{}: {len} of {} bytes are there", path.display(), row.size);
                    alarms.push(damage(&range, &place));
                }
                continue;
            }
            let index = load_index(&self.disk, &self.dir, row.base, self.seed, row.size).await;
            if !matches!(index, Ok(Some(_)))
                && !self.rebuild_index(&row).await?
                && !self.faulty.iter().any(|range| range.meets(&row))
            {
                alarms.push(format!(
                    "{}: an index was made anew from batches that are not all as they were written. What fails \
                     its checksum is not served; `ottla log verify` finds it",
                    path.display()
                ));
            }
        }
        // Segments and side files of what was removed: the state that does without them is durable.
        let known = |base: i64| self.sealed.iter().any(|segment| segment.row.base == base);
        for (base, name) in &listing.side_files {
            if *base < self.log_start.0 && !known(*base) && *base != active {
                let path = self.dir.join(name);
                files::remove(&self.disk, &path)
                    .await
                    .map_err(StorageError::io(&path))?;
            }
        }
        Ok(())
    }

    /// Takes note of damage; ranges that meet become one. Returns whether it is news.
    pub(crate) fn add_faulty(&mut self, mut range: FaultyRange) -> bool {
        let known = |old: &FaultyRange| old.from <= range.from && range.to <= old.to;
        let is_news = range.from.is_before(range.to) && !self.faulty.iter().any(known);
        if is_news {
            self.faulty.retain(|old| {
                let apart = old.to < range.from.end_before() || range.to < old.from.end_before();
                if !apart {
                    range.from = range.from.min(old.from);
                    range.to = range.to.max(old.to);
                }
                apart
            });
            self.faulty.push(range);
            self.faulty.sort_by_key(|range| range.from);
        }
        is_news
    }

    /// Returns whether the batches are those that were written.
    async fn rebuild_index(&mut self, row: &SegmentRow) -> Result<bool, StorageError> {
        let mut source = self.source(row.base).await?;
        let path = self.dir.join(segment_file(row.base, names::LOG));
        let rows: Vec<SegmentRow> = self.sealed.iter().map(|segment| segment.row).collect();
        let open = open_at_start(&self.disk, &self.dir, &rows, row).await;
        let open = open.map_err(StorageError::io(&path))?;
        let index = build_index(
            &mut source,
            row,
            &open,
            self.seed,
            self.config.index_interval_bytes,
        )
        .await;
        let Built { index, proven } = index.map_err(StorageError::io(&path))?;
        let segment = self
            .sealed
            .iter_mut()
            .find(|segment| segment.row.base == row.base);
        let segment = segment.expect("the row is that of a closed segment");
        segment.index = IndexCell::default();
        let _ = segment.index.set(Arc::new(index));
        self.write_index(row.base).await?;
        Ok(proven)
    }

    /// Writes the index files of a closed segment, whose indexes are in memory.
    pub(crate) async fn write_index(&self, base: i64) -> Result<(), StorageError> {
        let segment = self.sealed.iter().find(|segment| segment.row.base == base);
        let Some(index) = segment.and_then(|segment| segment.index.get()) else {
            return Ok(());
        };
        let free = self.disk.free_bytes(&self.dir).await;
        if free.is_ok_and(|free| free < SPARE_BYTES) {
            return Ok(());
        }
        write_index_files(&self.disk, &self.dir, base, index, self.seed).await
    }
}

/// With less room than this no index is written that was made again: it can be once more, and the last room is
/// for what cannot.
const SPARE_BYTES: u64 = 16 << 20;

/// Loads the indexes of a closed segment; `None` if they are missing or fail their checks.
pub(crate) async fn load_index<D: Disk>(
    disk: &D,
    dir: &Path,
    base: i64,
    seed: u32,
    size: u32,
) -> io::Result<Option<SegmentIndex>> {
    let read = async |suffix| files::read_whole(disk, &dir.join(segment_file(base, suffix))).await;
    let Some(offsets) = read(names::INDEX).await? else {
        return Ok(None);
    };
    let Some(times) = read(names::TIME_INDEX).await? else {
        return Ok(None);
    };
    let Some(tags) = read(names::TAGS).await? else {
        return Ok(None);
    };
    let mut txns = Bytes::new();
    if names_txns(&tags) {
        match read(names::TXN_INDEX).await? {
            Some(bytes) => txns = bytes,
            None => return Ok(None),
        }
    }
    Ok(SegmentIndex::decode(
        &offsets, &times, &txns, &tags, seed, size,
    ))
}

/// Indexes that were made anew.
pub(crate) struct Built {
    pub(crate) index: SegmentIndex,
    /// Whether the batches are those that were written.
    pub(crate) proven: bool,
}

/// Builds the indexes of a closed segment from its batches. `open` are the transactions that are open where
/// it starts.
///
/// # Errors
/// The disk's.
pub(crate) async fn build_index<D: Disk>(
    source: &mut Source<D>,
    row: &SegmentRow,
    open: &[OpenTransaction],
    seed: u32,
    interval: u32,
) -> io::Result<Built> {
    let mut builder = IndexBuilder::new(row.base, seed, interval);
    let mut transactions = Transactions::new(open);
    each_batch(source, row, |at, header, end, behind_hole| {
        if behind_hole {
            builder.break_interval();
        }
        builder.note(header, at);
        if let Some(aborted) = transactions.note(header, end) {
            builder.note_aborted(aborted);
        }
    })
    .await?;
    let proven = builder.chain() == row.chain;
    let mut index = builder.finish();
    if !proven {
        // Tags vouch for what was written. These batches are only what is there.
        index.tags.clear();
    }
    Ok(Built { index, proven })
}

/// Goes over the batches of a closed segment by their headers: calls `note` with the position of each, its
/// header, what it says of the end of a transaction, and whether it lies behind a damaged range.
///
/// # Errors
/// The disk's.
pub(crate) async fn each_batch<D: Disk>(
    source: &mut Source<D>,
    row: &SegmentRow,
    mut note: impl FnMut(u32, &BatchHeader, Option<EndTransactionMarker>, bool),
) -> io::Result<()> {
    let mut at = 0u64;
    let mut expected = Offset(row.base);
    let mut behind_hole = false;
    while at < u64::from(row.size) {
        // What cannot be read is a hole, as what cannot be true is.
        let header = match source.bytes(at, HEADER_SIZE).await {
            Ok(head) => BatchHeader::parse(&head).ok(),
            Err(error) if is_starved(&error) => return Err(error),
            Err(_) => None,
        };
        let fits = header
            .filter(|header| header.base_offset >= expected && header.next_offset().0 <= row.next);
        let Some(header) = fits else {
            match source.find_batch(at + 1, expected).await {
                Some((position, header)) if header.next_offset().0 <= row.next => {
                    behind_hole = true;
                    at = position;
                    expected = header.base_offset;
                    continue;
                }
                _ => break,
            }
        };
        let end = end_at(source, at, &header).await?;
        note(at as u32, &header, end, behind_hole);
        behind_hole = false;
        at += header.total_size() as u64;
        expected = header.next_offset().position();
    }
    Ok(())
}

/// Writes the files that go with a closed segment.
pub(crate) async fn write_index_files<D: Disk>(
    disk: &D,
    dir: &Path,
    base: i64,
    index: &SegmentIndex,
    seed: u32,
) -> Result<(), StorageError> {
    for (suffix, bytes) in index.files(seed) {
        let path = dir.join(segment_file(base, suffix));
        match write_side_file(disk, &path, bytes).await {
            // Half a file fails its checks, and is made again from the segment.
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %path.display(), %error, "no room for an index: made again when it is needed");
                return Ok(());
            }
            written => written.map_err(StorageError::io(&path))?,
        }
    }
    Ok(())
}

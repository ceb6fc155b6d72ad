//! Transactions, as far as the log itself must know them: which are open at its end, and which were aborted.
//!
//! Aborted transactions are entries of the index of the segment that holds their abort marker. Where a
//! transaction began may lie segments before that, so an index cannot be built from its segment alone: each
//! segment's row names the first record that was in an open transaction where the segment starts
//! ([`SegmentRow::unstable`]). It tells a rebuild where to begin, and a reader of what is committed where to
//! stop: no transaction that ends in a segment began before its row says.
//!
//! Kafka's rules: a transaction begins with its producer's first transactional batch after its last marker; a
//! marker that ends nothing leaves no entry; what is stable after a marker ends at the oldest transaction
//! that is still open.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use env::{Disk, File, OpenOptions};
use records::layout::{self, HEADER_SIZE};
use records::{BatchHeader, ControlRecord, EndTransactionMarker, TransactionResult};
use types::{NextOffset, Offset, ProducerId};

use crate::closed_segments::each_batch;
use crate::error::ReadError;
use crate::index::TxnEntry;
use crate::log::Log;
use crate::names::{self, segment_file};
use crate::read::{FilePlan, IndexSource, ReadResult};
use crate::source::Source;
use crate::state::SegmentRow;

/// An open transaction: whose it is, and its first offset.
pub type OpenTransaction = (ProducerId, Offset);

/// The open transactions at some place of the log, and the way back to those of a little before.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    open: BTreeMap<ProducerId, Offset>,
    changes: Vec<(Offset, Change)>,
}

/// What a batch did.
#[derive(Clone, Copy, Debug)]
enum Change {
    Began(ProducerId),
    Ended(ProducerId, Offset),
}

impl Transactions {
    pub(crate) fn new(open: &[OpenTransaction]) -> Transactions {
        Transactions {
            open: open.iter().copied().collect(),
            changes: Vec::new(),
        }
    }

    /// Those that are open, by producer.
    pub(crate) fn open(&self) -> Vec<OpenTransaction> {
        self.open.iter().map(|(id, first)| (*id, *first)).collect()
    }

    /// Takes in the next batch of the log; a control batch says with `end` what it ends. Gives the index
    /// entry, if it aborted a transaction.
    pub(crate) fn note(
        &mut self,
        header: &BatchHeader,
        end: Option<EndTransactionMarker>,
    ) -> Option<TxnEntry> {
        let producer = header.producer_id;
        if !header.has_producer_id() {
            return None;
        }
        if !header.attributes.is_control() {
            if header.attributes.is_transactional() && !self.open.contains_key(&producer) {
                self.open.insert(producer, header.base_offset);
                self.changes
                    .push((header.base_offset, Change::Began(producer)));
            }
            return None;
        }
        let end = end?;
        let first = self.open.remove(&producer)?;
        self.changes
            .push((header.base_offset, Change::Ended(producer, first)));
        let last = header.last_offset();
        (end.result == TransactionResult::Abort).then(|| TxnEntry {
            producer_id: producer.0,
            first_offset: first.0,
            last_offset: last.0,
            last_stable_offset: self.open.values().min().map_or(last.0 + 1, |open| open.0),
        })
    }

    /// Batches before `end` stay: the way back to before them is forgotten.
    pub(crate) fn keep_before(&mut self, end: NextOffset) {
        let kept = self.changes.partition_point(|(at, _)| at.is_before(end));
        self.changes.drain(..kept);
    }

    /// Takes back the batches from `end` on.
    pub(crate) fn roll_back(&mut self, end: NextOffset) {
        while let Some((_, change)) = self.changes.pop_if(|(at, _)| !at.is_before(end)) {
            match change {
                Change::Began(producer) => {
                    self.open.remove(&producer);
                }
                Change::Ended(producer, first) => {
                    self.open.insert(producer, first);
                }
            }
        }
    }
}

/// The first record that is in one of these transactions, or where the segment at `base` starts.
pub(crate) fn unstable(open: &[OpenTransaction], base: i64) -> i64 {
    let first = open.iter().map(|(_, first)| first.0).min();
    first.unwrap_or(base)
}

/// What a batch says of the end of a transaction, if it is a whole control batch that does.
pub(crate) fn end_of(batch: &Bytes, header: &BatchHeader) -> Option<EndTransactionMarker> {
    if !header.attributes.is_control() || layout::verify_crc(batch).is_err() {
        return None;
    }
    let record = records::Batch::parse(batch).and_then(|batch| ControlRecord::of_batch(&batch));
    match record {
        Ok(ControlRecord::EndTransaction(end)) => Some(end),
        _ => None,
    }
}

/// [`end_of`] the batch at `at` of a file.
pub(crate) async fn end_at<D: Disk>(
    source: &mut Source<D>,
    at: u64,
    header: &BatchHeader,
) -> io::Result<Option<EndTransactionMarker>> {
    if !header.attributes.is_control() {
        return Ok(None);
    }
    let batch = source.bytes(at, header.total_size()).await?;
    Ok(end_of(&batch, header))
}

/// The transactions that are open where the segment of `row` starts, read from the segments before it.
///
/// # Errors
/// The disk's.
pub(crate) async fn open_at_start<D: Disk>(
    disk: &D,
    dir: &Path,
    before: &[SegmentRow],
    row: &SegmentRow,
) -> io::Result<Vec<OpenTransaction>> {
    let mut found = Transactions::default();
    for earlier in before {
        if earlier.next <= row.unstable || earlier.base >= row.base {
            continue;
        }
        let path = dir.join(segment_file(earlier.base, names::LOG));
        let file = match disk.open(&path, OpenOptions::READ).await {
            Ok(file) => file,
            // Given up meanwhile, and so are the records of a transaction that began there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let len = file.len().await?;
        let mut source = Source::<D>::new(Some(file), len.min(u64::from(earlier.size)));
        each_batch(&mut source, earlier, |_, header, end, _| {
            // What began before this place ended before the segment.
            if header.base_offset.0 >= row.unstable {
                found.note(header, end);
            }
        })
        .await?;
    }
    Ok(found.open())
}

/// A look at the transaction indexes that a read needs, made at once and run elsewhere.
pub struct AbortedPlan<D: Disk> {
    from: Offset,
    upto: NextOffset,
    closed: Vec<FilePlan<D>>,
    active: Vec<TxnEntry>,
}

impl<D: Disk> Log<D> {
    /// Plans to find the aborted transactions that have records from `from` on and before `upto`.
    #[must_use]
    pub fn aborted_between(&self, from: Offset, upto: NextOffset) -> AbortedPlan<D> {
        let mut plan = AbortedPlan {
            from,
            upto,
            closed: Vec::new(),
            active: Vec::new(),
        };
        let first = self
            .sealed
            .partition_point(|segment| segment.row.next <= from.0);
        for segment in &self.sealed[first..] {
            let row = &segment.row;
            if row.base > from.0 && row.unstable >= upto.0 {
                return plan;
            }
            let has_none = (segment.index.get()).is_some_and(|index| index.txns.is_empty());
            if !has_none {
                let at = Offset(row.base.max(from.0));
                plan.closed.push(self.file_plan(at, upto, 0, true));
            }
        }
        // They stand in the order of their ends.
        let entries = &self.active.builder.index().txns;
        let first = entries.partition_point(|entry| entry.last_offset < from.0);
        let overlap = |entry: &&TxnEntry| entry.overlaps(from, upto);
        plan.active = entries[first..].iter().filter(overlap).copied().collect();
        plan
    }
}

impl<D: Disk> AbortedPlan<D> {
    /// The aborted transactions that have records among those of `read`, in the order of their ends.
    ///
    /// # Errors
    /// As for a read. The batches must not be given to anyone who wants but what is committed.
    pub async fn run(self, read: &ReadResult) -> Result<Vec<TxnEntry>, ReadError> {
        let mut out = Vec::new();
        for plan in &self.closed {
            let IndexSource::Cell(cell) = &plan.place else {
                continue;
            };
            let index = match cell.get() {
                Some(index) => index.clone(),
                None => plan.index(cell).await?,
            };
            out.extend(index.txns.iter().copied());
        }
        out.extend(self.active);
        if out.is_empty() {
            return Ok(out);
        }
        let upto = end_of_read(read).unwrap_or(self.upto);
        out.retain(|entry| entry.overlaps(self.from, upto));
        Ok(out)
    }
}

impl TxnEntry {
    /// Whether the transaction may have records from `from` on and before `upto`.
    fn overlaps(&self, from: Offset, upto: NextOffset) -> bool {
        self.last_offset >= from.0 && self.first_offset < upto.0
    }
}

/// Where the last batch of a read ends: whole batches, which may lie across two chunks.
fn end_of_read(read: &ReadResult) -> Option<NextOffset> {
    let mut end = None;
    let mut chunks = read.chunks.iter();
    // Bytes of batches that began in an earlier chunk, and the start of a header that was cut off there.
    let (mut skip, mut head) = (0usize, Vec::with_capacity(HEADER_SIZE));
    let mut chunk: &[u8] = chunks.next()?;
    loop {
        if skip >= chunk.len() {
            skip -= chunk.len();
            match chunks.next() {
                Some(next) => chunk = next,
                None => return end,
            }
            continue;
        }
        chunk = &chunk[skip..];
        let missing = (HEADER_SIZE - head.len()).min(chunk.len());
        head.extend_from_slice(&chunk[..missing]);
        skip = missing;
        if head.len() == HEADER_SIZE {
            let header = BatchHeader::parse(&head).ok()?;
            end = Some(header.next_offset());
            skip += header.total_size() - HEADER_SIZE;
            head.clear();
        }
    }
}

//! Reading: a plan is made at once, from memory or as a range of a file, and runs elsewhere.
//!
//! Whole batches only. What comes from a file is checked before anyone sees it: each batch's CRC, that
//! offsets follow each other, and the tags of the intervals, which a whole batch of another place does not
//! pass. Damaged bytes are never given out; the damage is named, as a range of offsets.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, File, OpenMode, OpenOptions};
use records::BatchHeader;
use records::layout::{self, HEADER_SIZE};
use types::{NextOffset, Offset, mutant};

use crate::closed_segments::{build_index, load_index};
use crate::error::ReadError;
use crate::index::{self, SegmentIndex, Span};
use crate::log::{Health, Log};
use crate::names::{self, segment_file};
use crate::segment::{FileCell, IndexCell};
use crate::source::Source;
use crate::state::{FaultyRange, SegmentRow};
use crate::transactions::open_at_start;

/// The most that one read takes from a file, unless a single batch is larger.
const READ_BYTES_MAX: usize = 8 << 20;

/// What a read will do.
pub struct ReadPlan<D: Disk> {
    kind: Kind<D>,
}

enum Kind<D: Disk> {
    Memory(Vec<Bytes>),
    File(FilePlan<D>),
}

/// A range of one segment's file.
pub(crate) struct FilePlan<D: Disk> {
    pub(crate) disk: D,
    pub(crate) dir: PathBuf,
    pub(crate) seed: u32,
    pub(crate) interval: u32,
    /// The segment; `size` and `next` as far as the file has it.
    pub(crate) row: SegmentRow,
    /// The size of the whole segment.
    pub(crate) total: u32,
    pub(crate) file: FileCell<D>,
    pub(crate) place: IndexSource,
    pub(crate) from: Offset,
    pub(crate) max: NextOffset,
    pub(crate) max_bytes: usize,
    pub(crate) min_one: bool,
    /// What a rebuild of its index needs besides it.
    pub(crate) before: Vec<SegmentRow>,
    /// What is known to be damaged: passed over before `from`, and never reached behind it.
    pub(crate) faulty: Vec<FaultyRange>,
}

/// Where a plan gets its position from.
pub(crate) enum IndexSource {
    /// The segment is the active one: looked up already.
    Known(Span),
    /// The segment is closed: its indexes are loaded by whoever needs them first.
    Cell(IndexCell),
}

/// Whole batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadResult {
    /// Their bytes, in order. Batches may lie across two chunks.
    pub chunks: Vec<Bytes>,
    /// How many bytes that are.
    pub bytes: usize,
}

impl ReadResult {
    fn new(chunks: Vec<Bytes>) -> ReadResult {
        let bytes = chunks.iter().map(Bytes::len).sum();
        ReadResult { chunks, bytes }
    }
}

impl<D: Disk> Log<D> {
    /// Plans a read of whole batches from the one that holds `from` on, before `max` (high watermark, last
    /// stable offset or log end), as many as fit `max_bytes`; with `min_one` at least one, however
    /// large. A read stays within one segment. At `max` and beyond the plan is empty.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`], [`ReadError::Faulty`] where `from` is known to be damaged,
    /// [`ReadError::Offline`].
    pub fn read(
        &self,
        from: Offset,
        max: NextOffset,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<ReadPlan<D>, ReadError> {
        if self.health() == Health::Offline {
            return Err(ReadError::Offline);
        }
        let end = self.log_end_offset();
        if from < self.log_start || from.0 > end.0 {
            return Err(ReadError::OutOfRange {
                offset: from,
                start: self.log_start,
                end,
            });
        }
        let mut max = if mutant!("STO-18") { end } else { max.min(end) };
        for range in &self.faulty {
            if range.from <= from && from.is_before(range.to) {
                let reason = "known to be damaged";
                return Err(ReadError::Faulty {
                    from: range.from,
                    to: range.to,
                    reason,
                });
            }
            if from < range.from {
                max = max.min(range.from.end_before());
            }
        }
        if !from.is_before(max) {
            return Ok(ReadPlan::memory(Vec::new()));
        }
        if let Some(chunks) = self.tail.read(from, max, max_bytes, min_one) {
            return Ok(ReadPlan::memory(chunks));
        }
        let max_bytes = max_bytes.min(READ_BYTES_MAX);
        let plan = self.file_plan(from, max, max_bytes, min_one);
        Ok(ReadPlan {
            kind: Kind::File(plan),
        })
    }

    /// A plan for the part of the log that files hold.
    pub(crate) fn file_plan(
        &self,
        from: Offset,
        max: NextOffset,
        max_bytes: usize,
        min_one: bool,
    ) -> FilePlan<D> {
        let written = self.written.mark;
        let number = self
            .sealed
            .partition_point(|segment| segment.row.next <= from.0);
        let total = self
            .sealed
            .get(number)
            .map_or(u32::MAX, |segment| segment.row.size);
        let (row, file, place) = match self.sealed.get(number) {
            Some(segment) if segment.row.base != written.segment => (
                segment.row,
                &segment.file,
                IndexSource::Cell(Arc::clone(&segment.index)),
            ),
            // Closed in memory, and not yet on the disk.
            Some(segment) => {
                let mut row = segment.row;
                (row.size, row.next) = (written.position, written.offset.0);
                (
                    row,
                    &segment.file,
                    IndexSource::Cell(Arc::clone(&segment.index)),
                )
            }
            None => {
                let builder = &self.active.builder;
                let len = max_bytes.saturating_add(self.config.index_interval_bytes as usize);
                let span =
                    builder
                        .index()
                        .span(from.0 - self.active.base, len, written.position, total);
                let row = SegmentRow {
                    base: self.active.base,
                    next: written.offset.0,
                    size: written.position,
                    chain: 0,
                    max_timestamp: builder.max_timestamp(),
                    max_timestamp_offset: builder.max_timestamp_offset(),
                    unstable: self.active.base,
                    closed: -1,
                };
                (row, &self.active.file, IndexSource::Known(span))
            }
        };
        FilePlan {
            before: self.before(number),
            disk: self.disk.clone(),
            dir: self.dir.clone(),
            seed: self.seed,
            interval: self.config.index_interval_bytes,
            row,
            total,
            file: Arc::clone(file),
            place,
            from,
            max,
            max_bytes,
            min_one,
            faulty: self.faulty.clone(),
        }
    }

    /// What a rebuild of this closed segment's index needs, if its index is not at hand: the segments before
    /// it that hold the start of a transaction which was open where it starts.
    fn before(&self, number: usize) -> Vec<SegmentRow> {
        let Some(segment) = self.sealed.get(number) else {
            return Vec::new();
        };
        if segment.index.get().is_some() {
            return Vec::new();
        }
        let earlier = &self.sealed[..number];
        let first = earlier.partition_point(|earlier| earlier.row.next <= segment.row.unstable);
        earlier[first..].iter().map(|segment| segment.row).collect()
    }
}

impl<D: Disk> ReadPlan<D> {
    fn memory(chunks: Vec<Bytes>) -> ReadPlan<D> {
        ReadPlan {
            kind: Kind::Memory(chunks),
        }
    }

    /// Whether nothing will be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Memory(chunks) if chunks.is_empty())
    }

    /// No record at or behind this offset will be read, where the plan alone can tell: a read stays in its
    /// segment.
    #[must_use]
    pub fn end_max(&self) -> Option<NextOffset> {
        match &self.kind {
            Kind::Memory(_) => None,
            Kind::File(plan) => Some(plan.max.min(NextOffset(plan.row.next))),
        }
    }

    /// About how many bytes will be read: exact for memory, the most for a file.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        match &self.kind {
            Kind::Memory(chunks) => chunks.iter().map(Bytes::len).sum(),
            Kind::File(plan) => plan.max_bytes.min(plan.row.size as usize),
        }
    }

    /// Reads.
    ///
    /// # Errors
    /// [`ReadError::Faulty`] if the first batch is damaged (later ones end the read before them);
    /// [`ReadError::Gone`] if the segment was removed meanwhile; [`ReadError::Io`].
    pub async fn run(self) -> Result<ReadResult, ReadError> {
        match self.kind {
            Kind::Memory(chunks) => Ok(ReadResult::new(chunks)),
            Kind::File(plan) => {
                let bytes = plan.run().await?;
                Ok(ReadResult::new(if bytes.is_empty() {
                    Vec::new()
                } else {
                    vec![bytes]
                }))
            }
        }
    }
}

impl<D: Disk> FilePlan<D> {
    fn io(&self, error: &io::Error) -> ReadError {
        match error.kind() {
            io::ErrorKind::NotFound => ReadError::Gone,
            kind => ReadError::Io {
                kind,
                from: self.from,
            },
        }
    }

    pub(crate) async fn open(&self) -> Result<D::File, ReadError> {
        if let Some(file) = self.file.get() {
            return Ok(file.clone());
        }
        let path = self.dir.join(segment_file(self.row.base, names::LOG));
        let file = self
            .disk
            .open(&path, OpenOptions::READ)
            .await
            .map_err(|e| self.io(&e))?;
        // Another read may have been first: either handle is good.
        Ok(self.file.get_or_init(|| file).clone())
    }

    /// The indexes of the closed segment, loaded or, for which the segment is opened, built.
    pub(crate) async fn index(&self, cell: &IndexCell) -> Result<Arc<SegmentIndex>, ReadError> {
        if let Some(index) = cell.get() {
            return Ok(Arc::clone(index));
        }
        let (base, size) = (self.row.base, self.row.size);
        let loaded = load_index(&self.disk, &self.dir, base, self.seed, size).await;
        let index = match loaded {
            Ok(Some(index)) => index,
            // Missing, damaged or unreadable: an index only says where to look first.
            _ => {
                let open = open_at_start(&self.disk, &self.dir, &self.before, &self.row).await;
                let open = open.map_err(|error| self.io(&error))?;
                let file = self.open().await?;
                let mut source = Source::<D>::new(Some(file), u64::from(size));
                let (seed, interval) = (self.seed, self.interval);
                let built = build_index(&mut source, &self.row, &open, seed, interval).await;
                built.map_err(|error| self.io(&error))?.index
            }
        };
        Ok(Arc::clone(cell.get_or_init(|| Arc::new(index))))
    }

    pub(crate) async fn span(&self) -> Result<Span, ReadError> {
        let len = self.max_bytes.saturating_add(self.interval as usize);
        Ok(match &self.place {
            IndexSource::Known(span) => span.clone(),
            IndexSource::Cell(cell) => {
                let index = self.index(cell).await?;
                index.span(self.from.0 - self.row.base, len, self.row.size, self.total)
            }
        })
    }

    /// The batches, as one piece.
    pub(crate) async fn run(&self) -> Result<Bytes, ReadError> {
        let file = self.open().await?;
        let span = self.span().await?;
        match self.look(&file, &span).await {
            // Before anyone is accused: what the page cache holds of a file that is written past it may be
            // older than the file.
            Err(ReadError::Faulty { .. }) => {
                let path = self.dir.join(segment_file(self.row.base, names::LOG));
                let direct = OpenOptions::READ.mode(OpenMode::Direct);
                match self.disk.open(&path, direct).await {
                    Ok(file) => self.look(&file, &span).await,
                    Err(_) => self.look(&file, &span).await,
                }
            }
            looked => looked,
        }
    }

    /// Reads from `from` to `to`, in whole blocks.
    async fn read(&self, file: &D::File, from: u32, to: u32) -> Result<Bytes, ReadError> {
        let block = OpenMode::ALIGNMENT as u32;
        let (start, skip) = (from - from % block, (from % block) as usize);
        let len = to.saturating_sub(start).next_multiple_of(block) as usize;
        let bytes = file.read_at(u64::from(start), len).await;
        let bytes = bytes.map_err(|error| self.io(&error))?;
        let end = (to.saturating_sub(start) as usize).min(bytes.len());
        Ok(bytes.slice(skip.min(end)..end))
    }

    async fn look(&self, file: &D::File, span: &Span) -> Result<Bytes, ReadError> {
        let mut bytes = self.read(file, span.start, span.end).await?;
        let mut walk = Walk::new(self, span);
        loop {
            match walk.run(&bytes) {
                Step::Done => break,
                Step::Need(end) if end <= self.row.size => {
                    bytes = self.read(file, span.start, end).await?;
                    if bytes.len() < (end - span.start) as usize {
                        walk.damage = Some("the file is shorter than it was");
                        break;
                    }
                    walk = Walk::new(self, span);
                }
                Step::Need(_) => {
                    walk.damage = Some("a batch declares more bytes than there are");
                    break;
                }
            }
        }
        if walk.served.0 < walk.served.1 {
            let (from, to) = walk.served;
            return Ok(bytes.slice(from..to));
        }
        match walk.damage {
            None => Ok(Bytes::new()),
            Some(reason) => {
                let from = walk.next.max(self.from);
                let mut source = Source::<D>::new(Some(file.clone()), u64::from(self.row.size));
                let at = u64::from(span.start) + walk.position as u64 + 1;
                let to = match (walk.damaged_to, source.find_batch(at, walk.next).await) {
                    (Some(to), _) => to,
                    (None, Some((_, header))) if header.base_offset > from => {
                        header.base_offset.end_before()
                    }
                    _ => NextOffset(self.row.next),
                };
                Err(ReadError::Faulty {
                    from,
                    to: to.min(NextOffset(self.row.next)),
                    reason,
                })
            }
        }
    }
}

enum Step {
    Done,
    /// The first batch ends beyond what was read: at this position of the file.
    Need(u32),
}

/// A walk over batches that were read from a file.
struct Walk<'a, D: Disk> {
    plan: &'a FilePlan<D>,
    span: &'a Span,
    position: usize,
    /// The offset that comes next; the base of the interval is not known before its first batch.
    next: Offset,
    started: bool,
    /// The range of bytes to give out.
    served: (usize, usize),
    interval: usize,
    interval_start: usize,
    interval_from: Offset,
    tag: u32,
    /// A known hole lies in the interval: its tag proves nothing.
    unproven: bool,
    damage: Option<&'static str>,
    damaged_to: Option<NextOffset>,
}

impl<'a, D: Disk> Walk<'a, D> {
    fn new(plan: &'a FilePlan<D>, span: &'a Span) -> Walk<'a, D> {
        let next = Offset(plan.row.base);
        Walk {
            plan,
            span,
            position: 0,
            next,
            started: span.start == 0,
            served: (0, 0),
            interval: 0,
            interval_start: 0,
            interval_from: next,
            tag: plan.seed,
            unproven: false,
            damage: None,
            damaged_to: None,
        }
    }

    /// Walks to the end of the bytes. Batches are served only as far as their interval is proven, where
    /// its tag is known.
    fn run(&mut self, bytes: &Bytes) -> Step {
        let mut proven = (0, 0);
        let mut full = false;
        loop {
            let at = u64::from(self.span.start) + self.position as u64;
            if let Some((end, tag)) = self.span.intervals.get(self.interval)
                && at >= u64::from(*end)
            {
                let fits = at == u64::from(*end) && self.tag == *tag;
                if !fits && !self.unproven && !mutant!("STO-22/b") {
                    self.accuse();
                    break;
                }
                self.interval += 1;
                if at > u64::from(*end) {
                    // Behind a hole that reaches over the interval's end.
                    continue;
                }
                self.unproven = false;
                self.interval_start = self.position;
                self.interval_from = self.next;
                self.tag = self.plan.seed;
                proven = self.served;
                if full {
                    return Step::Done;
                }
            }
            if let Some(hole) = self.hole() {
                if hole.from >= self.plan.from {
                    break;
                }
                let position = find_in(bytes, self.position, hole.to.position());
                let Some(position) = position else {
                    let read = self.span.start as usize + bytes.len();
                    if read < self.plan.row.size as usize {
                        let more = (read + bytes.len()).min(self.plan.row.size as usize);
                        return Step::Need(more as u32);
                    }
                    self.damage = Some("nothing whole follows a damaged range");
                    break;
                };
                self.position = position;
                self.next = hole.to.position();
                (self.started, self.unproven) = (true, true);
                continue;
            }
            let rest = &bytes[self.position.min(bytes.len())..];
            let at_end = at >= u64::from(self.plan.row.size);
            if at_end || self.past_max() {
                break;
            }
            if rest.len() < HEADER_SIZE {
                if self.served == (0, 0)
                    && !full
                    && at + (rest.len() as u64) < u64::from(self.plan.row.size)
                {
                    return Step::Need((at + HEADER_SIZE as u64) as u32);
                }
                if at + (rest.len() as u64) >= u64::from(self.plan.row.size) {
                    self.damage = Some("the segment ends within a batch");
                }
                break;
            }
            let Ok(header) = BatchHeader::parse(rest) else {
                self.damage = Some("not the header of a batch");
                break;
            };
            if !self.continues(&header) {
                self.damage = Some("a batch with an offset of another place");
                break;
            }
            let size = header.total_size();
            let wanted = header.next_offset().0 > self.plan.from.0;
            let fits = self.served.1 - self.served.0 + size <= self.plan.max_bytes
                || self.served == (0, 0) && self.plan.min_one;
            let within = header.next_offset() <= self.plan.max;
            if wanted && (!fits || !within) {
                full = true;
            }
            if size > rest.len() {
                let needed = wanted && !full && self.served == (0, 0);
                if needed {
                    return Step::Need(
                        at.saturating_add(size as u64).min(u64::from(u32::MAX)) as u32
                    );
                }
                break;
            }
            if wanted && !full {
                if layout::verify_crc(&rest[..size]).is_err() && !mutant!("STO-01/c") {
                    self.damage = Some("checksum mismatch");
                    self.damaged_to = Some(header.next_offset());
                    self.next = header.base_offset;
                    break;
                }
                let start = if self.served == (0, 0) {
                    self.position
                } else {
                    self.served.0
                };
                self.served = (start, self.position + size);
            }
            if !self.started {
                self.interval_from = header.base_offset;
            }
            self.started = true;
            self.tag = index::chain(self.tag, &header);
            self.next = header.next_offset().position();
            self.position += size;
            if full && self.span.intervals.get(self.interval).is_none() {
                break;
            }
        }
        if self.damage == Some(FOREIGN) {
            self.served = proven;
        }
        Step::Done
    }

    /// The damaged range that comes next, if it is known.
    fn hole(&self) -> Option<&'a FaultyRange> {
        let faulty = self.plan.faulty.iter();
        faulty
            .filter(|_| self.started)
            .find(|range| range.from <= self.next && self.next.is_before(range.to))
    }

    /// Whether what follows cannot be served.
    fn past_max(&self) -> bool {
        self.span.intervals.get(self.interval).is_none() && !self.next.is_before(self.plan.max)
    }

    fn continues(&self, header: &BatchHeader) -> bool {
        let row = &self.plan.row;
        let expected = !self.started || header.base_offset >= self.next;
        expected && header.base_offset.0 >= row.base && header.next_offset().0 <= row.next
    }

    /// The interval is not what was written: none of it is given out.
    fn accuse(&mut self) {
        self.damage = Some(FOREIGN);
        self.damaged_to = Some(self.next.end_before());
        self.next = self.interval_from;
        self.position = self.interval_start;
    }
}

/// The position of a whole batch with this base offset.
fn find_in(bytes: &Bytes, from: usize, base_offset: Offset) -> Option<usize> {
    let wanted = base_offset.0.to_be_bytes();
    (from..bytes.len().saturating_sub(HEADER_SIZE)).find(|at| {
        let rest = &bytes[*at..];
        rest.starts_with(&wanted)
            && BatchHeader::parse(rest).is_ok_and(|header| {
                let batch = rest.get(..header.total_size());
                batch.is_some_and(|batch| layout::verify_crc(batch).is_ok())
            })
    })
}

const FOREIGN: &str = "batches of another place or time";

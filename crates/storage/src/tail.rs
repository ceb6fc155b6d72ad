//! The end of the log in memory: the aligned buffer that appends fill, chunks that wait for the disk, and
//! chunks just written, from which followers and tailing consumers are served.
//!
//! A *chunk* is an aligned buffer that starts at a block boundary of the segment's file. Its first bytes may
//! repeat the last, partly filled block of the chunk before (its *carry*), because a block is the unit of
//! writing: the last block is written again as it fills. When a job starts, the chunk being filled is
//! frozen, padded with zeros to a whole block; the next append starts a chunk with the carry.
//!
//! Beside the chunks lies a list of the batches in them, so that a read is cut to whole batches without
//! parsing anything.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use env::OpenMode;
use types::{NextOffset, Offset};

use crate::buffers::{Buffers, Loan};
use crate::claims::Unsynced;
use crate::index::BuilderMark;
use crate::state::Mark;

/// The unit of writing.
pub const BLOCK: u32 = OpenMode::ALIGNMENT as u32;
const CHUNK_MIN: usize = 2 * OpenMode::ALIGNMENT;
const CHUNK_MAX: usize = 1 << 20;
/// The most that one job writes: so that its claim has room for its digests.
pub const JOB_BYTES_MAX: usize = 8 << 20;

/// A frozen chunk.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The segment's base offset.
    pub segment: i64,
    /// Where the buffer lies in the file: a multiple of [`BLOCK`].
    pub aligned_start: u32,
    /// First position that this chunk adds; before it lies the carry.
    pub start: u32,
    /// End of the batches in it; zeros follow.
    pub end: u32,
    /// The end of the last whole batch in it, or in a chunk before.
    pub place: Place,
    buffer: Bytes,
}

impl Chunk {
    /// What is written at `aligned_start`: whole blocks.
    #[must_use]
    pub fn blocks(&self) -> Bytes {
        let len = (self.end.next_multiple_of(BLOCK) - self.aligned_start) as usize;
        self.buffer.slice(..len)
    }

    /// Notes its sectors, now that it is written or about to be.
    pub(crate) fn note(&self, unsynced: &mut Unsynced) {
        unsynced.note(self.aligned_start, self.start, self.end, &self.buffer);
    }

    /// The file's bytes from `from` to `to`, as far as this chunk has them.
    fn slice(&self, from: u32, to: u32) -> Option<Bytes> {
        let (from, to) = (from.max(self.start), to.min(self.end));
        let at = |position: u32| (position - self.aligned_start) as usize;
        (from < to).then(|| self.buffer.slice(at(from)..at(to)))
    }

    fn memory(&self) -> usize {
        self.buffer.len()
    }
}

/// A mark, and what the segment's indexes were there: enough to come back to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub mark: Mark,
    /// The state of the segment's indexes.
    pub index: BuilderMark,
}

#[derive(Debug)]
struct Filling {
    segment: i64,
    aligned_start: u32,
    start: u32,
    end: u32,
    buffer: Loan,
}

/// A batch in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    base: i64,
    next: i64,
    segment: i64,
    position: u32,
    size: u32,
}

/// The end of one log in memory.
#[derive(Debug)]
pub struct Tail {
    /// Oldest first: `written` chunks that the disk has, then those that wait.
    chunks: VecDeque<Chunk>,
    written: usize,
    filling: Option<Filling>,
    batches: VecDeque<Placed>,
    /// The bytes of the last, partly filled block at the log's end.
    carry: Bytes,
    place: Place,
    pending_bytes: usize,
    memory: usize,
    chunk_hint: usize,
    buffers: Buffers,
}

/// Bytes of memory that a batch in the list costs.
const PLACED: usize = size_of::<Placed>();

impl Tail {
    /// A tail that goes on at `place`; `carry` holds the bytes of its block before it.
    #[must_use]
    pub fn new(place: Place, carry: Bytes) -> Tail {
        assert_eq!(
            carry.len() as u32,
            place.mark.position % BLOCK,
            "the carry fills the block up to the mark"
        );
        Tail {
            chunks: VecDeque::new(),
            written: 0,
            filling: None,
            batches: VecDeque::new(),
            carry,
            place,
            pending_bytes: 0,
            memory: 0,
            chunk_hint: CHUNK_MIN,
            buffers: Buffers::new(),
        }
    }

    /// The end of the log.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// The end of the log.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.place.mark
    }

    /// Bytes that wait for the disk.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn memory(&self) -> usize {
        let filling = self
            .filling
            .as_ref()
            .map_or(0, |filling| filling.buffer.len());
        self.memory + filling + self.batches.len() * PLACED + self.carry.len()
    }

    /// Starts a new segment: what follows goes to its first byte.
    pub fn roll(&mut self, place: Place) {
        assert_eq!(place.mark.position, 0, "a segment starts at its first byte");
        self.freeze();
        self.place = place;
        self.carry = Bytes::new();
    }

    /// Copies a batch, given in two parts, to the end of the log, which is `place` afterwards.
    pub fn append(&mut self, header: &[u8], rest: &[u8], place: Place) {
        let size = header.len() + rest.len();
        let (before, mark) = (self.place.mark, place.mark);
        assert_eq!(mark.segment, before.segment, "a batch lies in one segment");
        assert_eq!(
            mark.position as usize,
            before.position as usize + size,
            "batches are adjacent"
        );
        self.batches.push_back(Placed {
            base: before.offset.0,
            next: mark.offset.0,
            segment: mark.segment,
            position: before.position,
            size: size as u32,
        });
        let mut position = before.position;
        for part in [header, rest] {
            let mut part = part;
            while !part.is_empty() {
                let missing = part.len();
                let filling = self.filling(position, missing);
                let at = (filling.end - filling.aligned_start) as usize;
                let len = part.len().min(filling.buffer.len() - at);
                filling.buffer.as_mut()[at..at + len].copy_from_slice(&part[..len]);
                filling.end += len as u32;
                position += len as u32;
                part = &part[len..];
                if at + len == filling.buffer.len() {
                    self.chunk_hint = (self.chunk_hint * 2).min(CHUNK_MAX);
                    self.freeze();
                }
            }
        }
        self.pending_bytes += size;
        self.place = place;
        if self.filling.is_none() {
            // The batch ended just where a chunk did, which was frozen before.
            self.chunks
                .back_mut()
                .expect("the batch is in some chunk")
                .place = place;
        }
    }

    /// The buffer being filled, made if there is none: it starts at `position`.
    fn filling(&mut self, position: u32, missing: usize) -> &mut Filling {
        let (carry, segment) = (&self.carry, self.place.mark.segment);
        let hint = self.chunk_hint;
        self.filling.get_or_insert_with(|| {
            let aligned_start = position - position % BLOCK;
            let carried = (position - aligned_start) as usize;
            let len = (carried + missing)
                .next_power_of_two()
                .clamp(CHUNK_MIN, CHUNK_MAX);
            let mut buffer = self.buffers.take(len.max(hint));
            assert_eq!(
                carried,
                carry.len(),
                "the carry fills the block up to the batch"
            );
            buffer.as_mut()[..carried].copy_from_slice(carry);
            Filling {
                segment,
                aligned_start,
                start: position,
                end: position,
                buffer,
            }
        })
    }

    /// Freezes the chunk being filled.
    fn freeze(&mut self) {
        let Some(filling) = self.filling.take() else {
            return;
        };
        let used = (filling.end - filling.aligned_start) as usize;
        if used * 4 < filling.buffer.len() {
            self.chunk_hint = (self.chunk_hint / 2).max(CHUNK_MIN);
        }
        let mut buffer = filling.buffer;
        // What was in the memory before does not get to the disk.
        let whole = used.next_multiple_of(BLOCK as usize);
        buffer.as_mut()[used..whole].fill(0);
        let buffer = Bytes::from_owner(buffer);
        let carried = (filling.end % BLOCK) as usize;
        self.carry = Bytes::copy_from_slice(&buffer[used - carried..used]);
        self.memory += buffer.len();
        self.chunks.push_back(Chunk {
            segment: filling.segment,
            aligned_start: filling.aligned_start,
            start: filling.start,
            end: filling.end,
            place: self.place,
            buffer,
        });
        // A chunk that ends within a batch is frozen before the tail's place moves: its place is the
        // end of the batch before.
    }

    /// Freezes what is there and gives out the oldest chunks that wait, as many as fit a job.
    /// The last one's place is where the log ends once they are written.
    #[must_use]
    pub fn take(&mut self) -> Vec<Chunk> {
        self.freeze();
        let mut bytes = 0;
        let chunks = self.waiting().take_while(|chunk| {
            let fits = bytes < JOB_BYTES_MAX;
            bytes += (chunk.end - chunk.start) as usize;
            fits
        });
        chunks.cloned().collect()
    }

    /// Whether anything waits for the disk.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.pending_bytes > 0
    }

    /// The chunks that wait for the disk, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().skip(self.written)
    }

    /// The oldest `count` waiting chunks are written. Forgets old chunks beyond `cache_bytes`.
    pub fn written(&mut self, count: usize, cache_bytes: usize) {
        for chunk in self.chunks.iter().skip(self.written).take(count) {
            self.pending_bytes -= (chunk.end - chunk.start) as usize;
        }
        self.written += count;
        assert!(
            self.written <= self.chunks.len(),
            "only chunks that were taken can be written"
        );
        self.evict(cache_bytes);
    }

    /// Forgets the oldest written chunks until at most `cache_bytes` are in use.
    pub fn evict(&mut self, cache_bytes: usize) {
        while self.written > 0 && self.memory + self.batches.len() * PLACED > cache_bytes {
            let chunk = self.chunks.pop_front().expect("written chunks are there");
            self.written -= 1;
            self.memory -= chunk.memory();
            while self.batches.front().is_some_and(|batch| {
                batch.segment < chunk.segment
                    || batch.segment == chunk.segment && batch.position < chunk.end
            }) {
                self.batches.pop_front();
            }
        }
        if self.chunks.is_empty() && self.filling.is_none() {
            self.chunks = VecDeque::new();
            self.batches = VecDeque::new();
            self.chunk_hint = CHUNK_MIN;
            self.buffers = Buffers::new();
        }
    }

    /// Forgets everything that waits for the disk: the log ends at `place` again, where the last block
    /// holds `carry`.
    pub fn roll_back(&mut self, place: Place, carry: Bytes) {
        let mark = place.mark;
        assert_eq!(
            carry.len() as u32,
            mark.position % BLOCK,
            "the carry fills the block up to the mark"
        );
        self.filling = None;
        while self.chunks.len() > self.written {
            let chunk = self.chunks.pop_back().expect("longer than zero");
            self.memory -= chunk.memory();
        }
        // The last one that is written may end within a batch, of which the rest is not.
        if let Some(last) = self.chunks.back_mut()
            && last.segment == mark.segment
        {
            last.end = last.end.min(mark.position);
        }
        while self
            .batches
            .back()
            .is_some_and(|batch| batch.next > mark.offset.0)
        {
            self.batches.pop_back();
        }
        self.pending_bytes = 0;
        self.carry = carry;
        self.place = place;
    }

    /// The bytes of the block that `mark` lies in, before it, if memory has them.
    #[must_use]
    pub fn block_before(&self, mark: Mark) -> Option<Bytes> {
        let len = mark.position % BLOCK;
        if len == 0 {
            return Some(Bytes::new());
        }
        // The newest are the likeliest: it is what was just written.
        let chunk = self.chunks.iter().rev().find(|chunk| {
            chunk.segment == mark.segment
                && chunk.aligned_start <= mark.position - len
                && mark.position <= chunk.end
        })?;
        let at = (mark.position - chunk.aligned_start) as usize;
        Some(Bytes::copy_from_slice(&chunk.buffer[at - len as usize..at]))
    }

    /// First offset that memory has; `None` if it has nothing.
    #[must_use]
    pub fn first_offset(&self) -> Option<Offset> {
        self.batches.front().map(|batch| Offset(batch.base))
    }

    /// Whole batches from the one that holds `from` on, before `max`, as long as they fit `max_bytes`;
    /// the first one even if it does not, with `min_one`. `None` if memory does not have `from`.
    #[must_use]
    pub fn read(
        &self,
        from: Offset,
        max: NextOffset,
        max_bytes: usize,
        min_one: bool,
    ) -> Option<Vec<Bytes>> {
        if self.first_offset()? > from {
            return None;
        }
        let first = self.batches.partition_point(|batch| batch.next <= from.0);
        let mut last: Option<Placed> = None;
        let start = *self.batches.get(first)?;
        let mut bytes = 0usize;
        for batch in self.batches.range(first..) {
            let fits = bytes + batch.size as usize <= max_bytes || min_one && last.is_none();
            // A read stays in one segment: the next one is a read of its own.
            if !fits || batch.next > max.0 || batch.segment != start.segment {
                break;
            }
            bytes += batch.size as usize;
            last = Some(*batch);
        }
        let Some(last) = last else {
            return Some(Vec::new());
        };
        let out = self.bytes(start.segment, start.position, last.position + last.size);
        assert_eq!(
            out.iter().map(Bytes::len).sum::<usize>(),
            bytes,
            "memory holds what it lists"
        );
        Some(out)
    }

    fn bytes(&self, segment: i64, from: u32, to: u32) -> Vec<Bytes> {
        let mut out: Vec<Bytes> = self
            .chunks
            .iter()
            .filter(|chunk| chunk.segment == segment)
            .filter_map(|chunk| chunk.slice(from, to))
            .collect();
        if let Some(filling) = &self.filling
            && filling.segment == segment
            && filling.start < to
        {
            let at = |position: u32| (position - filling.aligned_start) as usize;
            let from = from.max(filling.start);
            let mut copy = BytesMut::with_capacity((to - from) as usize);
            copy.extend_from_slice(&filling.buffer.as_ref()[at(from)..at(to)]);
            out.push(copy.freeze());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(offset: i64, segment: i64, position: u32) -> Mark {
        Mark {
            offset: NextOffset(offset),
            segment,
            position,
            chain: 0,
        }
    }

    fn place(offset: i64, segment: i64, position: u32) -> Place {
        Place {
            mark: mark(offset, segment, position),
            index: BuilderMark::default(),
        }
    }

    fn push(tail: &mut Tail, fill: u8, size: usize) {
        let at = tail.mark();
        let bytes = vec![fill; size];
        let (header, rest) = bytes.split_at(size.min(61));
        tail.append(
            header,
            rest,
            place(at.offset.0 + 1, at.segment, at.position + size as u32),
        );
    }

    fn read(tail: &Tail, from: i64, max: i64, bytes: usize) -> Option<Vec<u8>> {
        tail.read(Offset(from), NextOffset(max), bytes, true)
            .map(|chunks| chunks.iter().flat_map(|chunk| chunk.to_vec()).collect())
    }

    #[test]
    fn chunks_repeat_the_last_block() {
        let mut tail = Tail::new(place(0, 0, 0), Bytes::new());
        push(&mut tail, 1, 5000);
        let first = tail.take();
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].blocks().len(), 8192);
        assert!(first[0].blocks()[5000..].iter().all(|byte| *byte == 0));
        tail.written(1, 1 << 20);
        push(&mut tail, 2, 100);
        let second = tail.take();
        assert_eq!(
            (second[0].aligned_start, second[0].start, second[0].end),
            (4096, 5000, 5100)
        );
        assert_eq!(second[0].blocks()[..904], [1; 904]);
        assert_eq!(second[0].blocks()[904..1004], [2; 100]);
        assert_eq!(second[0].place.mark, mark(2, 0, 5100));
        assert_eq!(
            read(&tail, 0, 2, 9000),
            Some([vec![1; 5000], vec![2; 100]].concat())
        );
        assert_eq!(read(&tail, 1, 2, 1), Some(vec![2; 100]));
    }

    #[test]
    fn a_batch_larger_than_a_chunk() {
        let mut tail = Tail::new(place(0, 0, 0), Bytes::new());
        push(&mut tail, 1, 100);
        push(&mut tail, 2, 3 << 20);
        push(&mut tail, 3, 100);
        let chunks = tail.take();
        assert_eq!(
            chunks.last().map(|chunk| chunk.place.mark),
            Some(mark(3, 0, 200 + (3 << 20)))
        );
        // A chunk that ends within the large batch is good for what came before.
        assert_eq!(chunks[0].place.mark.offset, NextOffset(1));
        let file: Vec<u8> = chunks.iter().fold(Vec::new(), |mut file, chunk| {
            file.resize(chunk.aligned_start as usize, 0);
            file.extend_from_slice(&chunk.blocks());
            file
        });
        assert_eq!(file[..100], [1; 100]);
        assert!(file[100..100 + (3 << 20)].iter().all(|byte| *byte == 2));
        assert_eq!(
            read(&tail, 1, 3, 10).map(|bytes| bytes.len()),
            Some(3 << 20)
        );
    }

    #[test]
    fn eviction_and_rolling_back() {
        let mut tail = Tail::new(place(0, 0, 0), Bytes::new());
        push(&mut tail, 1, 5000);
        let taken = tail.take().len();
        let written = tail.place();
        tail.written(taken, 1 << 20);
        push(&mut tail, 2, 5000);
        push(&mut tail, 3, 5000);
        let carry = tail.block_before(written.mark).expect("in memory");
        assert_eq!(carry.len(), 904);
        tail.roll_back(written, carry);
        assert!(!tail.has_pending());
        assert_eq!(
            read(&tail, 0, 9, 1 << 20).map(|bytes| bytes.len()),
            Some(5000)
        );
        push(&mut tail, 4, 10);
        assert_eq!(read(&tail, 1, 2, 100), Some(vec![4; 10]));
        let taken = tail.take().len();
        tail.written(taken, 0);
        assert_eq!(tail.first_offset(), None);
        assert!(tail.memory() < 8192);
        push(&mut tail, 5, 10);
        assert_eq!(
            tail.take()[0].blocks()[904..924],
            [[4; 10], [5; 10]].concat()
        );
    }

    #[test]
    fn reads_stay_within_a_segment() {
        let mut tail = Tail::new(place(0, 0, 0), Bytes::new());
        push(&mut tail, 1, 100);
        tail.roll(place(1, 1, 0));
        push(&mut tail, 2, 100);
        assert_eq!(read(&tail, 0, 2, 1000), Some(vec![1; 100]));
        assert_eq!(read(&tail, 1, 2, 1000), Some(vec![2; 100]));
        assert_eq!(read(&tail, 2, 2, 1000), None);
    }
}

//! Where in a segment's file an offset or a time is found, and tags that bind batches to their place.
//!
//! Offset and time indexes are Kafka's, entry for entry. Invariants: entries strictly increase in offset
//! and position (time index: in timestamp, not decreasing in offset); an offset entry holds the *last* offset
//! of the batch at its position; no entry lies at or beyond the segment's end. Both are functions of the
//! segment's batches and are rebuilt from them when they fail their checks.
//!
//! The batches between two offset entries form an *interval*. Its tag is a checksum over the log's identity
//! and each batch's offset, length, epoch and CRC. Kafka's CRC does not cover the offset, let alone the
//! partition: a whole batch that was written to the wrong place, or an old one that a lost write left
//! there, passes it. It does not pass the tag. The same checksum carried over the whole segment is the
//! *chain* that marks hold.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use records::BatchHeader;

use crate::names;

/// An entry of the offset index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The last offset of the batch at `position`, less the segment's base offset.
    pub relative_offset: u32,
    /// Where the batch starts.
    pub position: u32,
}

/// An entry of the time index: the largest timestamp so far, and where it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// Milliseconds.
    pub timestamp: i64,
    /// The last offset of the batch that has it, less the segment's base offset.
    pub relative_offset: u32,
}

/// An entry of the transaction index: an aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnEntry {
    /// Whose transaction it was.
    pub producer_id: i64,
    /// Its first offset.
    pub first_offset: i64,
    /// The offset of the abort marker.
    pub last_offset: i64,
    /// The last stable offset when it was aborted.
    pub last_stable_offset: i64,
}

/// Carries `chain` over one more batch.
#[must_use]
pub fn chain(chain: u32, header: &BatchHeader) -> u32 {
    let mut text = [0u8; 28];
    text[..4].copy_from_slice(&chain.to_be_bytes());
    text[4..12].copy_from_slice(&header.base_offset.0.to_be_bytes());
    text[12..16].copy_from_slice(&header.last_offset_delta.to_be_bytes());
    text[16..20].copy_from_slice(&header.leader_epoch.0.to_be_bytes());
    text[20..24].copy_from_slice(&header.batch_length.to_be_bytes());
    text[24..].copy_from_slice(&header.crc.to_be_bytes());
    crc_fast::crc32_iscsi(&text)
}

/// The indexes of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    /// Offset index.
    pub offsets: Vec<IndexEntry>,
    /// Time index.
    pub times: Vec<TimeEntry>,
    /// Transaction index: the aborted transactions whose markers lie in the segment.
    pub txns: Vec<TxnEntry>,
    /// The tags of the intervals: the first one from the segment's start to the first entry, the last one
    /// (of a closed segment only) from the last entry to the segment's end. Empty if nothing vouches for
    /// the batches.
    pub tags: Vec<u32>,
}

/// Where a look-up starts, and what its bytes must give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte to read: the start of an interval.
    pub start: u32,
    /// End of the bytes to read: the end of an interval, or of the segment.
    pub end: u32,
    /// The intervals within, with their ends and tags, oldest first.
    pub intervals: Vec<(u32, u32)>,
}

impl SegmentIndex {
    /// The number of the interval that holds the offset.
    fn interval_of(&self, relative_offset: i64) -> usize {
        self.offsets
            .partition_point(|entry| i64::from(entry.relative_offset) <= relative_offset)
    }

    /// Where interval `number` starts.
    fn start_of(&self, number: usize) -> u32 {
        match number.checked_sub(1) {
            Some(entry) => self.offsets[entry].position,
            None => 0,
        }
    }

    /// The whole intervals that hold `relative_offset` and at least `len` bytes from the start of its
    /// interval on, as far as the first `size` bytes of the segment's `total` go.
    #[must_use]
    pub fn span(&self, relative_offset: i64, len: usize, size: u32, total: u32) -> Span {
        let first = self.interval_of(relative_offset);
        let start = self.start_of(first);
        let target = u64::from(start) + len as u64;
        let mut span = Span {
            start,
            end: size,
            intervals: Vec::new(),
        };
        for number in first..=self.offsets.len() {
            let end = self
                .offsets
                .get(number)
                .map_or(total, |entry| entry.position);
            if let Some(tag) = self.tags.get(number) {
                span.intervals.push((end, *tag));
            }
            if u64::from(end) >= target {
                span.end = end.min(size);
                break;
            }
        }
        span
    }

    /// A relative offset before which every record is older than `timestamp`.
    #[must_use]
    pub fn before_time(&self, timestamp: i64) -> i64 {
        let after = self
            .times
            .partition_point(|entry| entry.timestamp <= timestamp);
        match after.checked_sub(1) {
            Some(at) => i64::from(self.times[at].relative_offset),
            None => 0,
        }
    }

    /// The bytes of `.index`.
    #[must_use]
    pub fn encode_offsets(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.offsets.len() * 8);
        for entry in &self.offsets {
            out.put_u32(entry.relative_offset);
            out.put_u32(entry.position);
        }
        out.freeze()
    }

    /// The bytes of `.timeindex`.
    #[must_use]
    pub fn encode_times(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.times.len() * 12);
        for entry in &self.times {
            out.put_i64(entry.timestamp);
            out.put_u32(entry.relative_offset);
        }
        out.freeze()
    }

    /// The bytes of `.txnindex`; there is no such file, in Kafka either, where they are none.
    #[must_use]
    pub fn encode_txns(&self) -> Bytes {
        encode_txns(&self.txns)
    }

    /// The bytes of `.tags`, which vouch for the other files.
    #[must_use]
    pub fn encode_tags(&self, seed: u32) -> Bytes {
        let mut out = BytesMut::with_capacity(self.tags.len() * 4 + 24);
        let has_txns = !self.txns.is_empty();
        out.put_u32(if has_txns {
            TAGS_TXNS_MAGIC
        } else {
            TAGS_MAGIC
        });
        out.put_u32(seed);
        out.put_u32(crc_fast::crc32_iscsi(&self.encode_offsets()));
        out.put_u32(crc_fast::crc32_iscsi(&self.encode_times()));
        if has_txns {
            out.put_u32(crc_fast::crc32_iscsi(&self.encode_txns()));
        }
        for tag in &self.tags {
            out.put_u32(*tag);
        }
        let crc = crc_fast::crc32_iscsi(&out);
        out.put_u32(crc);
        out.freeze()
    }

    /// The files of a segment with these indexes, by suffix.
    pub(crate) fn files(&self, seed: u32) -> impl Iterator<Item = (&'static str, Bytes)> {
        let txns = (!self.txns.is_empty()).then(|| (names::TXN_INDEX, self.encode_txns()));
        let all = [
            (names::INDEX, self.encode_offsets()),
            (names::TIME_INDEX, self.encode_times()),
        ];
        let tags = (names::TAGS, self.encode_tags(seed));
        all.into_iter().chain(txns).chain([tags])
    }

    /// Reads the files of a closed segment of `size` bytes; `None` if any of them fails its checks. `txns`
    /// counts only where [`names_txns`] says so.
    #[must_use]
    pub fn decode(
        offsets: &[u8],
        times: &[u8],
        txns: &[u8],
        tags: &[u8],
        seed: u32,
        size: u32,
    ) -> Option<SegmentIndex> {
        let (body, crc) = tags.split_at_checked(tags.len().checked_sub(4)?)?;
        if crc_fast::crc32_iscsi(body).to_be_bytes() != crc || body.len() < 16 {
            return None;
        }
        let mut body = body;
        let magic = body.get_u32();
        if !matches!(magic, TAGS_MAGIC | TAGS_TXNS_MAGIC)
            || body.get_u32() != seed
            || body.get_u32() != crc_fast::crc32_iscsi(offsets)
            || body.get_u32() != crc_fast::crc32_iscsi(times)
        {
            return None;
        }
        let mut txn_entries = Vec::new();
        if magic == TAGS_TXNS_MAGIC {
            if body.len() < 4 || body.get_u32() != crc_fast::crc32_iscsi(txns) {
                return None;
            }
            txn_entries = decode_txns(txns)?;
        }
        let tags: Vec<u32> = body.chunks_exact(4).map(|mut tag| tag.get_u32()).collect();
        let index = SegmentIndex {
            offsets: decode_offsets(offsets)?,
            times: decode_times(times)?,
            txns: txn_entries,
            tags,
        };
        let entries = index.offsets.len();
        let tags_fit = [0, entries, entries + 1].contains(&index.tags.len());
        (index.is_sound(size) && tags_fit).then_some(index)
    }

    /// Whether the order of the entries is right and none lies beyond the segment's end.
    #[must_use]
    pub fn is_sound(&self, size: u32) -> bool {
        self.offsets.windows(2).all(|pair| {
            pair[0].relative_offset < pair[1].relative_offset && pair[0].position < pair[1].position
        }) && self.offsets.last().is_none_or(|last| last.position < size)
            && self.times.windows(2).all(|pair| {
                pair[0].timestamp < pair[1].timestamp
                    && pair[0].relative_offset <= pair[1].relative_offset
            })
            && (self.txns.windows(2)).all(|pair| pair[0].last_offset < pair[1].last_offset)
            && (self.txns.iter()).all(|entry| entry.first_offset < entry.last_offset)
    }
}

const TAGS_MAGIC: u32 = 0x4f54_5431; // "OTT1"
/// Of the tags of a segment that has a transaction index.
const TAGS_TXNS_MAGIC: u32 = 0x4f54_5432; // "OTT2"

/// Whether these are the tags of a segment that has a transaction index.
#[must_use]
pub fn names_txns(tags: &[u8]) -> bool {
    tags.first_chunk() == Some(&TAGS_TXNS_MAGIC.to_be_bytes())
}

/// Reads `.index`; `None` if it does not consist of whole entries.
#[must_use]
pub fn decode_offsets(bytes: &[u8]) -> Option<Vec<IndexEntry>> {
    let chunks = bytes.chunks_exact(8);
    chunks.remainder().is_empty().then(|| {
        chunks
            .map(|mut entry| IndexEntry {
                relative_offset: entry.get_u32(),
                position: entry.get_u32(),
            })
            .collect()
    })
}

/// Reads `.timeindex`; `None` if it does not consist of whole entries.
#[must_use]
pub fn decode_times(bytes: &[u8]) -> Option<Vec<TimeEntry>> {
    let chunks = bytes.chunks_exact(12);
    chunks.remainder().is_empty().then(|| {
        chunks
            .map(|mut entry| TimeEntry {
                timestamp: entry.get_i64(),
                relative_offset: entry.get_u32(),
            })
            .collect()
    })
}

/// Reads `.txnindex`; `None` if it does not consist of whole entries of version 0.
#[must_use]
pub fn decode_txns(bytes: &[u8]) -> Option<Vec<TxnEntry>> {
    let chunks = bytes.chunks_exact(34);
    if !chunks.remainder().is_empty() {
        return None;
    }
    chunks
        .map(|mut entry| {
            (entry.get_i16() == 0).then(|| TxnEntry {
                producer_id: entry.get_i64(),
                first_offset: entry.get_i64(),
                last_offset: entry.get_i64(),
                last_stable_offset: entry.get_i64(),
            })
        })
        .collect()
}

/// The bytes of `.txnindex`.
#[must_use]
pub fn encode_txns(entries: &[TxnEntry]) -> Bytes {
    let mut out = BytesMut::with_capacity(entries.len() * 34);
    for entry in entries {
        out.put_i16(0);
        out.put_i64(entry.producer_id);
        out.put_i64(entry.first_offset);
        out.put_i64(entry.last_offset);
        out.put_i64(entry.last_stable_offset);
    }
    out.freeze()
}

/// The state of an [`IndexBuilder`] at some batch, without the entries themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuilderMark {
    /// Entries of the offset index.
    pub offsets: u32,
    /// Entries of the time index.
    pub times: u32,
    /// Entries of the transaction index.
    pub txns: u32,
    /// Bytes of batches since the last entry.
    pub since_entry: u64,
    /// The tag of the open interval.
    pub tag: u32,
    /// The chain over all batches.
    pub chain: u32,
    /// The largest timestamp so far, or -1.
    pub max_timestamp: i64,
    /// The last offset of the first batch that has it, or -1.
    pub max_timestamp_offset: i64,
    /// Where the last batch starts.
    pub last_batch: u32,
}

/// Builds the indexes of a segment, batch by batch: the same code for live appends and for recovery.
#[derive(Clone, Debug)]
pub struct IndexBuilder {
    base: i64,
    seed: u32,
    interval: u32,
    index: SegmentIndex,
    since_entry: u64,
    tag: u32,
    chain: u32,
    max_timestamp: i64,
    max_timestamp_offset: i64,
    last_batch: u32,
}

impl IndexBuilder {
    /// For an empty segment.
    #[must_use]
    pub fn new(base: i64, seed: u32, interval: u32) -> IndexBuilder {
        IndexBuilder {
            base,
            seed,
            interval,
            index: SegmentIndex::default(),
            since_entry: 0,
            tag: seed,
            chain: seed,
            max_timestamp: -1,
            max_timestamp_offset: -1,
            last_batch: 0,
        }
    }

    /// Goes on from `mark` with `index`, which may have more entries than the mark knew.
    ///
    /// # Errors
    /// `None` if it has fewer.
    #[must_use]
    pub fn resume(
        base: i64,
        seed: u32,
        interval: u32,
        mut index: SegmentIndex,
        mark: BuilderMark,
    ) -> Option<IndexBuilder> {
        let (offsets, times) = (mark.offsets as usize, mark.times as usize);
        let txns = mark.txns as usize;
        if index.offsets.len() < offsets
            || index.times.len() < times
            || index.txns.len() < txns
            || index.tags.len() < offsets
        {
            return None;
        }
        index.offsets.truncate(offsets);
        index.times.truncate(times);
        index.txns.truncate(txns);
        index.tags.truncate(offsets);
        Some(IndexBuilder {
            base,
            seed,
            interval,
            index,
            since_entry: mark.since_entry,
            tag: mark.tag,
            chain: mark.chain,
            max_timestamp: mark.max_timestamp,
            max_timestamp_offset: mark.max_timestamp_offset,
            last_batch: mark.last_batch,
        })
    }

    /// Where the builder is.
    #[must_use]
    pub fn mark(&self) -> BuilderMark {
        BuilderMark {
            offsets: self.index.offsets.len() as u32,
            times: self.index.times.len() as u32,
            txns: self.index.txns.len() as u32,
            since_entry: self.since_entry,
            tag: self.tag,
            chain: self.chain,
            max_timestamp: self.max_timestamp,
            max_timestamp_offset: self.max_timestamp_offset,
            last_batch: self.last_batch,
        }
    }

    /// Goes back to `mark`.
    pub fn restore(&mut self, mark: BuilderMark) {
        let index = std::mem::take(&mut self.index);
        *self = IndexBuilder::resume(self.base, self.seed, self.interval, index, mark)
            .expect("a builder only grows between a mark and its restoration");
    }

    /// Notes a batch that starts at `position`.
    pub fn note(&mut self, header: &BatchHeader, position: u32) {
        let relative_offset = relative(self.base, header.last_offset().0);
        if header.max_timestamp.0 > self.max_timestamp {
            self.max_timestamp = header.max_timestamp.0;
            self.max_timestamp_offset = header.last_offset().0;
        }
        if self.since_entry > u64::from(self.interval) {
            self.close_interval();
            self.index.offsets.push(IndexEntry {
                relative_offset,
                position,
            });
            self.note_time();
        }
        self.last_batch = position;
        self.tag = chain(self.tag, header);
        self.chain = chain(self.chain, header);
        self.since_entry += header.total_size() as u64;
    }

    /// Notes the transaction that the last batch aborted.
    pub fn note_aborted(&mut self, entry: TxnEntry) {
        self.index.txns.push(entry);
    }

    /// Makes the next batch start an interval, whatever lies before it.
    pub fn break_interval(&mut self) {
        self.since_entry = u64::from(self.interval) + 1;
    }

    fn close_interval(&mut self) {
        self.index.tags.push(self.tag);
        self.tag = self.seed;
        self.since_entry = 0;
    }

    fn note_time(&mut self) {
        let newer = self
            .index
            .times
            .last()
            .is_none_or(|last| last.timestamp < self.max_timestamp);
        if newer && self.max_timestamp >= 0 {
            self.index.times.push(TimeEntry {
                timestamp: self.max_timestamp,
                relative_offset: relative(self.base, self.max_timestamp_offset),
            });
        }
    }

    /// The indexes so far. The last interval has no tag yet.
    #[must_use]
    pub fn index(&self) -> &SegmentIndex {
        &self.index
    }

    /// The chain over all batches so far.
    #[must_use]
    pub fn chain(&self) -> u32 {
        self.chain
    }

    /// The largest timestamp so far, or -1.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// The last offset of the first batch that has it, or -1.
    #[must_use]
    pub fn max_timestamp_offset(&self) -> i64 {
        self.max_timestamp_offset
    }

    /// What the files of the segment would hold if it were closed now.
    #[must_use]
    pub fn snapshot(&self) -> SegmentIndex {
        let mut copy = self.clone();
        copy.note_time();
        copy.index
    }

    /// Bytes that `.index` would have.
    #[must_use]
    pub fn index_bytes(&self) -> usize {
        self.index.offsets.len() * 8
    }

    /// The indexes of the closed segment.
    #[must_use]
    pub fn finish(mut self) -> SegmentIndex {
        self.note_time();
        self.close_interval();
        self.index
    }
}

/// An offset relative to the segment's base.
fn relative(base: i64, offset: i64) -> u32 {
    if types::mutant!("STO-17") {
        return (offset - base) as u16 as u32;
    }
    u32::try_from(offset - base).expect("a segment is rolled before an offset leaves 31 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use records::layout::Attributes;
    use types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

    fn header(base: i64, count: i32, size: usize, timestamp: i64) -> BatchHeader {
        BatchHeader {
            base_offset: Offset(base),
            batch_length: size as i32 - 12,
            leader_epoch: LeaderEpoch(0),
            magic: 2,
            crc: base as u32,
            attributes: Attributes(0),
            last_offset_delta: count - 1,
            base_timestamp: TimestampMs(timestamp),
            max_timestamp: TimestampMs(timestamp),
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            records_count: count,
        }
    }

    fn built() -> IndexBuilder {
        let mut builder = IndexBuilder::new(100, 7, 250);
        // Batches of 100 bytes with two records each; timestamps go up and down.
        for (i, timestamp) in [5, 9, 3, 8, 12, 11, 20].into_iter().enumerate() {
            builder.note(
                &header(100 + 2 * i as i64, 2, 100, timestamp),
                100 * i as u32,
            );
        }
        builder
    }

    #[test]
    fn entries_are_placed_as_kafka_places_them() {
        let index = built().finish();
        // 300 bytes lie before the fourth batch: its last offset is 107.
        assert_eq!(
            index.offsets,
            [
                IndexEntry {
                    relative_offset: 7,
                    position: 300
                },
                IndexEntry {
                    relative_offset: 13,
                    position: 600
                }
            ]
        );
        assert_eq!(
            index.times,
            [
                TimeEntry {
                    timestamp: 9,
                    relative_offset: 3
                },
                TimeEntry {
                    timestamp: 20,
                    relative_offset: 13
                }
            ]
        );
        assert_eq!(index.tags.len(), 3);
    }

    #[test]
    fn spans_hold_whole_intervals() {
        let index = built().finish();
        let span = |offset, len| {
            let span = index.span(offset, len, 700, 700);
            (span.start, span.end, span.intervals.len())
        };
        assert_eq!(span(0, 1), (0, 300, 1));
        assert_eq!(span(6, 1), (0, 300, 1));
        assert_eq!(span(7, 1), (300, 600, 1));
        assert_eq!(span(7, 301), (300, 700, 2));
        assert_eq!(span(13, 1), (600, 700, 1));
        assert_eq!(span(0, 10_000), (0, 700, 3));
        assert_eq!(index.before_time(8), 0);
        assert_eq!(index.before_time(9), 3);
        assert_eq!(index.before_time(30), 13);
    }

    #[test]
    fn files_round_trip_and_vouch_for_each_other() {
        let index = built().finish();
        let (offsets, times, tags) = (
            index.encode_offsets(),
            index.encode_times(),
            index.encode_tags(7),
        );
        assert_eq!(
            SegmentIndex::decode(&offsets, &times, &[], &tags, 7, 700),
            Some(index.clone())
        );
        assert_eq!(
            SegmentIndex::decode(&offsets, &times, &[], &tags, 8, 700),
            None
        );
        assert_eq!(
            SegmentIndex::decode(&offsets, &times, &[], &tags, 7, 600),
            None
        );
        for bit in 0..offsets.len() * 8 {
            let mut wrong = offsets.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SegmentIndex::decode(&wrong, &times, &[], &tags, 7, 700),
                None
            );
        }
        assert_eq!(
            SegmentIndex::decode(&offsets[..8], &times, &[], &tags, 7, 700),
            None
        );
        assert_eq!(
            SegmentIndex::decode(&offsets, &times, &[], &[], 7, 700),
            None
        );
    }

    #[test]
    fn the_tags_vouch_for_the_transaction_index() {
        let mut builder = built();
        let mark = builder.mark();
        let entry = |last_offset| TxnEntry {
            producer_id: 4,
            first_offset: 90,
            last_offset,
            last_stable_offset: 110,
        };
        builder.note_aborted(entry(109));
        let marked = builder.mark();
        builder.note_aborted(entry(113));
        let index = builder.clone().finish();
        let (offsets, times) = (index.encode_offsets(), index.encode_times());
        let (txns, tags) = (index.encode_txns(), index.encode_tags(7));
        let decode =
            |txns: &[u8], tags: &[u8]| SegmentIndex::decode(&offsets, &times, txns, tags, 7, 700);
        assert!(names_txns(&tags));
        assert_eq!(decode(&txns, &tags), Some(index));
        assert_eq!(decode(&[], &tags), None, "a lost file is no empty one");
        assert_eq!(decode(&txns[..34], &tags), None);
        for bit in 0..txns.len() * 8 {
            let mut wrong = txns.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&wrong, &tags), None, "bit {bit}");
        }
        builder.restore(marked);
        assert_eq!(builder.index().txns, [entry(109)]);
        builder.restore(mark);
        let none = builder.finish();
        assert!(!names_txns(&none.encode_tags(7)));
        assert_eq!(decode(b"stale", &none.encode_tags(7)), Some(none));
    }

    #[test]
    fn txn_entries_round_trip() {
        let entries = [TxnEntry {
            producer_id: 4,
            first_offset: 10,
            last_offset: 20,
            last_stable_offset: 10,
        }];
        let bytes = encode_txns(&entries);
        assert_eq!(bytes.len(), 34);
        assert_eq!(decode_txns(&bytes).as_deref(), Some(&entries[..]));
        assert_eq!(decode_txns(&bytes[..33]), None);
    }
}

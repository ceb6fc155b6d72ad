//! What is in a file of a log's directory, row by row. Rows are plain values; as text they read as
//! `kafka-dump-log` prints them.

use std::fmt;
use std::path::Path;

use env::{Disk, File, OpenOptions};
use records::layout::HEADER_SIZE;
use records::{Batch, BatchHeader, Codec, TimestampType};
use types::Offset;

use crate::error::StorageError;
use crate::files;
use crate::index::{decode_offsets, decode_times, decode_txns};
use crate::names::{self, parse_segment_file};
use crate::producer_snapshot;
use crate::source::Source;

/// What to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpOptions {
    /// Records, and not only batches (`--deep-iteration`).
    pub records: bool,
    /// Their keys and values (`--print-data-log`).
    pub payloads: bool,
    /// The most bytes that one batch may unpack to.
    pub decompressed_max: usize,
}

impl Default for DumpOptions {
    fn default() -> DumpOptions {
        DumpOptions {
            records: false,
            payloads: false,
            decompressed_max: 256 << 20,
        }
    }
}

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRow {
    /// Its header.
    pub header: BatchHeader,
    /// Where it starts in the file.
    pub position: u64,
    /// Whether its checksum is right.
    pub is_valid: bool,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRow {
    /// Its offset.
    pub offset: i64,
    /// Whose clock its timestamp comes from.
    pub timestamp_type: TimestampType,
    /// Its timestamp.
    pub timestamp: i64,
    /// Bytes of its key; -1 for none.
    pub key_size: i64,
    /// Bytes of its value; -1 for none.
    pub value_size: i64,
    /// Its sequence number; -1 for none.
    pub sequence: i32,
    /// The keys of its headers.
    pub header_keys: Vec<String>,
    /// Its key, if asked for.
    pub key: Option<Vec<u8>>,
    /// Its value, if asked for.
    pub value: Option<Vec<u8>>,
    /// Whether keys and values were asked for.
    pub payloads: bool,
}

/// A row of a dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A batch of a segment.
    Batch(BatchRow),
    /// A record of the batch before.
    Record(RecordRow),
    /// Bytes of a segment that are not a batch.
    Garbage {
        /// Where they start.
        position: u64,
        /// How many: up to the next whole batch, or the end.
        bytes: u64,
        /// Whether they are all zeros: room that was reserved.
        zeros: bool,
    },
    /// An entry of an offset index.
    Index {
        /// The last offset of the batch.
        offset: i64,
        /// Where it starts.
        position: u32,
    },
    /// An entry of a time index.
    TimeIndex {
        /// The largest timestamp so far.
        timestamp: i64,
        /// Where it was seen.
        offset: i64,
    },
    /// An entry of a transaction index.
    Transaction(crate::index::TxnEntry),
    /// A producer of a snapshot.
    Producer(producer_snapshot::ProducerEntry),
    /// A line of a text file.
    Text(String),
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Row::Batch(row) => row.fmt(f),
            Row::Record(row) => row.fmt(f),
            Row::Garbage {
                position,
                bytes,
                zeros: true,
            } => {
                write!(f, "zeros: {bytes} position: {position}")
            }
            Row::Garbage {
                position,
                bytes,
                zeros: false,
            } => {
                write!(f, "not a batch: {bytes} bytes position: {position}")
            }
            Row::Index { offset, position } => write!(f, "offset: {offset} position: {position}"),
            Row::TimeIndex { timestamp, offset } => {
                write!(f, "timestamp: {timestamp} offset: {offset}")
            }
            Row::Transaction(entry) => write!(
                f,
                "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
                entry.producer_id, entry.first_offset, entry.last_offset, entry.last_stable_offset
            ),
            Row::Producer(entry) => {
                write!(
                    f,
                    "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} \
                     lastTimestamp: {} ",
                    entry.producer_id.0,
                    entry.producer_epoch.0,
                    entry.coordinator_epoch,
                    optional(entry.current_txn_first_offset.0),
                    entry.timestamp.0
                )?;
                if entry.last_sequence.0 >= 0 {
                    let first = entry.last_sequence.plus(-entry.offset_delta);
                    write!(f, "firstSequence: {} ", first.0)?;
                }
                write!(
                    f,
                    "lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                    entry.last_sequence.0, entry.last_offset, entry.offset_delta, entry.timestamp.0
                )
            }
            Row::Text(line) => f.write_str(line),
        }
    }
}

fn optional(value: i64) -> String {
    if value < 0 {
        "OptionalLong.empty".to_owned()
    } else {
        format!("OptionalLong[{value}]")
    }
}

fn time_name(timestamp_type: TimestampType) -> &'static str {
    match timestamp_type {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

impl fmt::Display for BatchRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header;
        let codec = match header.attributes.codec() {
            Ok(Codec::None) => "none",
            Ok(Codec::Gzip) => "gzip",
            Ok(Codec::Snappy) => "snappy",
            Ok(Codec::Lz4) => "lz4",
            Ok(Codec::Zstd) => "zstd",
            Err(_) => "unknown",
        };
        write!(
            f,
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} \
             producerId: {} producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} \
             isControl: {} deleteHorizonMs: {} position: {} {}: {} size: {} magic: {} \
             compresscodec: {codec} crc: {} isvalid: {}",
            header.base_offset,
            header.last_offset(),
            header.records_count,
            header.base_sequence.0,
            header.last_sequence().0,
            header.producer_id.0,
            header.producer_epoch.0,
            header.leader_epoch.0,
            header.attributes.is_transactional(),
            header.attributes.is_control(),
            optional(header.delete_horizon().map_or(-1, |horizon| horizon.0)),
            self.position,
            time_name(header.attributes.timestamp_type()),
            header.max_timestamp.0,
            header.total_size(),
            header.magic,
            header.crc,
            self.is_valid
        )
    }
}

impl fmt::Display for RecordRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| offset: {} {}: {} keySize: {} valueSize: {}",
            self.offset,
            time_name(self.timestamp_type),
            self.timestamp,
            self.key_size,
            self.value_size
        )?;
        write!(
            f,
            " sequence: {} headerKeys: [{}]",
            self.sequence,
            self.header_keys.join(",")
        )?;
        if self.payloads {
            if let Some(key) = &self.key {
                write!(f, " key: {}", String::from_utf8_lossy(key))?;
            }
            if let Some(value) = &self.value {
                write!(f, " payload: {}", String::from_utf8_lossy(value))?;
            }
        }
        Ok(())
    }
}

/// Gives each row of the file at `path` to `sink`. What the file is, its name says.
///
/// # Errors
/// The disk's; [`StorageError::Damaged`] for a file that is not what its name says.
pub async fn dump<D: Disk>(
    disk: &D,
    path: &Path,
    options: DumpOptions,
    mut sink: impl FnMut(Row),
) -> Result<(), StorageError> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let parsed = parse_segment_file(name);
    if let Some((_, names::LOG)) = parsed {
        return dump_segment(disk, path, options, sink).await;
    }
    let bytes = files::read_whole(disk, path)
        .await
        .map_err(StorageError::io(path))?;
    let bytes = bytes
        .ok_or(std::io::ErrorKind::NotFound.into())
        .map_err(StorageError::io(path))?;
    let damaged = || StorageError::damaged(path, "not whole entries of its kind");
    match parsed {
        Some((base, names::INDEX)) => {
            for entry in decode_offsets(&bytes).ok_or_else(damaged)? {
                let offset = base + i64::from(entry.relative_offset);
                sink(Row::Index {
                    offset,
                    position: entry.position,
                });
            }
        }
        Some((base, names::TIME_INDEX)) => {
            for entry in decode_times(&bytes).ok_or_else(damaged)? {
                let offset = base + i64::from(entry.relative_offset);
                sink(Row::TimeIndex {
                    timestamp: entry.timestamp,
                    offset,
                });
            }
        }
        Some((_, names::TXN_INDEX)) => {
            for entry in decode_txns(&bytes).ok_or_else(damaged)? {
                sink(Row::Transaction(entry));
            }
        }
        Some((_, names::SNAPSHOT)) => {
            for entry in producer_snapshot::decode(&bytes).ok_or_else(damaged)? {
                sink(Row::Producer(entry));
            }
        }
        _ => {
            let text = std::str::from_utf8(&bytes);
            let text =
                text.map_err(|_| StorageError::damaged(path, "a kind of file that is not dumped"))?;
            for line in text.lines() {
                sink(Row::Text(line.to_owned()));
            }
        }
    }
    Ok(())
}

async fn dump_segment<D: Disk>(
    disk: &D,
    path: &Path,
    options: DumpOptions,
    mut sink: impl FnMut(Row),
) -> Result<(), StorageError> {
    let io = || StorageError::io(path);
    let file = disk.open(path, OpenOptions::READ).await.map_err(io())?;
    let len = file.len().await.map_err(io())?;
    let mut source = Source::<D>::new(Some(file), len);
    let mut at = 0u64;
    let mut expected = Offset(-1);
    while at < len {
        let head = source.bytes(at, HEADER_SIZE).await.map_err(io())?;
        let header = BatchHeader::parse(&head).ok();
        let header = header.filter(|header| at + header.total_size() as u64 <= len);
        let Some(header) = header else {
            let next = source.find_batch(at + 1, expected).await;
            let end = next.map_or(len, |(position, _)| position);
            let zeros = source.is_zero(at, end).await.map_err(io())?;
            sink(Row::Garbage {
                position: at,
                bytes: end - at,
                zeros,
            });
            at = end;
            continue;
        };
        let bytes = source.bytes(at, header.total_size()).await.map_err(io())?;
        let is_valid = records::layout::verify_crc(&bytes).is_ok();
        sink(Row::Batch(BatchRow {
            header,
            position: at,
            is_valid,
        }));
        if options.records
            && is_valid
            && let Ok(batch) = Batch::parse(&bytes)
        {
            dump_records(&batch, options, &mut sink);
        }
        at += header.total_size() as u64;
        expected = header.last_offset();
    }
    Ok(())
}

fn dump_records(batch: &Batch, options: DumpOptions, sink: &mut impl FnMut(Row)) {
    let header = *batch.header();
    let records = match batch.records(options.decompressed_max) {
        Ok(records) => records,
        Err(error) => {
            sink(Row::Text(format!(
                "| the records cannot be unpacked: {error}"
            )));
            return;
        }
    };
    for view in records.views() {
        let Ok(view) = view else {
            sink(Row::Text("| a record that cannot be read".to_owned()));
            return;
        };
        let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        let sequence = if header.base_sequence.0 < 0 {
            -1
        } else {
            header.base_sequence.plus(view.offset_delta).0
        };
        let kept = |bytes: Option<&[u8]>| bytes.filter(|_| options.payloads).map(<[u8]>::to_vec);
        let names = view
            .headers()
            .map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        sink(Row::Record(RecordRow {
            offset: header.offset_of(view.offset_delta).0,
            timestamp_type: header.attributes.timestamp_type(),
            timestamp: header.timestamp_of(view.timestamp_delta).0,
            key_size: size(view.key),
            value_size: size(view.value),
            sequence,
            header_keys: names.collect(),
            key: kept(view.key),
            value: kept(view.value),
            payloads: options.payloads,
        }));
    }
}

//! Control records: what brokers tell brokers and clients' libraries inside a log.
//!
//! The key is `version i16, type i16`; the value depends on the type. Types and versions that this
//! version does not know are reported as such and must be ignored. A control record occupies an offset
//! like any other.
//!
//! | Type | Name | Value |
//! |---|---|---|
//! | 0, 1 | ABORT, COMMIT | version i16, coordinator epoch i32 |
//! | 2 | LEADER_CHANGE | version i16, leader, voters, granting voters (KIP-595, KIP-853) |
//! | 3, 4 | SNAPSHOT_HEADER, SNAPSHOT_FOOTER | version i16, (header:) last contained log timestamp i64 |
//! | 5 | KRAFT_VERSION | version i16, KRaft version i16 |
//! | 6 | KRAFT_VOTERS | the set of voters, read by the quorum |

use bytes::Bytes;
use types::{
    BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, Uuid,
};

use crate::builder::BatchBuilder;
use crate::compression::Codec;
use crate::iter::{Batch, Record};
use crate::layout::BatchError;
use crate::varint::{Cursor, SHORT};

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionResult {
    /// Its records must not be seen by `read_committed` consumers.
    Abort,
    /// Its records count.
    Commit,
}

/// The end of a producer's transaction in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndTransactionMarker {
    /// How it ended.
    pub result: TransactionResult,
    /// The epoch of the coordinator that decided, for fencing older ones.
    pub coordinator_epoch: i32,
}

/// A member of the quorum, as a leader change lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    /// The node.
    pub id: BrokerId,
    /// Its metadata directory; zero before version 1.
    pub directory_id: Uuid,
}

/// The first record of a quorum leader's epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderChange {
    /// 1 since voters have directory ids.
    pub version: i16,
    /// The new leader.
    pub leader_id: BrokerId,
    /// The voters.
    pub voters: Vec<Voter>,
    /// Those who voted for the leader.
    pub granting_voters: Vec<Voter>,
}

/// What a control record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    /// A transaction ended.
    EndTransaction(EndTransactionMarker),
    /// A quorum leader starts its epoch.
    LeaderChange(LeaderChange),
    /// The first record of a metadata snapshot.
    SnapshotHeader {
        /// The append time of the last record that the snapshot contains.
        last_contained_log_timestamp: TimestampMs,
    },
    /// The last record of a metadata snapshot.
    SnapshotFooter,
    /// The finalized version of KRaft.
    KraftVersion {
        /// 0 for static voters, 1 for dynamic ones.
        version: i16,
    },
    /// The set of voters: the record's value, to be read by the quorum.
    KraftVoters(Bytes),
    /// Something newer: to be ignored.
    Unknown {
        /// The key's version.
        version: i16,
        /// The key's type.
        kind: i16,
    },
}

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const LEADER_CHANGE: i16 = 2;
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const KRAFT_VERSION: i16 = 5;
const KRAFT_VOTERS: i16 = 6;
/// Of the key and of every value but the leader change's.
const VERSION: i16 = 0;

impl ControlRecord {
    /// Reads a control record's key and value.
    ///
    /// **Errors**: bytes that end within a field of a known type.
    pub fn parse(record: &Record) -> Result<ControlRecord, BatchError> {
        let key = record.key.as_deref().unwrap_or_default();
        let value = record.value.as_ref();
        parse(key, value).map_err(|reason| BatchError::BadRecord { index: 0, reason })
    }

    /// Reads the control record of a control batch: its first, and but for quorum logs its only one.
    /// Control batches are small and uncompressed, but nothing says they must be.
    ///
    /// **Errors**: those of [`Batch::records`] and of [`ControlRecord::parse`].
    pub fn of_batch(batch: &Batch) -> Result<ControlRecord, BatchError> {
        const CONTROL_BATCH_SIZE_MAX: usize = 1 << 20;
        let empty = BatchError::BadRecord {
            index: 0,
            reason: "a control batch has no record",
        };
        let record = batch
            .records(CONTROL_BATCH_SIZE_MAX)?
            .next()
            .ok_or(empty)??;
        ControlRecord::parse(&record)
    }

    /// The record's key.
    #[must_use]
    pub fn key(&self) -> [u8; 4] {
        let (version, kind) = match self {
            ControlRecord::EndTransaction(marker) => match marker.result {
                TransactionResult::Abort => (VERSION, ABORT),
                TransactionResult::Commit => (VERSION, COMMIT),
            },
            ControlRecord::LeaderChange(_) => (VERSION, LEADER_CHANGE),
            ControlRecord::SnapshotHeader { .. } => (VERSION, SNAPSHOT_HEADER),
            ControlRecord::SnapshotFooter => (VERSION, SNAPSHOT_FOOTER),
            ControlRecord::KraftVersion { .. } => (VERSION, KRAFT_VERSION),
            ControlRecord::KraftVoters(_) => (VERSION, KRAFT_VOTERS),
            ControlRecord::Unknown { version, kind } => (*version, *kind),
        };
        let mut key = [0; 4];
        key[..2].copy_from_slice(&version.to_be_bytes());
        key[2..].copy_from_slice(&kind.to_be_bytes());
        key
    }

    /// The record's value; an unknown one has none to write.
    #[must_use]
    pub fn value(&self) -> Bytes {
        let mut out = Vec::new();
        match self {
            ControlRecord::EndTransaction(marker) => {
                out.extend_from_slice(&VERSION.to_be_bytes());
                out.extend_from_slice(&marker.coordinator_epoch.to_be_bytes());
            }
            ControlRecord::LeaderChange(change) => change.write(&mut out),
            ControlRecord::SnapshotHeader {
                last_contained_log_timestamp,
            } => {
                out.extend_from_slice(&VERSION.to_be_bytes());
                out.extend_from_slice(&last_contained_log_timestamp.0.to_be_bytes());
                out.push(NO_TAGS);
            }
            ControlRecord::SnapshotFooter => {
                out.extend_from_slice(&VERSION.to_be_bytes());
                out.push(NO_TAGS);
            }
            ControlRecord::KraftVersion { version } => {
                out.extend_from_slice(&VERSION.to_be_bytes());
                out.extend_from_slice(&version.to_be_bytes());
                out.push(NO_TAGS);
            }
            ControlRecord::KraftVoters(value) => return value.clone(),
            ControlRecord::Unknown { .. } => {}
        }
        Bytes::from(out)
    }

    /// A control batch of the quorum's log or of a snapshot, with this record alone.
    #[must_use]
    pub fn batch(&self, base_offset: Offset, epoch: LeaderEpoch, timestamp: TimestampMs) -> Bytes {
        let mut builder = BatchBuilder::new(Codec::None)
            .control(true)
            .base_offset(base_offset)
            .leader_epoch(epoch);
        builder.append(timestamp, Some(&self.key()), Some(&self.value()), &[]);
        builder.build()
    }
}

/// The control batch that ends a transaction in one partition.
#[must_use]
pub fn end_transaction_batch(
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    marker: EndTransactionMarker,
    timestamp: TimestampMs,
) -> Bytes {
    let record = ControlRecord::EndTransaction(marker);
    let mut builder = BatchBuilder::new(Codec::None)
        .producer(producer_id, producer_epoch, Sequence::NONE)
        .transactional(true)
        .control(true);
    builder.append(timestamp, Some(&record.key()), Some(&record.value()), &[]);
    builder.build()
}

fn parse(key: &[u8], value: Option<&Bytes>) -> Result<ControlRecord, &'static str> {
    let mut key = Cursor::new(key);
    let version = read_i16(&mut key)?;
    let kind = read_i16(&mut key)?;
    // Kafka reads a newer version's key by the fields it knows.
    if version < VERSION || !(ABORT..=KRAFT_VOTERS).contains(&kind) {
        return Ok(ControlRecord::Unknown { version, kind });
    }
    let value = value.ok_or("a control record has no value")?;
    if kind == KRAFT_VOTERS {
        return Ok(ControlRecord::KraftVoters(value.clone()));
    }
    let mut cursor = Cursor::new(value);
    let value_version = read_i16(&mut cursor)?;
    if value_version < 0 {
        return Err("a control record's value has a negative version");
    }
    Ok(match kind {
        ABORT | COMMIT => ControlRecord::EndTransaction(EndTransactionMarker {
            result: if kind == ABORT {
                TransactionResult::Abort
            } else {
                TransactionResult::Commit
            },
            coordinator_epoch: read_i32(&mut cursor)?,
        }),
        LEADER_CHANGE => {
            ControlRecord::LeaderChange(LeaderChange::read(value_version, &mut cursor)?)
        }
        SNAPSHOT_HEADER => ControlRecord::SnapshotHeader {
            last_contained_log_timestamp: TimestampMs(i64::from_be_bytes(array(&mut cursor)?)),
        },
        SNAPSHOT_FOOTER => ControlRecord::SnapshotFooter,
        _ => ControlRecord::KraftVersion {
            version: read_i16(&mut cursor)?,
        },
    })
}

/// An empty section of tagged fields.
const NO_TAGS: u8 = 0;

impl LeaderChange {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.leader_id.0.to_be_bytes());
        for voters in [&self.voters, &self.granting_voters] {
            write_unsigned(out, voters.len() as u32 + 1);
            for voter in voters {
                out.extend_from_slice(&voter.id.0.to_be_bytes());
                if self.version >= 1 {
                    out.extend_from_slice(&voter.directory_id.0);
                }
                out.push(NO_TAGS);
            }
        }
        out.push(NO_TAGS);
    }

    fn read(version: i16, cursor: &mut Cursor<'_>) -> Result<LeaderChange, &'static str> {
        let leader_id = BrokerId(read_i32(cursor)?);
        let voters = read_voters(version, cursor)?;
        let granting_voters = read_voters(version, cursor)?;
        skip_tags(cursor)?;
        Ok(LeaderChange {
            version,
            leader_id,
            voters,
            granting_voters,
        })
    }
}

fn read_voters(version: i16, cursor: &mut Cursor<'_>) -> Result<Vec<Voter>, &'static str> {
    let count = read_unsigned(cursor)?.saturating_sub(1);
    // A voter takes at least five bytes, so the loop ends with the bytes.
    let mut voters = Vec::new();
    for _ in 0..count {
        let id = BrokerId(read_i32(cursor)?);
        let directory_id = if version >= 1 {
            Uuid(array(cursor)?)
        } else {
            Uuid::ZERO
        };
        skip_tags(cursor)?;
        voters.push(Voter { id, directory_id });
    }
    Ok(voters)
}

fn skip_tags(cursor: &mut Cursor<'_>) -> Result<(), &'static str> {
    for _ in 0..read_unsigned(cursor)? {
        read_unsigned(cursor)?;
        let size = read_unsigned(cursor)?;
        cursor.take(size as usize)?;
    }
    Ok(())
}

fn read_unsigned(cursor: &mut Cursor<'_>) -> Result<u32, &'static str> {
    let mut value = 0u32;
    for i in 0..5 {
        let byte = cursor.byte()?;
        value |= u32::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a variable-length integer is too long")
}

fn write_unsigned(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn array<const N: usize>(cursor: &mut Cursor<'_>) -> Result<[u8; N], &'static str> {
    cursor.take(N)?.try_into().map_err(|_| SHORT)
}

fn read_i16(cursor: &mut Cursor<'_>) -> Result<i16, &'static str> {
    array(cursor).map(i16::from_be_bytes)
}

fn read_i32(cursor: &mut Cursor<'_>) -> Result<i32, &'static str> {
    array(cursor).map(i32::from_be_bytes)
}

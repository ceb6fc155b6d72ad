//! Requests that are prepared once and sent many times. The versions are the last ones without tagged
//! fields: their answers have what matters at fixed places.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use bytes::Bytes;
use protocol::fetch_request::{FetchPartition, FetchTopic};
use protocol::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::{FetchRequest, ProduceRequest, Records, Str, encode_request};
use records::{BatchBuilder, Codec};
use types::TimestampMs;

use crate::rows::Shape;

const PRODUCE_VERSION: i16 = 8;
const FETCH_VERSION: i16 = 11;

/// A produce request of one batch, and how to read its answer.
#[derive(Clone, Debug)]
pub(crate) struct Produce {
    pub(crate) request: Bytes,
    /// Bytes of records' values in it.
    pub(crate) value_bytes: usize,
    /// Where the answer has its error.
    error_at: usize,
}

impl Produce {
    pub(crate) fn new(topic: &str, partition: i32, shape: Shape, acks: i16) -> Result<Produce> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let now = TimestampMs(i64::try_from(now)?);
        let value = text(shape.record_bytes);
        let mut batch = BatchBuilder::new(Codec::None);
        loop {
            batch.append(now, None, Some(&value), &[]);
            if batch.size_with(now, None, Some(&value), &[]) > shape.batch_bytes {
                break;
            }
        }
        let records = usize::try_from(batch.count())?;
        let request = ProduceRequest {
            transactional_id: None,
            acks,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: Str::from(topic),
                partition_data: vec![PartitionProduceData {
                    index: partition,
                    records: Some(Records::from(batch.build())),
                }],
                ..Default::default()
            }],
        };
        let chunks = encode_request(7, Some("ottla-bench"), &request, PRODUCE_VERSION)?;
        Ok(Produce {
            request: Bytes::from(chunks.concat()),
            value_bytes: records * shape.record_bytes,
            // Size, correlation id, number of topics, name, number of partitions, index.
            error_at: 4 + 4 + 4 + 2 + topic.len() + 4 + 4,
        })
    }

    /// The length of the answer at the start of `bytes`, if all of it is there.
    pub(crate) fn answer(&self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some(size) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let size = 4 + usize::try_from(i32::from_be_bytes(*size))?;
        if bytes.len() < size {
            return Ok(None);
        }
        if size < self.error_at + 2 {
            bail!("an answer of {size} bytes is none to Produce");
        }
        let error = i16::from_be_bytes([bytes[self.error_at], bytes[self.error_at + 1]]);
        if error != 0 {
            bail!("a produce request was refused: {}", types::ErrorCode(error));
        }
        Ok(Some(size))
    }
}

/// Printable bytes that do not repeat soon.
fn text(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b' ' + (state % 95) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A fetch of partition 0 from `offset` on.
pub(crate) fn fetch(topic: &str, offset: i64, bytes: i32) -> Result<Bytes> {
    let request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: bytes,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: Str::from(topic),
            partitions: vec![FetchPartition {
                partition: 0,
                current_leader_epoch: -1,
                fetch_offset: offset,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: bytes,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let chunks = encode_request(7, Some("ottla-bench"), &request, FETCH_VERSION)?;
    Ok(Bytes::from(chunks.concat()))
}

/// The batches in a whole answer to [`fetch`], without its size: how many there are of records' bytes, and
/// the offset after them.
pub(crate) fn fetched(answer: &[u8], topic: &str) -> Result<(usize, i64)> {
    // Correlation id, throttle time, error, session, number of topics, name, number of partitions; then
    // index, error, three offsets, and the list of aborted transactions.
    let error_at = 4 + 4 + 2 + 4 + 4 + 2 + topic.len() + 4 + 4;
    let field = |at: usize, len: usize| answer.get(at..at + len);
    let (Some(top), Some(error)) = (field(8, 2), field(error_at, 2)) else {
        bail!("an answer of {} bytes is none to Fetch", answer.len());
    };
    if top != [0, 0] || error != [0, 0] {
        bail!("a fetch was refused: {top:?} {error:?}");
    }
    let int = |at: usize| -> Result<i32> {
        let Some(bytes) = answer.get(at..).and_then(|rest| rest.first_chunk()) else {
            bail!("a fetch was cut short");
        };
        Ok(i32::from_be_bytes(*bytes))
    };
    let aborted_at = error_at + 2 + 24;
    let aborted = usize::try_from(int(aborted_at)?.max(0))?;
    // The preferred replica, then the length of the records.
    let records_at = aborted_at + 4 + aborted * 16 + 4;
    let len = usize::try_from(int(records_at)?)?;
    let Some(mut rest) = answer.get(records_at + 4..records_at + 4 + len) else {
        bail!("a fetch was cut short");
    };
    let mut next = -1;
    while let Some((head, _)) = rest.split_first_chunk::<61>() {
        let batch_len = 12 + i32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        if batch_len > rest.len() {
            break;
        }
        let base = i64::from_be_bytes(*head.first_chunk().expect("61 bytes"));
        let delta = i32::from_be_bytes([head[23], head[24], head[25], head[26]]);
        next = base + i64::from(delta) + 1;
        rest = &rest[batch_len..];
    }
    Ok((len - rest.len(), next))
}

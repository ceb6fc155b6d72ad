//! Records out of a fetch answer: what the reader asked for and may see.

use std::collections::BTreeSet;

use bytes::Bytes;
use protocol::fetch_response::AbortedTransaction;
use records::{
    Batch, BatchError, Batches, ControlRecord, Header, TimestampType, TransactionResult,
};
use types::{LeaderEpoch, Offset, TimestampMs};

use crate::metadata::TopicPartition;

/// A record as a consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Where it was read.
    pub at: TopicPartition,
    /// Its place.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: TimestampMs,
    /// Whose clock that was.
    pub timestamp_type: TimestampType,
    /// The epoch of the leader that wrote it; -1 if it is not known.
    pub leader_epoch: LeaderEpoch,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<Header>,
}

/// What a fetch brought for one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decoded {
    /// In order, from the position on.
    pub records: Vec<ConsumerRecord>,
    /// Where to go on, and the epoch of the last batch; `None` if there was no whole batch.
    pub next: Option<(Offset, LeaderEpoch)>,
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub at: &'a TopicPartition,
    pub position: Offset,
    /// The aborted transactions in the range, for a reader of committed records alone.
    pub aborted: Option<&'a [AbortedTransaction]>,
    pub check_crc: bool,
    pub decompressed_bytes_max: usize,
}

/// Takes the records from `bytes` that lie at the position or after it. A batch cut off by the size
/// limit at the end is left for the next fetch.
pub(super) fn decode(bytes: Bytes, reading: Reading<'_>) -> Result<Decoded, BatchError> {
    let mut decoded = Decoded::default();
    let mut aborted: Vec<&AbortedTransaction> = reading.aborted.unwrap_or(&[]).iter().collect();
    aborted.sort_by_key(|t| std::cmp::Reverse(t.first_offset));
    // Producers in the middle of a transaction that was aborted.
    let mut aborting = BTreeSet::new();
    for batch in Batches::new(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            Err(BatchError::Truncated { .. }) => break,
            Err(error) => return Err(error),
        };
        let header = *batch.header();
        let last = header.last_offset();
        if reading.check_crc {
            batch.verify_crc()?;
        }
        while let Some(transaction) = aborted.pop_if(|t| t.first_offset <= last.0) {
            aborting.insert(transaction.producer_id);
        }
        let hidden = if header.attributes.is_control() {
            if is_abort(&batch)? {
                aborting.remove(&header.producer_id.0);
            }
            true
        } else {
            reading.aborted.is_some()
                && header.attributes.is_transactional()
                && aborting.contains(&header.producer_id.0)
        };
        if last >= reading.position {
            if !hidden {
                read_batch(&batch, &reading, &mut decoded.records)?;
            }
            decoded.next = Some((last.plus(1), header.leader_epoch));
        }
    }
    Ok(decoded)
}

fn is_abort(batch: &Batch) -> Result<bool, BatchError> {
    if !batch.header().attributes.is_transactional() {
        return Ok(false);
    }
    Ok(matches!(
        ControlRecord::of_batch(batch)?,
        ControlRecord::EndTransaction(marker) if marker.result == TransactionResult::Abort
    ))
}

fn read_batch(
    batch: &Batch,
    reading: &Reading<'_>,
    records: &mut Vec<ConsumerRecord>,
) -> Result<(), BatchError> {
    let header = *batch.header();
    for record in batch.records(reading.decompressed_bytes_max)? {
        let record = record?;
        if record.offset < reading.position {
            continue;
        }
        records.push(ConsumerRecord {
            at: reading.at.clone(),
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: header.attributes.timestamp_type(),
            leader_epoch: header.leader_epoch,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use records::{BatchBuilder, Codec, EndTransactionMarker};
    use types::{ProducerEpoch, ProducerId, Sequence};

    use super::*;

    fn batch(base: i64, values: &[&str], producer: Option<i64>) -> Bytes {
        let mut builder = BatchBuilder::new(Codec::Snappy)
            .base_offset(Offset(base))
            .leader_epoch(LeaderEpoch(4))
            .transactional(producer.is_some());
        if let Some(id) = producer {
            builder.set_producer(ProducerId(id), ProducerEpoch(0), Sequence(0));
        }
        for value in values {
            builder.append(TimestampMs(1), None, Some(value.as_bytes()), &[]);
        }
        builder.build()
    }

    fn marker(base: i64, producer: i64, result: TransactionResult) -> Bytes {
        let marker = EndTransactionMarker {
            result,
            coordinator_epoch: 0,
        };
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        let batch = records::control::end_transaction_batch(id, epoch, marker, TimestampMs(1));
        let mut bytes = batch.to_vec();
        records::layout::set_base_offset(&mut bytes, Offset(base));
        Bytes::from(bytes)
    }

    fn read(
        parts: &[Bytes],
        position: i64,
        aborted: Option<&[AbortedTransaction]>,
    ) -> (Vec<String>, Option<i64>) {
        let at = TopicPartition::new("t", 0);
        let reading = Reading {
            at: &at,
            position: Offset(position),
            aborted,
            check_crc: true,
            decompressed_bytes_max: 1 << 20,
        };
        let decoded = decode(Bytes::from(parts.concat()), reading).unwrap();
        let text = |r: &ConsumerRecord| {
            let value = r.value.as_deref().unwrap();
            format!("{}{}", std::str::from_utf8(value).unwrap(), r.offset)
        };
        let texts = decoded.records.iter().map(text).collect();
        (texts, decoded.next.map(|(offset, _)| offset.0))
    }

    #[test]
    fn starts_within_a_batch_and_stops_before_a_cut() {
        let parts = [batch(10, &["a", "b", "c"], None), batch(13, &["d"], None)];
        assert_eq!(
            read(&parts, 11, None),
            (vec!["b11".into(), "c12".into(), "d13".into()], Some(14))
        );
        let cut = [parts[0].clone(), parts[1].slice(..parts[1].len() - 1)];
        assert_eq!(read(&cut, 12, None), (vec!["c12".into()], Some(13)));
        assert_eq!(read(&cut[1..], 13, None), (vec![], None));
        // A batch that lies before the position moves nothing.
        assert_eq!(read(&cut[..1], 13, None), (vec![], None));
    }

    #[test]
    fn aborted_records_are_hidden_up_to_their_marker() {
        let parts = [
            batch(0, &["x"], Some(7)),
            batch(1, &["y"], Some(8)),
            batch(2, &["plain"], None),
            marker(3, 7, TransactionResult::Abort),
            batch(4, &["z"], Some(7)),
            marker(5, 8, TransactionResult::Commit),
            marker(6, 7, TransactionResult::Commit),
        ];
        let aborted = [AbortedTransaction {
            producer_id: 7,
            first_offset: 0,
        }];
        let (committed, next) = read(&parts, 0, Some(&aborted));
        assert_eq!(
            (committed, next),
            (vec!["y1".into(), "plain2".into(), "z4".into()], Some(7))
        );
        let (all, _) = read(&parts, 0, None);
        assert_eq!(all, ["x0", "y1", "plain2", "z4"]);
        // The transaction began before the range: its first offset lies before the first batch.
        let (rest, _) = read(&parts[3..], 3, Some(&[]));
        assert_eq!(rest, ["z4"]);
    }

    #[test]
    fn damage_is_found() {
        let mut bytes = batch(0, &["aaaa"], None).to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let at = TopicPartition::new("t", 0);
        let reading = Reading {
            at: &at,
            position: Offset(0),
            aborted: None,
            check_crc: true,
            decompressed_bytes_max: 100,
        };
        let error = decode(Bytes::from(bytes), reading).unwrap_err();
        assert!(matches!(error, BatchError::CrcMismatch { .. }));
    }
}

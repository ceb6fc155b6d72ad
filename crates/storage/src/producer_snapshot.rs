//! Producer snapshots: Kafka's `<offset>.snapshot`, the state of every producer as of that offset.
//!
//! The state itself is owned by `partition`; here it is bytes with a checksum. A snapshot is a shortcut of
//! replaying the log's batches, so one that is damaged or lies beyond the log's end is passed over.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::{Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

/// One producer in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Who.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// Last offset less first offset of its last batch.
    pub offset_delta: i32,
    /// The largest timestamp of its last batch.
    pub timestamp: TimestampMs,
    /// The epoch of the transaction coordinator that wrote its last marker, or -1.
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction, or -1.
    pub current_txn_first_offset: Offset,
}

const VERSION: i16 = 1;
const HEAD: usize = 2 + 4;
const ENTRY: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// The file's bytes.
#[must_use]
pub fn encode(producers: &[ProducerEntry]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD + 4 + producers.len() * ENTRY);
    out.put_i16(VERSION);
    out.put_u32(0);
    out.put_i32(i32::try_from(producers.len()).expect("fewer producers than 2^31"));
    for entry in producers {
        out.put_i64(entry.producer_id.0);
        out.put_i16(entry.producer_epoch.0);
        out.put_i32(entry.last_sequence.0);
        out.put_i64(entry.last_offset.0);
        out.put_i32(entry.offset_delta);
        out.put_i64(entry.timestamp.0);
        out.put_i32(entry.coordinator_epoch);
        out.put_i64(entry.current_txn_first_offset.0);
    }
    let crc = crc_fast::crc32_iscsi(&out[HEAD..]);
    out[2..HEAD].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

/// Reads the file's bytes; `None` if they fail their checks.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<Vec<ProducerEntry>> {
    if bytes.len() < HEAD + 4 {
        return None;
    }
    let (mut head, mut body) = bytes.split_at(HEAD);
    if head.get_i16() != VERSION || head.get_u32() != crc_fast::crc32_iscsi(body) {
        return None;
    }
    let count = usize::try_from(body.get_i32()).ok()?;
    if body.len() != count.checked_mul(ENTRY)? {
        return None;
    }
    let entries = body.chunks_exact(ENTRY).map(|mut entry| ProducerEntry {
        producer_id: ProducerId(entry.get_i64()),
        producer_epoch: ProducerEpoch(entry.get_i16()),
        last_sequence: Sequence(entry.get_i32()),
        last_offset: Offset(entry.get_i64()),
        offset_delta: entry.get_i32(),
        timestamp: TimestampMs(entry.get_i64()),
        coordinator_epoch: entry.get_i32(),
        current_txn_first_offset: Offset(entry.get_i64()),
    });
    Some(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_flipped_bit_is_noticed() {
        let entries = [ProducerEntry {
            producer_id: ProducerId(4),
            producer_epoch: ProducerEpoch(1),
            last_sequence: Sequence(9),
            last_offset: Offset(19),
            offset_delta: 4,
            timestamp: TimestampMs(1000),
            coordinator_epoch: -1,
            current_txn_first_offset: Offset(-1),
        }];
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes).as_deref(), Some(&entries[..]));
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&wrong), None, "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None);
        }
        assert_eq!(decode(&encode(&[])), Some(Vec::new()));
    }
}

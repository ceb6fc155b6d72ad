//! Between batches as `records` sees them and as the `partition` core does.

use partition::{BatchMeta, Control, Fence, LogState, Marker, ProducerRow, ProducerSnapshot};
use records::{BatchHeader, ControlRecord, EndTransactionMarker, TransactionResult, Validated};
use types::{Mono, Offset};

/// What the replica must know of a validated batch.
pub(crate) fn meta(batch: &Validated) -> BatchMeta {
    let mut meta = of_header(&batch.header);
    if meta.control.is_some() {
        meta.control = Some(control(&batch.bytes));
    }
    meta
}

/// What a header alone tells; a control batch counts as one that touches nothing.
pub(crate) fn of_header(header: &BatchHeader) -> BatchMeta {
    BatchMeta {
        last_offset_delta: header.last_offset_delta,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.attributes.is_transactional(),
        control: header.attributes.is_control().then_some(Control::Other),
        max_timestamp: header.max_timestamp,
        log_append_time: header.is_log_append_time(),
    }
}

/// What a control batch says. One that cannot be read touches nothing.
pub(crate) fn control(bytes: &bytes::Bytes) -> Control {
    let parsed = records::Batch::parse(bytes).and_then(|batch| ControlRecord::of_batch(&batch));
    match parsed {
        Ok(ControlRecord::EndTransaction(end)) => end_of_transaction(end),
        _ => Control::Other,
    }
}

fn end_of_transaction(end: EndTransactionMarker) -> Control {
    Control::EndTransaction {
        marker: match end.result {
            TransactionResult::Commit => Marker::Commit,
            TransactionResult::Abort => Marker::Abort,
        },
        coordinator_epoch: end.coordinator_epoch,
    }
}

/// What a replica is told of the log that was opened for it.
pub(crate) fn recovered<D: env::Disk>(
    now: Mono,
    fence: Fence,
    log: &storage::log::Log<D>,
    found: &storage::recovery::Recovered,
) -> partition::Recovered {
    let rows = found.producers.iter().map(|entry| ProducerRow {
        producer_id: entry.producer_id,
        producer_epoch: entry.producer_epoch,
        last_sequence: entry.last_sequence,
        last_offset: entry.last_offset,
        offset_delta: entry.offset_delta,
        timestamp: entry.timestamp,
        coordinator_epoch: entry.coordinator_epoch,
        current_txn_first_offset: (entry.current_txn_first_offset.0 >= 0)
            .then_some(entry.current_txn_first_offset),
    });
    let mut state = LogState {
        epochs: partition::EpochCache::from_entries(log.epochs().entries().iter().map(|entry| {
            partition::EpochEntry {
                epoch: entry.epoch,
                start: entry.start,
            }
        })),
        producers: partition::ProducerState::from_rows(now, rows),
    };
    for replayed in &found.replay {
        let header = &replayed.header;
        let mut meta = of_header(header);
        if let Some(end) = replayed.end {
            meta.control = Some(end_of_transaction(end));
        }
        state.apply(now, header.leader_epoch, header.base_offset, &meta);
    }
    partition::Recovered {
        fence,
        log_start: found.log_start,
        log_end: found.log_end,
        durable_end: found.log_end,
        high_watermark: None,
        log: state,
    }
}

/// A replica's producers, as their snapshot file has them.
pub(crate) fn snapshot_entries(
    snapshot: &ProducerSnapshot,
) -> Vec<storage::producer_snapshot::ProducerEntry> {
    snapshot
        .rows
        .iter()
        .map(|row| storage::producer_snapshot::ProducerEntry {
            producer_id: row.producer_id,
            producer_epoch: row.producer_epoch,
            last_sequence: row.last_sequence,
            last_offset: row.last_offset,
            offset_delta: row.offset_delta,
            timestamp: row.timestamp,
            coordinator_epoch: row.coordinator_epoch,
            current_txn_first_offset: row.current_txn_first_offset.unwrap_or(Offset(-1)),
        })
        .collect()
}

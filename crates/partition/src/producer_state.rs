//! Idempotent and transactional producers of one partition.
//!
//! [`ProducerState::check`] decides and changes nothing; [`ProducerState::apply`] changes and decides
//! nothing. The same `apply` builds the state from a log that is replayed, so what is remembered is a
//! function of the log.
//!
//! Source: Kafka's `ProducerStateManager` and `ProducerAppendInfo`; KIP-98, KIP-360.

use std::collections::BTreeMap;

use types::{
    ErrorCode, Mono, NextOffset, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs, mutant,
};

use crate::batch::{BatchMeta, Control, Marker, Origin};
use crate::producer_entry::{BatchSpan, ProducerEntry};

/// A transaction whose end marker is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompletedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// How it ended.
    pub marker: Marker,
}

/// An entry of the transaction index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// The last stable offset once this marker is committed.
    pub last_stable_offset: NextOffset,
}

/// What is to be done with a batch that broke no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Append it.
    New,
    /// It repeats one that is in the log.
    Duplicate(BatchSpan),
}

/// One row of a producer snapshot, with the fields that Kafka's file has.
///
/// A producer has a row per remembered batch, oldest first (Kafka writes only the newest, and where it
/// finds several rows of one producer the last one counts): a producer may have five requests in flight
/// when the broker stops, and must get each of them recognised afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerRow {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of the batch's last record; -1 if no batch is remembered.
    pub last_sequence: Sequence,
    /// The offset of the batch's last record; -1 if no batch is remembered.
    pub last_offset: Offset,
    /// Last offset minus base offset.
    pub offset_delta: i32,
    /// The batch's greatest timestamp; in a producer's last row the producer's last timestamp.
    pub timestamp: TimestampMs,
    /// The epoch of the coordinator that wrote the last marker; -1 before the first.
    pub coordinator_epoch: i32,
    /// The first offset of the open transaction.
    pub current_txn_first_offset: Option<Offset>,
}

/// All rows, as of an end of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerSnapshot {
    /// The state reflects exactly the records below this offset.
    pub at: NextOffset,
    /// The rows.
    pub rows: Vec<ProducerRow>,
}

/// The producers of one partition and their transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerState {
    producers: BTreeMap<ProducerId, ProducerEntry>,
    /// Open transactions by first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Ended transactions whose marker is not committed yet, by first offset.
    unreplicated: BTreeMap<Offset, CompletedTransaction>,
}

/// How to take one `apply` back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Undo {
    producer_id: ProducerId,
    before: Option<ProducerEntry>,
    began: Option<Offset>,
    completed: Option<CompletedTransaction>,
}

impl ProducerState {
    /// The state that these rows describe. The rows of one producer that share its last row's epoch are
    /// its remembered batches; `now` is when all of them were last heard of.
    #[must_use]
    pub fn from_rows(now: Mono, rows: impl IntoIterator<Item = ProducerRow>) -> ProducerState {
        let mut state = ProducerState::default();
        for row in rows {
            let entry = state
                .producers
                .entry(row.producer_id)
                .or_insert_with(|| ProducerEntry::new(now));
            entry.enter_epoch(row.producer_epoch);
            if row.last_sequence != Sequence::NONE && row.offset_delta >= 0 {
                entry.push(BatchSpan {
                    last_sequence: row.last_sequence,
                    last_offset: row.last_offset,
                    offset_delta: row.offset_delta,
                    timestamp: row.timestamp,
                });
            }
            entry.last_timestamp = row.timestamp;
            entry.coordinator_epoch = row.coordinator_epoch;
            entry.current_txn_first_offset = row.current_txn_first_offset;
        }
        for (id, entry) in &state.producers {
            if let Some(first) = entry.current_txn_first_offset {
                state.ongoing.insert(first, *id);
            }
        }
        state
    }

    /// The rows that describe this state, but for ended transactions that are not committed.
    #[must_use]
    pub fn rows(&self) -> Vec<ProducerRow> {
        let mut rows = Vec::new();
        for newest in self.newest_rows() {
            let recent = self.producers[&newest.producer_id].recent();
            let older = recent.iter().take(recent.len().saturating_sub(1));
            rows.extend(older.map(|span| ProducerRow {
                last_sequence: span.last_sequence,
                last_offset: span.last_offset,
                offset_delta: span.offset_delta,
                timestamp: span.timestamp,
                ..newest
            }));
            rows.push(newest);
        }
        rows
    }

    /// One row per producer, of its newest batch: what DescribeProducers tells.
    pub fn newest_rows(&self) -> impl Iterator<Item = ProducerRow> {
        self.producers.iter().map(|(id, entry)| {
            let newest = entry.last();
            ProducerRow {
                producer_id: *id,
                producer_epoch: entry.producer_epoch,
                last_sequence: entry.last_sequence(),
                last_offset: newest.map_or(Offset(-1), |span| span.last_offset),
                offset_delta: newest.map_or(0, |span| span.offset_delta),
                timestamp: entry.last_timestamp,
                coordinator_epoch: entry.coordinator_epoch,
                current_txn_first_offset: entry.current_txn_first_offset,
            }
        })
    }

    /// The known producers, by id.
    pub fn producers(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }

    /// One producer.
    #[must_use]
    pub fn producer(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.producers.get(&id)
    }

    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Open transactions: first offset and producer, oldest first.
    pub fn open_transactions(&self) -> impl Iterator<Item = (Offset, ProducerId)> {
        self.ongoing.iter().map(|(first, id)| (*first, *id))
    }

    /// The first record whose transaction has not ended, or ended by a marker that is not committed.
    #[must_use]
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let ongoing = self.ongoing.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        ongoing.into_iter().chain(unreplicated).min().copied()
    }

    /// Judges a batch against what is known of its producer.
    ///
    /// **Errors** 47 for an old epoch, 45 for a gap, 48 for a plain batch within an open transaction, 52 for
    /// a marker of an old coordinator, 87 for a control batch from a client.
    pub fn check(&self, batch: &BatchMeta, origin: Origin) -> Result<Verdict, ErrorCode> {
        if origin == Origin::Client && batch.control.is_some() {
            return Err(ErrorCode::INVALID_RECORD);
        }
        if !batch.has_producer() {
            return Ok(Verdict::New);
        }
        let Some(entry) = self.producers.get(&batch.producer_id) else {
            // Unknown, perhaps because retention took all that it wrote: any sequence may be the first.
            return Ok(Verdict::New);
        };
        if batch.control.is_none()
            && origin == Origin::Client
            && batch.producer_epoch == entry.producer_epoch
            && let Some(span) = entry.find(batch.base_sequence, batch.last_sequence())
        {
            return Ok(Verdict::Duplicate(*span));
        }
        if batch.producer_epoch < entry.producer_epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        match batch.control {
            Some(Control::EndTransaction {
                coordinator_epoch, ..
            }) => {
                if coordinator_epoch < entry.coordinator_epoch {
                    return Err(ErrorCode::TRANSACTION_COORDINATOR_FENCED);
                }
            }
            Some(Control::Other) => {}
            None => {
                if origin == Origin::Client {
                    check_sequence(entry, batch)?;
                }
                if entry.current_txn_first_offset.is_some() && !batch.transactional {
                    return Err(ErrorCode::INVALID_TXN_STATE);
                }
            }
        }
        Ok(Verdict::New)
    }

    /// Takes in a batch that is in the log at `base_offset`, or about to be. Returns the transaction that
    /// it ended, and the way back.
    pub(crate) fn apply(
        &mut self,
        now: Mono,
        batch: &BatchMeta,
        base_offset: Offset,
    ) -> Option<(Undo, Option<CompletedTransaction>)> {
        if !batch.has_producer() || batch.control == Some(Control::Other) {
            return None;
        }
        let before = self.producers.get(&batch.producer_id).copied();
        let mut entry = before.unwrap_or_else(|| ProducerEntry::new(now));
        let mut undo = Undo {
            producer_id: batch.producer_id,
            before,
            began: None,
            completed: None,
        };
        entry.last_used = now;
        entry.last_timestamp = batch.max_timestamp;
        entry.enter_epoch(batch.producer_epoch);
        match batch.control {
            Some(Control::EndTransaction {
                marker,
                coordinator_epoch,
            }) => {
                entry.coordinator_epoch = coordinator_epoch;
                // A marker that ends nothing moves no stable offset and needs no index entry.
                if let Some(first_offset) = entry.current_txn_first_offset.take() {
                    let completed = CompletedTransaction {
                        producer_id: batch.producer_id,
                        first_offset,
                        last_offset: batch.last_offset(base_offset),
                        marker,
                    };
                    self.ongoing.remove(&first_offset);
                    self.unreplicated.insert(first_offset, completed);
                    undo.completed = Some(completed);
                }
            }
            Some(Control::Other) | None => {
                if batch.base_sequence != Sequence::NONE {
                    entry.push(BatchSpan {
                        last_sequence: batch.last_sequence(),
                        last_offset: batch.last_offset(base_offset),
                        offset_delta: batch.last_offset_delta,
                        timestamp: batch.max_timestamp,
                    });
                }
                if batch.transactional
                    && (entry.current_txn_first_offset.is_none() || mutant!("TXN-35"))
                {
                    if let Some(first) = entry.current_txn_first_offset.replace(base_offset) {
                        self.ongoing.remove(&first);
                    }
                    self.ongoing.insert(base_offset, batch.producer_id);
                    undo.began = Some(base_offset);
                }
            }
        }
        self.producers.insert(batch.producer_id, entry);
        Some((undo, undo.completed))
    }

    /// Takes back the last `apply`.
    pub(crate) fn take_back(&mut self, undo: Undo) {
        match undo.before {
            Some(entry) => self.producers.insert(undo.producer_id, entry),
            None => self.producers.remove(&undo.producer_id),
        };
        if let Some(first) = undo.began {
            self.ongoing.remove(&first);
        }
        if let Some(completed) = undo.completed {
            self.unreplicated.remove(&completed.first_offset);
            self.ongoing
                .insert(completed.first_offset, completed.producer_id);
        }
    }

    /// The index entry for an ended transaction, if it was aborted. To be asked right after the `apply` of
    /// its marker.
    pub(crate) fn aborted(&self, completed: CompletedTransaction) -> Option<AbortedTransaction> {
        (completed.marker == Marker::Abort).then(|| AbortedTransaction {
            producer_id: completed.producer_id,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset: self
                .ongoing
                .keys()
                .next()
                .map_or(completed.last_offset.next(), |first| first.end_before()),
        })
    }

    /// Markers below the high watermark no longer hold back the last stable offset.
    pub(crate) fn committed_upto(&mut self, high_watermark: NextOffset) {
        if !self.unreplicated.is_empty() {
            self.unreplicated
                .retain(|_, txn| !txn.last_offset.is_before(high_watermark));
        }
    }

    /// Forgets producers that have been idle for `expiration_ms` and have no open transaction. Returns how
    /// many.
    pub(crate) fn expire(&mut self, now: Mono, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        self.producers.retain(|_, entry| {
            entry.current_txn_first_offset.is_some()
                || now < entry.last_used.after_ms(expiration_ms)
        });
        before - self.producers.len()
    }

    /// Panics if the parts contradict each other.
    pub(crate) fn check_all(&self) {
        let open: BTreeMap<Offset, ProducerId> = self
            .producers
            .iter()
            .filter_map(|(id, entry)| Some((entry.current_txn_first_offset?, *id)))
            .collect();
        assert_eq!(
            open, self.ongoing,
            "open transactions are those of the producers"
        );
        for (first, txn) in &self.unreplicated {
            assert_eq!(*first, txn.first_offset);
            assert!(
                txn.first_offset < txn.last_offset,
                "a marker ends something: {txn:?}"
            );
        }
        for (id, entry) in &self.producers {
            for pair in entry.recent().windows(2) {
                assert!(
                    pair[0].last_offset < pair[1].base_offset(),
                    "batches of {id} are remembered in order: {entry:?}"
                );
            }
        }
    }
}

/// Whether `next` comes right after `last`: one more, or 0 after the greatest.
fn follows(last: Sequence, next: Sequence) -> bool {
    if mutant!("TXN-21") {
        return i64::from(next.0) == i64::from(last.0) + 1;
    }
    next == last.plus(1)
}

fn check_sequence(entry: &ProducerEntry, batch: &BatchMeta) -> Result<(), ErrorCode> {
    let in_order = if batch.producer_epoch == entry.producer_epoch {
        // After a marker of a new epoch nothing of that epoch is remembered: it starts with 0, the
        // sequence after "none".
        follows(entry.last_sequence(), batch.base_sequence)
    } else {
        batch.base_sequence == Sequence(0)
    };
    if in_order {
        Ok(())
    } else {
        Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
    }
}

//! The leader's side: taking over, appending, committing.
//!
//! A produce is judged in Kafka's order: who leads, which epoch, enough replicas, duplicate, producer epoch,
//! sequence, transaction. Nothing is changed before the last judgement; then the producer state, the end of
//! the log and the list of who waits change together, and [`Input::AppendFailed`](crate::Input::AppendFailed)
//! takes all of it back.

use std::collections::{BTreeMap, BTreeSet};

use types::{
    BrokerId, ErrorCode, LeaderEpoch, Mono, NextOffset, Offset, PartitionEpoch, TimestampMs, mutant,
};

use crate::batch::{Acks, BatchMeta, Origin};
use crate::effect::{Appended, Effect, OfflineReason, Reply};
use crate::high_watermark::InSync;
use crate::producer_entry::BatchSpan;
use crate::producer_state::Verdict;
use crate::read::{Isolation, Readable};
use crate::replica::{Durability, LastAppend, Replica, Role, refuse};
use crate::waiting::Until;

impl Replica {
    pub(crate) fn become_leader(
        &mut self,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        isr: Vec<BrokerId>,
        replicas: Vec<BrokerId>,
        out: &mut Vec<Effect>,
    ) {
        let stale = (leader_epoch, partition_epoch) <= self.registration() && !mutant!("REP-35");
        if self.is_offline() || stale {
            return;
        }
        let new_epoch = leader_epoch != self.leader_epoch || !self.is_leader();
        self.role = Role::Leader;
        self.leader_epoch = leader_epoch;
        self.partition_epoch = partition_epoch;
        let replicas: BTreeSet<BrokerId> = replicas.into_iter().collect();
        // What a follower held in an earlier epoch it may have truncated since. In the same epoch it can
        // only have gained, and replicas that left are forgotten.
        let mut followers: BTreeMap<BrokerId, NextOffset> =
            std::mem::take(&mut self.in_sync.followers);
        if new_epoch && !mutant!("REP-44") {
            followers.clear();
        }
        followers.retain(|broker, _| replicas.contains(broker));
        self.in_sync = InSync {
            isr: isr.into_iter().collect(),
            proposed: BTreeSet::new(),
            replicas,
            followers,
        };
        if new_epoch {
            self.epoch_start = self.log_end;
            let start = self.log_end.position();
            if !mutant!("REP-07") && self.log.epochs.assign(leader_epoch, start) {
                let epoch = leader_epoch;
                out.push(Effect::EpochStarted { epoch, start });
            }
        }
        self.after_config_or_isr(out);
    }

    pub(crate) fn propose_isr(&mut self, partition_epoch: PartitionEpoch, isr: Vec<BrokerId>) {
        if self.is_leader() && partition_epoch == self.partition_epoch {
            self.in_sync.proposed = isr.into_iter().collect();
        }
    }

    /// What counts as committed may have become more, or out of reach.
    pub(crate) fn after_config_or_isr(&mut self, out: &mut Vec<Effect>) {
        if !self.is_leader() {
            return;
        }
        if !self.in_sync.enough(self.config.min_insync_replicas) {
            // The high watermark stands still from here on. Kafka lets these run into their timeouts; to say
            // at once that the outcome is unknown tells the producer the same, sooner.
            for token in self.waiting.drain_committed() {
                refuse(token, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND, out);
            }
        }
        self.want_sync(out);
        self.advance_high_watermark(out);
    }

    fn want_sync(&mut self, out: &mut Vec<Effect>) {
        if self.config.durability == Durability::Synced && self.durable_end < self.log_end {
            out.push(Effect::Sync {
                upto: self.log_end,
                fence: self.fence,
            });
        }
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "these are the fields of one input"
    )]
    pub(crate) fn append(
        &mut self,
        now: Mono,
        token: u64,
        batch: &BatchMeta,
        acks: Acks,
        origin: Origin,
        expected_epoch: Option<LeaderEpoch>,
        out: &mut Vec<Effect>,
    ) {
        match self.judge(now, batch, acks, origin, expected_epoch) {
            Err(error) => refuse(token, error, out),
            Ok(Verdict::Duplicate(span)) => self.repeat(token, span, acks, out),
            Ok(Verdict::New) => self.place(now, token, batch, acks, out),
        }
    }

    fn judge(
        &mut self,
        now: Mono,
        batch: &BatchMeta,
        acks: Acks,
        origin: Origin,
        expected_epoch: Option<LeaderEpoch>,
    ) -> Result<Verdict, ErrorCode> {
        self.check_leader(expected_epoch)?;
        if batch.last_offset_delta < 0 || self.log_end.0 > i64::MAX - (1 << 32) {
            return Err(ErrorCode::INVALID_RECORD);
        }
        let verdict = self.log.producers.check(batch, origin);
        if mutant!("TXN-45") && verdict == Ok(Verdict::New) {
            let epoch = self.leader_epoch;
            self.log.apply(now, epoch, self.log_end.position(), batch);
        }
        if acks == Acks::All && !self.in_sync.enough(self.config.min_insync_replicas) {
            return Err(ErrorCode::NOT_ENOUGH_REPLICAS);
        }
        verdict
    }

    /// Answers a repeated batch with the original's place, once the original is as safe as `acks` asks.
    fn repeat(&mut self, token: u64, span: BatchSpan, acks: Acks, out: &mut Vec<Effect>) {
        if mutant!("TXN-28") && span.last_offset.next() > self.high_watermark {
            refuse(token, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, out);
            return;
        }
        let base_offset = if mutant!("TXN-42") {
            Offset(0)
        } else if mutant!("TXN-30") {
            self.log_end.position()
        } else {
            span.base_offset()
        };
        self.answer(
            token,
            acks,
            Appended {
                base_offset,
                next_offset: span.last_offset.next(),
                log_append_time: span.timestamp,
                duplicate: true,
            },
            out,
        );
    }

    fn place(
        &mut self,
        now: Mono,
        token: u64,
        batch: &BatchMeta,
        acks: Acks,
        out: &mut Vec<Effect>,
    ) {
        let base_offset = self.log_end.position();
        let applied = self.log.apply(now, self.leader_epoch, base_offset, batch);
        self.log_end = batch.last_offset(base_offset).next();
        self.last_append = Some(LastAppend {
            token,
            base_offset,
            undo: applied.undo,
        });
        out.push(Effect::Append {
            token,
            base_offset,
            leader_epoch: self.leader_epoch,
            fence: self.fence,
        });
        if let Some(aborted) = applied.aborted {
            out.push(Effect::TransactionAborted(aborted));
        }
        let log_append_time = if batch.log_append_time {
            batch.max_timestamp
        } else {
            TimestampMs::NONE
        };
        self.answer(
            token,
            acks,
            Appended {
                base_offset,
                next_offset: self.log_end,
                log_append_time,
                duplicate: false,
            },
            out,
        );
        self.want_sync(out);
    }

    /// Answers now if what `acks` asks for is the case already, and later otherwise.
    fn answer(&mut self, token: u64, acks: Acks, appended: Appended, out: &mut Vec<Effect>) {
        let (until, reached) = match acks {
            Acks::None | Acks::Leader => (Until::Written, self.written_end),
            Acks::All => (Until::Committed, self.high_watermark),
        };
        if appended.next_offset <= reached {
            let reply = Reply::Appended(appended);
            out.push(Effect::Reply { token, reply });
        } else {
            self.waiting.produce(token, until, appended);
        }
    }

    pub(crate) fn append_failed(
        &mut self,
        last_append: Option<LastAppend>,
        token: u64,
        error: ErrorCode,
        out: &mut Vec<Effect>,
    ) {
        if self.is_offline() {
            return;
        }
        let Some(last) = last_append.filter(|last| last.token == token) else {
            self.go_offline(OfflineReason::AppendOutOfTurn, out);
            return;
        };
        if let Some(undo) = last.undo
            && !mutant!("TXN-43")
        {
            self.log.producers.take_back(undo);
        }
        self.log_end = last.base_offset.end_before();
        self.waiting.remove(token);
        refuse(token, error, out);
    }

    pub(crate) fn follower_fetched(
        &mut self,
        from: BrokerId,
        leader_epoch: LeaderEpoch,
        last_fetched_epoch: Option<LeaderEpoch>,
        fetch_offset: Offset,
        durable_end: NextOffset,
        out: &mut Vec<Effect>,
    ) {
        let current = leader_epoch == self.leader_epoch || mutant!("REP-04");
        let replica = self.in_sync.replicas.contains(&from);
        // A follower whose log parts from this one is told so, and what it holds counts for nothing.
        let position = self.readable(Isolation::LogEnd, None, last_fetched_epoch, fetch_offset);
        let agrees = match position {
            Ok(Readable::UpTo(_)) => true,
            Ok(Readable::Diverging(_)) => mutant!("REP-10"),
            Err(_) => false,
        };
        if !current || !replica || !agrees || durable_end > self.log_end {
            return;
        }
        self.in_sync.followers.insert(from, durable_end);
        self.advance_high_watermark(out);
    }

    /// Commits what every replica of the maximal ISR holds, unless the ISR is too small (KIP-966).
    pub(crate) fn advance_high_watermark(&mut self, out: &mut Vec<Effect>) {
        let enough = self.in_sync.enough(self.config.min_insync_replicas) || mutant!("REP-22");
        if !self.is_leader() || !enough {
            return;
        }
        let own_end = match self.config.durability {
            Durability::Synced => self.durable_end,
            Durability::Replicated => self.written_end,
        };
        let Some(held) = self.in_sync.held_by_all(self.config.me, own_end) else {
            return;
        };
        if held <= self.high_watermark {
            return;
        }
        self.high_watermark = held;
        self.log.producers.committed_upto(held);
        out.push(Effect::HighWatermarkMoved {
            high_watermark: held,
            last_stable_offset: self.last_stable_offset(),
        });
        while let Some((token, appended)) = self.waiting.next_due(Until::Committed, held) {
            let reply = Reply::Appended(appended);
            out.push(Effect::Reply { token, reply });
        }
    }

    pub(crate) fn delete_records(&mut self, token: u64, before: Offset, out: &mut Vec<Effect>) {
        if let Err(error) = self.check_leader(None) {
            return refuse(token, error, out);
        }
        let to = if before == Offset(-1) {
            self.high_watermark.position()
        } else {
            before
        };
        if to < Offset(0) || to.end_before() > self.high_watermark {
            return refuse(token, ErrorCode::OFFSET_OUT_OF_RANGE, out);
        }
        if to <= self.log_start {
            let low_watermark = self.log_start;
            let reply = Reply::Deleted { low_watermark };
            out.push(Effect::Reply { token, reply });
            return;
        }
        self.waiting.delete(token, to);
        if to > self.log_start_asked {
            self.log_start_asked = to;
            let fence = self.fence;
            out.push(Effect::MoveLogStart { to, fence });
        }
    }
}

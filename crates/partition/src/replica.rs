//! The replica: its state, its roles, and the one door into it.
//!
//! Legal transitions: `Idle -> Leader | Follower` and `Leader <-> Follower` by the controller's word, each
//! to a higher leader epoch; anything but `Offline -> Idle` by [`Input::Stop`]; anything `-> Offline` by an
//! error of the disk or a broken promise of the host, and never back: the host reopens the log and builds
//! another replica under another [`Fence`].

use types::{
    BrokerId, ErrorCode, LeaderEpoch, Mono, NextOffset, Offset, PartitionEpoch, TopicPartition,
    mutant,
};

use crate::effect::{Effect, OfflineReason, Reply};
use crate::epoch_cache::EpochCache;
use crate::high_watermark::InSync;
use crate::input::{Fence, Input};
use crate::log_state::LogState;
use crate::producer_state::{ProducerSnapshot, ProducerState, Undo};
use crate::waiting::{Until, Waiting};

/// What counts as "held by a replica".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Records that are synced: they outlive the loss of power on every replica. The default.
    Synced,
    /// Records that are written: Kafka's promise.
    Replicated,
}

/// What does not change while the replica lives, and the topic's configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaConfig {
    /// This broker.
    pub me: BrokerId,
    /// The partition.
    pub partition: TopicPartition,
    /// When records count as held.
    pub durability: Durability,
    /// `min.insync.replicas`.
    pub min_insync_replicas: i32,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
}

/// What storage found when it opened the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recovered {
    /// The incarnation of the opened log; completions under any other are dropped.
    pub fence: Fence,
    /// The first offset kept.
    pub log_start: Offset,
    /// The end of the log.
    pub log_end: NextOffset,
    /// The end of what is known to be durable.
    pub durable_end: NextOffset,
    /// The checkpointed high watermark, if there is one. A lower bound: the truth may be higher.
    pub high_watermark: Option<NextOffset>,
    /// Leader epochs and producers, rebuilt from the log.
    pub log: LogState,
}

/// What a replica is at the moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Not told yet, or stopped.
    Idle,
    /// Takes appends.
    Leader,
    /// Copies from a leader.
    Follower {
        /// Which broker that is.
        leader: BrokerId,
    },
    /// Broken.
    Offline {
        /// Why.
        reason: OfflineReason,
    },
}

/// How to take the last append back, while that is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LastAppend {
    pub(crate) token: u64,
    pub(crate) base_offset: Offset,
    pub(crate) undo: Option<Undo>,
}

/// One replica of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    pub(crate) config: ReplicaConfig,
    pub(crate) fence: Fence,
    pub(crate) role: Role,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    /// Where the log ended when this replica began to lead in this epoch.
    pub(crate) epoch_start: NextOffset,
    pub(crate) in_sync: InSync,
    pub(crate) log_start: Offset,
    /// The furthest that an admin asked the log's start to be moved.
    pub(crate) log_start_asked: Offset,
    pub(crate) log_end: NextOffset,
    pub(crate) written_end: NextOffset,
    pub(crate) durable_end: NextOffset,
    pub(crate) high_watermark: NextOffset,
    pub(crate) log: LogState,
    pub(crate) waiting: Waiting,
    pub(crate) last_append: Option<LastAppend>,
}

impl Replica {
    /// A replica over an opened log, without a role.
    #[must_use]
    pub fn new(config: ReplicaConfig, recovered: Recovered) -> Replica {
        let Recovered {
            fence,
            log_start,
            log_end,
            durable_end,
            high_watermark,
            mut log,
        } = recovered;
        assert!(
            log_start.end_before() <= log_end,
            "a log starts before it ends"
        );
        if let Some(checkpointed) = high_watermark
            && checkpointed > log_end
        {
            tracing::error!(
                partition = ?config.partition,
                high_watermark = checkpointed.0,
                log_end = log_end.0,
                "committed records are missing at the end of the log"
            );
        }
        // The checkpoint of epochs is written when an epoch starts, the records after it perhaps never.
        log.epochs.truncate_from_start(log_start);
        log.epochs.truncate_from_end(log_end, log_end);
        let high_watermark = high_watermark
            .unwrap_or(log_start.end_before())
            .clamp(log_start.end_before(), log_end);
        log.producers.committed_upto(high_watermark);
        let replica = Replica {
            config,
            fence,
            role: Role::Idle,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: PartitionEpoch(-1),
            epoch_start: log_end,
            in_sync: InSync::default(),
            log_start,
            log_start_asked: log_start,
            log_end,
            // Whatever was found in the log was read from it, so it is written.
            written_end: log_end,
            durable_end: durable_end.min(log_end),
            high_watermark,
            log,
            waiting: Waiting::default(),
            last_append: None,
        };
        replica.check();
        replica
    }

    /// Applies one input and appends what must be done to `out`, in order. Total: no input panics, short of
    /// a token that is in use already.
    pub fn step(&mut self, now: Mono, input: Input, out: &mut Vec<Effect>) {
        let last_append = self.last_append.take();
        match input {
            Input::BecomeLeader {
                leader_epoch,
                partition_epoch,
                isr,
                replicas,
            } => self.become_leader(leader_epoch, partition_epoch, isr, replicas, out),
            Input::BecomeFollower {
                leader,
                leader_epoch,
                partition_epoch,
            } => self.become_follower(leader, leader_epoch, partition_epoch, out),
            Input::IsrProposed {
                partition_epoch,
                isr,
            } => self.propose_isr(partition_epoch, isr),
            Input::Stop => self.stop(out),
            Input::Append {
                token,
                batch,
                acks,
                origin,
                expected_epoch,
            } => self.append(now, token, &batch, acks, origin, expected_epoch, out),
            Input::AppendFailed { token, error } => {
                self.append_failed(last_append, token, error, out);
            }
            Input::Written { fence, upto } => self.written(fence, upto, out),
            Input::Synced { fence, upto } => self.synced(fence, upto, out),
            Input::IoFailed { fence, reason } => {
                if fence == self.fence {
                    self.go_offline(OfflineReason::Io(reason), out);
                }
            }
            Input::DeleteRecords { token, before } => self.delete_records(token, before, out),
            Input::LogStartMoved { fence, to } => self.log_start_moved(fence, to, out),
            Input::ConfigChanged {
                durability,
                min_insync_replicas,
                producer_id_expiration_ms,
            } => {
                self.config.durability = durability;
                self.config.min_insync_replicas = min_insync_replicas;
                self.config.producer_id_expiration_ms = producer_id_expiration_ms;
                self.after_config_or_isr(out);
            }
            Input::FollowerFetched {
                from,
                leader_epoch,
                last_fetched_epoch,
                fetch_offset,
                durable_end,
            } => self.follower_fetched(
                from,
                leader_epoch,
                last_fetched_epoch,
                fetch_offset,
                durable_end,
                out,
            ),
            Input::TimedOut { token } => {
                if self.waiting.remove(token) {
                    refuse(token, ErrorCode::REQUEST_TIMED_OUT, out);
                }
            }
            Input::ExpireProducers => {
                self.log
                    .producers
                    .expire(now, self.config.producer_id_expiration_ms);
            }
        }
        self.check();
    }

    fn become_follower(
        &mut self,
        leader: BrokerId,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        out: &mut Vec<Effect>,
    ) {
        if self.is_offline() || (leader_epoch, partition_epoch) <= self.registration() {
            return;
        }
        self.role = Role::Follower { leader };
        self.leader_epoch = leader_epoch;
        self.partition_epoch = partition_epoch;
        self.in_sync = InSync::default();
        self.refuse_all(ErrorCode::NOT_LEADER_OR_FOLLOWER, out);
    }

    fn stop(&mut self, out: &mut Vec<Effect>) {
        if !self.is_offline() {
            self.role = Role::Idle;
            self.in_sync = InSync::default();
            // What waits is in the log, and whoever closes it writes and syncs it: nobody is told that it is
            // not there.
            self.refuse_all(ErrorCode::REQUEST_TIMED_OUT, out);
        }
    }

    fn written(&mut self, fence: Fence, upto: NextOffset, out: &mut Vec<Effect>) {
        if !self.heeds(fence) || self.claims_past_end(upto, out) {
            return;
        }
        self.written_end = self.written_end.max(upto);
        if mutant!("STO-08") {
            self.durable_end = self.written_end;
        }
        self.answer_written(out);
        self.advance_high_watermark(out);
    }

    fn synced(&mut self, fence: Fence, upto: NextOffset, out: &mut Vec<Effect>) {
        if !self.heeds(fence) || self.claims_past_end(upto, out) {
            return;
        }
        // Syncs of one log may finish out of order: the one asked for first tells nothing new.
        self.durable_end = if mutant!("STO-26") {
            upto
        } else {
            self.durable_end.max(upto)
        };
        self.written_end = self.written_end.max(upto);
        self.answer_written(out);
        self.advance_high_watermark(out);
    }

    fn heeds(&self, fence: Fence) -> bool {
        (fence == self.fence || mutant!("STO-25")) && !self.is_offline()
    }

    fn claims_past_end(&mut self, claimed: NextOffset, out: &mut Vec<Effect>) -> bool {
        let past = claimed > self.log_end;
        if past {
            let log_end = self.log_end;
            self.go_offline(OfflineReason::ClaimPastEnd { claimed, log_end }, out);
        }
        past
    }

    fn answer_written(&mut self, out: &mut Vec<Effect>) {
        while let Some((token, appended)) = self.waiting.next_due(Until::Written, self.written_end)
        {
            let reply = Reply::Appended(appended);
            out.push(Effect::Reply { token, reply });
        }
    }

    fn log_start_moved(&mut self, fence: Fence, to: Offset, out: &mut Vec<Effect>) {
        if fence != self.fence || self.is_offline() || to <= self.log_start {
            return;
        }
        if to.end_before() > self.high_watermark {
            let high_watermark = self.high_watermark;
            let reason = OfflineReason::LogStartPastHighWatermark {
                log_start: to,
                high_watermark,
            };
            self.go_offline(reason, out);
            return;
        }
        self.log_start = to;
        self.log.epochs.truncate_from_start(to);
        out.push(Effect::LogStartMoved {
            to,
            by_request: to <= self.log_start_asked,
        });
        while let Some(token) = self.waiting.next_deleted(to) {
            let reply = Reply::Deleted { low_watermark: to };
            out.push(Effect::Reply { token, reply });
        }
    }

    pub(crate) fn go_offline(&mut self, reason: OfflineReason, out: &mut Vec<Effect>) {
        if self.is_offline() {
            return;
        }
        tracing::error!(partition = ?self.config.partition, %reason, "the replica goes offline");
        if !mutant!("STO-13") {
            self.role = Role::Offline {
                reason: reason.clone(),
            };
            self.in_sync = InSync::default();
        }
        self.refuse_all(ErrorCode::KAFKA_STORAGE_ERROR, out);
        out.push(Effect::WentOffline { reason });
    }

    fn refuse_all(&mut self, error: ErrorCode, out: &mut Vec<Effect>) {
        for token in self.waiting.drain() {
            refuse(token, error, out);
        }
    }

    pub(crate) fn registration(&self) -> (LeaderEpoch, PartitionEpoch) {
        (self.leader_epoch, self.partition_epoch)
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> TopicPartition {
        self.config.partition
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &ReplicaConfig {
        &self.config
    }

    /// What this replica is.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whether this replica takes appends.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    /// Whether this replica is broken.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        matches!(self.role, Role::Offline { .. })
    }

    /// The incarnation of the log.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// The newest leader epoch heard of.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The newest partition epoch heard of.
    #[must_use]
    pub fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// The first offset kept.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The end of the log.
    #[must_use]
    pub fn log_end(&self) -> NextOffset {
        self.log_end
    }

    /// The end of what is written.
    #[must_use]
    pub fn written_end(&self) -> NextOffset {
        self.written_end
    }

    /// The end of what is durable here.
    #[must_use]
    pub fn durable_end(&self) -> NextOffset {
        self.durable_end
    }

    /// The end of what is committed.
    #[must_use]
    pub fn high_watermark(&self) -> NextOffset {
        self.high_watermark
    }

    /// The end of what is committed and in no transaction that may still be aborted.
    #[must_use]
    pub fn last_stable_offset(&self) -> NextOffset {
        let unstable = self.log.producers.first_unstable_offset();
        unstable.map_or(self.high_watermark, |first| {
            first
                .max(self.log_start)
                .end_before()
                .min(self.high_watermark)
        })
    }

    /// Leader epochs of the log.
    #[must_use]
    pub fn epochs(&self) -> &EpochCache {
        &self.log.epochs
    }

    /// Producers of the log.
    #[must_use]
    pub fn producers(&self) -> &ProducerState {
        &self.log.producers
    }

    /// The producers as a snapshot file holds them. Taken when a segment rolls, after the append that
    /// rolled it, and at a clean stop.
    #[must_use]
    pub fn producer_snapshot(&self) -> ProducerSnapshot {
        ProducerSnapshot {
            at: self.log_end,
            rows: self.log.producers.rows(),
        }
    }

    /// How many callers wait for an answer.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Panics if an invariant is broken. Cheap: runs at the end of every step, release builds included.
    pub fn check(&self) {
        let stable = self.last_stable_offset();
        assert!(
            self.log_start.end_before() <= stable,
            "log start <= LSO: {self:?}"
        );
        assert!(stable <= self.high_watermark, "LSO <= HW: {self:?}");
        assert!(
            self.high_watermark <= self.log_end,
            "HW <= log end: {self:?}"
        );
        assert!(
            self.durable_end <= self.written_end,
            "durable <= written: {self:?}"
        );
        assert!(
            self.written_end <= self.log_end,
            "written <= log end: {self:?}"
        );
        if self.is_leader() {
            let latest = self.log.epochs.latest();
            assert!(
                latest.is_some_and(|entry| entry.epoch == self.leader_epoch
                    && entry.start.end_before() <= self.log_end),
                "the newest epoch is the leader's: {self:?}"
            );
        } else {
            assert!(
                self.waiting.len() == 0 || mutant!("STO-13"),
                "only a leader keeps somebody waiting: {self:?}"
            );
        }
        self.waiting.check(self.written_end, self.high_watermark);
    }

    /// As [`Replica::check`], with everything that takes time.
    pub fn check_all(&self) {
        self.check();
        self.log.epochs.check_all();
        self.log.producers.check_all();
        self.waiting.check_all();
        if let Some(first) = self.log.epochs.entries().first() {
            assert!(
                first.start >= self.log_start,
                "epochs start in the log: {self:?}"
            );
        }
        if let Some((_, span)) = self
            .log
            .producers
            .producers()
            .filter_map(|(id, entry)| Some((id, entry.last()?)))
            .max_by_key(|(_, span)| span.last_offset)
        {
            assert!(
                span.last_offset.is_before(self.log_end),
                "producers wrote what is in the log: {self:?}"
            );
        }
    }
}

pub(crate) fn refuse(token: u64, error: ErrorCode, out: &mut Vec<Effect>) {
    let reply = Reply::Refused(error);
    out.push(Effect::Reply { token, reply });
}

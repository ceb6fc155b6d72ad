//! A partition that is served: the replica that decides, the log that keeps, and those who wait.

use std::sync::{Arc, Weak};

use env::{Env, Seen};
use futures_util::stream::FuturesUnordered;
use metadata::TopicConfig;
use partition::{Acks, Durability, Effect, Fence, Input, Origin, Readable, Replica, Reply};
use protocol::Str;
use storage::error::{AppendError, ReadError};
use storage::job::{JobDone, JobError, JobOutcome};
use storage::log::{Health, Log};
use storage::sync::SyncDone;
use tokio::sync::{Notify, oneshot};
use types::{ErrorCode, NextOffset, Offset, TopicPartition};

use super::coordinator::{Coordinator, REPLAY_BYTES, Replayed};
use super::message::{
    DeleteRecords, DeleteRecordsAnswer, EpochAnswer, EpochQuery, FetchAnswer, FetchPartition,
    Install, Isolation, LogDescription, OffsetFound, OffsetQuery, OffsetSpec,
};
use super::open::{OpenLog, log_config};
use super::recovery::Tally;
use super::timers::Timer;
use super::work::{Job, JobFuture, RETRY_MS, Waiting, Work};
use crate::{batches, policy};

/// How long a batch may be written and not durable while nobody waits for that. Consumers see it when it is
/// durable, so one that waits is not kept waiting.
const SYNC_DELAY_MS: i64 = 5;

/// So many bytes do not wait for that.
const SYNC_BYTES: u32 = 1 << 20;

/// A partition that is served.
pub(crate) struct Hosted<E: Env> {
    partition: TopicPartition,
    topic: Str,
    config: Arc<TopicConfig>,
    /// What the controller said last.
    install: Install,
    replica: Replica,
    log: Log<E::Disk>,
    /// Whether `flush.ms` runs for records that nobody waits to see synced.
    flush_due: bool,
    /// Whether a job of this log is under way. One at a time.
    writing: bool,
    /// Whether a sync of this log is under way. One at a time, maybe beside a job.
    syncing: bool,
    /// The log is opened anew as soon as nothing of it is under way.
    reopening: bool,
    /// Somebody waits until everything below is durable.
    sync_now: NextOffset,
    /// Everything below becomes durable in a while, though nobody waits for it.
    sync_soon: NextOffset,
    /// Whether the timer of `sync_soon` is set.
    sync_timer: bool,
    /// Up to here producers were told that their batches are written.
    answered: NextOffset,
    /// The log's incarnation that completions must name.
    fence: Fence,
    /// Fetches that wait for something new here.
    waiters: Vec<Weak<Notify>>,
    /// The group coordinator, on partitions of `__consumer_offsets`.
    coordinator: Option<Box<Coordinator>>,
}

impl<E: Env> Hosted<E> {
    /// A partition whose log has just been opened. It leads nothing yet.
    pub fn new(work: &mut Work<E>, install: &Install, open: OpenLog<E>) -> Hosted<E> {
        let fence = open.recovered.fence;
        let replica = Replica::new(
            partition::ReplicaConfig {
                me: work.config.me,
                partition: install.partition,
                durability: policy::durability(&install.config),
                min_insync_replicas: install.config.min_insync_replicas,
                producer_id_expiration_ms: work.config.producer_id_expiration_ms,
            },
            open.recovered,
        );
        let coordinator = (&*install.topic == crate::view::OFFSETS_TOPIC).then(|| {
            Box::new(Coordinator::new(
                &work.env,
                &work.config.group,
                install.partition,
            ))
        });
        Hosted {
            partition: install.partition,
            topic: install.topic.clone(),
            config: install.config.clone(),
            install: install.clone(),
            replica,
            log: open.log,
            flush_due: false,
            writing: false,
            syncing: false,
            reopening: false,
            sync_now: NextOffset(0),
            sync_soon: NextOffset(0),
            sync_timer: false,
            answered: NextOffset(0),
            fence,
            waiters: Vec::new(),
            coordinator,
        }
    }

    /// The controller says that this node leads, or says it anew.
    pub fn lead(&mut self, work: &mut Work<E>, install: &Install) {
        self.install = install.clone();
        if install.leader != work.config.me {
            let input = Input::BecomeFollower {
                leader: install.leader,
                leader_epoch: install.leader_epoch,
                partition_epoch: install.partition_epoch,
            };
            self.step(work, input, None);
            return;
        }
        let input = Input::BecomeLeader {
            leader_epoch: install.leader_epoch,
            partition_epoch: install.partition_epoch,
            isr: install.isr.clone(),
            replicas: install.replicas.clone(),
        };
        self.step(work, input, None);
        work.env.observe(Seen::BecameLeader {
            partition: self.partition,
            leader_epoch: install.leader_epoch,
            log_end: self.replica.log_end(),
        });
        if !Arc::ptr_eq(&self.config, &install.config) {
            self.configure(work, install.config.clone());
        }
    }

    /// The topic's settings changed.
    pub fn configure(&mut self, work: &mut Work<E>, config: Arc<TopicConfig>) {
        self.log.set_config(log_config(
            &config,
            work.config.open_mode,
            work.config.segment_bytes_max,
        ));
        let input = Input::ConfigChanged {
            durability: policy::durability(&config),
            min_insync_replicas: config.min_insync_replicas,
            producer_id_expiration_ms: work.config.producer_id_expiration_ms,
        };
        self.config = config;
        self.step(work, input, None);
    }

    /// Appends a batch of a produce request.
    pub fn produce(
        &mut self,
        work: &mut Work<E>,
        request: u64,
        index: usize,
        batch: records::Validated,
        acks: Acks,
    ) {
        let token = work.token(Waiting::Produce {
            request,
            index,
            acks,
        });
        work.produces.wait(request, index, token);
        let input = Input::Append {
            token,
            batch: batches::meta(&batch),
            acks,
            origin: Origin::Client,
            expected_epoch: None,
        };
        self.step(work, input, Some(&batch));
    }

    /// Somebody's patience is over.
    pub fn timed_out(&mut self, work: &mut Work<E>, token: u64) {
        self.step(work, Input::TimedOut { token }, None);
    }

    /// What there is for a fetch.
    pub fn read(
        &mut self,
        wanted: &FetchPartition,
        isolation: Isolation,
        bytes_max: usize,
        min_one: bool,
    ) -> FetchAnswer<E::Disk> {
        let mut answer = FetchAnswer::failed(wanted.index, ErrorCode::NONE);
        let end = match self.replica.readable(
            isolation.into(),
            wanted.current_leader_epoch,
            wanted.last_fetched_epoch,
            wanted.offset,
        ) {
            Ok(Readable::UpTo(end)) => end,
            Ok(Readable::Diverging(end)) => {
                answer.diverging = Some((end.epoch, end.end));
                return self.with_ends(answer);
            }
            Err(error) => return FetchAnswer { error, ..answer },
        };
        answer = self.with_ends(answer);
        if !wanted.offset.is_before(end) || (bytes_max == 0 && !min_one) {
            return answer;
        }
        match self
            .log
            .read(wanted.offset, end, bytes_max.min(wanted.bytes_max), min_one)
        {
            Ok(plan) => {
                answer.aborted = (isolation == Isolation::Committed).then(|| {
                    // What lies behind all that is read is not asked about.
                    let upto = plan.end_max().map_or(end, |read| read.min(end));
                    self.log.aborted_between(wanted.offset, upto)
                });
                answer.plan = Some(plan);
            }
            Err(error) => answer.error = read_error(&error),
        }
        answer
    }

    fn with_ends(&self, answer: FetchAnswer<E::Disk>) -> FetchAnswer<E::Disk> {
        FetchAnswer {
            high_watermark: self.replica.high_watermark(),
            last_stable_offset: self.replica.last_stable_offset(),
            log_start: self.replica.log_start(),
            ..answer
        }
    }

    /// Remembers a fetch that may want to know of news. Those that were answered are forgotten here.
    pub fn remember_waiter(&mut self, work: &mut Work<E>, waiter: &Weak<Notify>) {
        if self.sync_soon > self.log.durable_end() {
            // What it waits for is there, and readable once it is durable.
            self.hurry(work);
        }
        if self.waiters.len() == self.waiters.capacity() {
            self.waiters.retain(|waiter| waiter.strong_count() > 0);
        }
        if !self.waiters.iter().any(|known| known.ptr_eq(waiter)) {
            self.waiters.push(waiter.clone());
        }
    }

    fn has_waiters(&self) -> bool {
        let waits = |waiter: &Weak<Notify>| waiter.strong_count() > 0;
        self.waiters.iter().any(waits)
    }

    /// Looks an offset up.
    pub fn look_up(
        &mut self,
        query: &OffsetQuery,
        decompressed_bytes_max: usize,
    ) -> OffsetFound<E::Disk> {
        let epoch = query.current_leader_epoch;
        if matches!(query.spec, OffsetSpec::Earliest | OffsetSpec::EarliestLocal) {
            if let Err(error) = self.replica.check_leader(epoch) {
                return OffsetFound::Error(error);
            }
            let start = self.replica.log_start();
            let epoch = self.replica.epochs().epoch_at(start);
            return OffsetFound::Known {
                offset: start.0,
                timestamp: -1,
                leader_epoch: epoch.unwrap_or(self.replica.leader_epoch()),
            };
        }
        let end = match self.replica.latest_offset(query.isolation.into(), epoch) {
            Ok(end) => end,
            Err(error) => return OffsetFound::Error(error),
        };
        let none = OffsetFound::Known {
            offset: -1,
            timestamp: -1,
            leader_epoch: types::LeaderEpoch::NONE,
        };
        match query.spec {
            OffsetSpec::Earliest | OffsetSpec::EarliestLocal => {
                unreachable!("answered above, whatever the high watermark")
            }
            OffsetSpec::Latest => OffsetFound::Known {
                offset: end.0,
                timestamp: -1,
                leader_epoch: self.replica.leader_epoch(),
            },
            // Nothing is tiered: nothing is uploaded, and nothing waits to be.
            OffsetSpec::LatestTiered | OffsetSpec::EarliestPendingUpload => none,
            OffsetSpec::MaxTimestamp => self
                .log
                .offset_of_max_timestamp(end, decompressed_bytes_max)
                .map_or_else(
                    |e| OffsetFound::Error(read_error(&e)),
                    OffsetFound::MaxTimestamp,
                ),
            OffsetSpec::At(timestamp) => self
                .log
                .offset_for_timestamp(timestamp, end, decompressed_bytes_max)
                .map_or_else(
                    |e| OffsetFound::Error(read_error(&e)),
                    OffsetFound::Timestamp,
                ),
        }
    }

    /// Where an epoch ends.
    pub fn epoch_end(&mut self, query: &EpochQuery) -> EpochAnswer {
        let ended = self
            .replica
            .end_offset_for_leader_epoch(query.current_leader_epoch, query.leader_epoch);
        match ended {
            Ok(Some(end)) => EpochAnswer {
                index: query.index,
                error: ErrorCode::NONE,
                leader_epoch: end.epoch,
                end_offset: end.end,
            },
            Ok(None) => EpochAnswer::failed(query.index, ErrorCode::NONE),
            Err(error) => EpochAnswer::failed(query.index, error),
        }
    }

    /// Moves the start of the log, when an admin asks.
    pub fn delete_records(&mut self, work: &mut Work<E>, request: u64, order: &DeleteRecords) {
        let token = work.token(Waiting::Deletion {
            request,
            index: order.index,
        });
        self.step(
            work,
            Input::DeleteRecords {
                token,
                before: Offset(order.before),
            },
            None,
        );
    }

    /// How large the log is.
    pub fn describe(&self) -> LogDescription {
        LogDescription {
            topic: self.topic.clone(),
            partition: self.partition.partition,
            size_bytes: self.log.size_bytes(),
        }
    }

    /// The producers that the partition knows.
    pub fn producers(&self) -> Vec<partition::ProducerRow> {
        self.replica.producers().newest_rows().collect()
    }

    /// Retention, rolling by time, and producers to be forgotten.
    pub fn keep_house(&mut self, work: &mut Work<E>) {
        let now = work.now();
        self.step(work, Input::ExpireProducers, None);
        if !self.is_busy() && self.replica.written_end() == self.replica.log_end() {
            self.log.release_idle();
        }
        self.log
            .apply_retention(now.wall, self.replica.high_watermark());
        work.dirty.push(self.partition);
    }

    /// Has what was appended synced in time, where nobody waits for that: `flush.messages` and `flush.ms`.
    fn schedule_flush(&mut self, work: &mut Work<E>) {
        if policy::durability(&self.config) == Durability::Synced {
            return;
        }
        let unsynced = self.log.log_end_offset().0 - self.log.durable_end().0;
        if unsynced >= self.config.flush_messages {
            self.sync_now = self.log.log_end_offset();
        } else if !self.flush_due && self.config.flush_ms < i64::MAX {
            let at = work.now().mono.after_ms(self.config.flush_ms);
            work.timers.add(at, Timer::Flush(self.partition));
            self.flush_due = true;
        }
    }

    /// Records have stayed unsynced long enough.
    pub fn flush(&mut self, work: &mut Work<E>) {
        self.flush_due = false;
        if self.log.durable_end() < self.log.log_end_offset() {
            self.sync_now = self.log.log_end_offset();
            work.dirty.push(self.partition);
        }
    }

    /// A log whose disk was full asks for room, and does what it could not: the start of the log is moved,
    /// files go.
    pub fn look_for_room(&mut self, work: &mut Work<E>) {
        self.log.look_for_room();
        work.dirty.push(self.partition);
    }

    /// Gives the partition up, to be opened anew.
    pub fn into_install(mut self, work: &mut Work<E>) -> Install {
        self.step(work, Input::Stop, None);
        let mut install = self.install;
        install.config = self.config;
        install
    }

    /// A read found records damaged: they are not served any more, and the log remembers it.
    pub fn mark_faulty(&mut self, work: &mut Work<E>, from: Offset, to: NextOffset) {
        self.log.mark_faulty(from, to);
        work.env.observe(Seen::Faulty {
            partition: self.partition,
            from,
            to,
        });
        work.dirty.push(self.partition);
    }

    /// Whether a job or a sync of this log is under way.
    pub fn is_busy(&self) -> bool {
        self.writing || self.syncing
    }

    /// What is to become durable in a while becomes so now.
    pub fn hurry(&mut self, work: &mut Work<E>) {
        self.sync_timer = false;
        self.sync_now = self.sync_now.max(self.sync_soon);
        work.dirty.push(self.partition);
    }

    /// The end of what producers were told is written, if readers do not see it yet but will once it is
    /// durable.
    pub fn answered_beyond_durable(&self) -> Option<NextOffset> {
        let is_coming = self.answered > self.log.durable_end()
            && policy::durability(&self.config) == Durability::Synced
            && self.log.health() == Health::Online
            && !self.reopening;
        is_coming.then_some(self.answered)
    }

    /// Whether producers were told of batches that are not durable, whatever comes of them.
    pub fn is_ahead(&self) -> bool {
        self.answered > self.log.durable_end()
    }

    /// The end of what is durable.
    pub fn durable_end(&self) -> NextOffset {
        self.log.durable_end()
    }

    fn is_sync_wanted(&self) -> bool {
        let durable = self.log.durable_end();
        self.sync_now > durable
            || self.log.is_evidence_full()
            || self.sync_soon > durable && self.log.unsynced_bytes() >= SYNC_BYTES
    }

    /// Gives the disk what this log has for it: writes, and beside them a sync of what is written.
    pub fn start_jobs(&mut self, jobs: &mut FuturesUnordered<JobFuture<E>>) {
        if self.reopening {
            return;
        }
        let partition = self.partition;
        if !self.writing {
            // A job that works alone syncs by itself what is wanted.
            let sync = !self.syncing && self.log.works_alone() && self.is_sync_wanted();
            if let Some(job) = self.log.start_job(sync) {
                self.writing = true;
                jobs.push(Box::pin(async move { Job::Log(partition, job.await) }));
            }
        }
        if !self.syncing
            && self.is_sync_wanted()
            && let Some(sync) = self.log.start_sync()
        {
            self.syncing = true;
            jobs.push(Box::pin(async move { Job::Synced(partition, sync.await) }));
        }
    }

    /// A job of this log has ended. Says whether the log must be opened anew.
    pub fn finish_job(&mut self, work: &mut Work<E>, done: JobDone<E::Disk>) -> bool {
        self.writing = false;
        let outcome = self.log.finish_job(done);
        self.take_in(work, outcome)
    }

    /// A sync of this log has ended. Says whether the log must be opened anew.
    pub fn finish_sync(&mut self, work: &mut Work<E>, done: SyncDone<E::Disk>) -> bool {
        self.syncing = false;
        let outcome = self.log.finish_sync(done);
        self.take_in(work, outcome)
    }

    fn take_in(&mut self, work: &mut Work<E>, outcome: JobOutcome) -> bool {
        if self.reopening {
            return !self.is_busy();
        }
        let fence = self.fence;
        let mut waits_for_room = false;
        match outcome.error {
            // What was written and synced counts; the rest is tried again.
            Some(JobError::Full(_)) if outcome.rolled_back.is_none() => {
                self.sync_now = self.log.log_end_offset();
                work.retry(self.partition);
                waits_for_room = true;
            }
            Some(error) => {
                // Whoever waits is told that the outcome is unknown. After a disk that was merely full
                // the log is opened anew; after one that failed nothing is claimed until a restart.
                let reason = error.to_string();
                self.step(work, Input::IoFailed { fence, reason }, None);
                self.reopening = matches!(error, JobError::Full(_));
                return self.reopening && !self.is_busy();
            }
            None => {}
        }
        if outcome.written > self.replica.written_end() {
            let upto = outcome.written;
            self.step(work, Input::Written { fence, upto }, None);
        }
        if outcome.durable > self.replica.durable_end() {
            work.env.observe(Seen::Synced {
                partition: self.partition,
                upto: outcome.durable,
            });
            self.step(
                work,
                Input::Synced {
                    fence,
                    upto: outcome.durable,
                },
                None,
            );
        }
        if outcome.log_start > self.replica.log_start() {
            let (fence, to) = (self.fence, outcome.log_start);
            self.step(work, Input::LogStartMoved { fence, to }, None);
        }
        if !waits_for_room {
            work.dirty.push(self.partition);
        }
        false
    }

    /// Closes the log: everything is written, synced and marked clean.
    pub fn close(mut self, work: &mut Work<E>) -> impl Future<Output = Job<E>> + use<E> {
        self.step(work, Input::Stop, None);
        let partition = self.partition;
        let snapshot = self.replica.producer_snapshot();
        let mut log = self.log;
        log.put_producer_snapshot(snapshot.at, &batches::snapshot_entries(&snapshot));
        async move { Job::Closed(partition, log.close().await) }
    }

    /// Removes the log for good.
    pub fn delete(mut self, work: &mut Work<E>) -> impl Future<Output = Job<E>> + use<E> {
        self.step(work, Input::Stop, None);
        super::open::delete(work.env.disk().clone(), self.partition, self.log)
    }

    /// Steps the replica and does what it says.
    fn step(&mut self, work: &mut Work<E>, input: Input, batch: Option<&records::Validated>) {
        let now = work.now();
        let mut effects = std::mem::take(&mut work.effects);
        // Nobody waits for the sync of such a batch, unless a consumer does.
        let content_with_written = matches!(
            &input,
            Input::Append {
                acks: Acks::None | Acks::Leader,
                ..
            }
        );
        self.replica.step(now.mono, input, &mut effects);
        let mut failed = None;
        let (mut moved, mut rolled) = (false, false);
        for effect in effects.drain(..) {
            match effect {
                Effect::Append {
                    token,
                    base_offset,
                    leader_epoch,
                    fence,
                } => {
                    let batch = batch.expect("an append follows from an append");
                    let appended = self.log.append(
                        &batch.bytes,
                        &batch.header,
                        base_offset,
                        leader_epoch,
                        now.wall,
                    );
                    match appended {
                        Ok(appended) => {
                            self.fence = fence;
                            rolled |= appended.rolled;
                            work.dirty.push(self.partition);
                            work.env.observe(Seen::Appended {
                                partition: self.partition,
                                leader_epoch,
                                base_offset,
                                next_offset: appended.next_offset,
                                crc: batch.header.crc,
                            });
                        }
                        Err(error) => {
                            failed = Some((token, append_error(&error)));
                            // A log without room looks for some with its next job.
                            work.dirty.push(self.partition);
                            break;
                        }
                    }
                }
                Effect::Sync { fence, upto } => {
                    self.fence = fence;
                    if content_with_written && !self.has_waiters() {
                        self.sync_soon = upto;
                        if !std::mem::replace(&mut self.sync_timer, true) {
                            let at = now.mono.after_ms(SYNC_DELAY_MS);
                            work.timers.add(at, Timer::Sync(self.partition));
                        }
                    } else {
                        self.sync_now = upto;
                    }
                    work.dirty.push(self.partition);
                }
                Effect::MoveLogStart { to, fence } => {
                    self.log.delete_records_before(to);
                    self.fence = fence;
                    work.dirty.push(self.partition);
                }
                // The log notes an epoch with its first batch; until then the controller knows it.
                Effect::EpochStarted { .. } => {}
                // The log saw the marker as it was appended, and keeps the transaction's index entry.
                Effect::TransactionAborted(aborted) => {
                    tracing::debug!(?aborted, "a transaction was aborted");
                }
                Effect::HighWatermarkMoved { high_watermark, .. } => {
                    moved = true;
                    work.env.observe(Seen::HighWatermark {
                        partition: self.partition,
                        high_watermark,
                    });
                }
                Effect::LogStartMoved { to, by_request } => {
                    work.env.observe(Seen::LogStart {
                        partition: self.partition,
                        log_start: to,
                        by_request,
                    });
                }
                Effect::Reply { token, reply } => self.reply(work, token, reply),
                Effect::WentOffline { reason } => {
                    tracing::error!(topic = &*self.topic, partition = self.partition.partition.0,
                        %reason, "a partition went offline");
                    work.env.observe(Seen::WentOffline {
                        partition: self.partition,
                    });
                    moved = true;
                    if let Some(coordinator) = &mut self.coordinator {
                        coordinator.fail(ErrorCode::COORDINATOR_NOT_AVAILABLE);
                    }
                }
            }
        }
        effects.clear();
        work.effects = effects;
        if batch.is_some() && failed.is_none() {
            self.schedule_flush(work);
        }
        if rolled {
            // The state as of the last batch of the closed segment and all before it would do; as of
            // the batch that opened the new one is as good, and at hand.
            let snapshot = self.replica.producer_snapshot();
            self.log
                .put_producer_snapshot(snapshot.at, &batches::snapshot_entries(&snapshot));
        }
        if let Some((token, error)) = failed {
            self.step(work, Input::AppendFailed { token, error }, None);
        }
        if moved {
            for waiter in self.waiters.drain(..) {
                if let Some(waiter) = waiter.upgrade() {
                    waiter.notify_one();
                }
            }
            if let Some(coordinator) = &mut self.coordinator {
                coordinator.committed(self.replica.high_watermark());
            }
        }
    }

    fn reply(&mut self, work: &mut Work<E>, token: u64, reply: Reply) {
        match work.redeem(token) {
            Some(Waiting::Produce {
                request,
                index,
                acks,
            }) => {
                if let Reply::Appended(appended) = &reply {
                    if acks != Acks::All {
                        self.answered = self.answered.max(appended.next_offset);
                        work.ahead.insert(self.partition);
                    }
                    work.env.observe(Seen::Acked {
                        partition: self.partition,
                        base_offset: appended.base_offset,
                        next_offset: appended.next_offset,
                        acks: match acks {
                            Acks::None => 0,
                            Acks::Leader => 1,
                            Acks::All => -1,
                        },
                    });
                }
                work.produces
                    .replied(request, index, reply, self.replica.log_start());
            }
            Some(Waiting::Deletion { request, index }) => {
                let answer = match reply {
                    Reply::Deleted { low_watermark } => DeleteRecordsAnswer {
                        index,
                        error: ErrorCode::NONE,
                        low_watermark: low_watermark.0,
                    },
                    Reply::Refused(error) => DeleteRecordsAnswer {
                        index,
                        error,
                        low_watermark: -1,
                    },
                    Reply::Appended(_) => unreachable!("a deletion is not answered with an append"),
                };
                work.deletions.answer(request, answer);
            }
            Some(Waiting::Coordinator) => {
                if let Reply::Refused(error) = reply
                    && let Some(coordinator) = &mut self.coordinator
                {
                    coordinator.append_refused(error);
                }
            }
            None => {}
        }
    }

    // The coordinator.

    /// Starts the replay of a coordinator's log.
    pub fn start_replay(&mut self, work: &mut Work<E>) -> Option<JobFuture<E>> {
        let start = self.replica.log_start();
        let id = work.next_fence();
        let replayed = self.coordinator.as_mut()?.begin_loading(id, start);
        self.replayed(work, replayed)
    }

    /// A step of the replay has ended; gives the next one. Nobody but the coordinator writes here, so the
    /// log does not grow meanwhile.
    pub fn replayed(&mut self, work: &mut Work<E>, replayed: Replayed) -> Option<JobFuture<E>> {
        if !self.coordinator.as_ref()?.awaits(&replayed) {
            // Begun before this log was opened, or before the coordinator failed.
            return None;
        }
        let end = self.replica.log_end();
        if !replayed.has_failed() && replayed.at.is_before(end) {
            match self.log.read(replayed.at, end, REPLAY_BYTES, true) {
                Ok(plan) => {
                    let partition = self.partition;
                    return Some(Box::pin(async move {
                        Job::Replayed(partition, replayed.feed(plan).await)
                    }));
                }
                Err(error) => return self.loaded(work, replayed.failed(&error)),
            }
        }
        self.loaded(work, replayed)
    }

    fn loaded(&mut self, work: &mut Work<E>, replayed: Replayed) -> Option<JobFuture<E>> {
        let coordinator = self.coordinator.as_mut()?;
        let decision = coordinator.loaded(work.now(), replayed);
        if let Some(groups) = coordinator.groups() {
            work.tally += Tally::of_coordinator(groups);
        }
        if let Some(rest) = coordinator.rest_ms() {
            let at = work.now().mono.after_ms(rest);
            work.timers.add(at, Timer::Coordinator(self.partition));
        }
        if let Some(decision) = decision {
            self.commit(work, decision);
        }
        None
    }

    /// A request for the coordinator.
    pub fn group_request(
        &mut self,
        work: &mut Work<E>,
        request: group::Request,
        reply: oneshot::Sender<Result<group::Response, ErrorCode>>,
    ) {
        let Some(coordinator) = &mut self.coordinator else {
            let _ = reply.send(Err(ErrorCode::NOT_COORDINATOR));
            return;
        };
        if let Some(decision) = coordinator.handle(work.now(), request, reply) {
            self.commit(work, decision);
        }
    }

    /// The coordinator's timer is due.
    pub fn tick_coordinator(&mut self, work: &mut Work<E>) -> Option<JobFuture<E>> {
        let coordinator = self.coordinator.as_mut()?;
        if coordinator.has_failed() {
            return match self.log.health() {
                Health::Online | Health::Full => self.start_replay(work),
                // Only another life of this partition can help.
                Health::Offline => None,
            };
        }
        if let Some(decision) = coordinator.tick(work.now()) {
            self.commit(work, decision);
        }
        None
    }

    /// Writes a decision's records, takes them in, and parks its answers until they are committed.
    fn commit(&mut self, work: &mut Work<E>, decision: super::coordinator::GroupDecision) {
        let Some(mut coordinator) = self.coordinator.take() else {
            return;
        };
        let now = work.now();
        let refused = match coordinator.encode(now, &decision.records) {
            None => None,
            Some(batch) => {
                let token = work.token(Waiting::Coordinator);
                let before = self.replica.log_end();
                let input = Input::Append {
                    token,
                    batch: batches::meta(&batch),
                    acks: Acks::All,
                    origin: Origin::Coordinator,
                    expected_epoch: Some(self.replica.leader_epoch()),
                };
                self.step(work, input, Some(&batch));
                (self.replica.log_end() == before).then_some(ErrorCode::COORDINATOR_NOT_AVAILABLE)
            }
        };
        match refused {
            Some(error) => {
                // What the machine decided did not come to pass: it starts again from its log.
                coordinator.fail(error);
                self.coordinator = Some(coordinator);
                work.timers.add(
                    now.mono.after_ms(RETRY_MS),
                    Timer::Coordinator(self.partition),
                );
            }
            None => {
                coordinator.decided(decision, self.replica.log_end());
                coordinator.committed(self.replica.high_watermark());
                if let Some(at) = coordinator.timer_to_set() {
                    work.timers.add(at, Timer::Coordinator(self.partition));
                }
                self.coordinator = Some(coordinator);
            }
        }
    }
}

fn append_error(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::TooLarge { .. } => ErrorCode::RECORD_LIST_TOO_LARGE,
        // All of these may pass: the client tries again.
        AppendError::Offline | AppendError::Full | AppendError::Busy => {
            ErrorCode::KAFKA_STORAGE_ERROR
        }
        AppendError::OutOfOrder { .. } | AppendError::StaleEpoch { .. } => {
            ErrorCode::NOT_LEADER_OR_FOLLOWER
        }
    }
}

/// What a client is told of a read that failed. Damage is never told as absence.
pub(crate) fn read_error(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::Faulty { .. } => ErrorCode::CORRUPT_MESSAGE,
        // Removed by retention since it was planned: the next request finds the new start.
        ReadError::Gone => ErrorCode::OFFSET_OUT_OF_RANGE,
        ReadError::Io { .. } | ReadError::Offline => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

impl From<Isolation> for partition::Isolation {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Uncommitted => partition::Isolation::HighWatermark,
            Isolation::Committed => partition::Isolation::LastStable,
        }
    }
}

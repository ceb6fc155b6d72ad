//! A shard: the one task that owns its partitions, their logs and their coordinators.
//!
//! Everything that happens to a partition happens here, one thing after another, so nothing is locked and
//! nothing races. A shard never waits for the disk: it hands a job to the log's file, goes on with other
//! work, and steps the replica when the job is done. Appends that arrive meanwhile are served by the next
//! job, which is what makes a sync serve many producers.
//!
//! The room before: `api`. The rooms after: `partition`, `storage`.

mod coordinator;
mod hosted;
mod message;
mod open;
mod parked;
mod produce;
mod recovery;
mod timers;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use env::{Either3, Env, race3};
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use storage::StorageError;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use types::{ErrorCode, TopicPartition};

pub(crate) use message::{
    DeleteRecords, DeleteRecordsAnswer, EpochAnswer, EpochQuery, Fetch, FetchAnswer,
    FetchPartition, Install, Isolation, OffsetAnswer, OffsetFound, OffsetQuery, OffsetSpec,
    Produce, ProduceAnswer, ShardMessage,
};

pub(crate) use hosted::read_error;
pub(crate) use open::{OPENS_MAX, open_or_create};
pub(crate) use recovery::{Tally, say};

use hosted::Hosted;
use open::{OpenTrouble, Opened};
use parked::Parked;
use timers::Timer;
use work::{Job, JobFuture, Work};

/// Messages taken in before the disks are given work again.
const MESSAGES_PER_TURN: usize = 256;

/// How long an append may take on our own disk, whatever the client's timeout.
const SYNC_PATIENCE_MS: i64 = 1_000;

/// How long a batch waits for a log that is being opened, at most. Opening may take minutes after a crash, in which
/// producers give up and send again.
const OPENING_PATIENCE_MS: i64 = 30_000;

/// How often a log is tried to be opened while an earlier topic of its name is being removed: half a minute.
const REMOVAL_TRIES: u32 = 60;

/// What a shard holds of a partition.
enum Slot<E: Env> {
    /// Its log is being opened; batches wait in the order they came, or a producer that does not wait for
    /// its first answer would find its second batch accepted and its first refused.
    Opening {
        install: Install,
        batches: Vec<WaitingBatch>,
        /// How often it could not be opened. Then nobody waits for it: it may take long.
        tries: u32,
        /// Whether an attempt is under way: two at a time would each take the files for theirs.
        under_way: bool,
    },
    /// It is served.
    Open(Box<Hosted<E>>),
    /// It cannot be served until the node restarts. The log says why.
    Offline,
}

/// A batch for a log that is being opened.
struct WaitingBatch {
    request: u64,
    index: usize,
    batch: records::Validated,
    acks: partition::Acks,
    timeout_ms: i32,
}

/// Settings that all shards share.
#[derive(Clone)]
pub(crate) struct ShardConfig {
    pub log_dir: std::path::PathBuf,
    pub cluster_id: types::ClusterId,
    pub me: types::BrokerId,
    pub open_mode: env::OpenMode,
    /// Largest segment, whatever a topic's settings say.
    pub segment_bytes_max: u32,
    pub retention_check_ms: i64,
    pub producer_id_expiration_ms: i64,
    pub decompressed_bytes_max: usize,
    pub group: Arc<group::GroupConfig>,
    /// Tells whoever keeps room back that there is none.
    pub ran_out: Arc<Notify>,
    /// How many logs of the node may be opened at one time.
    pub opens: Arc<Semaphore>,
}

/// The task.
pub(crate) struct Shard<E: Env> {
    mailbox: mpsc::Receiver<ShardMessage<E::Disk>>,
    slots: BTreeMap<TopicPartition, Slot<E>>,
    jobs: FuturesUnordered<JobFuture<E>>,
    work: Work<E>,
    parked: Parked<E::Disk>,
    stopped: Option<oneshot::Sender<()>>,
    /// First attempts to open logs, and steps of replays, that are under way.
    recovering: usize,
    /// Who wants to hear what was found, once nothing is being recovered.
    recovered: Option<oneshot::Sender<Tally>>,
    /// Logs that cannot be opened for now.
    trouble: OpenTrouble,
}

impl<E: Env> Shard<E> {
    /// A shard without partitions.
    pub fn new(
        env: E,
        config: ShardConfig,
        mailbox: mpsc::Receiver<ShardMessage<E::Disk>>,
    ) -> Shard<E> {
        Shard {
            mailbox,
            slots: BTreeMap::new(),
            jobs: FuturesUnordered::new(),
            work: Work::new(env, config),
            parked: Parked::default(),
            stopped: None,
            recovering: 0,
            recovered: None,
            trouble: OpenTrouble::default(),
        }
    }

    /// Serves until told to stop, or until nobody is left who could tell it anything.
    pub async fn run(mut self) {
        let first_check = self
            .work
            .now()
            .mono
            .after_ms(self.work.config.retention_check_ms);
        self.work.timers.add(first_check, Timer::Housekeeping);
        loop {
            let sleep = self.work.sleep();
            let jobs = &mut self.jobs;
            let next_job = std::future::poll_fn(|cx| match jobs.poll_next_unpin(cx) {
                // No job is under way: wait for something else.
                std::task::Poll::Ready(None) => std::task::Poll::Pending,
                other => other,
            });
            match race3(next_job, self.mailbox.recv(), sleep).await {
                Either3::First(Some(job)) => self.finish(job),
                Either3::First(None) => unreachable!("an empty set of jobs is pending"),
                Either3::Second(Some(message)) => self.take(message),
                Either3::Second(None) => return,
                Either3::Third(()) => {}
            }
            while let Some(Some(job)) = self.jobs.next().now_or_never() {
                self.finish(job);
            }
            for _ in 0..MESSAGES_PER_TURN {
                let Ok(message) = self.mailbox.try_recv() else {
                    break;
                };
                self.take(message);
            }
            self.fire_timers();
            self.unpark();
            self.start_jobs();
            self.tell_recovered();
            if self.stopped.is_some() && self.jobs.is_empty() && self.slots.is_empty() {
                if let Some(stopped) = self.stopped.take() {
                    // Whoever asked may have gone.
                    let _ = stopped.send(());
                }
                return;
            }
        }
    }

    fn take(&mut self, message: ShardMessage<E::Disk>) {
        if let Some(message) = self.park(message) {
            self.serve(message);
        }
    }

    fn serve(&mut self, message: ShardMessage<E::Disk>) {
        match message {
            ShardMessage::Install(install) => self.install(install),
            ShardMessage::Delete(partition) => self.delete(partition),
            ShardMessage::Configure(partition, config) => match self.slots.get_mut(&partition) {
                Some(Slot::Open(hosted)) => hosted.configure(&mut self.work, config),
                Some(Slot::Opening { install, .. }) => install.config = config,
                Some(Slot::Offline) | None => {}
            },
            ShardMessage::Produce(produce) => self.produce(produce),
            ShardMessage::Fetch(fetch) => self.fetch(fetch),
            ShardMessage::ListOffsets(queries, reply) => {
                let answers = queries.iter().map(|query| self.look_up(query)).collect();
                let _ = reply.send(answers);
            }
            ShardMessage::EpochEnds(queries, reply) => {
                let answers = queries.iter().map(|query| self.epoch_end(query)).collect();
                let _ = reply.send(answers);
            }
            ShardMessage::DeleteRecords(orders, reply) => self.delete_records(orders, reply),
            ShardMessage::Describe(reply) => {
                let open = self.slots.values().filter_map(|slot| match slot {
                    Slot::Open(hosted) => Some(hosted.describe()),
                    _ => None,
                });
                let _ = reply.send(open.collect());
            }
            ShardMessage::Producers(partitions, reply) => {
                let rows = partitions.into_iter().map(|partition| {
                    let rows = self
                        .open_slot(&partition)
                        .map(|(hosted, _)| hosted.producers());
                    (partition, rows)
                });
                let rows = rows.collect();
                let _ = reply.send(rows);
            }
            ShardMessage::Group(partition, request, reply) => {
                match self.slots.get_mut(&partition) {
                    Some(Slot::Open(hosted)) => {
                        hosted.group_request(&mut self.work, request, reply);
                    }
                    Some(Slot::Opening { .. }) => {
                        let _ = reply.send(Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
                    }
                    Some(Slot::Offline) => {
                        let _ = reply.send(Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
                    }
                    None => {
                        let _ = reply.send(Err(ErrorCode::NOT_COORDINATOR));
                    }
                }
            }
            ShardMessage::Faulty(partition, from, to) => {
                if let Ok((hosted, work)) = self.open_slot(&partition) {
                    hosted.mark_faulty(work, from, to);
                }
            }
            ShardMessage::Recovered(reply) => self.recovered = Some(reply),
            ShardMessage::Stop(reply) => self.stop(reply),
        }
    }

    /// Tells what was found when everything that the node began with has been opened and replayed.
    fn tell_recovered(&mut self) {
        if self.recovering == 0
            && let Some(reply) = self.recovered.take()
        {
            // Whoever asked may have gone.
            let _ = reply.send(self.work.tally);
        }
    }

    /// The partition if it is served, with the work desk; or what to tell the client.
    fn open_slot(
        &mut self,
        partition: &TopicPartition,
    ) -> Result<(&mut Hosted<E>, &mut Work<E>), ErrorCode> {
        match self.slots.get_mut(partition) {
            Some(Slot::Open(hosted)) => Ok((hosted, &mut self.work)),
            // As Kafka says of what it does not lead yet. Java's consumer knows no other code of this meaning
            // in the answer to a fetch, and gives up on what it does not know.
            Some(Slot::Opening { .. }) | None => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            Some(Slot::Offline) => Err(ErrorCode::KAFKA_STORAGE_ERROR),
        }
    }

    fn install(&mut self, install: Install) {
        match self.slots.get_mut(&install.partition) {
            Some(Slot::Open(hosted)) => hosted.lead(&mut self.work, &install),
            Some(Slot::Opening {
                install: waiting, ..
            }) => *waiting = install,
            Some(Slot::Offline) => {}
            None => {
                let slot = Slot::Opening {
                    install: install.clone(),
                    batches: Vec::new(),
                    tries: 0,
                    under_way: true,
                };
                self.slots.insert(install.partition, slot);
                self.recovering += 1;
                self.open(install, true);
            }
        }
    }

    fn open(&mut self, install: Install, is_first: bool) {
        let fence = self.work.next_fence();
        let job = open::open(&self.work.env, &self.work.config, fence, install, is_first);
        self.jobs.push(Box::pin(job));
    }

    /// A log whose disk was full took appends back: it is opened anew, from what the disk has.
    fn reopen(&mut self, partition: TopicPartition) {
        let Some(Slot::Open(hosted)) = self.slots.remove(&partition) else {
            return;
        };
        let install = hosted.into_install(&mut self.work);
        self.slots.insert(
            partition,
            Slot::Opening {
                install,
                batches: Vec::new(),
                tries: 0,
                under_way: false,
            },
        );
        self.work.retry(partition);
    }

    fn delete(&mut self, partition: TopicPartition) {
        self.work.ahead.remove(&partition);
        match self.slots.remove(&partition) {
            Some(Slot::Open(hosted)) => self.jobs.push(Box::pin(hosted.delete(&mut self.work))),
            // The open job finds nobody waiting for it and removes what it opened.
            Some(Slot::Opening { batches, tries, .. }) => {
                if tries > 0 {
                    self.trouble.one_less();
                }
                for waiting in batches {
                    let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
                    self.work
                        .produces
                        .refuse(waiting.request, waiting.index, error, None);
                }
            }
            Some(Slot::Offline) | None => {}
        }
    }

    /// Batches of these requests (in their order) that wait for a log to be opened have waited long enough.
    fn give_up(&mut self, requests: &[u64]) {
        if requests.is_empty() {
            return;
        }
        for slot in self.slots.values_mut() {
            let Slot::Opening { batches, .. } = slot else {
                continue;
            };
            let is_late =
                |waiting: &mut WaitingBatch| requests.binary_search(&waiting.request).is_ok();
            for waiting in batches.extract_if(.., is_late) {
                let error = ErrorCode::REQUEST_TIMED_OUT;
                self.work
                    .produces
                    .refuse(waiting.request, waiting.index, error, None);
            }
        }
    }

    fn finish(&mut self, job: Job<E>) {
        match job {
            Job::Opened(opened) => self.opened(*opened),
            Job::Log(partition, done) => {
                if done.ran_out_of_room() {
                    self.work.config.ran_out.notify_one();
                }
                if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition)
                    && hosted.finish_job(&mut self.work, done)
                {
                    self.reopen(partition);
                }
                self.close_if_stopping(partition);
            }
            Job::Synced(partition, done) => {
                if done.ran_out_of_room() {
                    self.work.config.ran_out.notify_one();
                }
                if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition)
                    && hosted.finish_sync(&mut self.work, done)
                {
                    self.reopen(partition);
                }
                self.close_if_stopping(partition);
            }
            Job::Replayed(partition, outcome) => {
                self.recovering -= 1;
                if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition) {
                    let next = hosted.replayed(&mut self.work, outcome);
                    self.replay(next);
                }
            }
            Job::Closed(partition, result) => {
                if let Err(error) = result {
                    tracing::error!(?partition, %error, "a log could not be closed cleanly");
                }
                self.slots.remove(&partition);
            }
            Job::Deleted(partition, result) => {
                if let Err(error) = result {
                    tracing::error!(?partition, %error, "a deleted log could not be removed");
                }
            }
        }
    }

    fn replay(&mut self, step: Option<JobFuture<E>>) {
        if let Some(step) = step {
            self.recovering += 1;
            self.jobs.push(step);
        }
    }

    fn opened(&mut self, opened: Opened<E>) {
        let partition = opened.partition;
        if opened.is_first {
            self.recovering -= 1;
        }
        let (install, batches, tries) = match self.slots.remove(&partition) {
            Some(Slot::Opening {
                install,
                batches,
                tries,
                under_way,
            }) => {
                assert!(under_way, "what was opened was being opened");
                (install, batches, tries)
            }
            Some(Slot::Open(_) | Slot::Offline) => {
                unreachable!("a log is opened once at a time")
            }
            None => {
                // Deleted while it was being opened.
                if let Ok(log) = opened.result {
                    let disk = self.work.env.disk().clone();
                    self.jobs
                        .push(Box::pin(open::delete::<E>(disk, partition, log.log)));
                }
                return;
            }
        };
        match opened.result {
            Ok(log) => {
                self.work.tally += log.tally;
                let mut hosted = Box::new(Hosted::new(&mut self.work, &install, log));
                hosted.lead(&mut self.work, &install);
                let replay = hosted.start_replay(&mut self.work);
                self.replay(replay);
                self.slots.insert(partition, Slot::Open(hosted));
                if tries > 0 {
                    self.trouble.one_less();
                }
            }
            // No room or no descriptors for now; or an earlier topic of this name is still being removed.
            Err(error)
                if error.is_full()
                    || error.is_starved()
                    || matches!(error, StorageError::Identity { .. }) && tries < REMOVAL_TRIES =>
            {
                if error.is_full() {
                    self.work.config.ran_out.notify_one();
                }
                for waiting in batches {
                    let code = ErrorCode::KAFKA_STORAGE_ERROR;
                    self.work
                        .produces
                        .refuse(waiting.request, waiting.index, code, None);
                }
                if self.stopped.is_none() {
                    let now = self.work.now().mono;
                    self.trouble
                        .one_more(now, tries == 0, &install.topic, partition, &error);
                    // A full disk and a topic being removed pass soon; want of descriptors may last, and each
                    // attempt takes some from those that have more use for them.
                    let wait_ms = if error.is_starved() {
                        open::rest_ms(tries)
                    } else {
                        work::RETRY_MS
                    };
                    let slot = Slot::Opening {
                        install,
                        batches: Vec::new(),
                        tries: tries.saturating_add(1),
                        under_way: false,
                    };
                    self.slots.insert(partition, slot);
                    self.work.retry_in(partition, wait_ms);
                }
                return;
            }
            Err(error) => {
                tracing::error!(topic = &*install.topic, partition = partition.partition.0, %error,
                    "a log cannot be opened: the partition is offline");
                self.work.env.observe(env::Seen::WentOffline { partition });
                self.slots.insert(partition, Slot::Offline);
                if tries > 0 {
                    self.trouble.one_less();
                }
            }
        }
        for waiting in batches {
            self.append(partition, waiting);
        }
        self.close_if_stopping(partition);
    }

    fn produce(&mut self, produce: Produce) {
        let request = self.work.produces.begin(&produce);
        if produce.acks == partition::Acks::All {
            // The time is for other replicas. A sync of our own disk is part of the append and gets at
            // least this long, or a timeout of 0 would fail what Kafka, which does not sync, accepts.
            let patience = i64::from(produce.timeout_ms).max(SYNC_PATIENCE_MS);
            self.give_up_after(request, patience);
        }
        let (acks, timeout_ms, batches) = (produce.acks, produce.timeout_ms, produce.batches);
        self.work.produces.attach(request, produce.reply);
        for (index, (partition, batch)) in batches.into_iter().enumerate() {
            self.append(
                partition,
                WaitingBatch {
                    request,
                    index,
                    batch,
                    acks,
                    timeout_ms,
                },
            );
        }
        self.work.produces.settle(request);
    }

    /// Has a request answered within `ms`, if it is not to be sooner.
    fn give_up_after(&mut self, request: u64, ms: i64) {
        let deadline = self.work.now().mono.after_ms(ms);
        if let Some(at) = self.work.produces.set_deadline(request, deadline) {
            self.work.timers.add(at, Timer::ProduceTimeouts);
        }
    }

    fn append(&mut self, partition: TopicPartition, waiting: WaitingBatch) {
        if let Some(Slot::Opening { batches, tries, .. }) = self.slots.get_mut(&partition) {
            if *tries == 0 {
                let patience = i64::from(waiting.timeout_ms);
                let patience = patience.clamp(SYNC_PATIENCE_MS, OPENING_PATIENCE_MS);
                let request = waiting.request;
                batches.push(waiting);
                self.give_up_after(request, patience);
            } else {
                let code = ErrorCode::KAFKA_STORAGE_ERROR;
                self.work
                    .produces
                    .refuse(waiting.request, waiting.index, code, None);
            }
            return;
        }
        let WaitingBatch {
            request,
            index,
            batch,
            acks,
            timeout_ms: _,
        } = waiting;
        match self.open_slot(&partition) {
            Ok((hosted, work)) => hosted.produce(work, request, index, batch, acks),
            Err(error) => self.work.produces.refuse(request, index, error, None),
        }
    }

    fn fetch(&mut self, fetch: Fetch<E::Disk>) {
        let mut left = fetch.bytes_max;
        let mut min_one = fetch.min_one;
        let mut answers = Vec::with_capacity(fetch.partitions.len());
        for wanted in &fetch.partitions {
            let answer = match self.open_slot(&wanted.partition) {
                Err(error) => FetchAnswer::failed(wanted.index, error),
                Ok((hosted, work)) => {
                    let answer = hosted.read(wanted, fetch.isolation, left, min_one);
                    hosted.remember_waiter(work, &fetch.waiter);
                    answer
                }
            };
            let bytes = answer
                .plan
                .as_ref()
                .map_or(0, storage::read::ReadPlan::size_hint);
            left = left.saturating_sub(bytes);
            min_one &= bytes == 0;
            answers.push(answer);
        }
        let _ = fetch.reply.send(answers);
    }

    fn look_up(&mut self, query: &OffsetQuery) -> OffsetAnswer<E::Disk> {
        let found = match self.open_slot(&query.partition) {
            Ok((hosted, work)) => {
                let limit = work.config.decompressed_bytes_max;
                hosted.look_up(query, limit)
            }
            Err(error) => OffsetFound::Error(error),
        };
        OffsetAnswer {
            index: query.index,
            found,
        }
    }

    fn epoch_end(&mut self, query: &EpochQuery) -> EpochAnswer {
        match self.open_slot(&query.partition) {
            Ok((hosted, _)) => hosted.epoch_end(query),
            Err(error) => EpochAnswer::failed(query.index, error),
        }
    }

    fn delete_records(
        &mut self,
        orders: Vec<DeleteRecords>,
        reply: oneshot::Sender<Vec<DeleteRecordsAnswer>>,
    ) {
        let request = self.work.deletions.begin(orders.len(), reply);
        for order in orders {
            match self.open_slot(&order.partition) {
                Ok((hosted, work)) => hosted.delete_records(work, request, &order),
                Err(error) => self.work.deletions.answer(
                    request,
                    DeleteRecordsAnswer {
                        index: order.index,
                        error,
                        low_watermark: -1,
                    },
                ),
            }
        }
    }

    fn fire_timers(&mut self) {
        let now = self.work.now();
        while let Some(timer) = self.work.timers.due(now.mono) {
            match timer {
                Timer::ProduceTimeouts => {
                    let (overdue, next) = self.work.produces.overdue(now.mono);
                    if let Some(at) = next {
                        self.work.timers.add(at, Timer::ProduceTimeouts);
                    }
                    self.give_up(&overdue);
                    for request in overdue {
                        for (partition, token) in self.work.produces.waiting_tokens(request) {
                            if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition) {
                                hosted.timed_out(&mut self.work, token);
                            }
                        }
                    }
                }
                Timer::Coordinator(partition) => {
                    if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition) {
                        let replay = hosted.tick_coordinator(&mut self.work);
                        self.replay(replay);
                    }
                }
                // Readers whose patience is over are looked for after every turn.
                Timer::Parked => {}
                Timer::Sync(partition) => {
                    if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition) {
                        hosted.hurry(&mut self.work);
                    }
                }
                Timer::Retry(partition) => match self.slots.get_mut(&partition) {
                    Some(Slot::Opening {
                        install, under_way, ..
                    }) => {
                        // A timer of the time before it was closed may be left, beside its own.
                        if !std::mem::replace(under_way, true) {
                            let install = install.clone();
                            self.open(install, false);
                        }
                    }
                    Some(Slot::Open(hosted)) => hosted.look_for_room(&mut self.work),
                    Some(Slot::Offline) | None => {}
                },
                Timer::Flush(partition) => {
                    if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition) {
                        hosted.flush(&mut self.work);
                    }
                }
                Timer::Housekeeping => {
                    for slot in self.slots.values_mut() {
                        if let Slot::Open(hosted) = slot {
                            hosted.keep_house(&mut self.work);
                        }
                    }
                    let next = now.mono.after_ms(self.work.config.retention_check_ms);
                    self.work.timers.add(next, Timer::Housekeeping);
                }
            }
        }
    }

    /// Gives the disk what has come together since the last turn.
    fn start_jobs(&mut self) {
        let mut dirty = std::mem::take(&mut self.work.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        for partition in dirty.drain(..) {
            if let Some(Slot::Open(hosted)) = self.slots.get_mut(&partition) {
                hosted.start_jobs(&mut self.jobs);
            }
        }
        // Keeps the allocation for the next turn.
        if self.work.dirty.is_empty() {
            self.work.dirty = dirty;
        }
    }

    fn stop(&mut self, reply: oneshot::Sender<()>) {
        self.stopped = Some(reply);
        let partitions: Vec<TopicPartition> = self.slots.keys().copied().collect();
        for partition in partitions {
            self.close_if_stopping(partition);
        }
    }

    /// A stopping shard closes each log as soon as no job of it is under way.
    fn close_if_stopping(&mut self, partition: TopicPartition) {
        if self.stopped.is_none() {
            return;
        }
        match self.slots.get_mut(&partition) {
            Some(Slot::Open(hosted)) if !hosted.is_busy() => {
                let Some(Slot::Open(hosted)) = self.slots.remove(&partition) else {
                    unreachable!("looked at just now")
                };
                self.jobs.push(Box::pin(hosted.close(&mut self.work)));
            }
            Some(Slot::Offline) => {
                self.slots.remove(&partition);
            }
            // A busy log is closed when its job is done, an opening one when it is open.
            Some(Slot::Open(_) | Slot::Opening { .. }) | None => {}
        }
    }
}

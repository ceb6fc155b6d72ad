//! Hosts the controller: the metadata log, the quorum replica that commits it, and the machine that
//! decides what goes in.
//!
//! One task owns all three. A request is decided by the controller, its records are proposed to the quorum
//! and appended as one batch, and its answer waits until they are committed, durable, applied to the image
//! and handed to the shards that they concern: whoever was told that a topic exists can use it.
//!
//! The rooms after: `controller`, `raft`, `storage`, `metadata`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use controller::{Controller, Record, Request, Response};
use env::{Clock, Either3, Env, Seen, race3};
use metadata::Image;
use protocol::{
    AllocateProducerIdsRequest, AlterConfigsRequest, AlterConfigsResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use raft::{Effect, Fence, Input, QuorumReplica, Timer};
use records::{BatchBuilder, BatchHeader, Codec};
use state_machine::{Decision, KeyValue, LogRecord, StateMachine, Ticket};
use storage::job::JobError;
use storage::log::Log;
use tokio::sync::{Notify, mpsc, oneshot};
use types::{
    BrokerId, ErrorCode, LeaderEpoch, LookupMap, Mono, NextOffset, Now, Offset, TimestampMs,
    TopicPartition, Uuid,
};

use crate::publish::Publisher;
use crate::quorum_state::QuorumStateFile;
use crate::strays;
use crate::view::View;

/// The metadata log's partition.
pub(crate) const METADATA_PARTITION: TopicPartition = TopicPartition {
    topic_id: Uuid::METADATA_TOPIC,
    partition: types::PartitionIndex(0),
};

type Answer = oneshot::Sender<Response>;

/// Asks the controller.
#[derive(Clone)]
pub(crate) struct ControllerHandle {
    queue: mpsc::Sender<(Request, Answer)>,
}

impl ControllerHandle {
    /// A handle and the queue it fills.
    pub fn new() -> (ControllerHandle, mpsc::Receiver<(Request, Answer)>) {
        let (queue, requests) = mpsc::channel(256);
        (ControllerHandle { queue }, requests)
    }

    /// Asks, and waits until the decision is committed.
    ///
    /// # Errors
    /// `NOT_CONTROLLER` when there is no controller to answer.
    pub async fn ask(&self, request: Request) -> Result<Response, ErrorCode> {
        let (answer, response) = oneshot::channel();
        self.queue
            .send((request, answer))
            .await
            .map_err(|_| ErrorCode::NOT_CONTROLLER)?;
        response.await.map_err(|_| ErrorCode::NOT_CONTROLLER)
    }

    /// A block of producer ids that is this node's alone.
    ///
    /// # Errors
    /// As for [`ControllerHandle::ask`], or the controller's own.
    pub async fn allocate_producer_ids(
        &self,
        broker_id: BrokerId,
        broker_epoch: i64,
    ) -> Result<std::ops::Range<i64>, ErrorCode> {
        let request = AllocateProducerIdsRequest {
            broker_id: broker_id.0,
            broker_epoch,
        };
        match self.ask(Request::AllocateProducerIds(request)).await? {
            Response::AllocateProducerIds(response) if response.error_code == 0 => {
                let start = response.producer_id_start;
                Ok(start..start + i64::from(response.producer_id_len))
            }
            Response::AllocateProducerIds(response) => Err(ErrorCode(response.error_code)),
            other => unreachable!("a block of ids was answered with {other:?}"),
        }
    }
}

/// One method for each API that the controller decides: the request goes in, its own response comes out.
macro_rules! forward {
    ($($(#[$doc:meta])* $method:ident: $name:ident($request:ty) -> $response:ty;)*) => {
        impl ControllerHandle {
            $(
                $(#[$doc])*
                pub async fn $method(&self, request: $request) -> Result<$response, ErrorCode> {
                    match self.ask(Request::$name(request)).await? {
                        Response::$name(response) => Ok(response),
                        other => unreachable!("{} was answered with {other:?}", stringify!($name)),
                    }
                }
            )*
        }
    };
}

forward! {
    /// Makes topics.
    create_topics: CreateTopics(CreateTopicsRequest) -> CreateTopicsResponse;
    /// Deletes topics.
    delete_topics: DeleteTopics(DeleteTopicsRequest) -> DeleteTopicsResponse;
    /// Adds partitions to topics.
    create_partitions: CreatePartitions(CreatePartitionsRequest) -> CreatePartitionsResponse;
    /// Changes settings one by one.
    incremental_alter_configs: IncrementalAlterConfigs(IncrementalAlterConfigsRequest)
        -> IncrementalAlterConfigsResponse;
    /// Replaces all settings of resources.
    alter_configs: AlterConfigs(AlterConfigsRequest) -> AlterConfigsResponse;
}

/// Why a controller could not start, or had to stop. The node stops with it.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The metadata log.
    #[error("the metadata log: {0}")]
    Storage(#[from] storage::error::StorageError),
    /// Reading the metadata log.
    #[error("the metadata log: {0}")]
    Read(#[from] storage::error::ReadError),
    /// The vote.
    #[error(transparent)]
    QuorumState(#[from] crate::quorum_state::QuorumStateError),
    /// A record of the metadata log.
    #[error("the metadata log, offset {offset}: {reason}")]
    Record {
        /// Where.
        offset: Offset,
        /// What is wrong.
        reason: String,
    },
    /// The disk failed under a running node.
    #[error("the metadata log cannot be written any more: {0}")]
    Resigned(String),
}

/// What a controller is started with.
pub(crate) struct ControllerParts<E: Env> {
    pub env: E,
    /// The directory that the metadata log and all others lie in.
    pub log_dir: PathBuf,
    pub log: Log<E::Disk>,
    pub log_start: Offset,
    pub log_end: NextOffset,
    pub last_epoch: LeaderEpoch,
    pub quorum_state: QuorumStateFile<E::Disk>,
    pub me: raft::ReplicaKey,
    pub machine: Controller,
    pub image: Image,
    pub publisher: Publisher<E::Disk>,
    pub requests: mpsc::Receiver<(Request, Answer)>,
    pub configs: Arc<BTreeMap<String, String>>,
    /// Tells whoever keeps room back that there is none.
    pub ran_out: Arc<Notify>,
}

/// The task.
pub(crate) struct ControllerHost<E: Env> {
    env: E,
    /// Looked through for what no topic owns once everything below the offset has been applied.
    strays: Option<(PathBuf, NextOffset)>,
    log: Log<E::Disk>,
    replica: QuorumReplica,
    quorum_state: QuorumStateFile<E::Disk>,
    machine: Controller,
    soft: <Controller as StateMachine>::Soft,
    image: Image,
    publisher: Publisher<E::Disk>,
    requests: mpsc::Receiver<(Request, Answer)>,
    configs: Arc<BTreeMap<String, String>>,
    ran_out: Arc<Notify>,
    /// Everything below has been applied to the image.
    applied: NextOffset,
    /// Decisions that are in the log and not yet committed, with the end of each.
    proposed: BTreeMap<NextOffset, Vec<Record>>,
    parked: BTreeMap<NextOffset, Vec<(Ticket, Response)>>,
    waiting: LookupMap<Ticket, Answer>,
    next_ticket: u64,
    sync_wanted: bool,
    fence: Fence,
    leading: bool,
    election_timer: Option<Mono>,
}

impl<E: Env> ControllerHost<E> {
    /// A controller over an opened log. It leads nothing yet.
    pub async fn new(parts: ControllerParts<E>) -> Result<ControllerHost<E>, ControllerError> {
        let election = parts.quorum_state.load().await?;
        let recovered = raft::Recovered {
            fence: Fence::default(),
            election,
            last_epoch: parts.last_epoch,
            log_end: parts.log_end,
            // Whatever recovery found is durable.
            durable_end: parts.log_end,
            high_watermark: parts.log_start.end_before(),
        };
        let seed = {
            use env::Entropy;
            use rand_core::Rng;
            parts.env.entropy().stream("quorum", 0).next_u64()
        };
        let config = raft::QuorumConfig {
            me: parts.me,
            voters: raft::VoterSet::new([parts.me]),
            election_timeout_ms: 1000,
            seed,
        };
        Ok(ControllerHost {
            env: parts.env,
            strays: Some((parts.log_dir, parts.log_end)),
            log: parts.log,
            replica: QuorumReplica::new(config, recovered),
            quorum_state: parts.quorum_state,
            machine: parts.machine,
            soft: Default::default(),
            image: parts.image,
            publisher: parts.publisher,
            requests: parts.requests,
            configs: parts.configs,
            ran_out: parts.ran_out,
            applied: parts.log_start.end_before(),
            proposed: BTreeMap::new(),
            parked: BTreeMap::new(),
            waiting: LookupMap::new(),
            next_ticket: 0,
            sync_wanted: false,
            fence: Fence::default(),
            leading: false,
            election_timer: None,
        })
    }

    /// Serves until nobody can ask any more, or the disk fails. The log is closed at the end.
    pub async fn run(mut self) -> Result<(), ControllerError> {
        self.step(Input::Start).await?;
        loop {
            self.work_disk().await?;
            let deadline = match (self.machine.deadline(&self.soft), self.election_timer) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            let clock = self.env.clock().clone();
            let sleep = async {
                match deadline {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            match race3(self.requests.recv(), sleep, std::future::pending::<()>()).await {
                Either3::First(Some((request, answer))) => {
                    self.request(request, answer).await?;
                    // Requests that wait already share one sync with this one.
                    for _ in 0..64 {
                        let Ok((request, answer)) = self.requests.try_recv() else {
                            break;
                        };
                        self.request(request, answer).await?;
                    }
                }
                Either3::First(None) => break,
                Either3::Second(()) => self.due().await?,
                Either3::Third(()) => unreachable!("never ready"),
            }
        }
        self.step(Input::Resign).await?;
        self.log.close().await?;
        Ok(())
    }

    fn now(&self) -> Now {
        Now {
            mono: self.env.clock().mono(),
            wall: self.env.clock().wall(),
        }
    }

    async fn request(&mut self, request: Request, answer: Answer) -> Result<(), ControllerError> {
        if !self.leading {
            // The sender is dropped: not the controller.
            return Ok(());
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, answer);
        let mut decision = Decision::default();
        let now = self.now();
        self.machine
            .handle(&mut self.soft, now, ticket, request, &mut decision);
        self.decide(decision).await
    }

    async fn due(&mut self) -> Result<(), ControllerError> {
        let now = self.now();
        if self.election_timer.is_some_and(|at| at <= now.mono) {
            self.election_timer = None;
            self.step(Input::TimerFired(Timer::Election)).await?;
        }
        if self.leading
            && self
                .machine
                .deadline(&self.soft)
                .is_some_and(|at| at <= now.mono)
        {
            let mut decision = Decision::default();
            self.machine.tick(&mut self.soft, now, &mut decision);
            self.decide(decision).await?;
        }
        Ok(())
    }

    /// Proposes a decision's records; its answers wait for them.
    async fn decide(
        &mut self,
        decision: Decision<Record, Response>,
    ) -> Result<(), ControllerError> {
        if !decision.records.is_empty() {
            let epoch = self.replica.epoch();
            let mut effects = Vec::new();
            let count = u32::try_from(decision.records.len()).unwrap_or(u32::MAX);
            let propose = Input::Propose {
                token: 0,
                records: count,
                epoch,
            };
            self.replica.step(self.now().mono, propose, &mut effects);
            self.carry_out(effects, Some(&decision.records)).await?;
            for record in &decision.records {
                self.machine.replay(record);
            }
            self.proposed
                .insert(self.replica.log_end(), decision.records);
        }
        let end = self.replica.log_end();
        if !decision.replies.is_empty() {
            self.parked.entry(end).or_default().extend(decision.replies);
        }
        self.answer_committed();
        Ok(())
    }

    async fn step(&mut self, input: Input) -> Result<(), ControllerError> {
        let mut effects = Vec::new();
        self.replica.step(self.now().mono, input, &mut effects);
        self.carry_out(effects, None).await
    }

    async fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        proposed: Option<&[Record]>,
    ) -> Result<(), ControllerError> {
        let mut queue = std::collections::VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            let mut follow_up = None;
            match effect {
                Effect::PersistElection(state) => {
                    self.quorum_state.clone().store(state).await?;
                    follow_up = Some(Input::ElectionPersisted(state));
                }
                Effect::AppendLeaderChange {
                    base_offset,
                    epoch,
                    leader,
                    voters,
                    granting,
                    fence,
                } => {
                    self.fence = fence;
                    let voter = |key: &raft::ReplicaKey| records::control::Voter {
                        id: key.id,
                        directory_id: key.directory_id,
                    };
                    let change =
                        records::ControlRecord::LeaderChange(records::control::LeaderChange {
                            // Kafka writes and reads the layout of version 0 whatever this says.
                            version: 0,
                            leader_id: leader,
                            voters: voters.iter().map(voter).collect(),
                            granting_voters: granting.iter().map(voter).collect(),
                        });
                    let now = TimestampMs::from(self.env.clock().wall());
                    let batch = change.batch(base_offset, epoch, now);
                    self.append(&batch, base_offset, epoch)?;
                }
                Effect::Append {
                    base_offset,
                    epoch,
                    fence,
                    ..
                } => {
                    self.fence = fence;
                    let records = proposed.expect("only proposals are appended");
                    let now = TimestampMs::from(self.env.clock().wall());
                    let mut builder = BatchBuilder::new(Codec::None);
                    for record in records {
                        let KeyValue { key, value } = record.encode();
                        builder.append(now, key.as_deref(), value.as_deref(), &[]);
                    }
                    self.append(&builder.build(), base_offset, epoch)?;
                }
                Effect::Sync { fence, .. } => {
                    self.fence = fence;
                    self.sync_wanted = true;
                }
                Effect::SetTimer {
                    timer: Timer::Election,
                    at,
                } => self.election_timer = Some(at),
                Effect::CommittedUpto(end) => self.apply_committed(end).await?,
                Effect::BecameLeader { epoch, .. } => {
                    self.leading = true;
                    self.env.observe(Seen::BecameLeader {
                        partition: METADATA_PARTITION,
                        leader_epoch: epoch,
                        log_end: self.replica.log_end(),
                    });
                    let mut decision = Decision::default();
                    let now = self.now();
                    self.machine.activate(&mut self.soft, now, &mut decision);
                    Box::pin(self.decide(decision)).await?;
                }
                Effect::Rejected { reason, .. } => {
                    tracing::error!(?reason, "the quorum rejected a decision");
                    self.leading = false;
                    self.waiting = LookupMap::new();
                    self.parked.clear();
                }
                Effect::Resigned { reason, .. } => {
                    self.leading = false;
                    self.waiting = LookupMap::new();
                    self.parked.clear();
                    if let Some(reason) = reason {
                        return Err(ControllerError::Resigned(reason));
                    }
                }
            }
            if let Some(input) = follow_up {
                let mut more = Vec::new();
                self.replica.step(self.now().mono, input, &mut more);
                queue.extend(more);
            }
        }
        Ok(())
    }

    fn append(
        &mut self,
        batch: &bytes::Bytes,
        base_offset: Offset,
        epoch: LeaderEpoch,
    ) -> Result<(), ControllerError> {
        let header = BatchHeader::parse(batch).expect("a batch that was built just now is one");
        let wall = self.env.clock().wall();
        let appended = self
            .log
            .append(batch, &header, base_offset, epoch, wall)
            .map_err(|error| ControllerError::Resigned(error.to_string()))?;
        self.env.observe(Seen::Appended {
            partition: METADATA_PARTITION,
            leader_epoch: epoch,
            base_offset,
            next_offset: appended.next_offset,
            crc: header.crc,
        });
        Ok(())
    }

    /// Writes and syncs what has been appended. The node's metadata changes seldom: nothing else of
    /// this task could be done meanwhile, so it waits.
    async fn work_disk(&mut self) -> Result<(), ControllerError> {
        loop {
            let sync = std::mem::take(&mut self.sync_wanted);
            let Some(job) = self.log.start_job(sync) else {
                return Ok(());
            };
            let done = job.await;
            if done.ran_out_of_room() {
                self.ran_out.notify_one();
            }
            let outcome = self.log.finish_job(done);
            let fence = self.fence;
            let is_full =
                matches!(outcome.error, Some(JobError::Full(_))) && outcome.rolled_back.is_none();
            if let Some(error) = outcome.error.filter(|_| !is_full) {
                self.step(Input::IoFailed {
                    fence,
                    reason: error.to_string(),
                })
                .await?;
                return Err(ControllerError::Resigned(error.to_string()));
            }
            self.env.observe(Seen::Synced {
                partition: METADATA_PARTITION,
                upto: outcome.durable,
            });
            self.step(Input::Synced {
                fence,
                upto: outcome.durable,
            })
            .await?;
            if is_full {
                // What was synced counts. Metadata are small: wait until there is room for the rest.
                self.sync_wanted = true;
                let clock = self.env.clock();
                clock.sleep_until(clock.mono().after_ms(500)).await;
            }
        }
    }

    /// Takes committed records into the image and tells the node.
    async fn apply_committed(&mut self, end: NextOffset) -> Result<(), ControllerError> {
        let before = self.applied;
        while self.applied < end {
            let next = self.proposed.first_key_value().map(|(next, _)| *next);
            match next {
                // Our own proposals, in order. Between two of them there may be a leader change only,
                // which says nothing about the cluster.
                Some(next) if next <= end && self.leading => {
                    let records = self.proposed.remove(&next).expect("looked at just now");
                    for record in &records {
                        self.apply(record, next.position())?;
                    }
                    self.applied = next;
                }
                _ if self.leading => self.applied = end,
                _ => self.read_and_apply(end).await?,
            }
        }
        if self.applied != before {
            self.env.observe(Seen::HighWatermark {
                partition: METADATA_PARTITION,
                high_watermark: end,
            });
            // Before a shard hears of the first topic: its directory may still be another one's.
            if let Some((dir, _)) = self.strays.take_if(|(_, end)| *end <= self.applied) {
                strays::sweep(self.env.disk(), &dir, self.publisher.me, &self.image).await;
            }
            let old = self.publisher.view.borrow().clone();
            let image = Arc::new(self.image.clone());
            let me = self.publisher.me;
            let view = View::new(image, self.applied, me, &self.configs, Some(&old));
            self.publisher.publish(view).await;
        }
        self.answer_committed();
        Ok(())
    }

    fn apply(&mut self, record: &Record, offset: Offset) -> Result<(), ControllerError> {
        self.image
            .apply(record.metadata())
            .map_err(|error| ControllerError::Record {
                offset,
                reason: error.to_string(),
            })
    }

    /// Reads what a former life of this node wrote, into the machine and the image.
    async fn read_and_apply(&mut self, end: NextOffset) -> Result<(), ControllerError> {
        let plan = self.log.read(self.applied.position(), end, 1 << 20, true)?;
        let read = plan.run().await?;
        let before = self.applied;
        {
            let bytes = protocol::Records::from_chunks(read.chunks).into_bytes();
            for batch in records::Batches::new(bytes) {
                let offset = self.applied.position();
                let bad = |reason: String| ControllerError::Record { offset, reason };
                let batch = batch.map_err(|error| bad(error.to_string()))?;
                self.applied = batch.header().next_offset();
                if batch.header().attributes.is_control() {
                    continue;
                }
                let records = batch
                    .records(1 << 30)
                    .map_err(|error| bad(error.to_string()))?;
                for record in records {
                    let record = record.map_err(|error| bad(error.to_string()))?;
                    let key_value = KeyValue {
                        key: record.key,
                        value: record.value,
                    };
                    let decoded = Record::decode(&key_value).map_err(|e| bad(e.to_string()))?;
                    if let Some(decoded) = decoded {
                        self.machine.replay(&decoded);
                        self.apply(&decoded, record.offset)?;
                    }
                }
            }
        }
        if self.applied == before {
            let reason = "nothing can be read here".to_string();
            return Err(ControllerError::Record {
                offset: before.position(),
                reason,
            });
        }
        Ok(())
    }

    fn answer_committed(&mut self) {
        while let Some(entry) = self.parked.first_entry() {
            if *entry.key() > self.applied {
                return;
            }
            for (ticket, response) in entry.remove() {
                if let Some(answer) = self.waiting.remove(&ticket) {
                    // The client may have gone.
                    let _ = answer.send(response);
                }
            }
        }
    }
}

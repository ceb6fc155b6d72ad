//! Hosts the group coordinator of one partition of `__consumer_offsets`.
//!
//! The machine is the replay of the partition's log. A decision's records are appended as one batch and
//! replayed at once, so the next request sees them; its answers wait until everything written by then is
//! committed, answers without records too: nobody is told what a crash could take back.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, Entropy, Env};
use group::{GroupConfig, GroupCoordinator, Record, Request, Response};
use partition::Fence;
use records::{BatchBuilder, BatchHeader, Codec, Validated};
use state_machine::{Decision, KeyValue, LogRecord, StateMachine, Ticket};
use storage::error::ReadError;
use storage::read::ReadPlan;
use tokio::sync::oneshot;
use types::{ErrorCode, LookupMap, Mono, NextOffset, Now, Offset, TimestampMs, TopicPartition};

use super::work::RETRY_MS;

/// What the group machine decided.
pub(crate) type GroupDecision = Decision<Record, Response>;

type Answer = oneshot::Sender<Result<Response, ErrorCode>>;

/// Bytes read at a time while replaying.
pub(crate) const REPLAY_BYTES: usize = 1024 * 1024;
/// How often the wait between two attempts to read a log is doubled: to a minute.
const REST_DOUBLED_MAX: u32 = 7;
/// Bytes that a batch of group records may unpack to.
const DECOMPRESSED_BYTES_MAX: usize = 128 * 1024 * 1024;

enum State {
    /// Nobody knows yet what the log says.
    Loading,
    /// Serving.
    Active(Box<(GroupCoordinator, <GroupCoordinator as StateMachine>::Soft)>),
    /// What the log says could not be read, or what was decided could not be written.
    Failed(ErrorCode),
}

/// A step of a replay.
pub(crate) struct Replayed {
    machine: Box<GroupCoordinator>,
    /// Which replay it is.
    id: Fence,
    /// Everything below has been replayed.
    pub at: Offset,
    error: Option<String>,
}

/// The coordinator of one partition.
pub(crate) struct Coordinator {
    fresh: Box<dyn Fn() -> GroupCoordinator + Send>,
    partition: TopicPartition,
    state: State,
    waiting: LookupMap<Ticket, Answer>,
    next_ticket: u64,
    /// Answers that wait for the high watermark to reach their offset.
    parked: BTreeMap<NextOffset, Vec<(Ticket, Response)>>,
    /// The timer that is set, so that it is set once.
    timer: Option<Mono>,
    /// The replay that counts. A step of another one may still be under way.
    replay: Option<Fence>,
    /// How many replays in a row have failed.
    failures: u32,
}

impl Coordinator {
    /// A coordinator that has read nothing yet.
    pub fn new<E: Env>(
        env: &E,
        config: &Arc<GroupConfig>,
        partition: TopicPartition,
    ) -> Coordinator {
        let (entropy, config) = (env.entropy().clone(), config.clone());
        let id = partition.partition.0 as u64;
        Coordinator {
            fresh: Box::new(move || {
                GroupCoordinator::new((*config).clone(), entropy.stream("member-ids", id))
            }),
            partition,
            state: State::Loading,
            waiting: LookupMap::new(),
            next_ticket: 0,
            parked: BTreeMap::new(),
            timer: None,
            replay: None,
            failures: 0,
        }
    }

    /// A machine to be fed from the log, from `start` on. No other replay is called `id`.
    pub fn begin_loading(&mut self, id: Fence, start: Offset) -> Replayed {
        self.state = State::Loading;
        self.replay = Some(id);
        Replayed {
            machine: Box::new((self.fresh)()),
            id,
            at: start,
            error: None,
        }
    }

    /// Whether this is the replay that was begun last, and has not ended.
    pub fn awaits(&self, replayed: &Replayed) -> bool {
        self.replay == Some(replayed.id)
    }

    /// How long to wait before the log that could not be read is read again, if it could not.
    pub fn rest_ms(&self) -> Option<i64> {
        let rest = RETRY_MS << self.failures.min(REST_DOUBLED_MAX);
        self.has_failed().then_some(rest)
    }

    /// The log has been replayed, or cannot be.
    pub fn loaded(&mut self, now: Now, outcome: Replayed) -> Option<GroupDecision> {
        self.replay = None;
        if let Some(reason) = outcome.error.filter(|_| !types::mutant!("GRP-08")) {
            tracing::error!(
                partition = self.partition.partition.0,
                reason,
                "a group coordinator cannot read its log"
            );
            self.state = State::Failed(ErrorCode::COORDINATOR_NOT_AVAILABLE);
            self.failures += 1;
            return None;
        }
        self.failures = 0;
        let groups = outcome.machine.groups().len();
        let partition = self.partition.partition.0;
        if groups > 0 {
            tracing::info!(partition, groups, "group coordinator active");
        } else {
            tracing::debug!(partition, "group coordinator active, without groups");
        }
        let mut soft = Default::default();
        let mut decision = Decision::default();
        outcome.machine.activate(&mut soft, now, &mut decision);
        self.state = State::Active(Box::new((*outcome.machine, soft)));
        Some(decision)
    }

    /// How many groups it coordinates, if it serves.
    pub fn groups(&self) -> Option<usize> {
        match &self.state {
            State::Active(active) => Some(active.0.groups().len()),
            State::Loading | State::Failed(_) => None,
        }
    }

    /// Decides a request.
    pub fn handle(&mut self, now: Now, request: Request, reply: Answer) -> Option<GroupDecision> {
        let (machine, soft) = match &mut self.state {
            State::Active(active) => {
                let (machine, soft) = &mut **active;
                (machine, soft)
            }
            State::Loading => {
                let _ = reply.send(Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS));
                return None;
            }
            State::Failed(error) => {
                let _ = reply.send(Err(*error));
                return None;
            }
        };
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, reply);
        let mut decision = Decision::default();
        machine.handle(soft, now, ticket, request, &mut decision);
        Some(decision)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Now) -> Option<GroupDecision> {
        if self.timer.is_some_and(|at| at <= now.mono) {
            self.timer = None;
        }
        let State::Active(active) = &mut self.state else {
            return None;
        };
        let (machine, soft) = &mut **active;
        if machine.deadline(soft).is_none_or(|at| at > now.mono) {
            // A timer that has been overtaken; the right one is set below.
            return Some(Decision::default());
        }
        let mut decision = Decision::default();
        machine.tick(soft, now, &mut decision);
        Some(decision)
    }

    /// The timer to set, if the one that is set does not cover the next deadline.
    pub fn timer_to_set(&mut self) -> Option<Mono> {
        let State::Active(active) = &self.state else {
            return None;
        };
        let (machine, soft) = &**active;
        let deadline = machine.deadline(soft)?;
        if self.timer.is_some_and(|at| at <= deadline) {
            return None;
        }
        self.timer = Some(deadline);
        Some(deadline)
    }

    /// The records of a decision as one batch; `None` if there are none.
    pub fn encode(&self, now: Now, records: &[Record]) -> Option<Validated> {
        if records.is_empty() {
            return None;
        }
        let mut builder = BatchBuilder::new(Codec::None);
        for record in records {
            let KeyValue { key, value } = record.encode();
            builder.append(
                TimestampMs::from(now.wall),
                key.as_deref(),
                value.as_deref(),
                &[],
            );
        }
        let bytes = builder.build();
        let header = BatchHeader::parse(&bytes).expect("a batch that was built just now is one");
        Some(Validated {
            bytes,
            header,
            max_timestamp_offset_delta: None,
            log_append_time: None,
        })
    }

    /// A decision has come to pass: its records are in the log, which ends at `log_end`.
    pub fn decided(&mut self, decision: GroupDecision, mut log_end: NextOffset) {
        if types::mutant!("GRP-21") && decision.records.is_empty() {
            log_end = NextOffset(0);
        }
        if let State::Active(active) = &mut self.state {
            for record in &decision.records {
                active.0.replay(record);
            }
        }
        if !decision.replies.is_empty() {
            self.parked
                .entry(log_end)
                .or_default()
                .extend(decision.replies);
        }
    }

    /// Everything below `high_watermark` is committed: answers that waited for it go.
    pub fn committed(&mut self, high_watermark: NextOffset) {
        while let Some(entry) = self.parked.first_entry() {
            if *entry.key() > high_watermark {
                return;
            }
            for (ticket, response) in entry.remove() {
                if let Some(reply) = self.waiting.remove(&ticket) {
                    let _ = reply.send(Ok(response));
                }
            }
        }
    }

    /// An append that had been accepted was refused after all.
    pub fn append_refused(&mut self, error: ErrorCode) {
        tracing::warn!(partition = self.partition.partition.0, %error,
            "a group coordinator's records were not committed");
    }

    /// Whether it must be read anew before it can serve.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// Nothing that waits will be answered: everybody is told, and the machine is thrown away.
    pub fn fail(&mut self, error: ErrorCode) {
        self.parked.clear();
        // Dropping the senders tells the waiting that nobody knows: what was decided may be in the log.
        self.waiting = LookupMap::new();
        self.timer = None;
        self.replay = None;
        self.state = State::Failed(error);
    }
}

impl Replayed {
    /// Whether there is no point in going on.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// This replay, failed.
    pub fn failed(mut self, error: &ReadError) -> Replayed {
        self.error = Some(error.to_string());
        self
    }

    /// Feeds the machine what `plan` reads.
    pub async fn feed<D: Disk>(mut self, plan: ReadPlan<D>) -> Replayed {
        let before = self.at;
        let fed = match plan.run().await {
            Ok(read) => self.take(protocol::Records::from_chunks(read.chunks).into_bytes()),
            Err(error) => Err(error.to_string()),
        };
        self.error = match fed {
            Err(error) => Some(error),
            Ok(()) if self.at == before => Some(format!("nothing can be read at offset {before}")),
            Ok(()) => None,
        };
        self
    }

    fn take(&mut self, bytes: Bytes) -> Result<(), String> {
        for batch in records::Batches::new(bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            self.at = batch.header().next_offset().position();
            if batch.header().attributes.is_control() {
                continue;
            }
            let records = batch
                .records(DECOMPRESSED_BYTES_MAX)
                .map_err(|error| error.to_string())?;
            for record in records {
                let record = record.map_err(|error| error.to_string())?;
                let key_value = KeyValue {
                    key: record.key,
                    value: record.value,
                };
                let decoded = Record::decode(&key_value).map_err(|error| error.to_string())?;
                if let Some(record) = decoded {
                    self.machine.replay(&record);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use types::{PartitionIndex, Uuid, Wall};
    use world::{Profile, World};

    use super::*;

    const NOW: Now = Now {
        mono: Mono(0),
        wall: Wall(0),
    };

    /// A coordinator, and the world that it draws from.
    fn coordinator() -> (World, Coordinator) {
        let mut world = World::new(1, Profile::calm());
        let node = world.start_node("broker", |_| std::future::pending());
        let partition = TopicPartition {
            topic_id: Uuid::ZERO,
            partition: PartitionIndex(0),
        };
        let config = Arc::new(GroupConfig::default());
        let coordinator = Coordinator::new(&world.env(node), &config, partition);
        (world, coordinator)
    }

    /// A step of a replay that is under way when its log is closed, or its coordinator fails, ends later.
    #[test]
    fn only_the_replay_that_was_begun_last_counts() {
        let (_world, mut coordinator) = coordinator();
        let before = coordinator.begin_loading(Fence(1), Offset(0));
        let last = coordinator.begin_loading(Fence(2), Offset(0));
        assert!(!coordinator.awaits(&before));
        assert!(coordinator.awaits(&last));
        assert!(coordinator.loaded(NOW, last).is_some());
        assert!(!coordinator.awaits(&before));
        let failed = coordinator.begin_loading(Fence(3), Offset(0));
        coordinator.fail(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert!(!coordinator.awaits(&failed));
    }

    #[test]
    fn a_log_that_cannot_be_read_rests_longer_and_longer() {
        let (_world, mut coordinator) = coordinator();
        let mut rests = Vec::new();
        for id in 0..10 {
            let replayed = coordinator.begin_loading(Fence(id), Offset(0));
            let replayed = replayed.failed(&ReadError::Gone);
            assert!(coordinator.loaded(NOW, replayed).is_none());
            rests.push(coordinator.rest_ms().expect("it failed"));
        }
        assert_eq!(rests[..3], [1_000, 2_000, 4_000]);
        assert_eq!(rests[8..], [64_000, 64_000]);
        let replayed = coordinator.begin_loading(Fence(10), Offset(0));
        assert!(coordinator.loaded(NOW, replayed).is_some());
        assert_eq!(coordinator.rest_ms(), None);
    }
}

//! One replica, its disk, and a producer that repeats itself.
//!
//! The disk does what a disk may: it writes what was placed, syncs what was written, reports either late and
//! in any order, fails, and after a crash keeps what was synced and any prefix of the rest. The producer sends
//! numbered batches, up to two at a time, and sends again whatever it has no answer for. Its sequence numbers
//! wrap within the run.
//!
//! Theorem (`durability=synced`, `acks=all`): an acknowledged batch is in the log where the answer said, once,
//! in order, whatever crashes and failures come.

use std::collections::BTreeSet;

use partition::{
    Acks, BatchMeta, Control, Durability, Effect, EpochCache, EpochEntry, Fence, Input, LogState,
    Marker, Origin, Recovered, Replica, ReplicaConfig, Reply,
};
use stateright::{Model, Property};
use types::{
    BrokerId, ErrorCode, LeaderEpoch, Mono, NextOffset, Offset, PartitionEpoch, PartitionIndex,
    ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicPartition, Uuid,
};

use crate::run::{CORE_CHECKS, survives};

const ME: BrokerId = BrokerId(1);
const PRODUCER: ProducerId = ProducerId(7);
const MARKER: usize = 15;

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Batches of the producer; the second one has two records, the others one.
    pub batches: usize,
    /// How often each batch may be sent again.
    pub resends: u8,
    /// Losses of power.
    pub crashes: u8,
    /// Errors of the disk, each with a reopened log.
    pub io_failures: u8,
    /// Appends that the log refuses.
    pub append_failures: u8,
    /// New leader epochs without a crash.
    pub elections: u8,
}

impl Bounds {
    /// For every build.
    pub const SMALL: Bounds = Bounds {
        batches: 2,
        resends: 1,
        crashes: 1,
        io_failures: 1,
        append_failures: 1,
        elections: 0,
    };
    /// For the board.
    pub const FULL: Bounds = Bounds {
        batches: 3,
        resends: 1,
        crashes: 1,
        io_failures: 1,
        append_failures: 1,
        elections: 1,
    };
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Single {
    /// How much may happen.
    pub bounds: Bounds,
    /// Whether the batches are one transaction, aborted in the end.
    pub transactional: bool,
}

/// A batch in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    base: Offset,
    epoch: LeaderEpoch,
    batch: BatchMeta,
}

impl Entry {
    fn end(&self) -> NextOffset {
        self.batch.last_offset(self.base).next()
    }
}

/// News from the disk that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum News {
    /// Written up to here.
    Written(Fence, NextOffset),
    /// Synced up to here.
    Synced(Fence, NextOffset),
}

/// What the producer knows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not sent yet.
    Not,
    /// Sent, no answer yet.
    Waiting,
    /// Sent, and the answer was a failure or was lost.
    Unknown,
    /// Acknowledged at this offset.
    Acked(Offset),
}

/// The world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    replica: Replica,
    epoch: i32,
    log: Vec<Entry>,
    /// How many entries are written.
    written: usize,
    /// How many entries are durable.
    durable: usize,
    sync_wanted: NextOffset,
    disk_failed: bool,
    /// The checkpoint of leader epochs: small, and durable at once.
    checkpoint: Vec<EpochEntry>,
    news: BTreeSet<News>,
    sent: Vec<Sent>,
    attempts: Vec<u8>,
    /// Everything that ever was below a high watermark.
    committed: Vec<Entry>,
    /// The greatest high watermark and durable end of this replica's life.
    greatest: (NextOffset, NextOffset),
    crashes: u8,
    io_failures: u8,
    append_failures: u8,
    elections: u8,
    broken: Option<&'static str>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The controller names this replica leader.
    Lead,
    /// The producer sends a batch, for the first time or again.
    Send(usize),
    /// As `Send`, and the log refuses it.
    SendRefused(usize),
    /// The coordinator ends the transaction.
    Abort,
    /// The disk writes everything that was placed.
    Write,
    /// The disk syncs everything that was written.
    Sync,
    /// News from the disk arrives.
    Hear(News),
    /// The disk fails.
    Fail,
    /// The log is reopened after a failure; so many entries are left.
    Reopen(usize),
    /// The power fails; so many entries are left.
    Crash(usize),
}

const ACK_IN_LOG: &str = "an answer names the batch that was sent";
const ACK_DURABLE: &str = "an answer waits for the sync";
const ONE_PLACE: &str = "every answer for a batch names one place";
const NOT_REFUSED: &str = "a batch in sequence is not refused";
const NOT_AFTER_FAILURE: &str = "nothing is appended to a failed disk";
const NOT_OFFLINE: &str = "the replica goes offline for the disk alone";
const ONLY_GROWS: &str = "high watermark and durable end only grow";

impl Single {
    fn config(&self) -> ReplicaConfig {
        ReplicaConfig {
            me: ME,
            partition: TopicPartition {
                topic_id: Uuid::METADATA_TOPIC,
                partition: PartitionIndex(0),
            },
            durability: Durability::Synced,
            min_insync_replicas: 1,
            producer_id_expiration_ms: i64::MAX,
        }
    }

    fn batch(&self, number: usize) -> BatchMeta {
        let records = if number == 1 { 2 } else { 1 };
        let before: i32 = (0..number).map(|n| if n == 1 { 2 } else { 1 }).sum();
        BatchMeta {
            producer_id: PRODUCER,
            producer_epoch: ProducerEpoch(0),
            // The second batch comes after the greatest sequence.
            base_sequence: Sequence(i32::MAX).plus(before),
            transactional: self.transactional,
            ..BatchMeta::plain(records, TimestampMs(0))
        }
    }

    fn marker(&self) -> BatchMeta {
        BatchMeta {
            producer_id: PRODUCER,
            producer_epoch: ProducerEpoch(0),
            transactional: true,
            control: Some(Control::EndTransaction {
                marker: Marker::Abort,
                coordinator_epoch: 0,
            }),
            ..BatchMeta::plain(1, TimestampMs(0))
        }
    }

    fn open(&self, state: &State, fence: Fence) -> Replica {
        let mut log = LogState {
            epochs: EpochCache::from_entries(state.checkpoint.iter().copied()),
            ..LogState::default()
        };
        for entry in &state.log {
            log.apply(Mono(0), entry.epoch, entry.base, &entry.batch);
        }
        Replica::new(
            self.config(),
            Recovered {
                fence,
                log_start: Offset(0),
                log_end: state.end_of(state.log.len()),
                durable_end: state.end_of(state.durable),
                high_watermark: None,
                log,
            },
        )
    }

    /// The log as it is found again: its first `keep` entries.
    fn reopen(&self, state: &mut State, keep: usize) {
        state.log.truncate(keep);
        state.written = state.log.len();
        state.durable = state.durable.min(keep);
        state.sync_wanted = NextOffset(0);
        state.disk_failed = false;
        for sent in &mut state.sent {
            if *sent == Sent::Waiting {
                *sent = Sent::Unknown;
            }
        }
        let fence = Fence(state.replica.fence().0 + 1);
        let mut replica = state.replica.clone();
        if !survives(|| replica = self.open(state, fence)) {
            state.broken = Some(CORE_CHECKS);
        }
        state.replica = replica;
        state.greatest = (NextOffset(0), NextOffset(0));
    }

    fn send(&self, state: &mut State, number: usize, refused: bool) {
        let token = (number * 16 + usize::from(state.attempts[number])) as u64;
        state.attempts[number] += 1;
        if state.sent[number] != Sent::Waiting && !matches!(state.sent[number], Sent::Acked(_)) {
            state.sent[number] = Sent::Waiting;
        }
        let input = Input::Append {
            token,
            batch: self.batch(number),
            acks: Acks::All,
            origin: Origin::Client,
            expected_epoch: None,
        };
        self.step(state, input, refused);
    }

    fn step(&self, state: &mut State, input: Input, refuse: bool) {
        let mut out = Vec::new();
        if !survives(|| state.replica.step(Mono(0), input, &mut out)) {
            state.broken = Some(CORE_CHECKS);
            return;
        }
        for effect in out {
            match effect {
                Effect::Append {
                    token,
                    base_offset,
                    leader_epoch,
                    ..
                } => {
                    if refuse {
                        // The rest of the step is left undone.
                        let error = ErrorCode::KAFKA_STORAGE_ERROR;
                        let input = Input::AppendFailed { token, error };
                        return self.step(state, input, false);
                    }
                    if state.disk_failed {
                        state.broken = Some(NOT_AFTER_FAILURE);
                    }
                    let number = token as usize / 16;
                    state.log.push(Entry {
                        base: base_offset,
                        epoch: leader_epoch,
                        batch: if number == MARKER {
                            self.marker()
                        } else {
                            self.batch(number)
                        },
                    });
                }
                Effect::Sync { upto, .. } => state.sync_wanted = state.sync_wanted.max(upto),
                Effect::EpochStarted { epoch, start } => {
                    let keeps = |entry: &EpochEntry| entry.epoch < epoch && entry.start < start;
                    state.checkpoint.retain(keeps);
                    state.checkpoint.push(EpochEntry { epoch, start });
                }
                Effect::HighWatermarkMoved { high_watermark, .. } => {
                    let committed = state.committed.len();
                    let news = state.log.iter().skip(committed);
                    let news = news.take_while(|entry| entry.end() <= high_watermark);
                    let news: Vec<Entry> = news.cloned().collect();
                    state.committed.extend(news);
                }
                Effect::WentOffline { .. } if !state.disk_failed => {
                    state.broken = Some(NOT_OFFLINE);
                }
                Effect::Reply { token, reply } => self.hear_reply(state, token, reply),
                _ => {}
            }
        }
        let (high_watermark, durable) = state.greatest;
        let now = (state.replica.high_watermark(), state.replica.durable_end());
        if now.0 < high_watermark || now.1 < durable {
            state.broken = Some(ONLY_GROWS);
        }
        state.greatest = now;
    }

    fn hear_reply(&self, state: &mut State, token: u64, reply: Reply) {
        let number = token as usize / 16;
        if number == MARKER {
            return;
        }
        match reply {
            Reply::Appended(appended) => {
                let entry = state
                    .log
                    .iter()
                    .find(|entry| entry.base == appended.base_offset);
                if entry.is_none_or(|entry| entry.batch != self.batch(number)) {
                    state.broken = Some(ACK_IN_LOG);
                }
                if appended.next_offset > state.end_of(state.durable) {
                    state.broken = Some(ACK_DURABLE);
                }
                if let Sent::Acked(base) = state.sent[number]
                    && base != appended.base_offset
                {
                    state.broken = Some(ONE_PLACE);
                }
                state.sent[number] = Sent::Acked(appended.base_offset);
            }
            Reply::Refused(ErrorCode::KAFKA_STORAGE_ERROR) => {
                if state.sent[number] == Sent::Waiting {
                    state.sent[number] = Sent::Unknown;
                }
            }
            Reply::Refused(_) | Reply::Deleted { .. } => state.broken = Some(NOT_REFUSED),
        }
    }

    /// Whether the producer may send this batch now: in order, two at a time, and nothing new while the fate
    /// of an earlier batch is unknown.
    fn may_send(&self, state: &State, number: usize) -> bool {
        let earlier = &state.sent[..number];
        let waiting = earlier
            .iter()
            .filter(|sent| **sent == Sent::Waiting)
            .count();
        let settled = |sent: &Sent| matches!(sent, Sent::Waiting | Sent::Acked(_));
        earlier.iter().all(settled)
            && waiting < 2
            && !matches!(state.sent[number], Sent::Acked(_))
            && state.attempts[number] <= self.bounds.resends
    }
}

impl State {
    fn end_of(&self, entries: usize) -> NextOffset {
        let last = entries.checked_sub(1).and_then(|last| self.log.get(last));
        last.map_or(NextOffset(0), Entry::end)
    }

    fn in_log(&self, batch: &BatchMeta) -> usize {
        self.log
            .iter()
            .filter(|entry| entry.batch == *batch)
            .count()
    }
}

impl Model for Single {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let recovered = Recovered {
            fence: Fence(0),
            log_start: Offset(0),
            log_end: NextOffset(0),
            durable_end: NextOffset(0),
            high_watermark: None,
            log: LogState::default(),
        };
        vec![State {
            replica: Replica::new(self.config(), recovered),
            epoch: 0,
            log: Vec::new(),
            written: 0,
            durable: 0,
            sync_wanted: NextOffset(0),
            disk_failed: false,
            checkpoint: Vec::new(),
            news: BTreeSet::new(),
            sent: vec![Sent::Not; self.bounds.batches],
            attempts: vec![0; self.bounds.batches],
            committed: Vec::new(),
            greatest: (NextOffset(0), NextOffset(0)),
            crashes: 0,
            io_failures: 0,
            append_failures: 0,
            elections: 0,
            broken: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        let bounds = self.bounds;
        if !state.replica.is_leader() && !state.disk_failed {
            actions.push(Action::Lead);
        }
        if state.replica.is_leader() {
            if state.elections < bounds.elections {
                actions.push(Action::Lead);
            }
            for number in (0..bounds.batches).filter(|number| self.may_send(state, *number)) {
                actions.push(Action::Send(number));
                if state.append_failures < bounds.append_failures {
                    actions.push(Action::SendRefused(number));
                }
            }
            let all_sent = state.sent.iter().all(|sent| matches!(sent, Sent::Acked(_)));
            if self.transactional && all_sent && state.in_log(&self.marker()) == 0 {
                actions.push(Action::Abort);
            }
        }
        if !state.disk_failed {
            if state.written < state.log.len() {
                actions.push(Action::Write);
            }
            if state.durable < state.written && state.end_of(state.durable) < state.sync_wanted {
                actions.push(Action::Sync);
            }
            if state.io_failures < bounds.io_failures {
                actions.push(Action::Fail);
            }
        }
        actions.extend(state.news.iter().map(|news| Action::Hear(*news)));
        let rest = state.durable..=state.log.len();
        if state.disk_failed {
            actions.extend(rest.clone().map(Action::Reopen));
        }
        if state.crashes < bounds.crashes {
            actions.extend(rest.map(Action::Crash));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Lead => {
                state.elections += u8::from(state.replica.is_leader());
                state.epoch += 1;
                let input = Input::BecomeLeader {
                    leader_epoch: LeaderEpoch(state.epoch),
                    partition_epoch: PartitionEpoch(0),
                    isr: vec![ME],
                    replicas: vec![ME],
                };
                self.step(&mut state, input, false);
            }
            Action::Send(number) => self.send(&mut state, number, false),
            Action::SendRefused(number) => {
                state.append_failures += 1;
                self.send(&mut state, number, true);
            }
            Action::Abort => {
                let input = Input::Append {
                    token: (MARKER * 16) as u64,
                    batch: self.marker(),
                    acks: Acks::All,
                    origin: Origin::Coordinator,
                    expected_epoch: None,
                };
                self.step(&mut state, input, false);
            }
            Action::Write => {
                state.written = state.log.len();
                let upto = state.end_of(state.written);
                state
                    .news
                    .insert(News::Written(state.replica.fence(), upto));
            }
            Action::Sync => {
                state.durable = state.written;
                let upto = state.end_of(state.durable);
                state.news.insert(News::Synced(state.replica.fence(), upto));
            }
            Action::Hear(news) => {
                state.news.remove(&news);
                let input = match news {
                    News::Written(fence, upto) => Input::Written { fence, upto },
                    News::Synced(fence, upto) => Input::Synced { fence, upto },
                };
                self.step(&mut state, input, false);
            }
            Action::Fail => {
                state.io_failures += 1;
                state.disk_failed = true;
                let input = Input::IoFailed {
                    fence: state.replica.fence(),
                    reason: String::new(),
                };
                self.step(&mut state, input, false);
            }
            Action::Reopen(keep) => self.reopen(&mut state, keep),
            Action::Crash(keep) => {
                state.crashes += 1;
                state.news.clear();
                self.reopen(&mut state, keep);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! not_broken {
            ($name:expr) => {
                Property::always($name, |_: &Single, state: &State| {
                    state.broken != Some($name)
                })
            };
        }
        vec![
            not_broken!(CORE_CHECKS),
            not_broken!(ACK_IN_LOG),
            not_broken!(ACK_DURABLE),
            not_broken!(ONE_PLACE),
            not_broken!(NOT_REFUSED),
            not_broken!(NOT_AFTER_FAILURE),
            not_broken!(NOT_OFFLINE),
            not_broken!(ONLY_GROWS),
            Property::always(
                "an acknowledged batch stays",
                |model: &Single, state: &State| {
                    state
                        .sent
                        .iter()
                        .enumerate()
                        .all(|(number, sent)| match sent {
                            Sent::Acked(base) => state.log.iter().any(|entry| {
                                entry.base == *base && entry.batch == model.batch(number)
                            }),
                            _ => true,
                        })
                },
            ),
            Property::always("what was committed stays", |_: &Single, state: &State| {
                state.log.starts_with(&state.committed)
            }),
            Property::always(
                "no batch twice, none out of order",
                |model: &Single, state: &State| {
                    let data = state
                        .log
                        .iter()
                        .filter(|entry| entry.batch.control.is_none());
                    data.enumerate()
                        .all(|(i, entry)| entry.batch == model.batch(i))
                },
            ),
            Property::always("offsets have no gap", |_: &Single, state: &State| {
                (0..state.log.len()).all(|i| state.log[i].base.end_before() == state.end_of(i))
            }),
            Property::always(
                "epochs are those of the log",
                |_: &Single, state: &State| {
                    let mut truth: Vec<EpochEntry> = Vec::new();
                    for entry in &state.log {
                        if truth.last().is_none_or(|last| last.epoch != entry.epoch) {
                            let (epoch, start) = (entry.epoch, entry.base);
                            truth.push(EpochEntry { epoch, start });
                        }
                    }
                    if state.replica.is_leader()
                        && truth.last().is_none_or(|last| last.epoch.0 != state.epoch)
                    {
                        truth.push(EpochEntry {
                            epoch: LeaderEpoch(state.epoch),
                            start: state.replica.log_end().position(),
                        });
                    }
                    state.replica.is_offline() || state.replica.epochs().entries() == truth
                },
            ),
            Property::always(
                "the last stable offset is that of the log",
                |_: &Single, state: &State| {
                    let high_watermark = state.replica.high_watermark();
                    let mut open = None;
                    for entry in state.log.iter().filter(|entry| entry.batch.transactional) {
                        if entry.batch.control.is_none() {
                            open = open.or(Some(entry.base.end_before()));
                        } else if entry.end() <= high_watermark {
                            open = None;
                        }
                    }
                    let truth = open.map_or(high_watermark, |open| open.min(high_watermark));
                    state.replica.last_stable_offset() == truth
                },
            ),
            Property::sometimes("everything is acknowledged", |_: &Single, state: &State| {
                state.sent.iter().all(|sent| matches!(sent, Sent::Acked(_)))
            }),
            Property::sometimes("a crash takes a batch", |model: &Single, state: &State| {
                state.crashes > 0
                    && (0..model.bounds.batches).any(|number| {
                        state.attempts[number] > 0 && state.in_log(&model.batch(number)) == 0
                    })
            }),
            Property::sometimes(
                "a batch is repeated while in flight",
                |_: &Single, state: &State| {
                    state.replica.waiting()
                        > state
                            .sent
                            .iter()
                            .filter(|sent| **sent == Sent::Waiting)
                            .count()
                },
            ),
            Property::sometimes(
                "stale news of the disk is under way",
                |_: &Single, state: &State| {
                    let stale = |news: &News| match news {
                        News::Written(fence, _) | News::Synced(fence, _) => {
                            *fence != state.replica.fence()
                        }
                    };
                    state.news.iter().any(stale)
                },
            ),
        ]
    }
}

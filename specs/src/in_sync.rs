//! A leader, two followers, and a controller whose news arrives late and out of order.
//!
//! Broker 1 runs the shipped core. Follower 2 is the careful part of the world: it learns of epochs late, its
//! fetches may be held back past an election, and it may have been led by another broker in between and have
//! cut its log or gained records that broker 1 lacks. Follower 3 is always in the ISR and is the leader of the
//! epochs in between, so what it lacks cannot have been committed. Records are single, so offsets count
//! batches. The controller may drop 2 from the ISR, and admit it again when broker 1 proposes that.
//!
//! Theorem: broker 1's high watermark never passes what every replica in the *controller's* ISR holds of
//! broker 1's log; under `min.insync.replicas` it stands still; an answer names a batch below it.

use std::collections::BTreeSet;

use partition::{
    Acks, BatchMeta, Durability, Effect, Fence, Input, LogState, Origin, Recovered, Replica,
    ReplicaConfig, Reply,
};
use stateright::{Model, Property};
use types::{
    BrokerId, ErrorCode, LeaderEpoch, Mono, NextOffset, Offset, PartitionEpoch, PartitionIndex,
    ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicPartition, Uuid,
};

use crate::run::{CORE_CHECKS, survives};

const ME: BrokerId = BrokerId(1);
const TWO: BrokerId = BrokerId(2);
const THREE: BrokerId = BrokerId(3);

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Batches of the producer.
    pub batches: usize,
    /// How often each may be sent again.
    pub resends: u8,
    /// Elections of broker 1 after another leader in between.
    pub elections: u8,
    /// How often the controller drops 2 from the ISR.
    pub shrinks: u8,
    /// How often broker 1 proposes to admit it again.
    pub proposals: u8,
}

impl Bounds {
    /// For every build.
    pub const SMALL: Bounds = Bounds {
        batches: 1,
        resends: 1,
        elections: 1,
        shrinks: 1,
        proposals: 1,
    };
    /// For the board.
    pub const FULL: Bounds = Bounds {
        batches: 2,
        resends: 1,
        elections: 1,
        shrinks: 1,
        proposals: 1,
    };
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct InSync {
    /// How much may happen.
    pub bounds: Bounds,
    /// `min.insync.replicas`: 2 lets the high watermark move without follower 2, 3 does not.
    pub min_insync_replicas: i32,
}

/// What the controller says: leader epoch, partition epoch, and whether 2 is in the ISR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Registration {
    leader_epoch: i32,
    partition_epoch: i32,
    with_two: bool,
}

/// A fetch of follower 2 on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fetch {
    epoch: i32,
    last_epoch: i32,
    end: i64,
}

/// Follower 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Follower {
    /// The leader epoch that it knows.
    epoch: i32,
    /// The end of its log, all of it durable.
    end: i64,
    /// How much of that is broker 1's log.
    agrees: i64,
    /// The epoch of its last record.
    last_epoch: i32,
}

/// What the producer knows of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not sent yet.
    Not,
    /// Sent, no answer yet.
    Waiting,
    /// Sent, and the answer was a failure.
    Unknown,
    /// Acknowledged at this offset.
    Acked(Offset),
}

/// The world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    replica: Replica,
    /// Leader epoch and batch number of each record in broker 1's log.
    log: Vec<(i32, usize)>,
    truth: Registration,
    /// What broker 1 has been told of, at most.
    told: Registration,
    updates: BTreeSet<Registration>,
    two: Follower,
    three_end: i64,
    fetches: BTreeSet<Fetch>,
    /// The registration that a proposal under way starts from.
    proposal: Option<Registration>,
    sent: Vec<Sent>,
    attempts: Vec<u8>,
    elections: u8,
    shrinks: u8,
    proposals: u8,
    broken: Option<&'static str>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The producer sends a batch, for the first time or again.
    Send(usize),
    /// Everything in broker 1's log becomes durable.
    Sync,
    /// Follower 2 hears of the controller's leader epoch.
    Learn,
    /// Follower 2 copies the rest of broker 1's log.
    Copy,
    /// Follower 2 cuts off what broker 1 does not have.
    Truncate,
    /// Follower 2 sends a fetch.
    Fetch,
    /// A fetch of 2 arrives.
    Arrive(Fetch),
    /// Follower 3 copies, and says so.
    Three,
    /// Broker 3 leads for an epoch, 2 follows it and perhaps gains a record; then broker 1 is elected.
    Elect {
        /// Whether 2 gains one.
        gains: bool,
    },
    /// The controller drops 2 from the ISR.
    Shrink,
    /// Broker 1 proposes to admit 2.
    Propose,
    /// The controller does so.
    Accept,
    /// News of the controller reaches broker 1.
    Update(Registration),
}

const ACK_IN_LOG: &str = "an answer names the batch that was sent";
const ACK_COMMITTED: &str = "an answer waits for the commit";
const NOT_REFUSED: &str = "a batch in sequence is not refused";
const MIN_ISR: &str = "nothing is committed below min.insync.replicas";
const NEWS_ORDER: &str = "older news never replaces newer";

impl InSync {
    fn batch(number: usize) -> BatchMeta {
        BatchMeta {
            producer_id: ProducerId(7),
            producer_epoch: ProducerEpoch(0),
            base_sequence: Sequence(number as i32),
            ..BatchMeta::plain(1, TimestampMs(0))
        }
    }

    fn step(&self, state: &mut State, input: Input) {
        let before = (
            state.replica.leader_epoch(),
            state.replica.partition_epoch(),
        );
        let mut out = Vec::new();
        if !survives(|| state.replica.step(Mono(0), input, &mut out)) {
            state.broken = Some(CORE_CHECKS);
            return;
        }
        let now = (
            state.replica.leader_epoch(),
            state.replica.partition_epoch(),
        );
        if now < before {
            state.broken = Some(NEWS_ORDER);
        }
        for effect in out {
            match effect {
                Effect::Append {
                    token,
                    leader_epoch,
                    ..
                } => state.log.push((leader_epoch.0, token as usize / 16)),
                Effect::HighWatermarkMoved { .. } => {
                    let in_sync = if state.told.with_two { 3 } else { 2 };
                    if in_sync < self.min_insync_replicas {
                        state.broken = Some(MIN_ISR);
                    }
                }
                Effect::Reply { token, reply } => Self::hear_reply(state, token, reply),
                _ => {}
            }
        }
    }

    fn hear_reply(state: &mut State, token: u64, reply: Reply) {
        let number = token as usize / 16;
        match reply {
            Reply::Appended(appended) => {
                let found = state.log.get(appended.base_offset.0 as usize);
                if found.is_none_or(|(_, found)| *found != number) {
                    state.broken = Some(ACK_IN_LOG);
                }
                if appended.next_offset > state.replica.high_watermark() {
                    state.broken = Some(ACK_COMMITTED);
                }
                state.sent[number] = Sent::Acked(appended.base_offset);
            }
            Reply::Refused(
                ErrorCode::NOT_ENOUGH_REPLICAS | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            ) => {
                if state.sent[number] == Sent::Waiting {
                    state.sent[number] = Sent::Unknown;
                }
            }
            Reply::Refused(_) | Reply::Deleted { .. } => state.broken = Some(NOT_REFUSED),
        }
    }

    fn may_send(&self, state: &State, number: usize) -> bool {
        let settled = |sent: &Sent| matches!(sent, Sent::Waiting | Sent::Acked(_));
        state.sent[..number].iter().all(settled)
            && !matches!(state.sent[number], Sent::Acked(_))
            && state.attempts[number] <= self.bounds.resends
    }
}

impl State {
    fn end(&self) -> i64 {
        self.log.len() as i64
    }

    fn epoch_before(&self, end: i64) -> i32 {
        let last = usize::try_from(end - 1).ok();
        last.and_then(|last| self.log.get(last))
            .map_or(-1, |(epoch, _)| *epoch)
    }

    /// Whether follower 2 follows broker 1 in the epoch that broker 1 leads.
    fn follows(&self) -> bool {
        self.two.epoch == self.replica.leader_epoch().0
    }

    fn register(&mut self, next: Registration) {
        self.truth = next;
        self.updates.insert(next);
    }
}

impl Model for InSync {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let config = ReplicaConfig {
            me: ME,
            partition: TopicPartition {
                topic_id: Uuid::METADATA_TOPIC,
                partition: PartitionIndex(0),
            },
            durability: Durability::Synced,
            min_insync_replicas: self.min_insync_replicas,
            producer_id_expiration_ms: i64::MAX,
        };
        let recovered = Recovered {
            fence: Fence(0),
            log_start: Offset(0),
            log_end: NextOffset(0),
            durable_end: NextOffset(0),
            high_watermark: None,
            log: LogState::default(),
        };
        let truth = Registration {
            leader_epoch: 1,
            partition_epoch: 1,
            with_two: true,
        };
        let mut state = State {
            replica: Replica::new(config, recovered),
            log: Vec::new(),
            truth,
            told: truth,
            updates: BTreeSet::new(),
            two: Follower {
                epoch: 1,
                end: 0,
                agrees: 0,
                last_epoch: -1,
            },
            three_end: 0,
            fetches: BTreeSet::new(),
            proposal: None,
            sent: vec![Sent::Not; self.bounds.batches],
            attempts: vec![0; self.bounds.batches],
            elections: 0,
            shrinks: 0,
            proposals: 0,
            broken: None,
        };
        self.step(&mut state, become_leader(truth));
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        let numbers = 0..self.bounds.batches;
        actions.extend(
            numbers
                .filter(|number| self.may_send(state, *number))
                .map(Action::Send),
        );
        if state.replica.durable_end().0 < state.end() {
            actions.push(Action::Sync);
        }
        if state.two.epoch < state.truth.leader_epoch {
            actions.push(Action::Learn);
        }
        if state.follows() {
            if state.two.agrees < state.two.end {
                actions.push(Action::Truncate);
            } else if state.two.end < state.end() {
                actions.push(Action::Copy);
            }
        }
        if state.fetches.len() < 2 {
            actions.push(Action::Fetch);
        }
        actions.extend(state.fetches.iter().copied().map(Action::Arrive));
        let leads = state.truth.leader_epoch == state.replica.leader_epoch().0;
        if leads {
            actions.push(Action::Three);
        }
        if state.truth.with_two && state.elections < self.bounds.elections {
            actions.push(Action::Elect { gains: false });
            actions.push(Action::Elect { gains: true });
        }
        if state.truth.with_two && state.shrinks < self.bounds.shrinks {
            actions.push(Action::Shrink);
        }
        // KIP-497: a follower is proposed that has caught up with the high watermark in this epoch.
        if leads
            && !state.told.with_two
            && state.proposal.is_none()
            && state.proposals < self.bounds.proposals
            && state.follows()
            && state.two.agrees == state.two.end
            && state.two.end >= state.replica.high_watermark().0
        {
            actions.push(Action::Propose);
        }
        if state.proposal == Some(state.truth) {
            actions.push(Action::Accept);
        }
        actions.extend(state.updates.iter().copied().map(Action::Update));
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Send(number) => {
                let token = (number * 16 + usize::from(state.attempts[number])) as u64;
                state.attempts[number] += 1;
                state.sent[number] = Sent::Waiting;
                let input = Input::Append {
                    token,
                    batch: InSync::batch(number),
                    acks: Acks::All,
                    origin: Origin::Client,
                    expected_epoch: None,
                };
                self.step(&mut state, input);
            }
            Action::Sync => {
                let upto = NextOffset(state.end());
                let fence = Fence(0);
                self.step(&mut state, Input::Synced { fence, upto });
            }
            Action::Learn => state.two.epoch = state.truth.leader_epoch,
            Action::Copy => {
                state.two.end = state.end();
                state.two.agrees = state.two.end;
                state.two.last_epoch = state.epoch_before(state.two.end);
            }
            Action::Truncate => {
                state.two.end = state.two.agrees;
                state.two.last_epoch = state.epoch_before(state.two.end);
            }
            Action::Fetch => {
                let Follower {
                    epoch,
                    end,
                    last_epoch,
                    ..
                } = state.two;
                let fetch = Fetch {
                    epoch,
                    last_epoch,
                    end,
                };
                if !state.fetches.insert(fetch) {
                    return None;
                }
            }
            Action::Arrive(fetch) => {
                state.fetches.remove(&fetch);
                self.step(&mut state, fetched(TWO, fetch));
            }
            Action::Three => {
                state.three_end = state.end();
                let fetch = Fetch {
                    epoch: state.truth.leader_epoch,
                    last_epoch: state.epoch_before(state.end()),
                    end: state.end(),
                };
                self.step(&mut state, fetched(THREE, fetch));
            }
            Action::Elect { gains } => {
                state.elections += 1;
                let between = state.truth.leader_epoch + 1;
                let agrees = state.two.agrees.min(state.three_end);
                state.two = Follower {
                    epoch: between,
                    end: agrees + i64::from(gains),
                    agrees,
                    last_epoch: if gains {
                        between
                    } else {
                        state.epoch_before(agrees)
                    },
                };
                state.register(Registration {
                    leader_epoch: between + 1,
                    partition_epoch: state.truth.partition_epoch + 1,
                    with_two: true,
                });
            }
            Action::Shrink => {
                state.shrinks += 1;
                state.register(Registration {
                    partition_epoch: state.truth.partition_epoch + 1,
                    with_two: false,
                    ..state.truth
                });
            }
            Action::Propose => {
                state.proposals += 1;
                state.proposal = Some(state.told);
                let input = Input::IsrProposed {
                    partition_epoch: PartitionEpoch(state.told.partition_epoch),
                    isr: vec![ME, TWO, THREE],
                };
                self.step(&mut state, input);
            }
            Action::Accept => {
                state.proposal = None;
                state.register(Registration {
                    partition_epoch: state.truth.partition_epoch + 1,
                    with_two: true,
                    ..state.truth
                });
            }
            Action::Update(update) => {
                state.updates.remove(&update);
                state.told = state.told.max(update);
                self.step(&mut state, become_leader(update));
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! not_broken {
            ($name:expr) => {
                Property::always($name, |_: &InSync, state: &State| {
                    state.broken != Some($name)
                })
            };
        }
        vec![
            not_broken!(CORE_CHECKS),
            not_broken!(ACK_IN_LOG),
            not_broken!(ACK_COMMITTED),
            not_broken!(NOT_REFUSED),
            not_broken!(MIN_ISR),
            not_broken!(NEWS_ORDER),
            Property::always(
                "the in-sync replicas hold what is committed",
                |_: &InSync, state: &State| {
                    let committed = state.replica.high_watermark().0;
                    committed <= state.three_end
                        && (!state.truth.with_two || committed <= state.two.agrees)
                },
            ),
            Property::always(
                "no batch twice, none out of order",
                |_: &InSync, state: &State| {
                    let numbers = state.log.iter().map(|(_, number)| *number);
                    numbers.eq(0..state.log.len())
                },
            ),
            Property::always(
                "an acknowledged batch stays",
                |_: &InSync, state: &State| {
                    state
                        .sent
                        .iter()
                        .enumerate()
                        .all(|(number, sent)| match sent {
                            Sent::Acked(base) => {
                                state.log.get(base.0 as usize).map(|found| found.1) == Some(number)
                            }
                            _ => true,
                        })
                },
            ),
            Property::sometimes(
                "everything is acknowledged after an election",
                |model: &InSync, state: &State| {
                    state.elections == model.bounds.elections
                        && state.sent.iter().all(|sent| matches!(sent, Sent::Acked(_)))
                },
            ),
            Property::sometimes(
                "2 is admitted again and counts",
                |_: &InSync, state: &State| {
                    state.proposals > 0
                        && state.told.with_two
                        && state.replica.high_watermark().0 == state.end()
                        && state.end() > 0
                },
            ),
            Property::sometimes(
                "a fetch of an earlier epoch is under way",
                |_: &InSync, state: &State| {
                    let epoch = state.replica.leader_epoch().0;
                    state.fetches.iter().any(|fetch| fetch.epoch < epoch)
                },
            ),
            Property::sometimes("2 has what broker 1 lacks", |_: &InSync, state: &State| {
                state.follows() && state.two.agrees < state.two.end
            }),
        ]
    }
}

fn become_leader(registration: Registration) -> Input {
    let mut isr = vec![ME, THREE];
    if registration.with_two {
        isr.push(TWO);
    }
    Input::BecomeLeader {
        leader_epoch: LeaderEpoch(registration.leader_epoch),
        partition_epoch: PartitionEpoch(registration.partition_epoch),
        isr,
        replicas: vec![ME, TWO, THREE],
    }
}

fn fetched(from: BrokerId, fetch: Fetch) -> Input {
    Input::FollowerFetched {
        from,
        leader_epoch: LeaderEpoch(fetch.epoch),
        last_fetched_epoch: (fetch.last_epoch >= 0).then_some(LeaderEpoch(fetch.last_epoch)),
        fetch_offset: Offset(fetch.end),
        durable_end: NextOffset(fetch.end),
    }
}

//! The only voter of a quorum, its log and its `quorum-state`.
//!
//! `quorum-state` is replaced as a whole: a crash leaves the last state that became durable, or the one being
//! written. The log keeps what was synced and any prefix of the rest. News of both arrives late and in any
//! order, and after a failure of the disk news of the incarnation before may still be under way.
//!
//! Theorem: no epoch has two leaderships; what is committed stays, and was durable and above an own record when
//! it was committed; a proposal is appended in the epoch that it was decided in, or not at all.

use std::collections::BTreeSet;

use raft::{
    Effect, ElectionState, Fence, Input, QuorumConfig, QuorumReplica, Recovered, ReplicaKey,
    VoterSet,
};
use stateright::{Model, Property};
use types::{BrokerId, LeaderEpoch, Mono, NextOffset, Uuid};

use crate::run::{CORE_CHECKS, survives};

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Losses of power.
    pub crashes: u8,
    /// Errors of the disk.
    pub io_failures: u8,
    /// Proposals, each of the current or the epoch before.
    pub proposals: u8,
    /// Election timers that run out.
    pub timers: u8,
}

impl Bounds {
    /// For every build.
    pub const SMALL: Bounds = Bounds {
        crashes: 1,
        io_failures: 1,
        proposals: 1,
        timers: 1,
    };
    /// For the board.
    pub const FULL: Bounds = Bounds {
        crashes: 2,
        io_failures: 1,
        proposals: 2,
        timers: 1,
    };
}

/// The model.
#[derive(Clone, Copy, Debug)]
pub struct Quorum {
    /// How much may happen.
    pub bounds: Bounds,
}

/// A record of the log: its epoch, and the proposal that it comes from (0 for a leader's first).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    epoch: i32,
    proposal: u8,
}

/// News from the disk that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum News {
    /// This state is durable.
    Persisted(u64, ElectionState),
    /// The log is durable up to here.
    Synced(Fence, NextOffset),
}

/// The world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    replica: QuorumReplica,
    started: bool,
    resigned: bool,
    incarnation: u64,
    log: Vec<Record>,
    durable: usize,
    sync_wanted: usize,
    election: ElectionState,
    election_wanted: Option<ElectionState>,
    news: BTreeSet<News>,
    /// Who led: epoch and incarnation.
    leaderships: BTreeSet<(i32, u64)>,
    /// Everything that was ever committed.
    committed: Vec<Record>,
    high_watermark: NextOffset,
    /// Proposals and the epoch each was decided in.
    proposed: Vec<i32>,
    crashes: u8,
    io_failures: u8,
    timers: u8,
    broken: Option<&'static str>,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The host is ready.
    Start,
    /// `quorum-state` becomes durable.
    Persist,
    /// The log becomes durable.
    Sync,
    /// News of the disk arrives.
    Hear(News),
    /// The election timer runs out.
    Timer,
    /// The state machine proposes a record that it decided in this epoch.
    Propose(i32),
    /// The disk fails.
    Fail,
    /// The power fails; so many records are left, and perhaps the election state being written.
    Crash {
        /// Records left.
        keep: usize,
        /// Whether the state being written is what is found.
        election: bool,
    },
    /// As a crash, after a failure of the disk: news of before is still under way.
    Reopen {
        /// Records left.
        keep: usize,
    },
}

const ONE_LEADER: &str = "an epoch has one leader, once";
const VOTE_DURABLE: &str = "a leader's vote is durable";
const OWN_EPOCH: &str = "only an own record commits";
const COMMIT_DURABLE: &str = "what is committed is durable";
const ONLY_GROWS: &str = "the high watermark only grows";
const PROPOSED_EPOCH: &str = "a proposal is appended in its epoch";
const CONFIRMED: &str = "who may decide has committed its first record";

fn me() -> ReplicaKey {
    ReplicaKey {
        id: BrokerId(1),
        directory_id: Uuid([1; 16]),
    }
}

impl Quorum {
    fn open(state: &State) -> QuorumReplica {
        QuorumReplica::new(
            QuorumConfig {
                me: me(),
                voters: VoterSet::new([me()]),
                election_timeout_ms: 0,
                seed: 0,
            },
            Recovered {
                fence: Fence(state.incarnation),
                election: state.election,
                last_epoch: LeaderEpoch(state.log.last().map_or(0, |record| record.epoch)),
                log_end: NextOffset(state.log.len() as i64),
                durable_end: NextOffset(state.durable as i64),
                high_watermark: NextOffset(0),
            },
        )
    }

    fn restart(state: &mut State, keep: usize) {
        state.log.truncate(keep);
        state.durable = state.durable.min(keep);
        state.sync_wanted = 0;
        state.election_wanted = None;
        state.incarnation += 1;
        state.started = false;
        state.resigned = false;
        state.high_watermark = NextOffset(0);
        let mut replica = state.replica.clone();
        if !survives(|| replica = Quorum::open(state)) {
            state.broken = Some(CORE_CHECKS);
        }
        state.replica = replica;
    }

    fn step(state: &mut State, input: Input) {
        let mut out = Vec::new();
        if !survives(|| state.replica.step(Mono(0), input, &mut out)) {
            state.broken = Some(CORE_CHECKS);
            return;
        }
        for effect in out {
            match effect {
                Effect::PersistElection(election) => state.election_wanted = Some(election),
                Effect::AppendLeaderChange { epoch, .. } => {
                    let elsewhere = (epoch.0, state.incarnation);
                    let others = state.leaderships.iter();
                    if others.into_iter().any(|(led, _)| *led == epoch.0) {
                        state.broken = Some(ONE_LEADER);
                    }
                    if state.election.leader_epoch != epoch || state.election.voted != Some(me()) {
                        state.broken = Some(VOTE_DURABLE);
                    }
                    state.leaderships.insert(elsewhere);
                    state.log.push(Record {
                        epoch: epoch.0,
                        proposal: 0,
                    });
                }
                Effect::Append { token, epoch, .. } => {
                    if state.proposed[token as usize] != epoch.0 {
                        state.broken = Some(PROPOSED_EPOCH);
                    }
                    state.log.push(Record {
                        epoch: epoch.0,
                        proposal: token as u8 + 1,
                    });
                }
                Effect::Sync { upto, .. } => {
                    state.sync_wanted = state.sync_wanted.max(upto.0 as usize);
                }
                Effect::CommittedUpto(upto) => {
                    let end = upto.0 as usize;
                    let last = end.checked_sub(1).and_then(|last| state.log.get(last));
                    if last.is_none_or(|last| last.epoch != state.replica.epoch().0) {
                        state.broken = Some(OWN_EPOCH);
                    }
                    if end > state.durable {
                        state.broken = Some(COMMIT_DURABLE);
                    }
                    if upto < state.high_watermark {
                        state.broken = Some(ONLY_GROWS);
                    }
                    state.high_watermark = upto;
                    let news: Vec<Record> = state.log[..end.min(state.log.len())]
                        .iter()
                        .skip(state.committed.len())
                        .copied()
                        .collect();
                    state.committed.extend(news);
                }
                Effect::BecameLeader { start, .. } => {
                    if state.high_watermark <= start.end_before() {
                        state.broken = Some(CONFIRMED);
                    }
                }
                Effect::Resigned { .. } => state.resigned = true,
                Effect::SetTimer { .. } | Effect::Rejected { .. } => {}
            }
        }
    }
}

impl Model for Quorum {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            replica: QuorumReplica::new(
                QuorumConfig {
                    me: me(),
                    voters: VoterSet::new([me()]),
                    election_timeout_ms: 0,
                    seed: 0,
                },
                Recovered {
                    fence: Fence(0),
                    election: ElectionState::NONE,
                    last_epoch: LeaderEpoch(0),
                    log_end: NextOffset(0),
                    durable_end: NextOffset(0),
                    high_watermark: NextOffset(0),
                },
            ),
            started: false,
            resigned: false,
            incarnation: 0,
            log: Vec::new(),
            durable: 0,
            sync_wanted: 0,
            election: ElectionState::NONE,
            election_wanted: None,
            news: BTreeSet::new(),
            leaderships: BTreeSet::new(),
            committed: Vec::new(),
            high_watermark: NextOffset(0),
            proposed: Vec::new(),
            crashes: 0,
            io_failures: 0,
            timers: 0,
            broken: None,
        };
        state.replica = Quorum::open(&state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        if !state.started {
            actions.push(Action::Start);
        }
        if state.election_wanted.is_some() && !state.resigned {
            actions.push(Action::Persist);
        }
        if state.durable < state.log.len().min(state.sync_wanted) && !state.resigned {
            actions.push(Action::Sync);
        }
        actions.extend(state.news.iter().copied().map(Action::Hear));
        if state.started && state.timers < self.bounds.timers {
            actions.push(Action::Timer);
        }
        if state.started && state.proposed.len() < usize::from(self.bounds.proposals) {
            let epoch = state.replica.epoch().0;
            actions.push(Action::Propose(epoch));
            actions.push(Action::Propose(epoch - 1));
        }
        let rest = state.durable..=state.log.len();
        if state.resigned {
            actions.extend(rest.clone().map(|keep| Action::Reopen { keep }));
        } else if state.io_failures < self.bounds.io_failures {
            actions.push(Action::Fail);
        }
        if state.crashes < self.bounds.crashes {
            for keep in rest {
                actions.push(Action::Crash {
                    keep,
                    election: false,
                });
                if state.election_wanted.is_some() {
                    actions.push(Action::Crash {
                        keep,
                        election: true,
                    });
                }
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Start => {
                state.started = true;
                Quorum::step(&mut state, Input::Start);
            }
            Action::Persist => {
                let election = state.election_wanted.take()?;
                state.election = election;
                state
                    .news
                    .insert(News::Persisted(state.incarnation, election));
            }
            Action::Sync => {
                state.durable = state.log.len();
                let upto = NextOffset(state.durable as i64);
                state
                    .news
                    .insert(News::Synced(Fence(state.incarnation), upto));
            }
            Action::Hear(news) => {
                state.news.remove(&news);
                let input = match news {
                    News::Persisted(_, election) => Input::ElectionPersisted(election),
                    News::Synced(fence, upto) => Input::Synced { fence, upto },
                };
                Quorum::step(&mut state, input);
            }
            Action::Timer => {
                state.timers += 1;
                Quorum::step(&mut state, Input::TimerFired(raft::Timer::Election));
            }
            Action::Propose(epoch) => {
                state.proposed.push(epoch);
                let input = Input::Propose {
                    token: state.proposed.len() as u64 - 1,
                    records: 1,
                    epoch: LeaderEpoch(epoch),
                };
                Quorum::step(&mut state, input);
            }
            Action::Fail => {
                state.io_failures += 1;
                let input = Input::IoFailed {
                    fence: Fence(state.incarnation),
                    reason: String::new(),
                };
                Quorum::step(&mut state, input);
            }
            Action::Crash { keep, election } => {
                state.crashes += 1;
                state.news.clear();
                if election && let Some(wanted) = state.election_wanted {
                    state.election = wanted;
                }
                Quorum::restart(&mut state, keep);
            }
            Action::Reopen { keep } => Quorum::restart(&mut state, keep),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! not_broken {
            ($name:expr) => {
                Property::always($name, |_: &Quorum, state: &State| {
                    state.broken != Some($name)
                })
            };
        }
        vec![
            not_broken!(CORE_CHECKS),
            not_broken!(ONE_LEADER),
            not_broken!(VOTE_DURABLE),
            not_broken!(OWN_EPOCH),
            not_broken!(COMMIT_DURABLE),
            not_broken!(ONLY_GROWS),
            not_broken!(PROPOSED_EPOCH),
            not_broken!(CONFIRMED),
            Property::always("what was committed stays", |_: &Quorum, state: &State| {
                state.log.starts_with(&state.committed)
            }),
            Property::always(
                "epochs in the log only grow",
                |_: &Quorum, state: &State| {
                    state
                        .log
                        .windows(2)
                        .all(|pair| pair[0].epoch < pair[1].epoch || pair[1].proposal > 0)
                },
            ),
            Property::sometimes(
                "a proposal is committed in a third epoch",
                |_: &Quorum, state: &State| {
                    state
                        .committed
                        .iter()
                        .any(|record| record.proposal > 0 && record.epoch > 2)
                },
            ),
            Property::sometimes("a crash takes the vote", |_: &Quorum, state: &State| {
                state.crashes > 0 && state.election.voted.is_none()
            }),
            Property::sometimes(
                "an earlier epoch's record is durable and not committed",
                |_: &Quorum, state: &State| {
                    state.log.first().is_some_and(|first| {
                        state.durable > 0
                            && state.committed.is_empty()
                            && first.epoch < state.replica.epoch().0
                    })
                },
            ),
        ]
    }
}

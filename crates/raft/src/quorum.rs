//! The replica: campaigning, leading, committing.

use std::collections::{BTreeMap, BTreeSet};

use types::{BrokerId, LeaderEpoch, Mono, NextOffset, mutant};

use crate::election::{ElectionState, Role};
use crate::message::{Effect, Fence, Input, Rejection, Timer};
use crate::voters::{ReplicaKey, VoterSet};

/// What does not change while the replica lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuorumConfig {
    /// This replica.
    pub me: ReplicaKey,
    /// The voters (`controller.quorum.voters`, or the last voters record).
    pub voters: VoterSet,
    /// `controller.quorum.election.timeout.ms`: how long to do without a leader. Up to as much again is
    /// added at random, so that candidates seldom meet.
    pub election_timeout_ms: i64,
    /// What that randomness starts from.
    pub seed: u64,
}

/// What the host found on its disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recovered {
    /// The incarnation of the opened log.
    pub fence: Fence,
    /// The content of `quorum-state`; [`ElectionState::NONE`] for a new directory.
    pub election: ElectionState,
    /// The epoch of the last batch of the log, or of the snapshot that the log follows.
    pub last_epoch: LeaderEpoch,
    /// The end of the log.
    pub log_end: NextOffset,
    /// The end of what is known to be durable.
    pub durable_end: NextOffset,
    /// The end of what is known to be committed: of the newest snapshot, if nothing else is known.
    pub high_watermark: NextOffset,
}

/// One replica of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumReplica {
    config: QuorumConfig,
    random: u64,
    fence: Fence,
    role: Role,
    election: ElectionState,
    /// What `quorum-state` is known to hold.
    persisted: ElectionState,
    log_end: NextOffset,
    durable_end: NextOffset,
    high_watermark: NextOffset,
}

impl QuorumReplica {
    /// A replica over what was found on the disk. It does nothing before [`Input::Start`].
    #[must_use]
    pub fn new(config: QuorumConfig, recovered: Recovered) -> QuorumReplica {
        let mut election = recovered.election;
        if election.leader_epoch < recovered.last_epoch {
            // The log saw an epoch that this replica never voted in: it copied it from that epoch's leader.
            election = ElectionState {
                leader_epoch: recovered.last_epoch,
                ..ElectionState::NONE
            };
        }
        let replica = QuorumReplica {
            random: config.seed,
            config,
            fence: recovered.fence,
            role: Role::Unattached,
            election,
            persisted: recovered.election,
            log_end: recovered.log_end,
            durable_end: recovered.durable_end.min(recovered.log_end),
            high_watermark: recovered.high_watermark,
        };
        replica.check();
        replica
    }

    /// Applies one input and appends what must be done to `out`, in order. Total: no input panics.
    pub fn step(&mut self, now: Mono, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Start => self.start(now, out),
            Input::TimerFired(Timer::Election) => self.election_timeout(now, out),
            Input::ElectionPersisted(state) => self.election_persisted(state, out),
            Input::Propose {
                token,
                records,
                epoch,
            } => self.propose(token, records, epoch, out),
            Input::Synced { fence, upto } => self.synced(fence, upto, out),
            Input::IoFailed { fence, reason } => {
                if fence == self.fence {
                    self.resign(Some(reason), out);
                }
            }
            Input::Resign => self.resign(None, out),
        }
        self.check();
    }

    fn start(&mut self, now: Mono, out: &mut Vec<Effect>) {
        if self.role != Role::Unattached {
            return;
        }
        if self.durable_end < self.log_end {
            self.want_sync(out);
        }
        if self.config.voters.is_only(self.config.me) {
            self.campaign(out);
        } else if self.config.voters.contains(self.config.me) {
            self.set_election_timer(now, out);
        }
    }

    fn election_timeout(&mut self, now: Mono, out: &mut Vec<Effect>) {
        let may_campaign = matches!(self.role, Role::Unattached | Role::Candidate { .. });
        if may_campaign && self.config.voters.contains(self.config.me) {
            self.campaign(out);
            self.set_election_timer(now, out);
        }
    }

    /// Votes for itself in the next epoch. The vote counts once it is durable: a replica that counted it
    /// earlier, led, lost power and woke up without the memory of it could lead in the same epoch again.
    fn campaign(&mut self, out: &mut Vec<Effect>) {
        let epoch = self.election.leader_epoch.0;
        let Some(next) = epoch.checked_add(1) else {
            return self.resign(Some("the epochs are used up".to_string()), out);
        };
        self.election = ElectionState {
            leader_epoch: LeaderEpoch(if mutant!("CON-06") {
                epoch.max(1)
            } else {
                next
            }),
            leader_id: BrokerId::NONE,
            voted: Some(self.config.me),
        };
        self.role = Role::Candidate {
            granted: BTreeSet::new(),
        };
        out.push(Effect::PersistElection(self.election));
        if mutant!("CON-51") {
            self.lead(BTreeSet::from([self.config.me]), out);
        }
    }

    fn election_persisted(&mut self, state: ElectionState, out: &mut Vec<Effect>) {
        self.persisted = self.persisted.max(state);
        // An earlier state's completion says nothing about the vote of this epoch.
        if state != self.election {
            return;
        }
        let Role::Candidate { granted } = &mut self.role else {
            return;
        };
        granted.insert(self.config.me);
        if self.config.voters.is_majority(granted) {
            let granted = std::mem::take(granted);
            self.lead(granted, out);
        }
    }

    fn lead(&mut self, granted: BTreeSet<ReplicaKey>, out: &mut Vec<Effect>) {
        let epoch_start = self.log_end;
        let granting = granted.iter().copied().collect();
        self.election.leader_id = self.config.me.id;
        self.role = Role::Leader {
            epoch_start,
            granted,
            held: BTreeMap::new(),
            confirmed: false,
        };
        out.push(Effect::AppendLeaderChange {
            base_offset: epoch_start.position(),
            epoch: self.election.leader_epoch,
            leader: self.config.me.id,
            voters: self.config.voters.iter().collect(),
            granting,
            fence: self.fence,
        });
        self.log_end = epoch_start.position().next();
        if mutant!("REP-39") {
            let epoch = self.election.leader_epoch;
            let start = epoch_start.position();
            out.push(Effect::BecameLeader { epoch, start });
        }
        self.want_sync(out);
        self.advance_high_watermark(out);
    }

    fn propose(&mut self, token: u64, records: u32, epoch: LeaderEpoch, out: &mut Vec<Effect>) {
        let current = self.election.leader_epoch;
        let reason = match &self.role {
            Role::Leader {
                confirmed: true, ..
            } if epoch != current && !mutant!("CON-08") => Some(Rejection::WrongEpoch { current }),
            Role::Leader {
                confirmed: true, ..
            } => (records == 0).then_some(Rejection::Empty),
            _ => Some(Rejection::NotLeader {
                leader: self.leader_id(),
                epoch: current,
            }),
        };
        if let Some(reason) = reason {
            out.push(Effect::Rejected { token, reason });
            return;
        }
        out.push(Effect::Append {
            token,
            base_offset: self.log_end.position(),
            epoch: current,
            fence: self.fence,
        });
        self.log_end = NextOffset(self.log_end.0 + i64::from(records));
        self.want_sync(out);
        if mutant!("STO-35") {
            self.durable_end = self.log_end;
            self.advance_high_watermark(out);
        }
    }

    fn synced(&mut self, fence: Fence, upto: NextOffset, out: &mut Vec<Effect>) {
        if fence != self.fence || self.role == Role::Resigned {
            return;
        }
        if upto > self.log_end {
            let reason = format!(
                "offset {upto} was synced, but the log ends at {}",
                self.log_end
            );
            return self.resign(Some(reason), out);
        }
        self.durable_end = if mutant!("CON-27") {
            upto
        } else {
            self.durable_end.max(upto)
        };
        self.advance_high_watermark(out);
    }

    /// Commits what a majority of the voters holds durably, but never up to an earlier epoch's record alone:
    /// that one may still be replaced, whoever holds it (Raft §5.4.2).
    fn advance_high_watermark(&mut self, out: &mut Vec<Effect>) {
        let me = self.config.me;
        let own_end = self.durable_end;
        let Role::Leader {
            epoch_start,
            held,
            confirmed,
            ..
        } = &mut self.role
        else {
            return;
        };
        held.insert(me, own_end);
        let Some(committed) = self
            .config
            .voters
            .held_by_majority(|voter| held.get(&voter).copied())
        else {
            return;
        };
        let own_epoch = if mutant!("CON-07") {
            true
        } else if mutant!("CON-02") {
            committed >= *epoch_start
        } else {
            committed > *epoch_start
        };
        let news = committed > self.high_watermark || mutant!("CON-27");
        if !own_epoch || !news {
            return;
        }
        self.high_watermark = committed;
        out.push(Effect::CommittedUpto(committed));
        if !*confirmed {
            *confirmed = true;
            out.push(Effect::BecameLeader {
                epoch: self.election.leader_epoch,
                start: epoch_start.position(),
            });
        }
    }

    fn resign(&mut self, reason: Option<String>, out: &mut Vec<Effect>) {
        if self.role != Role::Resigned {
            self.role = Role::Resigned;
            let epoch = self.election.leader_epoch;
            out.push(Effect::Resigned { epoch, reason });
        }
    }

    fn want_sync(&self, out: &mut Vec<Effect>) {
        out.push(Effect::Sync {
            upto: self.log_end,
            fence: self.fence,
        });
    }

    fn set_election_timer(&mut self, now: Mono, out: &mut Vec<Effect>) {
        let spread = u64::try_from(self.config.election_timeout_ms).unwrap_or(0) + 1;
        let jitter = i64::try_from(self.next_random() % spread).unwrap_or(0);
        out.push(Effect::SetTimer {
            timer: Timer::Election,
            at: now
                .after_ms(self.config.election_timeout_ms)
                .after_ms(jitter),
        });
    }

    /// SplitMix64: a step of a Weyl sequence, well mixed.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// What this replica is.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whether this replica leads and its state machine may decide.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(
            self.role,
            Role::Leader {
                confirmed: true,
                ..
            }
        )
    }

    /// The newest epoch heard of.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.election.leader_epoch
    }

    /// Who leads in that epoch; [`BrokerId::NONE`] if unknown.
    #[must_use]
    pub fn leader_id(&self) -> BrokerId {
        if self.role == Role::Resigned {
            BrokerId::NONE
        } else {
            self.election.leader_id
        }
    }

    /// The epoch, its leader and this replica's vote in it.
    #[must_use]
    pub fn election(&self) -> ElectionState {
        self.election
    }

    /// The voters.
    #[must_use]
    pub fn voters(&self) -> &VoterSet {
        &self.config.voters
    }

    /// The end of the log.
    #[must_use]
    pub fn log_end(&self) -> NextOffset {
        self.log_end
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

    /// Panics if an invariant is broken. Runs at the end of every step, release builds included.
    pub fn check(&self) {
        assert!(
            self.high_watermark <= self.log_end,
            "HW <= log end: {self:?}"
        );
        assert!(
            self.durable_end <= self.log_end,
            "durable <= log end: {self:?}"
        );
        match &self.role {
            Role::Unattached | Role::Resigned => {}
            Role::Candidate { granted } => {
                assert_eq!(self.election.voted, Some(self.config.me), "{self:?}");
                assert!(
                    granted
                        .iter()
                        .all(|voter| self.config.voters.contains(*voter)),
                    "only voters grant: {self:?}"
                );
            }
            Role::Leader {
                epoch_start,
                granted,
                confirmed,
                ..
            } => {
                assert!(self.config.voters.is_majority(granted), "elected: {self:?}");
                assert!(
                    *epoch_start < self.log_end,
                    "a leader has written: {self:?}"
                );
                assert!(
                    self.persisted.leader_epoch == self.election.leader_epoch
                        && self.persisted.voted == Some(self.config.me),
                    "the vote is durable: {self:?}"
                );
                assert!(
                    !*confirmed || self.high_watermark > *epoch_start,
                    "confirmed by its own record: {self:?}"
                );
            }
        }
    }
}

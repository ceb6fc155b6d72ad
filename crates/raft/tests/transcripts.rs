//! Protocol tests as transcripts: what a quorum replica is told, `----`, what it says.
//!
//! `transcripts/NAME.txt` holds the commands, one a line; `transcripts/NAME.snap` holds the transcript.
//! After a change: look at the difference, then accept it with `INSTA_UPDATE=always`.

#![allow(
    clippy::unwrap_used,
    reason = "a script that makes no sense ends the test"
)]

use std::collections::BTreeMap;
use std::fmt::Write;

use ottla_raft::{
    Effect, ElectionState, Fence, Input, QuorumConfig, QuorumReplica, Recovered, Rejection,
    ReplicaKey, Role, Timer, VoterSet,
};
use types::{BrokerId, LeaderEpoch, Mono, NextOffset, Uuid};

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let transcript = run(include_str!(concat!("transcripts/", stringify!($name), ".txt")));
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path("transcripts");
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.bind(|| insta::assert_snapshot!(stringify!($name), transcript));
        })*
    };
}

transcripts! {
    disk_failure
    epochs_used_up
    only_voter
    proposals
    restart
    several_voters
}

fn key(id: i32) -> ReplicaKey {
    ReplicaKey {
        id: BrokerId(id),
        directory_id: Uuid([id as u8; 16]),
    }
}

fn voted_text(election: &ElectionState) -> String {
    let voted = election.voted.map_or(-1, |voted| voted.id.0);
    format!(
        "epoch {} leader {} voted {voted}",
        election.leader_epoch, election.leader_id
    )
}

struct Host {
    replica: QuorumReplica,
    /// What the disk would hold after a loss of power now.
    persisted: ElectionState,
    asked: ElectionState,
    now: Mono,
}

fn run(script: &str) -> String {
    let mut host = recovered(&BTreeMap::new(), ElectionState::NONE);
    let mut transcript = String::new();
    for line in script.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            writeln!(transcript, "{line}").unwrap();
            continue;
        }
        writeln!(transcript, "{line}\n----").unwrap();
        let mut words = line.split_whitespace();
        let command = words.next().unwrap();
        let args: BTreeMap<&str, i64> = words
            .map(|word| word.split_once('=').unwrap())
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect();
        let number = |name: &str, default: i64| args.get(name).copied().unwrap_or(default);
        let fence = Fence(number("fence", 0) as u64);
        let input = match command {
            "recover" => {
                host = recovered(&args, ElectionState::NONE);
                None
            }
            // Everything unsynced is gone.
            "power-loss" => {
                let end = host.replica.durable_end();
                let last_epoch = host.persisted.leader_epoch.0.into();
                let args = BTreeMap::from([
                    ("fence", number("fence", 1)),
                    ("end", end.0),
                    ("last-epoch", if end.0 > 0 { last_epoch } else { 0 }),
                ]);
                host = recovered(&args, host.persisted);
                None
            }
            "start" => Some(Input::Start),
            "timer" => {
                host.now = host.now.after_ms(number("after", 0));
                Some(Input::TimerFired(Timer::Election))
            }
            "persisted" => {
                host.persisted = host.asked;
                Some(Input::ElectionPersisted(host.asked))
            }
            "persisted-long-ago" => Some(Input::ElectionPersisted(ElectionState {
                leader_epoch: LeaderEpoch(number("epoch", 0) as i32),
                leader_id: BrokerId::NONE,
                voted: Some(key(1)),
            })),
            "propose" => Some(Input::Propose {
                token: number("t", 0) as u64,
                records: number("n", 1) as u32,
                epoch: LeaderEpoch(number("epoch", 1) as i32),
            }),
            "synced" => Some(Input::Synced {
                fence,
                upto: NextOffset(number("upto", 0)),
            }),
            "io-failed" => Some(Input::IoFailed {
                fence,
                reason: "EIO".to_string(),
            }),
            "resign" => Some(Input::Resign),
            "state" => {
                state(&host.replica, &mut transcript);
                None
            }
            _ => panic!("no such command: {line}"),
        };
        if let Some(input) = input {
            let mut out = Vec::new();
            host.replica.step(host.now, input, &mut out);
            for effect in &out {
                if let Effect::PersistElection(state) = effect {
                    host.asked = *state;
                }
                writeln!(transcript, "{}", effect_text(effect)).unwrap();
            }
        }
        transcript.push('\n');
    }
    transcript
}

fn recovered(args: &BTreeMap<&str, i64>, persisted: ElectionState) -> Host {
    let number = |name: &str, default: i64| args.get(name).copied().unwrap_or(default);
    let log_end = number("end", 0);
    let election = ElectionState {
        leader_epoch: LeaderEpoch(number("epoch", persisted.leader_epoch.0.into()) as i32),
        ..persisted
    };
    Host {
        replica: QuorumReplica::new(
            QuorumConfig {
                me: key(number("me", 1) as i32),
                voters: VoterSet::new((1..=number("voters", 1) as i32).map(key)),
                election_timeout_ms: 1000,
                seed: 42,
            },
            Recovered {
                fence: Fence(number("fence", 0) as u64),
                election,
                last_epoch: LeaderEpoch(number("last-epoch", 0) as i32),
                log_end: NextOffset(log_end),
                durable_end: NextOffset(number("durable", log_end)),
                high_watermark: NextOffset(number("hw", 0)),
            },
        ),
        persisted: election,
        asked: election,
        now: Mono(0),
    }
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::PersistElection(election) => format!("persist {}", voted_text(election)),
        Effect::AppendLeaderChange {
            base_offset,
            epoch,
            leader,
            voters,
            granting,
            ..
        } => {
            let ids = |keys: &[ReplicaKey]| {
                let ids: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
                ids.join(",")
            };
            format!(
                "append leader change at {base_offset} in epoch {epoch}: {leader} of [{}] by [{}]",
                ids(voters),
                ids(granting)
            )
        }
        Effect::Append {
            token,
            base_offset,
            epoch,
            ..
        } => format!("append t={token} at {base_offset} in epoch {epoch}"),
        Effect::Sync { upto, .. } => format!("sync upto {upto}"),
        Effect::SetTimer { timer, at } => format!("timer {timer:?} at {} ms", at.0 / 1_000_000),
        Effect::CommittedUpto(end) => format!("committed upto {end}"),
        Effect::BecameLeader { epoch, start } => {
            format!("became leader of epoch {epoch} from {start}")
        }
        Effect::Rejected { token, reason } => {
            let reason = match reason {
                Rejection::NotLeader { leader, epoch } => {
                    format!("not leader; {leader} leads epoch {epoch}")
                }
                Rejection::WrongEpoch { current } => format!("this is epoch {current}"),
                Rejection::Empty => "no records".to_string(),
            };
            format!("rejected t={token}: {reason}")
        }
        Effect::Resigned { epoch, reason } => match reason {
            Some(reason) => format!("resigned in epoch {epoch}: {reason}"),
            None => format!("resigned in epoch {epoch}"),
        },
    }
}

fn state(replica: &QuorumReplica, transcript: &mut String) {
    let role = match replica.role() {
        Role::Unattached => "unattached",
        Role::Candidate { .. } => "candidate",
        Role::Leader {
            confirmed: false, ..
        } => "leader, unconfirmed",
        Role::Leader {
            confirmed: true, ..
        } => "leader",
        Role::Resigned => "resigned",
    };
    writeln!(
        transcript,
        "{role}; {}; log end {}, durable {}, high watermark {}",
        voted_text(&replica.election()),
        replica.log_end(),
        replica.durable_end(),
        replica.high_watermark(),
    )
    .unwrap();
}

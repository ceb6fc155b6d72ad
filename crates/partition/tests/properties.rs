//! Random lives of a replica against a plain list of batches that plays the log.
//!
//! After every step: the replica's own invariants; nothing answered twice; every success names the very
//! batch that was sent, as safe as was asked for; no batch twice in the log; the replica's derived state is
//! that of a replay from scratch. A crash keeps what was durable and a random part of the rest.

#![allow(
    clippy::unwrap_used,
    reason = "a script or a world that makes no sense ends the test"
)]

use std::collections::{BTreeMap, BTreeSet};

use ottla_partition::{
    Acks, BatchMeta, Control, Durability, Effect, EpochCache, Fence, Input, LogState, Marker,
    Origin, ProducerState, Recovered, Replica, ReplicaConfig, Reply,
};
use proptest::prelude::*;
use types::{
    BrokerId, ErrorCode, LeaderEpoch, Mono, NextOffset, Offset, PartitionEpoch, PartitionIndex,
    ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicPartition, Uuid,
};

const ME: BrokerId = BrokerId(1);

#[derive(Clone, Debug)]
enum Op {
    Append {
        pid: i64,
        records: i32,
        acks: i8,
        back: u8,
        ahead: i32,
        bump: bool,
        txn: bool,
        fails: bool,
    },
    Marker {
        pid: i64,
        abort: bool,
        fails: bool,
    },
    Written(u8),
    Synced(u8),
    Isr(Vec<i32>),
    Propose(Vec<i32>),
    Fetched {
        from: i32,
        part: u8,
        stale: bool,
    },
    NextEpoch,
    DeleteRecords(u8),
    LogStart,
    TimedOut(u8),
    Durability(bool),
    IoFailed,
    Crash {
        keep: u8,
        snapshot: u8,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let brokers = || prop::collection::vec(1..4i32, 0..3);
    prop_oneof![
        12 => (0..3i64, 1..4i32, -1..2i8, 0..8u8, 0..10i32, 0..10u8, any::<bool>(), 0..8u8).prop_map(
            |(pid, records, acks, back, ahead, bump, txn, fails)| Op::Append {
                pid,
                records,
                acks,
                back,
                ahead: (ahead - 7).max(0),
                bump: bump == 0,
                txn: txn && pid == 2,
                fails: fails == 0,
            }
        ),
        2 => (1..3i64, any::<bool>(), 0..8u8).prop_map(|(pid, abort, fails)| Op::Marker {
            pid,
            abort,
            fails: fails == 0,
        }),
        4 => any::<u8>().prop_map(Op::Written),
        6 => any::<u8>().prop_map(Op::Synced),
        1 => brokers().prop_map(Op::Isr),
        1 => brokers().prop_map(Op::Propose),
        3 => (1..5i32, any::<u8>(), any::<bool>()).prop_map(|(from, part, stale)| Op::Fetched {
            from,
            part,
            stale,
        }),
        1 => Just(Op::NextEpoch),
        1 => any::<u8>().prop_map(Op::DeleteRecords),
        1 => Just(Op::LogStart),
        1 => any::<u8>().prop_map(Op::TimedOut),
        1 => any::<bool>().prop_map(Op::Durability),
        1 => Just(Op::IoFailed),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(keep, snapshot)| Op::Crash { keep, snapshot }),
    ]
}

/// A batch in the log.
#[derive(Clone, Debug)]
struct Placed {
    base: Offset,
    epoch: LeaderEpoch,
    at: Mono,
    batch: BatchMeta,
}

impl Placed {
    fn end(&self) -> NextOffset {
        self.batch.last_offset(self.base).next()
    }
}

struct World {
    replica: Replica,
    now: Mono,
    log: Vec<Placed>,
    /// What was appended and is waited for, and what was sent under each token.
    sent: BTreeMap<u64, (BatchMeta, Acks)>,
    answered: BTreeSet<u64>,
    /// acks=all successes under `Durability::Synced` with an ISR of this broker alone.
    promised: Vec<Placed>,
    move_log_start: Option<Offset>,
    token: u64,
    epoch: i32,
    partition_epoch: i32,
    isr: Vec<i32>,
    always_synced: bool,
    always_alone: bool,
}

fn config() -> ReplicaConfig {
    ReplicaConfig {
        me: ME,
        partition: TopicPartition {
            topic_id: Uuid([7; 16]),
            partition: PartitionIndex(0),
        },
        durability: Durability::Synced,
        min_insync_replicas: 2,
        producer_id_expiration_ms: i64::MAX,
    }
}

impl World {
    fn new() -> World {
        let mut world = World {
            replica: Replica::new(
                config(),
                Recovered {
                    fence: Fence(0),
                    log_start: Offset(0),
                    log_end: NextOffset(0),
                    durable_end: NextOffset(0),
                    high_watermark: None,
                    log: LogState::default(),
                },
            ),
            now: Mono(0),
            log: Vec::new(),
            sent: BTreeMap::new(),
            answered: BTreeSet::new(),
            promised: Vec::new(),
            move_log_start: None,
            token: 0,
            epoch: 0,
            partition_epoch: 0,
            isr: vec![1],
            always_synced: true,
            always_alone: true,
        };
        world.lead(true);
        world
    }

    fn lead(&mut self, next_epoch: bool) {
        self.epoch += i32::from(next_epoch);
        self.partition_epoch += 1;
        let mut isr: Vec<BrokerId> = self.isr.iter().map(|id| BrokerId(*id)).collect();
        isr.push(ME);
        self.always_alone &= self.isr.iter().all(|id| *id == 1);
        let replicas = if self.always_alone { 1..2 } else { 1..4 };
        self.step(Input::BecomeLeader {
            leader_epoch: LeaderEpoch(self.epoch),
            partition_epoch: PartitionEpoch(self.partition_epoch),
            isr,
            replicas: replicas.map(BrokerId).collect(),
        });
    }

    fn append(&mut self, batch: BatchMeta, acks: Acks, origin: Origin, fails: bool) {
        self.token += 1;
        let token = self.token;
        self.sent.insert(token, (batch.clone(), acks));
        let before = (
            self.replica.producers().clone(),
            self.replica.log_end(),
            self.replica.last_stable_offset(),
        );
        let log_len = self.log.len();
        self.step(Input::Append {
            token,
            batch,
            acks,
            origin,
            expected_epoch: None,
        });
        if fails && self.log.len() > log_len {
            self.log.pop();
            self.step(Input::AppendFailed {
                token,
                error: ErrorCode::KAFKA_STORAGE_ERROR,
            });
            let after = (
                self.replica.producers().clone(),
                self.replica.log_end(),
                self.replica.last_stable_offset(),
            );
            assert_eq!(before, after, "a failed append leaves nothing behind");
        }
    }

    fn step(&mut self, input: Input) {
        let high_watermark = self.replica.high_watermark();
        let mut out = Vec::new();
        self.replica.step(self.now, input, &mut out);
        for (i, effect) in out.iter().enumerate() {
            match effect {
                Effect::Append {
                    token,
                    base_offset,
                    leader_epoch,
                    ..
                } => {
                    assert_eq!(i, 0, "an append comes first");
                    let end = self.log.last().map_or(NextOffset(0), Placed::end);
                    assert_eq!(base_offset.end_before(), end, "no gap, no offset twice");
                    self.log.push(Placed {
                        base: *base_offset,
                        epoch: *leader_epoch,
                        at: self.now,
                        batch: self.sent[token].0.clone(),
                    });
                }
                Effect::Reply { token, reply } => self.judge_reply(*token, reply),
                Effect::MoveLogStart { to, .. } => self.move_log_start = Some(*to),
                _ => {}
            }
        }
        self.replica.check_all();
        assert!(
            self.replica.high_watermark() >= high_watermark,
            "the high watermark only grows"
        );
        self.judge_log();
    }

    fn judge_reply(&mut self, token: u64, reply: &Reply) {
        assert!(self.answered.insert(token), "{token} is answered once");
        let Reply::Appended(appended) = reply else {
            return;
        };
        let (sent, acks) = &self.sent[&token];
        let placed = self
            .log
            .iter()
            .find(|placed| placed.base == appended.base_offset)
            .expect("an acknowledged batch is in the log");
        assert_eq!(placed.end(), appended.next_offset);
        assert_eq!(placed.batch.last_offset_delta, sent.last_offset_delta);
        if sent.has_producer() {
            let key =
                |batch: &BatchMeta| (batch.producer_id, batch.producer_epoch, batch.base_sequence);
            assert_eq!(
                key(&placed.batch),
                key(sent),
                "it is the batch that was sent"
            );
        }
        let safe = match acks {
            Acks::All => self.replica.high_watermark(),
            Acks::None | Acks::Leader => self.replica.written_end(),
        };
        assert!(appended.next_offset <= safe, "as safe as asked for");
        if *acks == Acks::All && self.always_synced && self.always_alone {
            self.promised.push(placed.clone());
        }
    }

    fn judge_log(&self) {
        let mut seen = BTreeSet::new();
        for placed in self
            .log
            .iter()
            .filter(|placed| placed.batch.control.is_none())
        {
            let batch = &placed.batch;
            if batch.has_producer() {
                let key = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
                assert!(seen.insert(key), "{key:?} is in the log twice");
            }
        }
        // Live state = replay. The last epoch of a leader that has not written is not in the log.
        let replayed = replay(&self.log, LogState::default());
        let other = Replica::new(
            config(),
            Recovered {
                fence: Fence(0),
                log_start: self.replica.log_start(),
                log_end: self.replica.log_end(),
                durable_end: self.replica.durable_end(),
                high_watermark: Some(self.replica.high_watermark()),
                log: replayed,
            },
        );
        assert_eq!(self.replica.producers(), other.producers());
        assert_eq!(
            self.replica.last_stable_offset(),
            other.last_stable_offset()
        );
        let mut epochs = self.replica.epochs().clone();
        epochs.truncate_from_end(self.replica.log_end(), self.replica.log_end());
        assert_eq!(&epochs, other.epochs());
    }

    /// Stops without warning: the disk keeps all that was durable and some of the rest.
    fn crash(&mut self, keep: u8, snapshot: u8) {
        let durable = self.replica.durable_end();
        let old = self.log.len();
        // Storage keeps the log's start, which is durable, within the log.
        let start = self.replica.log_start();
        let stays = |placed: &&Placed| placed.end() <= durable || placed.base < start;
        let kept = self.log.iter().filter(stays).count();
        self.log
            .truncate(kept + usize::from(keep) % (old - kept + 1));
        let end = self.log.last().map_or(NextOffset(0), Placed::end);
        for promise in &self.promised {
            let found = self.log.iter().find(|placed| placed.base == promise.base);
            let found = found.expect("an acknowledged batch outlives a crash");
            assert_eq!(found.batch, promise.batch);
        }
        // What was snapshotted on the way, and the rest replayed, is the same as all replayed.
        let split = usize::from(snapshot) % (self.log.len() + 1);
        let (before, after) = self.log.split_at(split);
        let rows = replay(before, LogState::default()).producers.rows();
        let producers = ProducerState::from_rows(self.now, rows);
        let epochs = replay(before, LogState::default()).epochs;
        let log = replay(after, LogState { epochs, producers });
        let all = replay(&self.log, LogState::default());
        let spans = |state: &ProducerState| -> Vec<_> {
            state
                .producers()
                .map(|(id, entry)| {
                    let spans: Vec<_> = entry
                        .recent()
                        .iter()
                        .map(|span| (span.last_sequence, span.last_offset, span.offset_delta))
                        .collect();
                    (
                        id,
                        entry.producer_epoch,
                        entry.current_txn_first_offset,
                        spans,
                    )
                })
                .collect()
        };
        assert_eq!(spans(&log.producers), spans(&all.producers));
        let fence = Fence(self.replica.fence().0 + 1);
        let high_watermark = self.replica.high_watermark().min(end);
        self.replica = Replica::new(
            config(),
            Recovered {
                fence,
                log_start: self.replica.log_start(),
                log_end: end,
                durable_end: durable.min(end),
                high_watermark: Some(high_watermark),
                log: all,
            },
        );
        self.move_log_start = None;
        self.lead(true);
    }

    fn part(&self, end: NextOffset, part: u8) -> NextOffset {
        NextOffset(end.0 * i64::from(part) / 255)
    }

    fn run(&mut self, op: Op) {
        self.now = Mono(self.now.0 + 1);
        let fence = self.replica.fence();
        match op {
            Op::Append {
                pid,
                records,
                acks,
                back,
                ahead,
                bump,
                txn,
                fails,
            } => {
                let mut batch = BatchMeta::plain(records, TimestampMs(self.now.0 as i64));
                if pid > 0 {
                    batch.producer_id = ProducerId(pid);
                    batch.producer_epoch = ProducerEpoch(0);
                    batch.base_sequence = Sequence(i32::MAX - 3);
                    batch.transactional = txn;
                    if let Some(entry) = self.replica.producers().producer(batch.producer_id) {
                        batch.producer_epoch = entry.producer_epoch;
                        batch.base_sequence = entry.last_sequence().plus(1 + ahead);
                        let recent = entry.recent();
                        if let Some(span) = recent.len().checked_sub(usize::from(back)) {
                            if let Some(span) = recent.get(span) {
                                batch.base_sequence = span.base_sequence();
                                batch.last_offset_delta = span.offset_delta;
                            }
                        } else if bump {
                            batch.producer_epoch.0 += 1;
                            batch.base_sequence = Sequence(0);
                        }
                    }
                }
                let acks = match acks {
                    -1 => Acks::All,
                    0 => Acks::None,
                    _ => Acks::Leader,
                };
                self.append(batch, acks, Origin::Client, fails);
            }
            Op::Marker { pid, abort, fails } => {
                let marker = if abort { Marker::Abort } else { Marker::Commit };
                let producer_id = ProducerId(pid);
                let known = self.replica.producers().producer(producer_id);
                let batch = BatchMeta {
                    producer_id,
                    producer_epoch: known.map_or(ProducerEpoch(0), |entry| entry.producer_epoch),
                    transactional: true,
                    control: Some(Control::EndTransaction {
                        marker,
                        coordinator_epoch: 0,
                    }),
                    ..BatchMeta::plain(1, TimestampMs(self.now.0 as i64))
                };
                self.append(batch, Acks::All, Origin::Coordinator, fails);
            }
            Op::Written(part) => {
                let upto = self.part(self.replica.log_end(), part);
                self.step(Input::Written { fence, upto });
            }
            Op::Synced(part) => {
                let upto = self.part(self.replica.log_end(), part);
                self.step(Input::Synced { fence, upto });
            }
            Op::Isr(isr) => {
                self.isr = isr;
                self.lead(false);
            }
            Op::Propose(isr) => self.step(Input::IsrProposed {
                partition_epoch: PartitionEpoch(self.partition_epoch),
                isr: isr.into_iter().map(BrokerId).collect(),
            }),
            Op::Fetched { from, part, stale } => {
                let durable_end = self.part(self.replica.log_end(), part);
                self.step(Input::FollowerFetched {
                    from: BrokerId(from),
                    leader_epoch: LeaderEpoch(self.epoch - i32::from(stale)),
                    last_fetched_epoch: self.replica.epochs().epoch_at(Offset(durable_end.0 - 1)),
                    fetch_offset: durable_end.position(),
                    durable_end,
                });
            }
            Op::NextEpoch => self.lead(true),
            Op::DeleteRecords(part) => {
                self.token += 1;
                self.step(Input::DeleteRecords {
                    token: self.token,
                    before: self.part(self.replica.high_watermark(), part).position(),
                });
            }
            Op::LogStart => {
                if let Some(to) = self.move_log_start.take() {
                    self.step(Input::LogStartMoved { fence, to });
                    let start = self.replica.log_start();
                    self.promised.retain(|placed| placed.base >= start);
                }
            }
            Op::TimedOut(back) => self.step(Input::TimedOut {
                token: self.token.saturating_sub(u64::from(back % 8)),
            }),
            Op::Durability(synced) => {
                self.always_synced &= synced;
                let durability = if synced {
                    Durability::Synced
                } else {
                    Durability::Replicated
                };
                self.step(Input::ConfigChanged {
                    durability,
                    min_insync_replicas: 2,
                    producer_id_expiration_ms: i64::MAX,
                });
            }
            Op::IoFailed => {
                self.step(Input::IoFailed {
                    fence,
                    reason: "EIO".to_string(),
                });
                assert_eq!(self.replica.waiting(), 0);
                self.crash(255, 0);
            }
            Op::Crash { keep, snapshot } => {
                // Whoever waited hears nothing more.
                self.answered.extend(self.sent.keys());
                self.crash(keep, snapshot);
            }
        }
    }
}

fn replay(log: &[Placed], mut state: LogState) -> LogState {
    for placed in log {
        state.apply(placed.at, placed.epoch, placed.base, &placed.batch);
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_life_keeps_every_promise(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
        }
        world.step(Input::Stop);
        for token in world.sent.keys() {
            prop_assert!(world.answered.contains(token), "{} is answered in the end", token);
        }
    }

    /// The answer for an epoch, against a look at every offset.
    #[test]
    fn the_end_of_an_epoch_is_that_of_the_records(
        steps in prop::collection::vec((1..4i32, 1..4i64), 0..6),
        asked in 0..16i32,
        cut in 0..20i64,
        start in 0..20i64,
    ) {
        let mut written: Vec<i32> = Vec::new();
        let mut cache = EpochCache::default();
        let mut epoch = 0;
        for (more, records) in steps {
            epoch += more;
            cache.assign(LeaderEpoch(epoch), Offset(written.len() as i64));
            written.resize(written.len() + records as usize, epoch);
        }
        let len = written.len() as i64;
        let cut = cut.min(len);
        let start = start.min(cut);
        written.truncate(cut as usize);
        cache.truncate_from_end(NextOffset(cut), NextOffset(cut));
        cache.truncate_from_start(Offset(start));
        for (offset, epoch) in written.iter().enumerate().skip(start as usize) {
            prop_assert_eq!(cache.epoch_at(Offset(offset as i64)), Some(LeaderEpoch(*epoch)));
        }
        if start < cut {
            let kept = &written[start as usize..];
            let answer = cache.end_offset_for(LeaderEpoch(asked), NextOffset(cut));
            let end = start + kept.partition_point(|epoch| *epoch <= asked) as i64;
            match answer {
                Some(answer) => {
                    prop_assert_eq!(answer.end.0, end);
                    let floor = kept.iter().copied().filter(|epoch| *epoch <= asked).max();
                    prop_assert_eq!(answer.epoch.0, floor.unwrap_or(asked));
                }
                None => prop_assert!(asked > *kept.last().unwrap()),
            }
        }
    }
}

//! What clients were told and what nodes say, in one place, judged as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use env::Seen;
use records::Batches;
use types::{NextOffset, PartitionIndex, TopicPartition, Uuid};
use world::{HarmLog, SeenAt};

use crate::damage::{Damage, Marks};
use crate::oracles::admin::Topics;
use crate::oracles::group::Groups;
use crate::oracles::ledger::{Ledger, Promise};
use crate::oracles::log::{Expected, LogOracle};
use crate::oracles::producer::{ProducerIds, Sequenced, judge_log};
use crate::oracles::reads::{ReadBatch, Reads};
use crate::oracles::teams::{Generation, Teams};
use crate::oracles::{Judge, Violation};
use crate::payload::{self, Stamp};

/// What is known of a topic that the load writes to.
#[derive(Clone, Debug)]
pub struct TopicFacts {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: i32,
    /// Whether `acks=all` means synced.
    pub synced: bool,
    /// Whether records may be removed by size or age.
    pub retention: bool,
}

/// Everything that oracles know.
#[derive(Debug)]
pub struct Inner {
    /// Counts and the verdict.
    pub judge: Judge,
    /// Records.
    pub ledger: Ledger,
    /// Logs.
    pub logs: LogOracle,
    /// Reads.
    pub reads: Reads,
    /// Groups.
    pub groups: Groups,
    /// Groups that read with our own consumer.
    pub teams: Teams,
    /// Topics of admins.
    pub admin: Topics,
    /// Producer ids.
    pub producer_ids: ProducerIds,
    topics: BTreeMap<Uuid, TopicFacts>,
    by_name: BTreeMap<String, Uuid>,
    deleted_before: BTreeMap<TopicPartition, i64>,
    faulty: BTreeMap<TopicPartition, Vec<(i64, i64)>>,
    /// What of the broker's data was harmed so far.
    damage: Damage,
    exercised: BTreeMap<&'static str, u64>,
    /// Clients that have not finished, each with its last error.
    unfinished: BTreeMap<String, String>,
    /// What clients cannot do without.
    needs: BTreeMap<String, Needs>,
    draining: bool,
}

impl Inner {
    /// What befell the files of a partition so far. Of a partition that is no load's nothing is known but
    /// its id: it shares what befell anything.
    pub fn harmed(&mut self, at: TopicPartition) -> Marks {
        self.damage.refresh();
        let marks = match self.topics.get(&at.topic_id) {
            Some(topic) => self.damage.of(&topic.name, at.partition.0),
            None => self.damage.of_all(),
        };
        if marks.hides {
            self.ledger.end_may_be_lost(at);
        }
        marks
    }

    /// The end of what any client was told of a partition.
    #[must_use]
    pub fn known_end(&self, at: &TopicPartition) -> Option<i64> {
        let read = self.reads.last_read(at);
        let acked = self.ledger.last_acked(at);
        read.max(acked).map(|last| last + 1)
    }

    /// What befell the files of the directory itself so far.
    pub fn harmed_whole(&mut self) -> Marks {
        self.damage.refresh();
        self.damage.of_whole()
    }

    /// What befell the metadata log so far.
    pub fn harmed_metadata(&mut self) -> Marks {
        self.damage.refresh();
        self.damage.of_metadata()
    }

    /// What befell the topic of the groups so far.
    pub fn harmed_groups(&mut self) -> Marks {
        self.damage.refresh();
        self.damage.of_groups()
    }

    /// Whether a client may wait for good: what it needs was harmed, and may stay unreadable.
    fn is_excused(&mut self, client: &str) -> bool {
        self.damage.refresh();
        let needs = self.needs.get(client).cloned().unwrap_or_default();
        match needs {
            Needs::Everything => self.damage.of_all().any,
            Needs::Metadata => self.damage.of_metadata().any,
            Needs::Topic(topic) => {
                self.damage.of_metadata().any || self.damage.of_topic(&topic).any
            }
            Needs::GroupsAnd(topic) => {
                self.damage.of_metadata().any
                    || self.damage.of_groups().any
                    || self.damage.of_topic(&topic).any
            }
        }
    }

    /// Whether records of a partition may be gone that nobody asked to delete.
    fn may_have_gone(&mut self, at: TopicPartition) -> bool {
        let harmed = self.harmed(at);
        let retention = (self.topics.get(&at.topic_id)).is_none_or(|topic| topic.retention);
        harmed.any || harmed.hides || retention
    }

    /// Whether so many topics of the load are there.
    #[must_use]
    pub fn topics_are_there(&self, count: usize) -> bool {
        self.topics.len() >= count
    }
}

/// What a client cannot do without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Needs {
    /// All there is.
    #[default]
    Everything,
    /// The metadata log.
    Metadata,
    /// A topic of the load.
    Topic(String),
    /// A topic of the load, and the groups' own.
    GroupsAnd(String),
}

/// A handle on what oracles know. Clones share it.
#[derive(Clone, Debug)]
pub struct History {
    inner: Arc<Mutex<Inner>>,
}

/// What a partition held at the end.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// The first offset kept.
    pub log_start: i64,
    /// Its records.
    pub records: BTreeMap<i64, Stamp>,
    /// Its batches.
    pub batches: Vec<Sequenced>,
    /// The time of each record.
    pub times: Vec<(i64, i64)>,
    /// Ranges that the broker said it cannot read.
    pub reported: Vec<(i64, i64)>,
}

/// A fetch answer for one partition.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which partition.
    pub at: TopicPartition,
    /// The offset that was asked for.
    pub from: i64,
    /// The high watermark in the answer.
    pub high_watermark: i64,
    /// The bytes.
    pub bytes: Bytes,
    /// What was known when it was asked for.
    pub asked: Asked,
}

/// What was known of a partition when a fetch was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// The last offset that was acknowledged for good.
    pub acked: Option<i64>,
    /// How often the log had changed under its readers.
    pub changes: u64,
}

/// What an answer to a fetch gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Got {
    /// The offset after its last batch.
    pub next: Option<i64>,
    /// The offsets of its records.
    pub offsets: Vec<i64>,
}

impl History {
    /// Nothing has happened. Without `sound_disk` the disk fails now and then from the start.
    #[must_use]
    pub fn new(sound_disk: bool) -> History {
        let mut ledger = Ledger::new();
        if !sound_disk {
            ledger.writes_may_be_lost();
        }
        History {
            inner: Arc::new(Mutex::new(Inner {
                judge: Judge::default(),
                ledger,
                logs: LogOracle::default(),
                reads: Reads::default(),
                groups: Groups::default(),
                teams: Teams::default(),
                admin: Topics::default(),
                producer_ids: ProducerIds::default(),
                topics: BTreeMap::new(),
                by_name: BTreeMap::new(),
                deleted_before: BTreeMap::new(),
                faulty: BTreeMap::new(),
                damage: Damage::default(),
                exercised: BTreeMap::new(),
                unfinished: BTreeMap::new(),
                needs: BTreeMap::new(),
                draining: false,
            })),
        }
    }

    /// Everything, for a moment. Never held across an await.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is broken, if anything.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.lock().judge.violation.clone()
    }

    /// Something else that is broken.
    pub fn violated(&self, invariant: &'static str, detail: String) {
        self.lock().judge.check(invariant, false, || detail);
    }

    /// Judges something else. `detail` is asked for only if the invariant is broken.
    pub fn judge(&self, invariant: &'static str, holds: bool, detail: impl FnOnce() -> String) {
        self.lock().judge.check(invariant, holds, detail);
    }

    /// A fault, or something else worth counting, took place.
    pub fn exercised(&self, what: &'static str) {
        *self.lock().exercised.entry(what).or_default() += 1;
    }

    /// How often something took place so far.
    #[must_use]
    pub fn count_of(&self, what: &str) -> u64 {
        self.lock().exercised.get(what).copied().unwrap_or(0)
    }

    /// How often each fault took place.
    #[must_use]
    pub fn exercises(&self) -> BTreeMap<&'static str, u64> {
        self.lock().exercised.clone()
    }

    /// Hears of the damage that is done to the broker's disk.
    pub fn follow_damage(&self, log: HarmLog) {
        self.lock().damage.follow(log);
    }

    /// What the broker's wall clock shows. To be told often, and before and after each jump.
    pub fn broker_wall(&self, wall_ms: i64) {
        self.lock().groups.wall(wall_ms);
    }

    /// What groups committed may expire so long after they were last used.
    pub fn offsets_expire_after(&self, retention_ms: i64) {
        self.lock().groups.expire_after(retention_ms);
    }

    /// Power was lost.
    pub fn power_lost(&self) {
        self.lock().ledger.writes_may_be_lost();
    }

    /// The disk fails.
    pub fn disk_failed(&self) {
        self.lock().ledger.writes_may_be_lost();
    }

    /// Whether clients should come to an end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.lock().draining
    }

    /// Tells clients to come to an end.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// A client exists.
    pub fn register(&self, client: &str) {
        self.lock()
            .unfinished
            .insert(client.to_owned(), String::new());
    }

    /// What a client cannot do without; of one that says nothing, everything.
    pub fn needs(&self, client: &str, needs: Needs) {
        self.lock().needs.insert(client.to_owned(), needs);
    }

    /// A client has done what it was there for.
    pub fn finish(&self, client: &str) {
        self.lock().unfinished.remove(client);
    }

    /// A client met an error.
    pub fn met(&self, client: &str, error: &dyn std::fmt::Display) {
        if let Some(last) = self.lock().unfinished.get_mut(client) {
            *last = error.to_string();
        }
    }

    /// Clients that have not finished.
    #[must_use]
    pub fn unfinished(&self) -> Vec<String> {
        self.lock().unfinished.keys().cloned().collect()
    }

    /// Those of them that have no excuse: what they need was never damaged.
    #[must_use]
    pub fn late(&self) -> Vec<String> {
        let mut inner = self.lock();
        let all: Vec<String> = inner.unfinished.keys().cloned().collect();
        all.into_iter()
            .filter(|client| !inner.is_excused(client))
            .collect()
    }

    /// Clients that have not finished, with the last error of each.
    #[must_use]
    pub fn unfinished_because(&self) -> Vec<String> {
        let inner = self.lock();
        let each = inner.unfinished.iter();
        each.map(|(client, error)| format!("{client} ({error})"))
            .collect()
    }

    /// A topic for the load was created.
    pub fn topic_created(&self, facts: TopicFacts) {
        let mut inner = self.lock();
        inner.by_name.insert(facts.name.clone(), facts.id);
        inner.topics.insert(facts.id, facts);
    }

    /// The topic of a name, as soon as there is one.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<TopicFacts> {
        let inner = self.lock();
        inner.topics.get(inner.by_name.get(name)?).cloned()
    }

    /// All topics of the load that are to be read back.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicFacts> {
        self.lock().topics.values().cloned().collect()
    }

    /// Records before `offset` may be gone from now on.
    pub fn deleting_records(&self, at: TopicPartition, offset: i64) {
        let mut inner = self.lock();
        let known = inner.deleted_before.entry(at).or_insert(0);
        *known = (*known).max(offset);
    }

    /// Whether a record may be gone because somebody asked for that.
    #[must_use]
    pub fn may_be_deleted(&self, at: TopicPartition, offset: i64) -> bool {
        let inner = self.lock();
        inner.deleted_before.get(&at).is_some_and(|to| offset < *to)
    }

    /// Whether a log ends at `end`, as far as its broker tells: nothing is in it that no reader is shown yet.
    #[must_use]
    pub fn ends_at(&self, at: TopicPartition, end: i64) -> bool {
        self.lock().logs.end(&at) == Some(NextOffset(end))
    }

    /// A record was acknowledged.
    pub fn acked(&self, at: TopicPartition, offset: i64, stamp: Stamp, all: bool) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.harmed(at);
        let synced = inner.topics.get(&at.topic_id).is_some_and(|t| t.synced);
        let promise = if all && synced {
            Promise::Synced
        } else {
            Promise::Written
        };
        inner
            .ledger
            .acked(at, offset, stamp, promise, &mut inner.judge);
    }

    /// An answer about a topic came, with the name or the id that its version has.
    pub fn is_of(&self, topic: &TopicFacts, name: &str, id: Uuid) {
        let named = name.is_empty() || name == topic.name;
        let holds = named && (id.is_zero() || id == topic.id);
        self.judge("W9", holds, || {
            format!("asked for {} ({}), got {name} ({id})", topic.name, topic.id)
        });
    }

    /// A fetch is about to be sent.
    #[must_use]
    pub fn asking(&self, at: TopicPartition) -> Asked {
        let inner = self.lock();
        Asked {
            acked: inner.ledger.last_promised(&at),
            changes: inner.logs.changes(&at),
        }
    }

    /// A reader was told that there is no such offset as `from` in a log that it asked for it.
    pub fn out_of_range(&self, at: TopicPartition, from: i64) {
        let mut inner = self.lock();
        let harmed = inner.harmed(at);
        let deleted = inner.deleted_before.get(&at).is_some_and(|to| from < *to);
        let may_go =
            (inner.topics.get(&at.topic_id)).is_none_or(|topic| topic.retention || !topic.synced);
        let inner = &mut *inner;
        inner
            .judge
            .check("W8", deleted || may_go || harmed.any, || {
                format!("{at:?} has no offset {from}, and nothing may be gone")
            });
    }

    /// A reader was told that there is nothing more of a partition from `end` on: neither an answer about it
    /// nor its silence, in a fetch session, said that there is. `read` is what it got of it.
    pub fn read_up_to(&self, at: TopicPartition, end: i64, asked: Asked, read: &BTreeSet<i64>) {
        let mut inner = self.lock();
        let harmed = inner.harmed(at);
        let retention = (inner.topics.get(&at.topic_id)).is_none_or(|topic| topic.retention);
        let inner = &mut *inner;
        if let Some(acked) = asked.acked.filter(|_| !harmed.hides) {
            inner.judge.check("W6", acked < end, || {
                format!(
                    "{at:?} has nothing from {end} on, but {acked} was acknowledged before the fetch"
                )
            });
        }
        if harmed.hides || retention {
            return;
        }
        let start = inner.deleted_before.get(&at).copied().unwrap_or(0);
        for offset in inner.ledger.promised(&at, end).filter(|at| *at >= start) {
            inner.judge.check("W10", read.contains(&offset), || {
                format!("{at:?} was read up to {end} without {offset}, which was acknowledged")
            });
        }
    }

    /// A member of a group was given a record.
    pub fn team_was_given(&self, group: &str, at: TopicPartition, offset: i64) {
        self.lock().teams.given(group, at, offset);
    }

    /// The broker's last process that said something.
    #[must_use]
    pub fn last_process(&self) -> u32 {
        self.lock().groups.last_process()
    }

    /// A member of a group has a partition.
    pub fn team_owns(&self, group: &str, generation: Generation, at: TopicPartition, member: &str) {
        let mut inner = self.lock();
        if inner.harmed_groups().any {
            return;
        }
        let Inner { teams, judge, .. } = &mut *inner;
        teams.owns(group, generation, at, member, judge);
    }

    /// A member of a group begins to read a partition at `position`.
    pub fn team_starts(&self, group: &str, at: TopicPartition, position: i64) {
        let mut inner = self.lock();
        if inner.may_have_gone(at) {
            return;
        }
        let from = inner.deleted_before.get(&at).copied().unwrap_or(0);
        let Inner {
            teams,
            judge,
            ledger,
            ..
        } = &mut *inner;
        let promised = ledger.promised(&at, position);
        let before = promised.filter(|offset| *offset >= from);
        teams.starts(group, at, position, before, judge);
    }

    /// Whether the members of a group were given all of a topic that is there for good.
    #[must_use]
    pub fn team_has_all(&self, group: &str, topic: &TopicFacts) -> bool {
        let mut inner = self.lock();
        (0..topic.partitions).all(|partition| {
            let at = partition_of(topic.id, partition);
            if inner.may_have_gone(at) {
                return true;
            }
            let from = inner.deleted_before.get(&at).copied().unwrap_or(0);
            let promised = inner.ledger.promised(&at, i64::MAX);
            let all = promised.filter(|offset| *offset >= from);
            inner.teams.have(group, at, all)
        })
    }

    /// An answer to a fetch came.
    pub fn fetched(&self, answer: &Answer) -> Got {
        let mut batches = Vec::new();
        let mut stamps = Vec::new();
        let mut wrong = None;
        for batch in Batches::new(answer.bytes.clone()) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    wrong = Some(format!("{error} in an answer from offset {}", answer.from));
                    break;
                }
            };
            let header = *batch.header();
            let sound = batch.verify_crc().is_ok();
            batches.push(ReadBatch {
                base: header.base_offset.0,
                last: header.base_offset.0 + i64::from(header.last_offset_delta),
                sound,
            });
            match (sound, stamps_of(&batch)) {
                (true, Ok(found)) => stamps.extend(found),
                (true, Err(error)) => wrong = Some(error),
                (false, _) => {}
            }
        }
        let mut inner = self.lock();
        let harmed = inner.harmed(answer.at);
        let Inner {
            judge,
            reads,
            ledger,
            topics,
            logs,
            ..
        } = &mut *inner;
        if let Some(acked) = answer.asked.acked.filter(|_| !harmed.hides) {
            judge.check("W5", acked < answer.high_watermark, || {
                format!(
                    "{:?} offset {acked} was acknowledged before a fetch that is told {}",
                    answer.at, answer.high_watermark
                )
            });
        }
        if logs.changes(&answer.at) != answer.asked.changes {
            let whole = batches.iter().all(|batch| batch.sound);
            let dense = batches.windows(2).all(|two| two[1].base == two[0].last + 1);
            judge.check("L8", wrong.is_none() && whole && dense, || {
                format!(
                    "{:?} changed during a read, which gave {batches:?}",
                    answer.at
                )
            });
        }
        // Offsets come one after the other, none left out, none twice.
        let first = batches.first().map_or(0, |batch| batch.base);
        if wrong.is_none() && batches.iter().all(|batch| batch.sound) {
            let in_turn = (first..)
                .zip(&stamps)
                .all(|(due, (offset, _))| due == *offset);
            let all = batches.last().is_none_or(|batch| {
                batch.last + 1 - first == i64::try_from(stamps.len()).unwrap_or(i64::MAX)
            });
            judge.check("W8", in_turn && all, || {
                let offsets: Vec<i64> = stamps.iter().map(|(offset, _)| *offset).collect();
                format!("{:?} gives {offsets:?} for {batches:?}", answer.at)
            });
        }
        judge.check("L11", wrong.is_none(), || wrong.unwrap_or_default());
        reads.batches(
            answer.at,
            answer.from,
            answer.high_watermark,
            &batches,
            judge,
        );
        // Answers from before a loss may still be on their way.
        let synced = topics.get(&answer.at.topic_id).is_none_or(|t| t.synced);
        let stable = !harmed.hides && (synced || ledger.disk_is_sound());
        let mut offsets = Vec::new();
        for (offset, stamp) in stamps {
            offsets.push(offset);
            ledger.read(answer.at, offset, stamp, judge);
            if stable {
                reads.record(answer.at, offset, stamp, judge);
            }
        }
        Got {
            next: batches.last().map(|batch| batch.last + 1),
            offsets,
        }
    }

    /// The end of the broken range that an offset lies in, if the broker has told of one.
    #[must_use]
    pub fn end_of_broken_range(&self, at: TopicPartition, offset: i64) -> Option<i64> {
        let inner = self.lock();
        let ranges = inner.faulty.get(&at)?;
        let around = ranges
            .iter()
            .filter(|(from, to)| (*from..*to).contains(&offset));
        around.map(|(_, to)| *to).max()
    }

    /// A partition was read from its start to its end.
    pub fn audited(&self, at: TopicPartition, audit: &Audit) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let harmed = inner.harmed(at);
        // Where the end may be hidden, what was acknowledged beyond the end that is left may be gone.
        let kept = audit.records.last_key_value().map(|(offset, _)| offset + 1);
        let told = audit.reported.iter().map(|(_, to)| *to).max();
        let end = kept.max(told).unwrap_or(0);
        let reported = |offset: i64| {
            let within = |(from, to): &(i64, i64)| (*from..*to).contains(&offset);
            (harmed.hides && offset >= end) || audit.reported.iter().any(within)
        };
        inner
            .judge
            .check("L6", audit.reported.is_empty() || harmed.any, || {
                format!(
                    "{at:?}: {:?} cannot be read, and nothing was damaged",
                    audit.reported
                )
            });
        // What begins too late is judged here: below, only what is after the start.
        let retention = (inner.topics.get(&at.topic_id)).is_none_or(|topic| topic.retention);
        if !retention && !harmed.hides {
            let asked = inner.deleted_before.get(&at).copied().unwrap_or(0);
            inner.judge.check("X10", audit.log_start <= asked, || {
                format!(
                    "{at:?} is read from {} on, asked was to delete before {asked}",
                    audit.log_start
                )
            });
        }
        inner.ledger.finish(
            at,
            audit.log_start,
            &audit.records,
            reported,
            &mut inner.judge,
        );
        let synced = inner.topics.get(&at.topic_id).is_none_or(|t| t.synced);
        let stable = !harmed.hides && (synced || inner.ledger.disk_is_sound());
        for (offset, stamp) in audit.records.iter().filter(|_| stable) {
            inner.reads.record(at, *offset, *stamp, &mut inner.judge);
        }
        if audit.reported.is_empty() {
            judge_log(at, &audit.batches, &mut inner.judge);
        }
    }

    /// Hears what a node says that was given an empty disk: it knows of no partition that is on its own.
    ///
    /// # Errors
    /// What is broken.
    pub fn seen_on_an_empty_disk(&self, seen: &SeenAt) -> Result<(), String> {
        let Some(at) = log_of(&seen.seen) else {
            return Ok(());
        };
        let mut inner = self.lock();
        let inner = &mut *inner;
        let known = inner.topics.contains_key(&at.topic_id);
        inner.judge.check("L14", !known, || {
            format!("on an empty disk the broker has {at:?}: {:?}", seen.seen)
        });
        match &inner.judge.violation {
            Some(violation) => Err(violation.to_string()),
            None => Ok(()),
        }
    }

    /// Hears what a node says.
    ///
    /// # Errors
    /// What is broken.
    pub fn seen(&self, seen: &SeenAt) -> Result<(), String> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.groups.process(seen.incarnation);
        let partition = log_of(&seen.seen);
        let harmed = partition.map_or(Marks::default(), |at| inner.harmed(at));
        let (topics, deleted) = (&inner.topics, &inner.deleted_before);
        let expected = |at: &TopicPartition| {
            let topic = topics.get(&at.topic_id);
            Expected {
                // The node's own topics sync.
                synced: topic.is_none_or(|topic| topic.synced),
                retention: topic.is_none_or(|topic| topic.retention),
                deleted_before: deleted.get(at).copied().unwrap_or(0),
                harmed,
            }
        };
        if let Seen::LogOpened {
            partition, log_end, ..
        } = seen.seen
            && !harmed.hides
        {
            let promised = expected(&partition).synced;
            inner.ledger.opened(partition, log_end, &mut inner.judge);
            inner
                .reads
                .opened(partition, log_end, promised, &mut inner.judge);
        }
        if let Seen::Faulty {
            partition,
            from,
            to,
        } = seen.seen
        {
            let ranges = inner.faulty.entry(partition).or_default();
            ranges.push((from.0, to.0));
            inner.judge.check("L6", harmed.any, || {
                format!(
                    "{partition:?} has a broken range {from:?} to {to:?}, and nothing was damaged"
                )
            });
        }
        inner
            .logs
            .seen(seen.incarnation, &seen.seen, expected, &mut inner.judge);
        match &inner.judge.violation {
            Some(violation) => Err(violation.to_string()),
            None => Ok(()),
        }
    }
}

/// The partition whose files an event depends on.
fn log_of(seen: &Seen) -> Option<TopicPartition> {
    match *seen {
        Seen::LogOpened { partition, .. }
        | Seen::BecameLeader { partition, .. }
        | Seen::Appended { partition, .. }
        | Seen::Truncated { partition, .. }
        | Seen::Faulty { partition, .. } => Some(partition),
        _ => None,
    }
}

/// The stamps of a batch's records, with their offsets.
///
/// # Errors
/// A record that nobody here writes.
pub fn stamps_of(batch: &records::Batch) -> Result<Vec<(i64, Stamp)>, String> {
    let records = batch.records(16 << 20).map_err(|error| error.to_string())?;
    records
        .map(|record| {
            let record = record.map_err(|error| error.to_string())?;
            let value = record.value.unwrap_or_default();
            let stamp = payload::decode(&value)
                .map_err(|error| format!("offset {}: {error}", record.offset.0))?;
            Ok((record.offset.0, stamp))
        })
        .collect()
}

/// A partition of a topic.
#[must_use]
pub fn partition_of(id: Uuid, partition: i32) -> TopicPartition {
    TopicPartition {
        topic_id: id,
        partition: PartitionIndex(partition),
    }
}

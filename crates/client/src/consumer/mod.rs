//! The consumer: partitions in, their records out.
//!
//! A [`Consumer`] reads the partitions it was told to, each from its own position. One fetch is in
//! flight to each leader while [`Consumer::poll`] hands out what has come; the futures live in the
//! consumer, so a poll may be dropped and called again. A partition's position is the offset after
//! the last record *handed out*, which is what may be committed.
//!
//! Invariants:
//! * records of a partition are handed out in the order of their offsets, each at most once between
//!   two seeks;
//! * an answer to a question asked before a seek or an assignment changes nothing.
//!
//! Membership in a group is [`crate::group`]'s.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use env::{Clock, Either, Env, race};
use futures_util::stream::{FuturesUnordered, StreamExt};
use protocol::fetch_request::FetchPartition;
use protocol::fetch_response::PartitionData;
use protocol::{FetchRequest, FetchResponse, Records, Str};
use types::{ErrorCode, LeaderEpoch, Mono, Offset, Uuid, mutant};

use crate::cluster::{Cluster, Lane, QUIET_TRIES, Repeat, Topics, pause_ms};
use crate::metadata::TopicPartition;
use crate::offsets::{Isolation, OffsetSpec};
use crate::options::ClientOptions;
use crate::{Error, Result};

mod decode;
mod session;

pub use decode::ConsumerRecord;
use decode::{Reading, decode};
use session::{Session, Wanted};

/// Where to start reading a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Start {
    /// At this offset. The epoch of the record before it, if known, finds out whether the log was
    /// truncated in between.
    Offset(Offset, Option<LeaderEpoch>),
    /// At a place to be looked up. A timestamp later than every record is the end.
    Place(OffsetSpec),
}

/// What to do when a position is not in the log any more, or not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reset {
    /// Go to the first record.
    Earliest,
    /// Go to the end.
    #[default]
    Latest,
    /// Tell the caller.
    Fail,
}

impl Reset {
    /// Where to go, if anywhere.
    #[must_use]
    pub fn place(self) -> Option<OffsetSpec> {
        match self {
            Reset::Earliest => Some(OffsetSpec::Earliest),
            Reset::Latest => Some(OffsetSpec::Latest),
            Reset::Fail => None,
        }
    }
}

/// How a consumer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// What it may see.
    pub isolation: Isolation,
    /// What it does when a position is out of range.
    pub reset: Reset,
    /// How long a broker waits for `fetch_bytes_min` to come together.
    pub fetch_wait: Duration,
    /// The fewest bytes for which a broker answers at once.
    pub fetch_bytes_min: i32,
    /// The most bytes of one answer. A single larger batch is still sent.
    pub fetch_bytes_max: i32,
    /// The most bytes of one partition in one answer. A single larger batch is still sent.
    pub partition_bytes_max: i32,
    /// The most records that one poll returns.
    pub poll_records_max: usize,
    /// The most bytes that one batch may decompress to.
    pub decompressed_bytes_max: usize,
    /// Whether to use fetch sessions (KIP-227).
    pub sessions: bool,
    /// Whether to check the checksum of every batch.
    pub check_crc: bool,
    /// Where this consumer stands, so that a near replica may serve it.
    pub rack: String,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        ConsumerOptions {
            isolation: Isolation::ReadUncommitted,
            reset: Reset::Latest,
            fetch_wait: Duration::from_millis(500),
            fetch_bytes_min: 1,
            fetch_bytes_max: 50 * 1024 * 1024,
            partition_bytes_max: 1024 * 1024,
            poll_records_max: 500,
            decompressed_bytes_max: 128 * 1024 * 1024,
            sessions: true,
            check_crc: true,
            rack: String::new(),
        }
    }
}

/// What the last answer said of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The first offset that is kept.
    pub log_start: Offset,
    /// The end of what is committed.
    pub high_watermark: Offset,
    /// The end of what readers of committed transactions may see.
    pub last_stable: Offset,
}

#[derive(Debug)]
struct Assigned {
    start: Start,
    /// Differs after each seek.
    token: u64,
    paused: bool,
    /// Records that have come and were not handed out.
    buffered: bool,
    not_before: Mono,
    tries: u32,
    /// What the last try failed with.
    trouble: Option<Error>,
    log: Option<LogState>,
}

#[derive(Debug, Default)]
struct Leader {
    session: Session,
    in_flight: bool,
    not_before: Mono,
    tries: u32,
}

/// Records of one partition, waiting to be handed out.
#[derive(Debug)]
struct Chunk {
    at: TopicPartition,
    token: u64,
    records: std::vec::IntoIter<ConsumerRecord>,
    next: (Offset, LeaderEpoch),
}

/// What was asked of one partition.
#[derive(Clone, Copy, Debug)]
struct Asked {
    token: u64,
    position: Offset,
}

struct Fetched {
    leader: i32,
    asked: BTreeMap<TopicPartition, Asked>,
    result: Result<FetchResponse>,
}

type Fetch = Pin<Box<dyn Future<Output = Fetched> + Send>>;

/// Reads partitions.
pub struct Consumer<E: Env> {
    cluster: Cluster<E>,
    options: ConsumerOptions,
    partitions: BTreeMap<TopicPartition, Assigned>,
    leaders: BTreeMap<i32, Leader>,
    fetches: FuturesUnordered<Fetch>,
    chunks: VecDeque<Chunk>,
    next_token: u64,
    metadata_not_before: Mono,
    metadata_tries: u32,
    /// Questions for metadata that nobody answered, in a row.
    unanswered: u32,
}

impl<E: Env> Consumer<E> {
    /// A consumer without partitions. Connects with the first poll.
    #[must_use]
    pub fn new(env: &E, client: ClientOptions, options: ConsumerOptions) -> Consumer<E> {
        Consumer {
            cluster: Cluster::new(env, client),
            options,
            partitions: BTreeMap::new(),
            leaders: BTreeMap::new(),
            fetches: FuturesUnordered::new(),
            chunks: VecDeque::new(),
            next_token: 0,
            metadata_not_before: Mono(0),
            metadata_tries: 0,
            unanswered: 0,
        }
    }

    /// The cluster, for look-ups.
    pub fn cluster(&mut self) -> &mut Cluster<E> {
        &mut self.cluster
    }

    /// How this consumer works.
    #[must_use]
    pub fn options(&self) -> &ConsumerOptions {
        &self.options
    }

    /// Reads these partitions and no others. Those that were read already start anew too.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = (TopicPartition, Start)>) {
        self.partitions.clear();
        self.chunks.clear();
        self.assign_more(partitions);
    }

    /// Reads these partitions too.
    pub fn assign_more(&mut self, partitions: impl IntoIterator<Item = (TopicPartition, Start)>) {
        for (at, start) in partitions {
            self.chunks.retain(|chunk| chunk.at != at);
            let assigned = Assigned {
                start,
                token: self.token(),
                paused: false,
                buffered: false,
                not_before: Mono(0),
                tries: 0,
                trouble: None,
                log: None,
            };
            self.partitions.insert(at, assigned);
        }
    }

    /// Stops reading a partition.
    pub fn unassign(&mut self, at: &TopicPartition) {
        self.partitions.remove(at);
        self.chunks.retain(|chunk| chunk.at != *at);
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    /// Goes on elsewhere in a partition.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the partition is not assigned.
    pub fn seek(&mut self, at: &TopicPartition, start: Start) -> Result<()> {
        let token = self.token();
        let Some(assigned) = self.partitions.get_mut(at) else {
            return Err(Error::Invalid(format!("{at} is not assigned")));
        };
        assigned.seek(start, token);
        self.chunks.retain(|chunk| chunk.at != *at);
        Ok(())
    }

    /// Stops or resumes fetching a partition. What has come already is still handed out.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the partition is not assigned.
    pub fn pause(&mut self, at: &TopicPartition, paused: bool) -> Result<()> {
        match self.partitions.get_mut(at) {
            Some(assigned) => assigned.paused = paused,
            None => return Err(Error::Invalid(format!("{at} is not assigned"))),
        }
        Ok(())
    }

    /// The partitions that are read.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.keys()
    }

    /// Why nothing comes from a partition at the moment, if its leader said so. It is tried again.
    #[must_use]
    pub fn trouble(&self, at: &TopicPartition) -> Option<&Error> {
        self.partitions.get(at)?.trouble.as_ref()
    }

    /// The offset after the last record handed out, with the epoch of that record. `None` as long as
    /// the place to start from has not been looked up.
    #[must_use]
    pub fn position(&self, at: &TopicPartition) -> Option<(Offset, Option<LeaderEpoch>)> {
        if mutant!("GRP-22")
            && let Some(chunk) = self.chunks.iter().find(|chunk| chunk.at == *at)
        {
            return Some((chunk.next.0, None));
        }
        match self.partitions.get(at)?.start {
            Start::Offset(offset, epoch) => Some((offset, epoch)),
            Start::Place(_) => None,
        }
    }

    /// What the last answer said of a partition's log.
    #[must_use]
    pub fn log_state(&self, at: &TopicPartition) -> Option<LogState> {
        self.partitions.get(at)?.log
    }

    /// Waits up to `wait` for records. An empty result means that none came; a place that must be
    /// looked up first may take longer than `wait`.
    ///
    /// # Errors
    /// What does not pass by itself: no access to a topic, a position out of range with
    /// [`Reset::Fail`], damaged data. The consumer can be polled on.
    pub async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>> {
        let until = self.cluster.now().after(wait);
        loop {
            let records = self.hand_out();
            if !records.is_empty() {
                return Ok(records);
            }
            self.look_up(until).await?;
            self.start_fetches(until).await?;
            let wake = self.wake(until);
            let sleep = self.cluster.env().clock().sleep_until(wake);
            let event = async {
                match self.fetches.next().await {
                    Some(event) => event,
                    None => std::future::pending().await,
                }
            };
            match race(event, sleep).await {
                Either::First(fetched) => self.on_fetched(fetched)?,
                Either::Second(()) if self.cluster.now() >= until => return Ok(Vec::new()),
                Either::Second(()) => {}
            }
        }
    }

    /// When to look again although nothing came.
    fn wake(&self, until: Mono) -> Mono {
        let now = self.cluster.now();
        let partitions = self.partitions.values().map(|p| p.not_before);
        let leaders = self.leaders.values().map(|l| l.not_before);
        let others = partitions.chain(leaders).chain([self.metadata_not_before]);
        let next = others.filter(|at| *at > now).min();
        next.map_or(until, |at| at.min(until))
    }

    fn hand_out(&mut self) -> Vec<ConsumerRecord> {
        let mut records = Vec::new();
        while let Some(chunk) = self.chunks.front_mut() {
            let assigned = self.partitions.get_mut(&chunk.at);
            let Some(assigned) = assigned.filter(|a| a.token == chunk.token) else {
                self.chunks.pop_front();
                continue;
            };
            while records.len() < self.options.poll_records_max {
                let Some(record) = chunk.records.next() else {
                    break;
                };
                let epoch = (record.leader_epoch.0 >= 0).then_some(record.leader_epoch);
                assigned.start = Start::Offset(record.offset.plus(1), epoch);
                records.push(record);
            }
            if !chunk.records.as_slice().is_empty() {
                break;
            }
            let (offset, epoch) = chunk.next;
            assigned.start = Start::Offset(offset, (epoch.0 >= 0).then_some(epoch));
            assigned.buffered = false;
            self.chunks.pop_front();
        }
        records
    }

    /// Looks up the places of partitions that have no offset yet.
    async fn look_up(&mut self, until: Mono) -> Result<()> {
        // A second round for timestamps later than every record.
        while self.look_up_once(until).await? {}
        Ok(())
    }

    /// Returns whether there was something to look up. What failed is held back.
    async fn look_up_once(&mut self, until: Mono) -> Result<bool> {
        let now = self.cluster.now();
        let mut places = BTreeMap::new();
        for (at, assigned) in &self.partitions {
            if let Start::Place(place) = assigned.start
                && assigned.not_before <= now
            {
                places.insert(at.clone(), place);
            }
        }
        if places.is_empty() {
            return Ok(false);
        }
        let least = now.after(self.cluster.options().request_timeout);
        let deadline = until.max(least).min(self.cluster.deadline());
        let isolation = self.options.isolation;
        // What cannot be found now is looked for again later: the other partitions have records to read.
        let (cluster, repeat) = (&mut self.cluster, Repeat::Never);
        let found = cluster
            .find_offsets(places, isolation, repeat, deadline)
            .await;
        let mut failed = None;
        for (at, result) in found {
            match result {
                Ok(found) => {
                    let start = match found.offset {
                        // The epoch found is that of this record, not of the one before it.
                        Some(offset) => Start::Offset(offset, None),
                        // No record is that late: the end.
                        None => Start::Place(OffsetSpec::Latest),
                    };
                    let token = self.token();
                    let Some(assigned) = self.partitions.get_mut(&at) else {
                        continue;
                    };
                    if assigned.start == start {
                        // Even the end was not found: ask again, but not at once.
                        self.hold_back(&at, None);
                    } else {
                        assigned.seek(start, token);
                    }
                }
                Err(error) => {
                    self.hold_back(&at, Some(&error));
                    if !error.is_retriable() {
                        failed = Some(error);
                    }
                }
            }
        }
        failed.map_or(Ok(true), Err)
    }

    /// Leaves a partition alone for a while. `error` is why, unless whoever polls is told.
    fn hold_back(&mut self, at: &TopicPartition, error: Option<&Error>) {
        let now = self.cluster.now();
        if let Some(assigned) = self.partitions.get_mut(at) {
            let pause = self.cluster.pause_ms(assigned.tries);
            assigned.tries += 1;
            assigned.not_before = now.after_ms(pause);
            assigned.trouble = error.cloned();
            if let Some(error) = error.filter(|e| e.is_retriable() && assigned.tries == QUIET_TRIES)
            {
                tracing::warn!(%at, %error, "the partition cannot be read; trying again");
            }
        }
    }

    /// Sends a fetch to each leader that has none in flight and of which something is wanted.
    async fn start_fetches(&mut self, until: Mono) -> Result<()> {
        self.find_leaders(until).await?;
        let now = self.cluster.now();
        let mut wanted: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for (at, assigned) in &self.partitions {
            let idle = assigned.paused || assigned.buffered || assigned.not_before > now;
            if idle || matches!(assigned.start, Start::Place(_)) {
                continue;
            }
            if let Ok((leader, _)) = self.cluster.metadata().leader(at) {
                wanted.entry(leader).or_default().push(at.clone());
            }
        }
        for (id, partitions) in wanted {
            let leader = self.leaders.entry(id).or_default();
            if leader.in_flight || leader.not_before > now {
                continue;
            }
            if let Err(error) = self.start_fetch(id, &partitions).await {
                tracing::debug!(id, %error, "cannot fetch");
                self.leader_failed(id, &partitions);
                if !error.is_retriable() {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn leader_failed(&mut self, id: i32, partitions: &[TopicPartition]) {
        let now = self.cluster.now();
        if let Some(leader) = self.leaders.get_mut(&id) {
            leader.session.lost();
            let pause = self.cluster.pause_ms(leader.tries);
            leader.tries += 1;
            leader.not_before = now.after_ms(pause);
        }
        for at in partitions {
            self.cluster.metadata_mut().doubt(at);
        }
    }

    /// Asks for metadata if the leader of a partition is not known, or what is known is old.
    async fn find_leaders(&mut self, until: Mono) -> Result<()> {
        let now = self.cluster.now();
        if now < self.metadata_not_before {
            return Ok(());
        }
        let metadata = self.cluster.metadata();
        let age_max = self.cluster.options().metadata_max_age;
        let old = metadata.updated().is_none_or(|at| now.since(at) > age_max);
        let unknown = |at: &&TopicPartition| old || metadata.leader(at).is_err();
        let mut topics: Vec<Str> = self
            .partitions
            .keys()
            .filter(unknown)
            .map(|at| at.topic.clone())
            .collect();
        topics.dedup();
        if topics.is_empty() {
            return Ok(());
        }
        let least = now.after(self.cluster.options().connect_timeout);
        let deadline = until.max(least);
        let result = self.cluster.refresh(Topics::Named(&topics), deadline).await;
        let pause = self.cluster.pause_ms(self.metadata_tries);
        self.metadata_not_before = self.cluster.now().after_ms(pause);
        self.metadata_tries += 1;
        match result {
            Ok(()) => self.unanswered = 0,
            Err(error) if error.is_retriable() => {
                self.unanswered += 1;
                if self.unanswered == QUIET_TRIES {
                    tracing::warn!(%error, "no broker answers; trying again");
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let metadata = self.cluster.metadata();
        let missing = topics.iter().find_map(|topic| {
            let code = metadata.topic_error(topic)?;
            (!code.is_retriable()).then(|| {
                let text = format!("{}: {}", topic.as_str(), code.message());
                Error::server_with(code, Some(&text))
            })
        });
        let known = |at: &TopicPartition| metadata.leader(at).is_ok();
        if self.partitions.keys().all(known) {
            self.metadata_tries = 0;
        }
        missing.map_or(Ok(()), Err)
    }

    async fn start_fetch(&mut self, id: i32, partitions: &[TopicPartition]) -> Result<()> {
        let deadline = self
            .cluster
            .now()
            .after(self.cluster.options().connect_timeout);
        let connection = self.cluster.node(Lane::Fetch, id, deadline).await?;
        let metadata = self.cluster.metadata();
        let id_of = |at: &TopicPartition| metadata.topic(&at.topic).map_or(Uuid::ZERO, |t| t.id);
        let by_id = partitions.iter().all(|at| !id_of(at).is_zero());
        let version_max = if by_id { i16::MAX } else { 12 };
        let version = connection.version::<FetchRequest>(0, version_max)?;
        let mut wanted = BTreeMap::new();
        let mut asked = BTreeMap::new();
        for at in partitions {
            let Some(assigned) = self.partitions.get(at) else {
                continue;
            };
            let Start::Offset(position, last_epoch) = assigned.start else {
                continue;
            };
            let leader_epoch = metadata.leader(at).map_or(-1, |(_, epoch)| epoch);
            let last_epoch = last_epoch.filter(|_| version >= 12);
            let partition = FetchPartition {
                partition: at.partition,
                current_leader_epoch: leader_epoch,
                fetch_offset: position.0,
                last_fetched_epoch: last_epoch.map_or(-1, |epoch| epoch.0),
                partition_max_bytes: self.options.partition_bytes_max,
                ..FetchPartition::default()
            };
            let topic_id = if version >= 13 { id_of(at) } else { Uuid::ZERO };
            wanted.insert(
                at.clone(),
                Wanted {
                    topic_id,
                    partition,
                },
            );
            let token = assigned.token;
            asked.insert(at.clone(), Asked { token, position });
        }
        let sessions = self.options.sessions && version >= 7;
        let leader = self.leaders.entry(id).or_default();
        let said = leader.session.say(wanted, sessions);
        let request = FetchRequest {
            max_wait_ms: i32::try_from(self.options.fetch_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: self.options.fetch_bytes_min,
            max_bytes: self.options.fetch_bytes_max,
            isolation_level: self.options.isolation as i8,
            session_id: said.session_id,
            session_epoch: said.session_epoch,
            topics: said.topics,
            forgotten_topics_data: said.forgotten,
            rack_id: Str::from(&self.options.rack),
            ..FetchRequest::default()
        };
        let pending = connection.send(&request, version)?;
        leader.in_flight = true;
        let allowed = self.cluster.options().request_timeout + self.options.fetch_wait;
        let deadline = self.cluster.now().after(allowed);
        self.fetches.push(Box::pin(async move {
            Fetched {
                leader: id,
                asked,
                result: pending.answer(deadline).await,
            }
        }));
        Ok(())
    }

    fn on_fetched(&mut self, fetched: Fetched) -> Result<()> {
        let Fetched {
            leader: id,
            asked,
            result,
        } = fetched;
        let leader = self.leaders.entry(id).or_default();
        leader.in_flight = false;
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(id, %error, "a fetch failed");
                let partitions: Vec<TopicPartition> = asked.into_keys().collect();
                self.leader_failed(id, &partitions);
                return if error.is_retriable() {
                    Ok(())
                } else {
                    Err(error)
                };
            }
        };
        let code = ErrorCode(response.error_code);
        if !code.is_none() {
            let mended = leader.session.refused(code);
            let pause = self.cluster.pause_ms(leader.tries);
            leader.tries += 1;
            leader.not_before = self.cluster.now().after_ms(pause);
            let passes = mended || code.is_retriable();
            return if passes {
                Ok(())
            } else {
                Err(Error::server(code))
            };
        }
        leader.tries = 0;
        if self.options.sessions {
            leader.session.answered(response.session_id);
        }
        for node in &response.node_endpoints {
            if let Ok(port) = u16::try_from(node.port) {
                let rack = node.rack.as_deref();
                let metadata = self.cluster.metadata_mut();
                metadata.set_node(node.node_id, &node.host, port, rack);
            }
        }
        let mut failed = None;
        for topic in response.responses {
            let name = if topic.topic.is_empty() {
                let leader = self.leaders.entry(id).or_default();
                match leader.session.name_of(topic.topic_id) {
                    Some(name) => name.clone(),
                    None => continue,
                }
            } else {
                topic.topic.detached()
            };
            for data in topic.partitions {
                let at = TopicPartition::new(name.clone(), data.partition_index);
                let Some(asked) = asked.get(&at) else {
                    continue;
                };
                // One partition's trouble does not hold up the others.
                if let Err(error) = self.on_partition(&at, *asked, data) {
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn on_partition(
        &mut self,
        at: &TopicPartition,
        asked: Asked,
        data: PartitionData,
    ) -> Result<()> {
        let current = self.partitions.get_mut(at);
        let Some(assigned) = current.filter(|a| a.token == asked.token) else {
            return Ok(());
        };
        let code = ErrorCode(data.error_code);
        if code == ErrorCode::OFFSET_OUT_OF_RANGE {
            return self.out_of_range(at, asked.position);
        }
        if !code.is_none() {
            let hint = data.current_leader;
            let metadata = self.cluster.metadata_mut();
            let moved = metadata.set_leader(at, hint.leader_id, hint.leader_epoch);
            let error = Error::server_with(code, Some(&format!("{at}: {}", code.message())));
            if error.wants_metadata() && !moved {
                metadata.doubt(at);
            }
            self.hold_back(at, Some(&error));
            return if error.is_retriable() {
                Ok(())
            } else {
                Err(error)
            };
        }
        if data.diverging_epoch.end_offset >= 0 {
            // What was read last is not in the leader's log: the log was truncated below the position.
            let end = Offset(data.diverging_epoch.end_offset).min(asked.position);
            tracing::warn!(%at, position = asked.position.0, end = end.0, "the log was truncated");
            if self.options.reset == Reset::Fail {
                self.hold_back(at, None);
                let text = format!(
                    "{at} was truncated to offset {end}, below the position {}.",
                    asked.position
                );
                return Err(Error::server_with(
                    ErrorCode::OFFSET_OUT_OF_RANGE,
                    Some(&text),
                ));
            }
            return self.seek(at, Start::Offset(end, None));
        }
        assigned.tries = 0;
        assigned.trouble = None;
        assigned.log = Some(LogState {
            log_start: Offset(data.log_start_offset),
            high_watermark: Offset(data.high_watermark),
            last_stable: Offset(data.last_stable_offset),
        });
        let bytes = data.records.map(Records::into_bytes).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        let committed = self.options.isolation == Isolation::ReadCommitted;
        let aborted = data.aborted_transactions.unwrap_or_default();
        let reading = Reading {
            at,
            position: asked.position,
            aborted: committed.then_some(&aborted),
            check_crc: self.options.check_crc,
            decompressed_bytes_max: self.options.decompressed_bytes_max,
        };
        let decoded = decode(bytes, reading).map_err(|error| {
            Error::protocol(
                "the leader",
                format!("{at} at offset {}: {error}", asked.position),
            )
        });
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                self.hold_back(at, None);
                return Err(error);
            }
        };
        let Some(next) = decoded.next else {
            self.hold_back(at, None);
            let text = format!("{at}: no whole batch came for offset {}", asked.position);
            return Err(Error::protocol("the leader", text));
        };
        if decoded.records.is_empty() {
            let epoch = (next.1.0 >= 0).then_some(next.1);
            assigned.start = Start::Offset(next.0, epoch);
            return Ok(());
        }
        assigned.buffered = true;
        self.chunks.push_back(Chunk {
            at: at.clone(),
            token: asked.token,
            records: decoded.records.into_iter(),
            next,
        });
        Ok(())
    }

    fn out_of_range(&mut self, at: &TopicPartition, position: Offset) -> Result<()> {
        let Some(place) = self.options.reset.place() else {
            self.hold_back(at, None);
            let text = format!("{at} does not hold the offset {position}.");
            return Err(Error::server_with(
                ErrorCode::OFFSET_OUT_OF_RANGE,
                Some(&text),
            ));
        };
        tracing::debug!(%at, %position, ?place, "position out of range");
        self.seek(at, Start::Place(place))
    }
}

impl Assigned {
    fn seek(&mut self, start: Start, token: u64) {
        self.start = start;
        self.token = token;
        self.buffered = false;
        self.not_before = Mono(0);
        self.tries = 0;
    }
}

impl<E: Env> Cluster<E> {
    /// The pause after this many tries.
    pub(crate) fn pause_ms(&mut self, tries: u32) -> i64 {
        let (options, rng) = self.options_and_rng();
        pause_ms(options, tries, rng)
    }
}

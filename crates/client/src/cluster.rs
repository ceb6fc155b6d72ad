//! A cluster as one owner uses it: whom to ask, what is known, and when to ask again.
//!
//! Connections are made when they are first needed and made anew when they broke. Every operation has
//! one deadline; within it, what may succeed when it is sent again is sent again, after a pause that
//! doubles. Requests that change something are sent again only when it is certain that they had no
//! effect ([`Repeat::WhenNotDone`]).

use std::collections::BTreeMap;

use env::entropy::ChaCha8Rng;
use env::{Clock, Entropy, Env};
use protocol::metadata_request::MetadataRequestTopic;
use protocol::{FindCoordinatorRequest, MetadataRequest, Request, Str};
use rand_core::Rng;
use types::{ErrorCode, Mono};

use crate::connection::Connection;
use crate::metadata::{Metadata, TopicPartition};
use crate::options::ClientOptions;
use crate::{Error, Outcome, Result};

/// Requests of different lanes to one broker do not wait for each other: answers come in order, and a
/// long poll would hold up a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Everything short.
    Main,
    /// Group membership: a join waits for the other members.
    Group,
    /// Fetches.
    Fetch,
}

/// Whether a request may be sent again after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Whenever it may help: doing it twice is doing it once.
    Always,
    /// Only when the failure is certain to have had no effect.
    WhenNotDone,
    /// Not here: whoever asked asks again, and has other things to do until then.
    Never,
}

/// Which topics to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topics<'a> {
    /// None: brokers only.
    None,
    /// All.
    All,
    /// These.
    Named(&'a [Str]),
}

/// What a coordinator is looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CoordinatorKind {
    /// A consumer group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// A cluster, as one owner uses it.
#[derive(Debug)]
pub struct Cluster<E: Env> {
    env: E,
    options: ClientOptions,
    metadata: Metadata,
    connections: BTreeMap<(Lane, i32), Connection<E>>,
    bootstrap: Option<Connection<E>>,
    coordinators: BTreeMap<(CoordinatorKind, Str), i32>,
    rng: ChaCha8Rng,
    allow_auto_create: bool,
}

/// A failure is said aloud once it has lasted for so many tries in a row: most that pass by themselves, such as
/// a leader that moves, pass in fewer.
pub(crate) const QUIET_TRIES: u32 = 4;

/// Pauses between tries, until a deadline.
#[derive(Debug)]
pub struct Backoff {
    deadline: Mono,
    tries: u32,
    /// What the last try failed with.
    last: Option<Error>,
}

impl Backoff {
    /// Tries until `deadline`.
    #[must_use]
    pub fn new(deadline: Mono) -> Backoff {
        Backoff {
            deadline,
            tries: 0,
            last: None,
        }
    }
}

impl<E: Env> Cluster<E> {
    /// A cluster of which nothing is known yet but where to ask. Connects to nobody.
    #[must_use]
    pub fn new(env: &E, options: ClientOptions) -> Cluster<E> {
        Cluster {
            env: env.clone(),
            rng: env
                .entropy()
                .stream("client", types::mutants::hash(&options.client_id)),
            options,
            metadata: Metadata::default(),
            connections: BTreeMap::new(),
            bootstrap: None,
            coordinators: BTreeMap::new(),
            allow_auto_create: false,
        }
    }

    /// Lets metadata requests create missing topics, where the brokers do so.
    pub fn set_allow_auto_create(&mut self, allow: bool) {
        self.allow_auto_create = allow;
    }

    /// The world.
    #[must_use]
    pub fn env(&self) -> &E {
        &self.env
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// What is known.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What is known, to be changed by what answers say in passing.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Mono {
        self.env.clock().mono()
    }

    /// When an operation that starts now must be done.
    #[must_use]
    pub fn deadline(&self) -> Mono {
        self.now().after(self.options.timeout)
    }

    pub(crate) fn options_and_rng(&mut self) -> (&ClientOptions, &mut ChaCha8Rng) {
        (&self.options, &mut self.rng)
    }

    /// When a request that is sent now must be answered.
    pub(crate) fn request_deadline(&self, deadline: Mono) -> Mono {
        deadline.min(self.now().after(self.options.request_timeout))
    }

    /// Waits before the next try of what failed with `error`.
    ///
    /// # Errors
    /// The next try would start after the deadline: `error`, or the failure before it if that
    /// [says more](Error::after).
    pub async fn pause(&mut self, backoff: &mut Backoff, error: Error) -> Result<()> {
        let pause = pause_ms(&self.options, backoff.tries, &mut self.rng);
        backoff.tries += 1;
        let at = self.now().after_ms(pause);
        if at >= backoff.deadline {
            return Err(error.after(backoff.last.take()));
        }
        tracing::debug!(%error, pause, "trying again");
        backoff.last = Some(error);
        self.env.clock().sleep_until(at).await;
        Ok(())
    }

    /// A connection to any broker: one that is open, else any known broker, else the bootstrap list.
    ///
    /// # Errors
    /// The last failure, when nobody answers.
    pub async fn any(&mut self, deadline: Mono) -> Result<Connection<E>> {
        let open = |c: &&Connection<E>| !c.is_closed();
        let mains = self
            .connections
            .iter()
            .filter(|((l, _), _)| *l == Lane::Main);
        if let Some(connection) = mains.map(|(_, c)| c).find(open) {
            return Ok(connection.clone());
        }
        if let Some(connection) = self.bootstrap.as_ref().filter(open) {
            return Ok(connection.clone());
        }
        let mut nodes: Vec<i32> = self.metadata.nodes().map(|n| n.id).collect();
        rotate(&mut nodes, &mut self.rng);
        let mut failed = None;
        for node in nodes {
            match self.node(Lane::Main, node, deadline).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = Some(error),
            }
        }
        let mut addresses = self.options.bootstrap.clone();
        rotate(&mut addresses, &mut self.rng);
        for (host, port) in addresses {
            let connect = Connection::connect(&self.env, &self.options, &host, port, deadline);
            match connect.await {
                Ok(connection) => {
                    self.bootstrap = Some(connection.clone());
                    return Ok(connection);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::Invalid("no bootstrap address".to_owned())))
    }

    /// A connection to a broker that is known.
    ///
    /// # Errors
    /// It is unknown or does not answer.
    pub async fn node(&mut self, lane: Lane, id: i32, deadline: Mono) -> Result<Connection<E>> {
        if let Some(connection) = self.connections.get(&(lane, id)) {
            if !connection.is_closed() {
                return Ok(connection.clone());
            }
            self.connections.remove(&(lane, id));
        }
        let Some(node) = self.metadata.node(id) else {
            return Err(Error::server_with(
                ErrorCode::BROKER_NOT_AVAILABLE,
                Some(&format!("The cluster has no broker {id}.")),
            ));
        };
        let (host, port) = (node.host.clone(), node.port);
        let connect = Connection::connect(&self.env, &self.options, &host, port, deadline);
        let connection = connect.await?;
        self.connections.insert((lane, id), connection.clone());
        Ok(connection)
    }

    /// Asks for metadata once.
    ///
    /// # Errors
    /// Nobody answers; of what the metadata is wanted for, nothing was sent. That a topic cannot be described is no
    /// error here; see [`Metadata::topic_error`].
    pub async fn refresh(&mut self, topics: Topics<'_>, deadline: Mono) -> Result<()> {
        let connection = self.any(deadline).await?;
        let deadline = self.request_deadline(deadline);
        let allow = self.allow_auto_create;
        let call = connection.call(|version| metadata_request(topics, allow, version), deadline);
        let response = call.await.map_err(Error::only_asked)?;
        let now = self.now();
        let all = topics == Topics::All;
        self.metadata.apply(&response, all, now)
    }

    /// Asks for metadata until somebody answers.
    ///
    /// # Errors
    /// Nobody did by `deadline`.
    pub async fn refresh_until(&mut self, topics: Topics<'_>, deadline: Mono) -> Result<()> {
        let mut backoff = Backoff::new(deadline);
        loop {
            match self.refresh(topics, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_retriable() => self.pause(&mut backoff, error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The leader of a partition; asks for metadata until there is one.
    ///
    /// # Errors
    /// There was none by `deadline`, or the topic may not be seen.
    pub async fn leader(&mut self, at: &TopicPartition, deadline: Mono) -> Result<(i32, i32)> {
        let mut backoff = Backoff::new(deadline);
        loop {
            let error = match self.metadata.leader(at) {
                Ok(leader) => return Ok(leader),
                Err(error) => error,
            };
            let topics = [at.topic.clone()];
            match self.refresh(Topics::Named(&topics), deadline).await {
                Ok(()) if self.metadata.leader(at).is_ok() => {}
                Ok(()) => {
                    let error = self.metadata.leader(at).err().unwrap_or(error);
                    if !error.is_retriable() {
                        return Err(error);
                    }
                    self.pause(&mut backoff, error).await?;
                }
                Err(error) if error.is_retriable() => self.pause(&mut backoff, error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request to any broker, and again while that may help.
    ///
    /// `check` finds an error that concerns the whole answer.
    ///
    /// # Errors
    /// The last failure.
    pub async fn call_any<R: Request>(
        &mut self,
        repeat: Repeat,
        deadline: Mono,
        build: impl Fn(i16) -> R + Send + Sync,
        check: impl Fn(&R::Response) -> Result<()> + Send + Sync,
    ) -> Result<R::Response>
    where
        R::Response: Send,
    {
        let mut backoff = Backoff::new(deadline);
        loop {
            let connection = self.any(deadline).await;
            match self.call_once(connection, deadline, &build, &check).await {
                Ok(response) => return Ok(response),
                Err(error) if may_repeat(&error, repeat) => self.pause(&mut backoff, error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn call_once<R: Request>(
        &self,
        connection: Result<Connection<E>>,
        deadline: Mono,
        build: &(impl Fn(i16) -> R + Sync),
        check: &(impl Fn(&R::Response) -> Result<()> + Sync),
    ) -> Result<R::Response> {
        let until = self.request_deadline(deadline);
        let response = connection?.call(build, until).await?;
        check(&response)?;
        Ok(response)
    }

    /// Sends a request to one broker, and again while that may help.
    ///
    /// # Errors
    /// The last failure.
    pub async fn call_node<R: Request>(
        &mut self,
        node: i32,
        repeat: Repeat,
        deadline: Mono,
        build: impl Fn(i16) -> R + Send + Sync,
        check: impl Fn(&R::Response) -> Result<()> + Send + Sync,
    ) -> Result<R::Response>
    where
        R::Response: Send,
    {
        let mut backoff = Backoff::new(deadline);
        loop {
            let connection = self.node(Lane::Main, node, deadline).await;
            match self.call_once(connection, deadline, &build, &check).await {
                Ok(response) => return Ok(response),
                Err(error) if may_repeat(&error, repeat) => self.pause(&mut backoff, error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request to the coordinator of `key`, looking it up when it is unknown or has moved.
    ///
    /// # Errors
    /// The last failure.
    pub async fn call_coordinator<R: Request>(
        &mut self,
        kind: CoordinatorKind,
        key: &Str,
        repeat: Repeat,
        deadline: Mono,
        build: impl Fn(i16) -> R + Send + Sync,
        check: impl Fn(&R::Response) -> Result<()> + Send + Sync,
    ) -> Result<R::Response>
    where
        R::Response: Send,
    {
        let mut backoff = Backoff::new(deadline);
        loop {
            let connection = self.coordinator(kind, key, Lane::Main, deadline).await;
            match self.call_once(connection, deadline, &build, &check).await {
                Ok(response) => return Ok(response),
                Err(error) if may_repeat(&error, repeat) => {
                    self.note_coordinator_error(kind, key, &error);
                    self.pause(&mut backoff, error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets the coordinator of `key` if `error` says that it may be another broker by now.
    pub fn note_coordinator_error(&mut self, kind: CoordinatorKind, key: &Str, error: &Error) {
        let moved = matches!(
            error.code(),
            Some(ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE)
        );
        if moved || error.is_connection() {
            self.coordinators.remove(&(kind, key.clone()));
        }
    }

    /// A connection to the coordinator of `key`. Looks it up once if it is unknown.
    ///
    /// # Errors
    /// There is none yet, or it does not answer.
    pub async fn coordinator(
        &mut self,
        kind: CoordinatorKind,
        key: &Str,
        lane: Lane,
        deadline: Mono,
    ) -> Result<Connection<E>> {
        let slot = (kind, key.clone());
        let id = match self.coordinators.get(&slot) {
            Some(id) => *id,
            None => {
                let id = self.find_coordinator(kind, key, deadline).await?;
                self.coordinators.insert(slot.clone(), id);
                id
            }
        };
        let connection = self.node(lane, id, deadline).await;
        if connection.is_err() {
            self.coordinators.remove(&slot);
        }
        connection
    }

    /// The coordinator of `key`, as far as it is known.
    #[must_use]
    pub fn known_coordinator(&self, kind: CoordinatorKind, key: &Str) -> Option<i32> {
        self.coordinators.get(&(kind, key.clone())).copied()
    }

    async fn find_coordinator(
        &mut self,
        kind: CoordinatorKind,
        key: &Str,
        deadline: Mono,
    ) -> Result<i32> {
        let connection = self.any(deadline).await?;
        let until = self.request_deadline(deadline);
        let build = |version| {
            let mut request = FindCoordinatorRequest {
                key_type: kind as i8,
                ..FindCoordinatorRequest::default()
            };
            if version >= 4 {
                request.coordinator_keys = vec![key.clone()];
            } else {
                request.key = key.clone();
            }
            request
        };
        let call = connection.call(build, until);
        let response = call.await.map_err(Error::only_asked)?;
        let found = match response.coordinators.first() {
            Some(c) => (c.error_code, &c.error_message, c.node_id, &c.host, c.port),
            None => {
                let r = &response;
                (r.error_code, &r.error_message, r.node_id, &r.host, r.port)
            }
        };
        let (code, message, id, host, port) = found;
        Error::check(code, message.as_deref())?;
        let port = u16::try_from(port)
            .map_err(|_| Error::protocol(connection.peer(), "a coordinator has no valid port"))?;
        if self.metadata.node(id).is_none() {
            self.metadata.set_node(id, host, port, None);
        }
        Ok(id)
    }
}

/// A request that goes to the leaders of many partitions.
pub(crate) struct PerPartition<B, S> {
    /// The first version that can carry it.
    pub version_min: i16,
    /// Whether it may be sent again.
    pub repeat: Repeat,
    /// Makes the request to one leader.
    pub build: B,
    /// Takes the answer apart.
    pub split: S,
}

impl<E: Env> Cluster<E> {
    /// Asks the leader of each partition, each leader once for all of its partitions, and asks again
    /// for those that failed in a way that may pass.
    pub(crate) async fn per_partition<R, I, O>(
        &mut self,
        items: BTreeMap<TopicPartition, I>,
        deadline: Mono,
        how: PerPartition<
            impl Fn(i16, Vec<(TopicPartition, I)>) -> R + Send + Sync,
            impl Fn(R::Response) -> Vec<(TopicPartition, Result<O>)> + Send + Sync,
        >,
    ) -> BTreeMap<TopicPartition, Result<O>>
    where
        R: Request + Send,
        R::Response: Send,
        I: Clone + Send,
        O: Send,
    {
        let mut done = BTreeMap::new();
        let mut left = items;
        let mut backoff = Backoff::new(deadline);
        loop {
            let refreshed = self.refresh_leaders(left.keys(), deadline).await;
            let mut leaders: BTreeMap<i32, Vec<(TopicPartition, I)>> = BTreeMap::new();
            let mut failed: Vec<(TopicPartition, Error)> = Vec::new();
            for (at, item) in &left {
                match self.metadata.leader(at) {
                    Ok((leader, _)) => {
                        let items = leaders.entry(leader).or_default();
                        items.push((at.clone(), item.clone()));
                    }
                    // Nobody could be asked: that is why, not what was last known.
                    Err(error) => {
                        let why = refreshed.clone().err().unwrap_or(error);
                        failed.push((at.clone(), why));
                    }
                }
            }
            for (leader, items) in leaders {
                let asked: Vec<TopicPartition> = items.iter().map(|(at, _)| at.clone()).collect();
                match self.ask_leader(leader, items, deadline, &how).await {
                    Ok(answers) => {
                        for (at, answer) in answers {
                            match answer {
                                Err(error) => failed.push((at, error)),
                                Ok(value) => {
                                    left.remove(&at);
                                    done.insert(at, Ok(value));
                                }
                            }
                        }
                    }
                    Err(error) => failed.extend(asked.into_iter().map(|at| (at, error.clone()))),
                }
            }
            // What will be asked again, with the failure of the try before this one.
            let mut again: Vec<(TopicPartition, Option<Error>)> = Vec::new();
            let mut last_error = None;
            for (at, error) in failed {
                if error.is_retriable() {
                    self.metadata.doubt(&at);
                }
                if may_repeat(&error, how.repeat) && left.contains_key(&at) {
                    last_error = Some(error.clone());
                    let before = done.insert(at.clone(), Err(error));
                    again.push((at, before.and_then(Result::err)));
                } else if left.remove(&at).is_some() {
                    done.insert(at, Err(error));
                }
            }
            let Some(error) = last_error else { break };
            if self.pause(&mut backoff, error).await.is_err() {
                for (at, before) in again {
                    if let Some(result) = done.remove(&at) {
                        done.insert(at, result.map_err(|e| e.after(before)));
                    }
                }
                break;
            }
        }
        for at in left.into_keys() {
            let missing = || Err(Error::protocol("the leader", "it left out a partition"));
            done.entry(at).or_insert_with(missing);
        }
        done
    }

    async fn ask_leader<R, I, O>(
        &mut self,
        leader: i32,
        items: Vec<(TopicPartition, I)>,
        deadline: Mono,
        how: &PerPartition<
            impl Fn(i16, Vec<(TopicPartition, I)>) -> R + Send + Sync,
            impl Fn(R::Response) -> Vec<(TopicPartition, Result<O>)> + Send + Sync,
        >,
    ) -> Result<Vec<(TopicPartition, Result<O>)>>
    where
        R: Request,
    {
        let connection = self.node(Lane::Main, leader, deadline).await?;
        let version = connection.version::<R>(how.version_min, i16::MAX)?;
        let pending = connection.send(&(how.build)(version, items), version)?;
        let response = pending.answer(self.request_deadline(deadline)).await?;
        Ok((how.split)(response))
    }

    /// Asks for metadata of the topics of those partitions whose leader is not known.
    ///
    /// # Errors
    /// There are such partitions, and nobody answers.
    async fn refresh_leaders(
        &mut self,
        partitions: impl Iterator<Item = &TopicPartition>,
        deadline: Mono,
    ) -> Result<()> {
        let mut topics: Vec<Str> = partitions
            .filter(|at| self.metadata.leader(at).is_err())
            .map(|at| at.topic.clone())
            .collect();
        topics.dedup();
        if topics.is_empty() {
            return Ok(());
        }
        self.refresh(Topics::Named(&topics), deadline).await
    }
}

/// Whether to send a request again that failed with `error`.
fn may_repeat(error: &Error, repeat: Repeat) -> bool {
    let allowed = match repeat {
        Repeat::Always => true,
        Repeat::WhenNotDone => error.outcome() == Outcome::NotDone,
        Repeat::Never => false,
    };
    allowed && error.is_retriable()
}

/// The pause before try `tries + 1`: doubled each time, with a fifth more or less.
pub(crate) fn pause_ms(options: &ClientOptions, tries: u32, rng: &mut ChaCha8Rng) -> i64 {
    let base = i64::try_from(options.backoff.as_millis()).unwrap_or(i64::MAX);
    let max = i64::try_from(options.backoff_max.as_millis()).unwrap_or(i64::MAX);
    let pause = base.saturating_mul(1 << tries.min(20)).min(max).max(1);
    let fifth = pause / 5;
    let jitter = i64::from(rng.next_u32()) % (2 * fifth + 1);
    pause - fifth + jitter
}

/// Starts at a random place, so that not every client asks the first broker of the list.
pub(crate) fn rotate<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    if items.len() > 1 {
        let at = rng.next_u32() as usize % items.len();
        items.rotate_left(at);
    }
}

/// A metadata request for `topics`.
pub(crate) fn metadata_request(topics: Topics<'_>, allow: bool, version: i16) -> MetadataRequest {
    let named = |names: &[Str]| {
        let topic = |name: &Str| MetadataRequestTopic {
            name: Some(name.clone()),
            ..MetadataRequestTopic::default()
        };
        Some(names.iter().map(topic).collect())
    };
    MetadataRequest {
        topics: match topics {
            // Version 0 cannot say "none" and takes an empty list for all.
            Topics::All if version == 0 => Some(Vec::new()),
            Topics::All => None,
            Topics::None => Some(Vec::new()),
            Topics::Named(names) => named(names),
        },
        // Versions before 4 always create what is missing.
        allow_auto_topic_creation: allow || version < 4,
        ..MetadataRequest::default()
    }
}

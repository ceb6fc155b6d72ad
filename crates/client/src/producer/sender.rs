//! The producer's task: takes one event, updates what it knows, starts what can be started.
//!
//! Nothing here waits for one thing alone. Connecting, asking for metadata or for a producer id, and
//! every produce request are futures in one set, so a broker that does not answer holds up its own
//! partitions and no others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;

use env::entropy::ChaCha8Rng;
use env::{Clock, Either3, Entropy, Env, race3};
use futures_util::stream::{FuturesUnordered, StreamExt};
use protocol::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::{
    InitProducerIdRequest, InitProducerIdResponse, MetadataResponse, ProduceRequest,
    ProduceResponse, Records, Request, Str,
};
use tokio::sync::{mpsc, oneshot};
use types::{ErrorCode, Mono, Offset, ProducerId, TimestampMs, Uuid};

use super::partitioner::{Sticky, partition_of_key};
use super::queues::{Failed, Queues};
use super::{Accepted, Acks, Command, ProducerOptions};
use crate::cluster::{Topics, metadata_request, pause_ms, rotate};
use crate::connection::Connection;
use crate::metadata::{Metadata, TopicPartition};
use crate::options::ClientOptions;
use crate::{Error, Outcome, Result};

/// Commands taken before something is sent.
const COMMANDS_AT_ONCE: usize = 1024;

type Work<E> = Pin<Box<dyn Future<Output = Event<E>> + Send>>;

enum Event<E: Env> {
    Connected(i32, Result<Connection<E>>),
    Metadata(Result<(Connection<E>, MetadataResponse)>),
    Identity(Result<(Connection<E>, InitProducerIdResponse)>),
    Produced(Sent, Result<ProduceResponse>),
}

/// A produce request in flight.
struct Sent {
    node: i32,
    batches: BTreeMap<TopicPartition, u64>,
    names: BTreeMap<Uuid, Str>,
}

/// Something that is asked for, once at a time and with pauses after failures.
#[derive(Debug, Default)]
struct Asking {
    under_way: bool,
    tries: u32,
    not_before: Mono,
}

impl Asking {
    fn may_start(&self, now: Mono) -> bool {
        !self.under_way && now >= self.not_before
    }
}

struct Broker<E: Env> {
    connection: Option<Connection<E>>,
    connecting: Asking,
    in_flight: usize,
}

impl<E: Env> Default for Broker<E> {
    fn default() -> Self {
        Broker {
            connection: None,
            connecting: Asking::default(),
            in_flight: 0,
        }
    }
}

pub(super) struct Sender<E: Env> {
    env: E,
    client: ClientOptions,
    options: ProducerOptions,
    inbox: mpsc::Receiver<Command>,
    inbox_closed: bool,
    work: FuturesUnordered<Work<E>>,
    metadata: Metadata,
    metadata_asking: Asking,
    metadata_wanted: bool,
    identity_asking: Asking,
    /// Why this producer can never send.
    fatal: Option<Error>,
    queues: Queues,
    sticky: Sticky,
    /// Records of topics of which too little is known.
    unplaced: BTreeMap<Str, VecDeque<Accepted>>,
    unplaced_count: usize,
    brokers: BTreeMap<i32, Broker<E>>,
    spare: Option<Connection<E>>,
    flushes: Vec<oneshot::Sender<()>>,
    rng: ChaCha8Rng,
}

impl<E: Env> Sender<E> {
    pub fn new(
        env: &E,
        client: ClientOptions,
        options: ProducerOptions,
        inbox: mpsc::Receiver<Command>,
    ) -> Sender<E> {
        let id = types::mutants::hash(&client.client_id);
        Sender {
            env: env.clone(),
            inbox,
            inbox_closed: false,
            work: FuturesUnordered::new(),
            metadata: Metadata::default(),
            metadata_asking: Asking::default(),
            metadata_wanted: true,
            identity_asking: Asking::default(),
            fatal: None,
            queues: Queues::new(options.clone()),
            sticky: Sticky::new(
                env.entropy().stream("producer partitions", id),
                options.batch_bytes,
            ),
            unplaced: BTreeMap::new(),
            unplaced_count: 0,
            brokers: BTreeMap::new(),
            spare: None,
            flushes: Vec::new(),
            rng: env.entropy().stream("producer backoff", id),
            client,
            options,
        }
    }

    fn now(&self) -> Mono {
        self.env.clock().mono()
    }

    pub async fn run(mut self) {
        loop {
            self.start_work();
            let idle = self.unplaced_count == 0 && self.queues.pending() == 0;
            if idle {
                for done in self.flushes.drain(..) {
                    // Whoever flushed may have stopped waiting.
                    let _ = done.send(());
                }
                if self.inbox_closed {
                    return;
                }
            }
            self.take_event().await;
        }
    }

    async fn take_event(&mut self) {
        let wake = self.wake();
        let Sender {
            env, inbox, work, ..
        } = self;
        let inbox_closed = self.inbox_closed;
        let command = async {
            if inbox_closed {
                std::future::pending().await
            } else {
                inbox.recv().await
            }
        };
        let event = async {
            match work.next().await {
                Some(event) => event,
                None => std::future::pending().await,
            }
        };
        let timer = async {
            match wake {
                Some(at) => env.clock().sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        match race3(event, command, timer).await {
            Either3::First(event) => self.on_event(event),
            Either3::Second(Some(command)) => {
                self.on_command(command);
                for _ in 1..COMMANDS_AT_ONCE {
                    match self.inbox.try_recv() {
                        Ok(command) => self.on_command(command),
                        Err(_) => break,
                    }
                }
            }
            Either3::Second(None) => self.inbox_closed = true,
            Either3::Third(()) => {}
        }
    }

    /// When to look again although nothing came in.
    fn wake(&self) -> Option<Mono> {
        let now = self.now();
        let mut wakes: Vec<Mono> = self.queues.wake(now).into_iter().collect();
        for records in self.unplaced.values() {
            wakes.extend(records.front().map(|r| self.place_deadline(r)));
        }
        let asking = [&self.metadata_asking, &self.identity_asking];
        let connecting = self.brokers.values().map(|b| &b.connecting);
        for asking in asking.into_iter().chain(connecting) {
            if !asking.under_way && asking.not_before > now {
                wakes.push(asking.not_before);
            }
        }
        wakes.into_iter().min()
    }

    /// How long a record waits for its topic to be known.
    fn place_deadline(&self, record: &Accepted) -> Mono {
        let wait = self.client.timeout.min(self.options.delivery_timeout);
        record.at.after(wait)
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Flush(done) => self.flushes.push(done),
            Command::Record(record) => {
                if let Some(error) = &self.fatal {
                    record.waiter.fail(Outcome::NotDone, error.clone());
                    return;
                }
                let topic = record.record.topic.clone();
                let Some(record) = self.place(record, false) else {
                    return;
                };
                self.metadata_wanted = true;
                self.unplaced_count += 1;
                self.unplaced.entry(topic).or_default().push_back(record);
            }
        }
    }

    /// Gives a record its partition. Returns it if too little is known of its topic. With `answered`
    /// the metadata are fresh, and what they lack does not exist.
    fn place(&mut self, record: Accepted, answered: bool) -> Option<Accepted> {
        let name = &record.record.topic;
        // Those that came before must be placed before.
        if !answered && self.unplaced.contains_key(name) {
            return Some(record);
        }
        let Some(topic) = self
            .metadata
            .topic(name)
            .filter(|t| !t.partitions.is_empty())
        else {
            if let Some(code) = self.metadata.topic_error(name)
                && answered
                && !code.is_retriable()
            {
                let error = Error::server(code);
                record.waiter.fail(Outcome::NotDone, error);
                return None;
            }
            return Some(record);
        };
        let partition = match (record.record.partition, &record.record.key) {
            (Some(partition), _) if topic.partitions.contains_key(&partition) => partition,
            (Some(partition), _) if answered => {
                let at = TopicPartition::new(name.clone(), partition);
                let error = self.metadata.leader(&at).err();
                let unknown = || Error::server(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                let error = error.unwrap_or_else(unknown);
                record.waiter.fail(Outcome::NotDone, error);
                return None;
            }
            (Some(_), _) => return Some(record),
            (None, Some(key)) => {
                let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                partition_of_key(key, count)
            }
            (None, None) => self.sticky.choose(topic, record.record.bytes()),
        };
        let at = TopicPartition::new(name.clone(), partition);
        let Accepted {
            record,
            timestamp,
            waiter,
            at: accepted,
        } = record;
        let now = self.env.clock().mono();
        let queues = &mut self.queues;
        queues.push(&at, &record, timestamp, waiter, accepted, now);
        None
    }

    fn place_all(&mut self) {
        for (topic, records) in std::mem::take(&mut self.unplaced) {
            self.unplaced_count -= records.len();
            let mut left = VecDeque::new();
            for record in records {
                left.extend(self.place(record, true));
            }
            if !left.is_empty() {
                self.unplaced_count += left.len();
                self.metadata_wanted = true;
                self.unplaced.insert(topic, left);
            }
        }
    }

    fn on_event(&mut self, event: Event<E>) {
        let now = self.now();
        match event {
            Event::Connected(node, result) => {
                let broker = self.brokers.entry(node).or_default();
                settle(
                    &mut broker.connecting,
                    &result,
                    now,
                    &self.client,
                    &mut self.rng,
                );
                match result {
                    Ok(connection) => broker.connection = Some(connection),
                    Err(error) => {
                        tracing::debug!(node, %error, "cannot connect");
                        self.metadata_wanted = true;
                    }
                }
            }
            Event::Metadata(result) => {
                let result = result.and_then(|(connection, response)| {
                    self.spare = Some(connection);
                    self.metadata.apply(&response, false, now)
                });
                let asking = &mut self.metadata_asking;
                settle(asking, &result, now, &self.client, &mut self.rng);
                match result {
                    Ok(()) => {
                        self.metadata_wanted = false;
                        self.place_all();
                        if self.metadata_wanted {
                            // A topic is not there yet: do not ask again at once.
                            self.metadata_asking
                                .postpone(now, &self.client, &mut self.rng);
                        } else {
                            self.metadata_asking.tries = 0;
                        }
                        self.fail_refused();
                    }
                    Err(error) => {
                        tracing::debug!(%error, "no metadata");
                        if !error.is_retriable() {
                            self.fail_unplaced(&error);
                        }
                    }
                }
            }
            Event::Identity(result) => {
                let result = result.and_then(|(connection, response)| {
                    self.spare = Some(connection);
                    Error::check(response.error_code, None)?;
                    Ok(ProducerId(response.producer_id))
                });
                let asking = &mut self.identity_asking;
                settle(asking, &result, now, &self.client, &mut self.rng);
                match result {
                    Ok(id) => self.queues.set_identity(id),
                    Err(error) if error.is_retriable() => {
                        tracing::debug!(%error, "no producer id");
                    }
                    Err(error) => {
                        self.queues.fail_waiting(None, &error);
                        self.fail_unplaced(&error);
                        self.fatal = Some(error);
                    }
                }
            }
            Event::Produced(sent, result) => {
                if let Some(broker) = self.brokers.get_mut(&sent.node) {
                    broker.in_flight -= 1;
                    if result.is_ok() {
                        broker.connecting.tries = 0;
                    }
                }
                self.on_produced(sent, result);
            }
        }
    }

    /// Fails the records of topics that metadata say this client may not write to.
    fn fail_refused(&mut self) {
        let topics: BTreeSet<Str> = self
            .queues
            .partitions()
            .map(|at| at.topic.clone())
            .collect();
        for topic in topics {
            if let Some(code) = self.metadata.topic_error(&topic)
                && !code.is_retriable()
            {
                self.queues.fail_waiting(Some(&topic), &Error::server(code));
            }
        }
    }

    fn fail_unplaced(&mut self, error: &Error) {
        self.unplaced_count = 0;
        for record in std::mem::take(&mut self.unplaced).into_values().flatten() {
            record.waiter.fail(Outcome::NotDone, error.clone());
        }
    }

    fn on_produced(&mut self, mut sent: Sent, result: Result<ProduceResponse>) {
        match result {
            Err(error) => {
                for (at, number) in sent.batches {
                    self.batch_failed(&at, number, error.clone());
                }
            }
            Ok(response) => {
                for node in &response.node_endpoints {
                    if let Ok(port) = u16::try_from(node.port) {
                        let (id, rack) = (node.node_id, node.rack.as_deref());
                        self.metadata.set_node(id, &node.host, port, rack);
                    }
                }
                for topic in response.responses {
                    let name = match sent.names.get(&topic.topic_id) {
                        Some(name) if topic.name.is_empty() => name.clone(),
                        _ => topic.name.detached(),
                    };
                    for p in topic.partition_responses {
                        let at = TopicPartition::new(name.clone(), p.index);
                        let Some(number) = sent.batches.remove(&at) else {
                            continue;
                        };
                        let checked = Error::check(p.error_code, p.error_message.as_deref());
                        let Err(error) = checked else {
                            let offset = (p.base_offset >= 0).then_some(Offset(p.base_offset));
                            let time = (p.log_append_time_ms >= 0)
                                .then_some(TimestampMs(p.log_append_time_ms));
                            self.queues.succeeded(&at, number, offset, time);
                            continue;
                        };
                        let hint = p.current_leader;
                        let metadata = &mut self.metadata;
                        if metadata.set_leader(&at, hint.leader_id, hint.leader_epoch) {
                            tracing::debug!(%at, hint.leader_id, "the leader moved");
                        }
                        self.batch_failed(&at, number, error);
                    }
                }
                for (at, number) in sent.batches {
                    let error = Error::protocol("the leader", "it left out a partition");
                    self.batch_failed(&at, number, error);
                }
            }
        }
    }

    fn batch_failed(&mut self, at: &TopicPartition, number: u64, error: Error) {
        tracing::debug!(%at, number, %error, "a batch was not written");
        self.metadata_wanted |= error.wants_metadata();
        let now = self.env.clock().mono();
        let (client, rng) = (&self.client, &mut self.rng);
        let pause = |tries| pause_ms(client, tries, rng);
        if self.queues.failed(at, number, error, now, pause) == Failed::ForGood {
            tracing::debug!(%at, number, "gave up a batch");
        }
    }

    /// Starts whatever can be started.
    fn start_work(&mut self) {
        let now = self.now();
        self.queues.expire(now);
        self.expire_unplaced(now);
        self.produce(now);
        self.ask_identity(now);
        self.ask_metadata(now);
    }

    fn expire_unplaced(&mut self, now: Mono) {
        let mut unplaced = std::mem::take(&mut self.unplaced);
        for (topic, records) in &mut unplaced {
            while records
                .front()
                .is_some_and(|r| self.place_deadline(r) <= now)
            {
                let Some(record) = records.pop_front() else {
                    break;
                };
                self.unplaced_count -= 1;
                let late = Error::timeout(format!("metadata of topic {}", topic.as_str()), false);
                let error = match self.metadata.topic_error(topic) {
                    Some(code) => Error::server(code),
                    None => late,
                };
                record.waiter.fail(Outcome::NotDone, error);
            }
        }
        unplaced.retain(|_, records| !records.is_empty());
        self.unplaced = unplaced;
    }

    fn produce(&mut self, now: Mono) {
        let flush = !self.flushes.is_empty() || self.inbox_closed;
        loop {
            let mut by_leader: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
            for at in self.queues.sendable(now, flush) {
                match self.metadata.leader(&at) {
                    Ok((leader, _)) => by_leader.entry(leader).or_default().push(at),
                    Err(_) => self.metadata_wanted = true,
                }
            }
            let mut progress = false;
            for (node, partitions) in by_leader {
                if self.connected(node, now) {
                    progress |= self.produce_to(node, &partitions);
                }
            }
            if !progress {
                return;
            }
        }
    }

    /// Whether a request may be sent to `node` now; starts to connect if there is no connection.
    fn connected(&mut self, node: i32, now: Mono) -> bool {
        let broker = self.brokers.entry(node).or_default();
        if let Some(connection) = &broker.connection {
            if !connection.is_closed() {
                return broker.in_flight < self.options.in_flight_max;
            }
            broker.connection = None;
        }
        // What is in flight on the connection that broke comes back first.
        if broker.in_flight > 0 || !broker.connecting.may_start(now) {
            return false;
        }
        let Some(address) = self.metadata.node(node) else {
            self.metadata_wanted = true;
            return false;
        };
        broker.connecting.under_way = true;
        let (env, options) = (self.env.clone(), self.client.clone());
        let (host, port) = (address.host.clone(), address.port);
        let deadline = now.after(options.connect_timeout);
        self.work.push(Box::pin(async move {
            let connect = Connection::connect(&env, &options, &host, port, deadline);
            Event::Connected(node, connect.await)
        }));
        false
    }

    /// Sends one request to a connected broker. Returns whether there was one to send.
    fn produce_to(&mut self, node: i32, partitions: &[TopicPartition]) -> bool {
        let Some(connection) = self.brokers.get(&node).and_then(|b| b.connection.clone()) else {
            return false;
        };
        let mut topics: BTreeMap<Str, TopicProduceData> = BTreeMap::new();
        let mut sent = Sent {
            node,
            batches: BTreeMap::new(),
            names: BTreeMap::new(),
        };
        let mut bytes = 0;
        for at in partitions {
            let size = self.queues.next_size(at);
            if bytes > 0 && bytes + size > self.options.request_bytes_max {
                continue;
            }
            let Some(outgoing) = self.queues.start(at, node) else {
                continue;
            };
            bytes += outgoing.bytes.len();
            let id = self.metadata.topic(&at.topic).map_or(Uuid::ZERO, |t| t.id);
            let topic = topics
                .entry(at.topic.clone())
                .or_insert_with(|| TopicProduceData {
                    name: at.topic.clone(),
                    topic_id: id,
                    partition_data: Vec::new(),
                });
            topic.partition_data.push(PartitionProduceData {
                index: at.partition,
                records: Some(Records::from(outgoing.bytes)),
            });
            sent.names.insert(id, at.topic.clone());
            sent.batches.insert(at.clone(), outgoing.number);
        }
        if sent.batches.is_empty() {
            return false;
        }
        // Version 13 names topics by id alone.
        let version_max = if sent.names.contains_key(&Uuid::ZERO) {
            12
        } else {
            i16::MAX
        };
        let timeout = self.client.request_timeout;
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.options.acks as i16,
            // The broker is to give up before this side does.
            timeout_ms: i32::try_from((timeout * 4 / 5).as_millis()).unwrap_or(i32::MAX),
            topic_data: topics.into_values().collect(),
        };
        let version = connection.version::<ProduceRequest>(3, version_max);
        if self.options.acks == Acks::None {
            let result = version.and_then(|v| connection.send_unanswered(&request, v));
            for (at, number) in sent.batches {
                match &result {
                    Ok(()) => self.queues.succeeded(&at, number, None, None),
                    Err(error) => self.batch_failed(&at, number, error.clone()),
                }
            }
            return true;
        }
        match version.and_then(|v| connection.send(&request, v)) {
            Ok(pending) => {
                let deadline = self.now().after(timeout);
                if let Some(broker) = self.brokers.get_mut(&node) {
                    broker.in_flight += 1;
                }
                self.work.push(Box::pin(async move {
                    let result = pending.answer(deadline).await;
                    Event::Produced(sent, result)
                }));
            }
            Err(error) => {
                for (at, number) in sent.batches {
                    self.batch_failed(&at, number, error.clone());
                }
            }
        }
        true
    }

    fn ask_identity(&mut self, now: Mono) {
        if !self.queues.wants_identity() || self.fatal.is_some() {
            return;
        }
        if !self.identity_asking.may_start(now) {
            return;
        }
        self.identity_asking.under_way = true;
        let build = |_| InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..InitProducerIdRequest::default()
        };
        let asked = self.ask_any::<InitProducerIdRequest>(build);
        self.work
            .push(Box::pin(async move { Event::Identity(asked.await) }));
    }

    fn ask_metadata(&mut self, now: Mono) {
        let busy = self.unplaced_count > 0 || self.queues.pending() > 0;
        let age = self.metadata.updated().map(|at| now.since(at));
        let old = age.is_none_or(|age| age > self.client.metadata_max_age);
        if !busy || !(self.metadata_wanted || old) || !self.metadata_asking.may_start(now) {
            return;
        }
        self.metadata_asking.under_way = true;
        let in_use = self.queues.partitions().map(|at| at.topic.clone());
        let topics: BTreeSet<Str> = in_use.chain(self.unplaced.keys().cloned()).collect();
        let topics: Vec<Str> = topics.into_iter().collect();
        let allow = self.options.allow_auto_create;
        let build = move |version| metadata_request(Topics::Named(&topics), allow, version);
        let asked = self.ask_any::<protocol::MetadataRequest>(build);
        self.work
            .push(Box::pin(async move { Event::Metadata(asked.await) }));
    }

    /// Asks the first broker that answers: one to which there is a connection, else those known, else
    /// the bootstrap list.
    fn ask_any<R: Request>(
        &mut self,
        build: impl Fn(i16) -> R + Send + Sync + 'static,
    ) -> impl Future<Output = Result<(Connection<E>, R::Response)>> + Send + 'static
    where
        R::Response: Send,
    {
        let connections = self.brokers.values().filter_map(|b| b.connection.as_ref());
        let mut open = connections.chain(&self.spare).filter(|c| !c.is_closed());
        let open = open.next().cloned();
        let mut addresses: Vec<(String, u16)> = self
            .metadata
            .nodes()
            .map(|n| (n.host.clone(), n.port))
            .collect();
        rotate(&mut addresses, &mut self.rng);
        let mut bootstrap = self.client.bootstrap.clone();
        rotate(&mut bootstrap, &mut self.rng);
        addresses.extend(bootstrap);
        let (env, options) = (self.env.clone(), self.client.clone());
        async move {
            let deadline = |env: &E| env.clock().mono().after(options.request_timeout);
            if let Some(connection) = open {
                let answer = connection.call(&build, deadline(&env)).await;
                match answer {
                    Err(error) if error.is_connection() => {}
                    other => return other.map(|answer| (connection, answer)),
                }
            }
            let mut failed = Error::Invalid("no bootstrap address".to_owned());
            for (host, port) in addresses {
                let connect = Connection::connect(&env, &options, &host, port, deadline(&env));
                let answer = match connect.await {
                    Ok(connection) => {
                        let answer = connection.call(&build, deadline(&env)).await;
                        answer.map(|answer| (connection, answer))
                    }
                    Err(error) => Err(error),
                };
                match answer {
                    Err(error) if error.is_connection() => failed = error,
                    other => return other,
                }
            }
            Err(failed)
        }
    }
}

impl Asking {
    fn postpone(&mut self, now: Mono, options: &ClientOptions, rng: &mut ChaCha8Rng) {
        self.not_before = now.after_ms(pause_ms(options, self.tries, rng));
        self.tries += 1;
    }
}

/// Something that was asked for was answered, or not.
fn settle<T>(
    asking: &mut Asking,
    result: &Result<T>,
    now: Mono,
    options: &ClientOptions,
    rng: &mut ChaCha8Rng,
) {
    asking.under_way = false;
    match result {
        // However often it is wanted, it is asked for only so often.
        Ok(_) => asking.not_before = now.after(options.backoff),
        Err(_) => asking.postpone(now, options, rng),
    }
}

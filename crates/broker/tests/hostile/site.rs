//! A broker on one machine, clients on another, and the bytes between them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::{BrokerConfig, Limits, ListenerConfig, Node};
use bytes::{Buf, Bytes};
use env::{Clock, Connection, Either, Env, Network, OpenMode, race};
use protocol::create_topics_request::CreatableTopic;
use protocol::fetch_request::{FetchPartition, FetchTopic};
use protocol::metadata_request::MetadataRequestTopic;
use protocol::{CreateTopicsRequest, FetchRequest, MetadataRequest, Request, Str};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use types::BrokerId;
use world::network::SimConnection;
use world::{NodeId, Profile, SimEnv, World};

use crate::machine::{Descriptors, Machine, machine};

/// The port that clients use unless they say otherwise.
pub const PORT: u16 = 9092;
/// That of the second listener.
pub const OTHER_PORT: u16 = 9093;

type Running = Arc<Mutex<Option<Node<Machine>>>>;

/// The machines.
pub struct Site {
    world: World,
    broker: NodeId,
    client: NodeId,
    node: Running,
    /// Files that the broker has open.
    pub descriptors: Arc<Descriptors>,
}

/// Limits as in production, but for room: the world's memory is this machine's.
pub fn limits() -> Limits {
    Limits {
        disk_reserve_bytes: 1 << 20,
        ..Limits::default()
    }
}

impl Site {
    /// A broker that serves, with these limits and settings.
    pub fn new(limits: Limits, settings: &[(&str, &str)]) -> Site {
        Site::with(Profile::calm(), limits, settings)
    }

    /// The same in another world.
    pub fn with(profile: Profile, limits: Limits, settings: &[(&str, &str)]) -> Site {
        let listener = |port| ListenerConfig {
            name: format!("PLAINTEXT{port}"),
            host: "0.0.0.0".to_owned(),
            port,
            advertised: Some(("broker".to_owned(), port)),
        };
        let settings = settings.iter();
        let config = BrokerConfig {
            node_id: BrokerId(1),
            rack: None,
            listeners: vec![listener(PORT), listener(OTHER_PORT)],
            cluster_id: None,
            log_dir: "/data".into(),
            shards: 2,
            open_mode: OpenMode::Buffered,
            limits,
            static_configs: settings
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let mut world = World::new(1, profile);
        let node = Running::default();
        let running = node.clone();
        let descriptors = Descriptors::unlimited();
        let files = descriptors.clone();
        let broker = world.start_node("broker", move |env| {
            let (config, running) = (config.clone(), running.clone());
            let machine = machine(env, files.clone());
            async move {
                let node = Node::start(machine, config).await.expect("it starts");
                *running.lock().unwrap() = Some(node);
                std::future::pending().await
            }
        });
        let client = world.start_node("client", |_| std::future::pending());
        let mut site = Site {
            world,
            broker,
            client,
            node,
            descriptors,
        };
        site.wait_until_it_serves();
        site
    }

    /// Runs a client until it is done.
    pub fn client<F, T>(&mut self, body: impl FnOnce(SimEnv) -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let future = body(self.world.env(self.client));
        self.world
            .block_on(self.client, future)
            .expect("a clean run")
    }

    /// How often something was refused for this reason.
    pub fn refused(&self, reason: &str) -> u64 {
        let node = self.node.lock().unwrap();
        let totals = node.as_ref().expect("it serves").rejections();
        let total = totals.iter().find(|(label, _)| *label == reason);
        total.map_or(0, |(_, total)| *total)
    }

    /// Nothing but this was refused, and so often.
    pub fn refused_only(&self, reason: &'static str, times: u64) {
        let node = self.node.lock().unwrap();
        let totals = node.as_ref().expect("it serves").rejections();
        assert_eq!(totals, [(reason, times)]);
    }

    /// Nothing completes on the broker's disk for so long.
    pub fn stall_disk(&mut self, ms: u64) {
        self.world.stall_disk(self.broker, ms * 1_000_000);
    }

    /// Kills the broker's process and starts another.
    pub fn kill_and_start(&mut self) {
        self.world.kill(self.broker);
        self.node.lock().unwrap().take();
        self.world.start(self.broker);
        self.wait_until_it_serves();
    }

    fn wait_until_it_serves(&mut self) {
        let node = self.node.clone();
        let limit = Duration::from_secs(60);
        let serves = move |_: &mut World| node.lock().unwrap().is_some();
        self.world.run_until(limit, serves).expect("it serves");
    }
}

type Reader = <SimConnection as Connection>::Reader;
type Writer = <SimConnection as Connection>::Writer;

/// A client's end of a connection.
pub struct Wire {
    pub env: SimEnv,
    reader: Reader,
    writer: Writer,
}

/// The receiving half of a client's end.
pub struct Receiving(Reader);

impl Receiving {
    /// Takes so many bytes; gives whether there are any.
    pub async fn takes(&mut self, bytes: usize) -> bool {
        let mut buffer = vec![0; bytes];
        matches!(self.0.read(&mut buffer).await, Ok(read) if read > 0)
    }
}

impl Receiving {
    /// The same, if they come within `ms`.
    pub async fn takes_within(&mut self, env: &SimEnv, bytes: usize, ms: i64) -> bool {
        let until = env.clock().sleep_until(env.clock().mono().after_ms(ms));
        match race(self.takes(bytes), until).await {
            Either::First(any) => any,
            Either::Second(()) => false,
        }
    }
}

/// The sending half.
pub struct Sending(Writer);

impl Sending {
    /// Sends bytes; gives whether the broker still takes them.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok() && self.0.flush().await.is_ok()
    }
}

/// What a broker did within some time.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer, without its size.
    Frame(Bytes),
    /// It hung up.
    Closed,
    /// Nothing.
    Nothing,
}

impl Wire {
    /// Makes a topic.
    pub async fn create(&mut self, topic: &Str, num_partitions: i32) {
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.clone(),
                num_partitions,
                replication_factor: 1,
                ..Default::default()
            }],
            timeout_ms: 10_000,
            ..Default::default()
        };
        let answer = self.ask(&request, 7, 60_000).await.expect("an answer");
        assert_eq!(answer.topics[0].error_code, 0);
    }

    /// Connects.
    pub async fn to(env: &SimEnv, port: u16) -> Wire {
        let connection = env
            .network()
            .connect("broker", port)
            .await
            .expect("it listens");
        let (reader, writer) = connection.split();
        Wire {
            env: env.clone(),
            reader,
            writer,
        }
    }

    /// Connects to the port that clients use.
    pub async fn connect(env: &SimEnv) -> Wire {
        Wire::to(env, PORT).await
    }

    /// Sends bytes; gives whether the broker still takes them.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.writer.write_all(bytes).await.is_ok() && self.writer.flush().await.is_ok()
    }

    /// Sends no more.
    pub async fn finish(&mut self) {
        self.writer.shutdown().await.expect("it can be shut down");
    }

    /// What comes within `ms`.
    pub async fn hear(&mut self, ms: i64) -> Heard {
        let until = self.env.clock().mono().after_ms(ms);
        let reader = &mut self.reader;
        let frame = async move {
            let mut size = [0; 4];
            if reader.read_exact(&mut size).await.is_err() {
                return Heard::Closed;
            }
            let mut frame = vec![0; (&size[..]).get_u32() as usize];
            match reader.read_exact(&mut frame).await {
                Ok(_) => Heard::Frame(frame.into()),
                Err(_) => Heard::Closed,
            }
        };
        match race(frame, self.env.clock().sleep_until(until)).await {
            Either::First(heard) => heard,
            Either::Second(()) => Heard::Nothing,
        }
    }

    /// How long it takes until the broker hangs up, in milliseconds, if it does within `ms`.
    pub async fn closed_after(&mut self, ms: i64) -> Option<i64> {
        let start = self.env.clock().mono();
        match self.hear(ms).await {
            Heard::Closed => {
                let took = self.env.clock().mono().since(start);
                Some(i64::try_from(took.as_millis()).unwrap())
            }
            Heard::Nothing => None,
            Heard::Frame(frame) => panic!("an answer of {} bytes", frame.len()),
        }
    }

    /// Asks, and gives the answer if one comes within `ms`.
    pub async fn ask<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        ms: i64,
    ) -> Option<R::Response> {
        self.send(&frame(request, version)).await;
        self.answer::<R>(version, ms).await
    }

    /// The answer to what was sent before.
    pub async fn answer<R: Request>(&mut self, version: i16, ms: i64) -> Option<R::Response> {
        let Heard::Frame(frame) = self.hear(ms).await else {
            return None;
        };
        let (_, response) = protocol::decode_response::<R>(frame, version).expect("an answer");
        Some(response)
    }

    /// The two halves.
    pub fn split(self) -> (Receiving, Sending) {
        (Receiving(self.reader), Sending(self.writer))
    }

    /// Lets time pass.
    pub async fn pause(&self, ms: i64) {
        pause(&self.env, ms).await;
    }
}

/// Lets time pass.
pub async fn pause(env: &SimEnv, ms: i64) {
    env.clock()
        .sleep_until(env.clock().mono().after_ms(ms))
        .await;
}

/// A request as it goes over the wire.
pub fn frame<R: Request>(request: &R, version: i16) -> Vec<u8> {
    let chunks = protocol::encode_request(7, Some("test"), request, version).expect("it encodes");
    chunks.concat()
}

/// Asks for a topic, and makes it.
pub fn make(topic: &Str) -> MetadataRequest {
    MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.clone()),
            ..Default::default()
        }]),
        ..Default::default()
    }
}

/// Waits for the first record of a topic, for so long.
pub fn await_a_record(topic: &Str, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        topics: vec![FetchTopic {
            topic: topic.clone(),
            partitions: vec![FetchPartition {
                partition_max_bytes: 1000,
                ..Default::default()
            }],
            ..Default::default()
        }],
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1000,
        session_epoch: -1,
        ..Default::default()
    }
}

/// The first eight bytes of a request that will be `size` bytes long.
pub fn announce(size: u32, key: i16, version: i16) -> Vec<u8> {
    [
        &size.to_be_bytes()[..],
        &key.to_be_bytes(),
        &version.to_be_bytes(),
    ]
    .concat()
}

/// The head of a request with an old header, and nothing of its body.
pub fn head(size: u32, key: i16, version: i16) -> Vec<u8> {
    let mut bytes = announce(size, key, version);
    bytes.extend_from_slice(&[0, 0, 0, 7, 0, 4]);
    bytes.extend_from_slice(b"test");
    bytes
}

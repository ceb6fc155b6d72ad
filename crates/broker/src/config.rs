//! What a node is told when it starts. Nothing here changes while it runs; what may change is in the
//! metadata image.

use std::collections::BTreeMap;
use std::path::PathBuf;

use env::OpenMode;
use types::{BrokerId, ClusterId};

/// A socket to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The listener's name, `PLAINTEXT` by default.
    pub name: String,
    /// Host to bind; empty for every address of the machine.
    pub host: String,
    /// Port to bind; 0 takes a free one.
    pub port: u16,
    /// What clients are told to connect to. `None`: the address that each client used to get here.
    pub advertised: Option<(String, u16)>,
}

/// Limits against clients that ask for too much, by mistake or by intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame of any API, in bytes (`socket.request.max.bytes`).
    pub request_bytes_max: usize,
    /// Bytes of requests being served at one time, over all connections (`queued.max.request.bytes`).
    pub queued_request_bytes_max: usize,
    /// Connections at one time (`max.connections`).
    pub connections_max: usize,
    /// Connections at one time from one address (`max.connections.per.ip`).
    pub connections_per_ip_max: usize,
    /// Idle time after which a connection is closed (`connections.max.idle.ms`).
    pub connection_idle_ms_max: i64,
    /// Requests of one connection that are read before the first of them is answered.
    pub in_flight_max: usize,
    /// Most bytes in one fetch answer (`fetch.max.bytes`).
    pub fetch_bytes_max: usize,
    /// Fetch sessions at one time (`max.incremental.fetch.session.cache.slots`).
    pub fetch_sessions_max: usize,
    /// Partitions in the cluster from which on no topic is made on first use. Topics that are asked for by
    /// CreateTopics are made all the same.
    pub auto_create_partitions_max: usize,
    /// Bytes a batch may unpack to (`max.decompressed.message.bytes`).
    pub decompressed_bytes_max: usize,
    /// Disk space that is kept back and given up when the disk is full: then produce is refused and everything
    /// else goes on in it (`ottla.disk.reserve.bytes`).
    pub disk_reserve_bytes: u64,
    /// Largest segment, whatever a topic's settings say. Kafka lets no topic have small ones; tests of
    /// what happens between segments want them.
    pub segment_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            request_bytes_max: 100 * 1024 * 1024,
            queued_request_bytes_max: 512 * 1024 * 1024,
            connections_max: 10_000,
            connections_per_ip_max: usize::MAX,
            connection_idle_ms_max: 600_000,
            in_flight_max: 64,
            fetch_bytes_max: 55 * 1024 * 1024,
            fetch_sessions_max: 1000,
            auto_create_partitions_max: 10_000,
            decompressed_bytes_max: 128 * 1024 * 1024,
            disk_reserve_bytes: 64 * 1024 * 1024,
            segment_bytes_max: u32::MAX,
        }
    }
}

/// A node's configuration.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// This node's id (`node.id`).
    pub node_id: BrokerId,
    /// Rack of this node (`broker.rack`).
    pub rack: Option<String>,
    /// Where it listens.
    pub listeners: Vec<ListenerConfig>,
    /// The cluster that this node belongs to, if it was told; otherwise what its directory says, or a
    /// new one.
    pub cluster_id: Option<ClusterId>,
    /// Where its data lie (`log.dirs`).
    pub log_dir: PathBuf,
    /// Tasks that own partitions. One for each core does well.
    pub shards: usize,
    /// How logs reach the disk.
    pub open_mode: OpenMode,
    /// Limits.
    pub limits: Limits,
    /// Keys of `server.properties` as given, which other settings are resolved from.
    pub static_configs: BTreeMap<String, String>,
}

//! One file per API. Each says what it asks of whom; none decides what is committed.

pub(crate) mod alter_configs;
pub(crate) mod api_versions;
mod ask_owners;

pub(crate) mod delete_groups;
pub(crate) mod delete_records;

pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_topic_partitions;
pub(crate) mod describe_transactions;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod group_membership;

pub(crate) mod init_producer_id;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_transactions;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
mod repeats;
pub(crate) mod sasl;
pub(crate) mod topics;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use env::Env;
use protocol::Str;
use types::LeaderEpoch;

use crate::answer::Responder;
use crate::connection::Peer;
use crate::context::Context;
use crate::memory::Held;

/// A request being handled.
pub(crate) struct Call<'a, E: Env> {
    pub context: &'a Arc<Context<E>>,
    pub peer: &'a mut Peer,
    pub client_id: Option<Str>,
    /// The node's memory that its frame holds. It stays until the answer has left, whoever takes it.
    pub held: &'a mut Held,
    pub to: Responder,
}

impl<E: Env> Call<'_, E> {
    /// The host and port that this client is to connect to: what is advertised, or the address it used.
    pub fn endpoint(&self) -> (Str, i32) {
        let listener = &self.context.config.listeners[self.peer.listener];
        match &listener.advertised {
            Some((host, port)) => (Str::from(host.as_str()), i32::from(*port)),
            None => {
                let port = self.context.bound_ports[self.peer.listener];
                (Str::from(self.peer.local.ip().to_string()), i32::from(port))
            }
        }
    }
}

/// Adds `more` to `topics`: what has the key of something that is there is merged into the first of it.
fn extend<T, K: Ord>(
    topics: &mut Vec<T>,
    more: Vec<T>,
    key: impl Fn(&T) -> K,
    merge: impl Fn(&mut T, T),
) {
    let mut places = BTreeMap::new();
    for (place, topic) in topics.iter().enumerate() {
        places.entry(key(topic)).or_insert(place);
    }
    for topic in more {
        match places.entry(key(&topic)) {
            Entry::Occupied(place) => merge(&mut topics[*place.get()], topic),
            Entry::Vacant(place) => {
                place.insert(topics.len());
                topics.push(topic);
            }
        }
    }
}

/// A leader epoch as a client gives it: -1 for not knowing.
pub(crate) fn epoch_if_known(epoch: i32) -> Option<LeaderEpoch> {
    (epoch != -1).then_some(LeaderEpoch(epoch))
}

/// The authorized-operations field of a client that may do everything, or that did not ask.
/// Without an authorizer Kafka answers with every operation that a resource knows.
pub(crate) fn authorized_operations(asked: bool, operations: &[u8]) -> i32 {
    if asked {
        operations.iter().fold(0, |bits, op| bits | 1 << op)
    } else {
        i32::MIN
    }
}

/// Operations by their codes in Kafka's `AclOperation`.
pub(crate) mod operations {
    const READ: u8 = 3;
    const WRITE: u8 = 4;
    const CREATE: u8 = 5;
    const DELETE: u8 = 6;
    const ALTER: u8 = 7;
    const DESCRIBE: u8 = 8;
    const CLUSTER_ACTION: u8 = 9;
    const DESCRIBE_CONFIGS: u8 = 10;
    const ALTER_CONFIGS: u8 = 11;
    const IDEMPOTENT_WRITE: u8 = 12;

    /// What can be done with a topic.
    pub const TOPIC: &[u8] = &[
        READ,
        WRITE,
        CREATE,
        DELETE,
        ALTER,
        DESCRIBE,
        DESCRIBE_CONFIGS,
        ALTER_CONFIGS,
    ];
    /// What can be done with a group.
    pub const GROUP: &[u8] = &[READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS];
    /// What can be done with the cluster.
    pub const CLUSTER: &[u8] = &[
        CREATE,
        ALTER,
        DESCRIBE,
        CLUSTER_ACTION,
        DESCRIBE_CONFIGS,
        ALTER_CONFIGS,
        IDEMPOTENT_WRITE,
    ];
}

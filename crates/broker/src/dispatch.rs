//! From a frame to its handler, and the table of what this node speaks.
//!
//! `ApiVersions` advertises this table and nothing else, so that a client never meets a request that is
//! known but does not work.

use std::sync::Arc;

use bytes::Bytes;
use env::Env;
use protocol::frame::decode_request_header;
use protocol::{ApiKey, Message, Reader};

use crate::answer::{Outcome, Reply, Responder};
use crate::api::{self, Call};
use crate::connection::Peer;
use crate::context::Context;
use crate::memory::Held;
use crate::rejections::{Closing, Reason};

/// An API that this node serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Served {
    pub key: ApiKey,
    /// The versions that are advertised.
    pub min: i16,
    pub max: i16,
    /// Largest frame, in bytes; zero for the node's general limit.
    bytes_max: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const fn served(key: ApiKey, min: i16, max: i16, bytes_max: usize) -> Served {
    Served {
        key,
        min,
        max,
        bytes_max,
    }
}

/// Every API served, by key.
///
/// Produce is advertised from version 0 although 0-2 are refused: librdkafka takes a higher minimum for a
/// broker that is too new for compressed batches (KAFKA-18659).
pub(crate) const SERVED: &[Served] = &[
    served(ApiKey::PRODUCE, 0, 13, 0),
    served(ApiKey::FETCH, 4, 18, 8 * MIB),
    served(ApiKey::LIST_OFFSETS, 1, 11, 8 * MIB),
    served(ApiKey::METADATA, 0, 13, 8 * MIB),
    served(ApiKey::OFFSET_COMMIT, 2, 10, 16 * MIB),
    served(ApiKey::OFFSET_FETCH, 1, 10, 8 * MIB),
    served(ApiKey::FIND_COORDINATOR, 0, 6, MIB),
    served(ApiKey::JOIN_GROUP, 0, 9, 16 * MIB),
    served(ApiKey::HEARTBEAT, 0, 4, 64 * KIB),
    served(ApiKey::LEAVE_GROUP, 0, 5, MIB),
    served(ApiKey::SYNC_GROUP, 0, 5, 0),
    served(ApiKey::DESCRIBE_GROUPS, 0, 6, MIB),
    served(ApiKey::LIST_GROUPS, 0, 5, 64 * KIB),
    served(ApiKey::SASL_HANDSHAKE, 0, 1, 4 * KIB),
    served(ApiKey::API_VERSIONS, 0, 4, 4 * KIB),
    served(ApiKey::CREATE_TOPICS, 2, 7, 8 * MIB),
    served(ApiKey::DELETE_TOPICS, 1, 6, 8 * MIB),
    served(ApiKey::DELETE_RECORDS, 0, 2, 8 * MIB),
    served(ApiKey::INIT_PRODUCER_ID, 0, 5, 64 * KIB),
    served(ApiKey::OFFSET_FOR_LEADER_EPOCH, 2, 4, 8 * MIB),
    served(ApiKey::DESCRIBE_CONFIGS, 1, 4, 8 * MIB),
    served(ApiKey::ALTER_CONFIGS, 0, 2, 8 * MIB),
    served(ApiKey::DESCRIBE_LOG_DIRS, 1, 5, 8 * MIB),
    served(ApiKey::SASL_AUTHENTICATE, 0, 2, 512 * KIB),
    served(ApiKey::CREATE_PARTITIONS, 0, 3, 8 * MIB),
    served(ApiKey::DELETE_GROUPS, 0, 2, MIB),
    served(ApiKey::INCREMENTAL_ALTER_CONFIGS, 0, 1, 8 * MIB),
    served(ApiKey::OFFSET_DELETE, 0, 0, 8 * MIB),
    served(ApiKey::DESCRIBE_CLUSTER, 0, 2, 4 * KIB),
    served(ApiKey::DESCRIBE_PRODUCERS, 0, 0, 8 * MIB),
    served(ApiKey::DESCRIBE_TRANSACTIONS, 0, 0, MIB),
    served(ApiKey::LIST_TRANSACTIONS, 0, 2, 64 * KIB),
    served(ApiKey::LIST_CONFIG_RESOURCES, 0, 1, 64 * KIB),
    served(ApiKey::DESCRIBE_TOPIC_PARTITIONS, 0, 0, 8 * MIB),
];

fn find(key: i16) -> Option<&'static Served> {
    SERVED.iter().find(|served| served.key.0 == key)
}

/// Largest frame that a request with this key may have. An unknown key gets little: it is refused anyway.
pub(crate) fn frame_bytes_max(key: i16, general: usize) -> usize {
    match find(key) {
        Some(Served { bytes_max: 0, .. }) => general,
        Some(served) => served.bytes_max.min(general),
        None => 64 * KIB,
    }
}

fn close(reason: Reason, detail: impl Into<String>) -> Reply {
    Reply::Now(Outcome::Close(Closing::new(reason, detail)))
}

/// Hands a frame (without its size), and what it holds, to its handler. When this returns, the request has its place in
/// every queue it needs.
pub(crate) async fn dispatch<E: Env>(
    context: &Arc<Context<E>>,
    peer: &mut Peer,
    frame: Bytes,
    held: &mut Held,
) -> Reply {
    // Key, version and correlation id come first in every header, whatever its version.
    if frame.len() < 8 {
        return close(Reason::Malformed, "a request is too short for a header");
    }
    let key = ApiKey(i16::from_be_bytes([frame[0], frame[1]]));
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let correlation_id = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
    let to = Responder {
        key,
        version,
        correlation_id,
    };
    let Some(served) = find(key.0) else {
        let detail = format!("API key {} is not served here", key.0);
        return close(Reason::UnknownApi, detail);
    };
    if !(served.min..=served.max).contains(&version) {
        if key == ApiKey::API_VERSIONS {
            return api::api_versions::unsupported(context, to);
        }
        let detail = format!("version {version} of {} is not supported", key.name());
        return close(Reason::UnsupportedVersion, detail);
    }
    if key == ApiKey::PRODUCE && version < 3 {
        let detail = format!("version {version} of Produce is not supported any more");
        return close(Reason::UnsupportedVersion, detail);
    }
    let mut reader = Reader::new(frame);
    let header = match decode_request_header(&mut reader) {
        Ok(header) => header,
        Err(error) => {
            let detail = format!("a header of {}: {error}", key.name());
            return close(Reason::Malformed, detail);
        }
    };
    let call = Call {
        context,
        peer,
        client_id: header.client_id,
        held,
        to,
    };
    route(call, reader).await
}

/// Decodes a body. What follows it is ignored, as Kafka does, counted, and said once to each client's owner.
fn decode<M: Message, E: Env>(call: &mut Call<'_, E>, reader: &mut Reader) -> Result<M, Reply> {
    let (key, version) = (call.to.key, call.to.version);
    match M::decode(reader, version) {
        Ok(request) => {
            let bytes = reader.remaining();
            if bytes > 0 && call.context.rejections.count(Reason::TrailingBytes) {
                let is_first = !std::mem::replace(&mut call.peer.told_trailing_bytes, true);
                if is_first {
                    tracing::warn!(
                        connection = call.peer.id,
                        addr = %call.peer.addr,
                        client_id = call.client_id.as_deref(),
                        api = key.name(),
                        version,
                        bytes,
                        "a client's requests are followed by bytes that belong to nothing"
                    );
                }
            }
            Ok(request)
        }
        Err(error) => {
            let detail = format!("a request of {} version {version}: {error}", key.name());
            Err(close(Reason::Malformed, detail))
        }
    }
}

async fn route<E: Env>(mut call: Call<'_, E>, mut reader: Reader) -> Reply {
    macro_rules! handle {
        ($handler:path) => {
            match decode(&mut call, &mut reader) {
                Ok(request) => $handler(call, request).await,
                Err(refused) => refused,
            }
        };
    }
    match call.to.key {
        ApiKey::PRODUCE => handle!(api::produce::handle),
        ApiKey::FETCH => handle!(api::fetch::handle),
        ApiKey::LIST_OFFSETS => handle!(api::list_offsets::handle),
        ApiKey::METADATA => handle!(api::metadata::handle),
        ApiKey::OFFSET_COMMIT => handle!(api::offset_commit::handle),
        ApiKey::OFFSET_FETCH => handle!(api::offset_fetch::handle),
        ApiKey::FIND_COORDINATOR => handle!(api::find_coordinator::handle),
        ApiKey::JOIN_GROUP => handle!(api::group_membership::join),
        ApiKey::HEARTBEAT => handle!(api::group_membership::heartbeat),
        ApiKey::LEAVE_GROUP => handle!(api::group_membership::leave),
        ApiKey::SYNC_GROUP => handle!(api::group_membership::sync),
        ApiKey::DESCRIBE_GROUPS => handle!(api::describe_groups::handle),
        ApiKey::LIST_GROUPS => handle!(api::list_groups::handle),
        ApiKey::API_VERSIONS => handle!(api::api_versions::handle),
        ApiKey::SASL_HANDSHAKE => handle!(api::sasl::handshake),
        ApiKey::SASL_AUTHENTICATE => handle!(api::sasl::authenticate),
        ApiKey::CREATE_TOPICS => handle!(api::topics::create),
        ApiKey::DELETE_TOPICS => handle!(api::topics::delete),
        ApiKey::CREATE_PARTITIONS => handle!(api::topics::create_partitions),
        ApiKey::DELETE_RECORDS => handle!(api::delete_records::handle),
        ApiKey::INIT_PRODUCER_ID => handle!(api::init_producer_id::handle),
        ApiKey::OFFSET_FOR_LEADER_EPOCH => handle!(api::offset_for_leader_epoch::handle),
        ApiKey::DESCRIBE_CONFIGS => handle!(api::describe_configs::handle),
        ApiKey::ALTER_CONFIGS => handle!(api::alter_configs::replace),
        ApiKey::INCREMENTAL_ALTER_CONFIGS => handle!(api::alter_configs::incremental),
        ApiKey::DESCRIBE_LOG_DIRS => handle!(api::describe_log_dirs::handle),
        ApiKey::DELETE_GROUPS => handle!(api::delete_groups::handle),
        ApiKey::OFFSET_DELETE => handle!(api::offset_delete::handle),
        ApiKey::DESCRIBE_CLUSTER => handle!(api::describe_cluster::handle),
        ApiKey::DESCRIBE_PRODUCERS => handle!(api::describe_producers::handle),
        ApiKey::DESCRIBE_TRANSACTIONS => handle!(api::describe_transactions::handle),
        ApiKey::LIST_TRANSACTIONS => handle!(api::list_transactions::handle),
        ApiKey::LIST_CONFIG_RESOURCES => handle!(api::list_config_resources::handle),
        ApiKey::DESCRIBE_TOPIC_PARTITIONS => handle!(api::describe_topic_partitions::handle),
        // Unreachable as long as this match covers the table above, which a test checks.
        _ => close(
            Reason::Internal,
            format!("{} has no handler", call.to.key.name()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_within_what_the_codec_knows() {
        assert!(SERVED.windows(2).all(|pair| pair[0].key.0 < pair[1].key.0));
        for served in SERVED {
            let info = served.key.info().expect("a known API");
            let (min, max) = info.versions;
            let lowest = if served.key == ApiKey::PRODUCE {
                0
            } else {
                min
            };
            assert!(
                served.min >= lowest && served.max <= max,
                "{}",
                served.key.name()
            );
        }
    }
}

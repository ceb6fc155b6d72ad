//! What the coordinator writes into `__consumer_offsets`, in Kafka's format.
//!
//! Two kinds of record: a group's metadata and one committed offset. Both are keyed, and a tombstone
//! ends them. Written as Kafka 4.3 writes them: group metadata in value version 3, offsets in version
//! 4, or in version 1 when the commit came with a retention time of its own. Read in every version.

use bytes::Bytes;
use protocol::record::{decode_value, encode_key, encode_value};
use protocol::{
    DecodeError, GroupMetadataKey, GroupMetadataValue, Message, OffsetCommitKey, OffsetCommitValue,
    Reader, Str,
};
use state_machine::{KeyValue, LogRecord, RecordError};
use types::{LeaderEpoch, Offset, TimestampMs, Uuid};

const GROUP_METADATA_VERSION: i16 = 3;
const OFFSET_COMMIT_VERSION: i16 = 4;
/// The only version with an expire timestamp.
const OFFSET_COMMIT_VERSION_EXPIRING: i16 = 1;

/// A record of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A group as of its last completed generation; `None` ends it.
    GroupMetadata {
        /// The group.
        group_id: Str,
        /// Its members and their assignment.
        value: Option<GroupMetadata>,
    },
    /// A committed offset; `None` deletes it.
    OffsetCommit {
        /// The group.
        group_id: Str,
        /// The topic's name.
        topic: Str,
        /// The partition's number.
        partition: i32,
        /// What was committed.
        value: Option<OffsetAndMetadata>,
    },
}

/// A group as of its last completed generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `consumer`, `connect`, ...; empty for a group that never had a member.
    pub protocol_type: Str,
    /// The generation.
    pub generation_id: i32,
    /// The protocol that the members agreed on; none in an empty group.
    pub protocol: Option<Str>,
    /// The member id of the leader.
    pub leader: Option<Str>,
    /// When the group came into its state; -1 when written by a broker that did not say.
    pub current_state_timestamp: TimestampMs,
    /// The members, by member id.
    pub members: Vec<MemberMetadata>,
}

/// One member of a completed generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMetadata {
    /// The member.
    pub member_id: Str,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<Str>,
    /// The client's name for itself.
    pub client_id: Str,
    /// Where it connected from.
    pub client_host: Str,
    /// How long a rebalance waits for the member.
    pub rebalance_timeout_ms: i32,
    /// How long the member may stay silent.
    pub session_timeout_ms: i32,
    /// What the member said with the agreed protocol.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next record to be read.
    pub offset: Offset,
    /// Epoch of the last record read, if the client knew it.
    pub leader_epoch: LeaderEpoch,
    /// Whatever the client wants back.
    pub metadata: Str,
    /// When it was committed.
    pub commit_timestamp: TimestampMs,
    /// When it expires, if the commit said so; -1 for the broker's own retention.
    pub expire_timestamp: TimestampMs,
    /// The topic's id; zero if the client named the topic alone.
    pub topic_id: Uuid,
}

impl Record {
    /// An upper bound of the bytes that the record takes in a batch.
    pub(crate) fn size_max(&self) -> usize {
        // Per record: length, attributes, deltas and header count; per value: version and numbers.
        const RECORD: usize = 64;
        const MEMBER: usize = 32;
        match self {
            Record::GroupMetadata { group_id, value } => {
                RECORD
                    + group_id.len()
                    + value.as_ref().map_or(0, |value| {
                        let text = |text: &Option<Str>| text.as_ref().map_or(0, |text| text.len());
                        let members = value.members.iter().map(|member| {
                            MEMBER
                                + member.member_id.len()
                                + text(&member.group_instance_id)
                                + member.client_id.len()
                                + member.client_host.len()
                                + member.subscription.len()
                                + member.assignment.len()
                        });
                        value.protocol_type.len()
                            + text(&value.protocol)
                            + text(&value.leader)
                            + members.sum::<usize>()
                    })
            }
            Record::OffsetCommit {
                group_id,
                topic,
                partition: _,
                value,
            } => {
                let metadata = value.as_ref().map_or(0, |value| 48 + value.metadata.len());
                RECORD + group_id.len() + topic.len() + metadata
            }
        }
    }
}

impl LogRecord for Record {
    fn encode(&self) -> KeyValue {
        // Every text here came in through a request or the log, both of which bound a text to 32,767
        // bytes, and member ids are made no longer than that.
        const FITS: &str = "a text that was received can be written";
        match self {
            Record::GroupMetadata { group_id, value } => {
                let key = GroupMetadataKey {
                    group: group_id.clone(),
                };
                KeyValue {
                    key: Some(encode_key(&key).expect(FITS)),
                    value: value.as_ref().map(|value| {
                        encode_value(&group_metadata_value(value), GROUP_METADATA_VERSION)
                            .expect(FITS)
                    }),
                }
            }
            Record::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => {
                let key = OffsetCommitKey {
                    group: group_id.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                };
                KeyValue {
                    key: Some(encode_key(&key).expect(FITS)),
                    value: value.as_ref().map(|value| {
                        let version = if value.expire_timestamp == TimestampMs::NONE {
                            OFFSET_COMMIT_VERSION
                        } else {
                            OFFSET_COMMIT_VERSION_EXPIRING
                        };
                        let value = OffsetCommitValue {
                            offset: value.offset.0,
                            leader_epoch: value.leader_epoch.0,
                            metadata: value.metadata.clone(),
                            commit_timestamp: value.commit_timestamp.0,
                            expire_timestamp: value.expire_timestamp.0,
                            topic_id: value.topic_id,
                        };
                        encode_value(&value, version).expect(FITS)
                    }),
                }
            }
        }
    }

    fn decode(key_value: &KeyValue) -> Result<Option<Record>, RecordError> {
        let error = |what: &str, error: DecodeError| RecordError {
            reason: format!("__consumer_offsets: {what}: {error}"),
        };
        let Some(key) = &key_value.key else {
            return Err(RecordError {
                reason: "__consumer_offsets: a record has no key".to_owned(),
            });
        };
        let mut reader = Reader::new(key.clone());
        match reader.i16().map_err(|e| error("record type", e))? {
            // 0 is what brokers before 0.8.2 wrote; its fields are those of 1.
            0 | 1 => {
                let key = OffsetCommitKey::decode(&mut reader, 0)
                    .map_err(|e| error("key of an offset", e))?;
                let value = match &key_value.value {
                    None => None,
                    Some(value) => Some(
                        decode_value::<OffsetCommitValue>(value.clone())
                            .map_err(|e| error("value of an offset", e))?,
                    ),
                };
                Ok(Some(Record::OffsetCommit {
                    group_id: key.group,
                    topic: key.topic,
                    partition: key.partition,
                    value: value.map(|value| OffsetAndMetadata {
                        offset: Offset(value.offset),
                        leader_epoch: LeaderEpoch(value.leader_epoch),
                        metadata: value.metadata,
                        commit_timestamp: TimestampMs(value.commit_timestamp),
                        expire_timestamp: TimestampMs(if types::mutant!("GRP-06") {
                            value.commit_timestamp
                        } else {
                            value.expire_timestamp
                        }),
                        topic_id: value.topic_id,
                    }),
                }))
            }
            2 => {
                let key = GroupMetadataKey::decode(&mut reader, 0)
                    .map_err(|e| error("key of a group", e))?;
                let value = match &key_value.value {
                    None => None,
                    Some(value) => Some(
                        decode_value::<GroupMetadataValue>(value.clone())
                            .map_err(|e| error("value of a group", e))?,
                    ),
                };
                Ok(Some(Record::GroupMetadata {
                    group_id: key.group,
                    value: value.map(group_metadata),
                }))
            }
            // Records of group types that this version does not coordinate.
            _ => Ok(None),
        }
    }
}

fn group_metadata_value(value: &GroupMetadata) -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: value.protocol_type.clone(),
        generation: value.generation_id,
        protocol: value.protocol.clone(),
        leader: value.leader.clone(),
        current_state_timestamp: value.current_state_timestamp.0,
        members: value
            .members
            .iter()
            .map(|member| protocol::group_metadata_value::MemberMetadata {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout: member.rebalance_timeout_ms,
                session_timeout: member.session_timeout_ms,
                subscription: member.subscription.clone(),
                assignment: member.assignment.clone(),
            })
            .collect(),
    }
}

fn group_metadata(value: GroupMetadataValue) -> GroupMetadata {
    GroupMetadata {
        protocol_type: value.protocol_type,
        generation_id: value.generation,
        protocol: value.protocol,
        leader: value.leader,
        current_state_timestamp: TimestampMs(value.current_state_timestamp),
        members: value
            .members
            .into_iter()
            .map(|member| MemberMetadata {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member.rebalance_timeout,
                session_timeout_ms: member.session_timeout,
                subscription: member.subscription,
                assignment: member.assignment,
            })
            .collect(),
    }
}

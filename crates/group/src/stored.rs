//! The hard state of one group: what the log says about it, and nothing else.
//!
//! A group's entry exists while it has metadata or an offset. The two are kept apart, so that the
//! state after a replay does not depend on what compaction has taken out of the log: a tombstone ends
//! only what its own key began.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::Str;

use crate::record::{GroupMetadata, MemberMetadata, OffsetAndMetadata, Record};

/// Committed offsets by topic and partition.
pub type Offsets = BTreeMap<Str, BTreeMap<i32, OffsetAndMetadata>>;

/// What the log says about a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredGroup {
    /// Its last completed generation; none for a group that only commits offsets.
    pub metadata: Option<GroupMetadata>,
    /// Its offsets. No topic here is without a partition.
    pub offsets: Offsets,
}

impl StoredGroup {
    /// The offset committed for a partition.
    #[must_use]
    pub fn offset(&self, topic: &str, partition: i32) -> Option<&OffsetAndMetadata> {
        self.offsets.get(topic)?.get(&partition)
    }

    fn is_nothing(&self) -> bool {
        self.metadata.is_none() && self.offsets.is_empty()
    }
}

/// Applies a record to the groups.
pub(crate) fn replay(groups: &mut BTreeMap<Str, StoredGroup>, record: &Record) {
    let (group_id, is_tombstone) = match record {
        Record::GroupMetadata { group_id, value } => (group_id, value.is_none()),
        Record::OffsetCommit {
            group_id, value, ..
        } => (group_id, value.is_none()),
    };
    if !groups.contains_key(group_id) {
        if is_tombstone {
            return;
        }
        groups.insert(group_id.detached(), StoredGroup::default());
    }
    let group = groups
        .get_mut(group_id)
        .expect("it was there or was inserted");
    match record {
        Record::GroupMetadata { value, .. } => {
            group.metadata = value.as_ref().map(detached_metadata);
        }
        Record::OffsetCommit {
            topic,
            partition,
            value: Some(value),
            ..
        } => {
            let value = OffsetAndMetadata {
                metadata: value.metadata.detached(),
                ..value.clone()
            };
            match group.offsets.get_mut(topic) {
                Some(partitions) => {
                    partitions.insert(*partition, value);
                }
                None => {
                    group
                        .offsets
                        .insert(topic.detached(), BTreeMap::from([(*partition, value)]));
                }
            }
        }
        Record::OffsetCommit {
            topic,
            partition,
            value: None,
            ..
        } => {
            if let Some(partitions) = group.offsets.get_mut(topic) {
                partitions.remove(partition);
                if partitions.is_empty() {
                    group.offsets.remove(topic);
                }
            }
        }
    }
    if group.is_nothing() {
        groups.remove(group_id);
    }
}

/// A copy that keeps no request frame and no log block in memory.
fn detached_metadata(value: &GroupMetadata) -> GroupMetadata {
    GroupMetadata {
        protocol_type: value.protocol_type.detached(),
        generation_id: value.generation_id,
        protocol: value.protocol.as_ref().map(Str::detached),
        leader: value.leader.as_ref().map(Str::detached),
        current_state_timestamp: value.current_state_timestamp,
        members: value
            .members
            .iter()
            .map(|member| MemberMetadata {
                member_id: member.member_id.detached(),
                group_instance_id: member.group_instance_id.as_ref().map(Str::detached),
                client_id: member.client_id.detached(),
                client_host: member.client_host.detached(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                subscription: Bytes::copy_from_slice(&member.subscription),
                assignment: Bytes::copy_from_slice(&member.assignment),
            })
            .collect(),
    }
}

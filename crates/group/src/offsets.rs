//! Committing, fetching and deleting offsets.

use protocol::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use protocol::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use protocol::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use protocol::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, Str,
};
use state_machine::{Decision, Ticket};
use types::{ErrorCode, LeaderEpoch, Now, Offset, TimestampMs, Uuid};

use crate::api::{OffsetFetchGroup, OffsetFetchTopic, Response, refused_commit};
use crate::classic::{GroupState, Turn};
use crate::coordinator::{GroupCoordinator, Soft};
use crate::record::{OffsetAndMetadata, Record};
use crate::subscription::CONSUMER;

/// From this version on a group that does not exist has an error of its own.
const VERSION_GROUP_ID_NOT_FOUND: i16 = 9;
/// What a batch takes beside its records.
const BATCH_OVERHEAD: usize = 128;

impl GroupCoordinator {
    pub(crate) fn commit_offsets(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        version: i16,
        request: &OffsetCommitRequest,
        out: &mut Decision<Record, Response>,
    ) {
        let response = match self.validate_commit(soft, version, request) {
            Ok(()) => {
                if let Some(group) = soft.groups.get_mut(&request.group_id)
                    && group.state() != GroupState::Empty
                {
                    let timers = &mut soft.timers;
                    let mut turn = Turn {
                        config: &self.config,
                        now,
                        timers,
                        out,
                    };
                    group.committed(&mut turn, &request.member_id);
                }
                self.committed_offsets(now, request, out)
            }
            Err(error) => refused_commit(request, error),
        };
        out.reply(ticket, Response::OffsetCommit(response));
    }

    fn validate_commit(
        &self,
        soft: &Soft,
        version: i16,
        request: &OffsetCommitRequest,
    ) -> Result<(), ErrorCode> {
        let generation_id = request.generation_id_or_member_epoch;
        match self.view(soft, &request.group_id) {
            Some(group) => group.validate_commit(
                &request.member_id,
                request.group_instance_id.as_ref(),
                generation_id,
            ),
            // Without a generation this is the first commit of a group that has no members.
            None if generation_id < 0 => Ok(()),
            None if version >= VERSION_GROUP_ID_NOT_FOUND => Err(ErrorCode::GROUP_ID_NOT_FOUND),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
        }
    }

    /// The records and the answer of a commit that is let through.
    fn committed_offsets(
        &self,
        now: Now,
        request: &OffsetCommitRequest,
        out: &mut Decision<Record, Response>,
    ) -> OffsetCommitResponse {
        let expire_timestamp = match request.retention_time_ms {
            -1 => TimestampMs::NONE,
            retention_ms => TimestampMs(now.wall.0.saturating_add(retention_ms)),
        };
        let mut records = Vec::new();
        let topics = request
            .topics
            .iter()
            .map(|topic| OffsetCommitResponseTopic {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| {
                        let metadata = partition.committed_metadata.clone().unwrap_or_default();
                        let error = if self.is_too_long(&metadata) {
                            ErrorCode::OFFSET_METADATA_TOO_LARGE
                        } else {
                            records.push(Record::OffsetCommit {
                                group_id: request.group_id.clone(),
                                topic: topic.name.clone(),
                                partition: partition.partition_index,
                                value: Some(OffsetAndMetadata {
                                    offset: Offset(partition.committed_offset),
                                    leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
                                    metadata,
                                    commit_timestamp: now.wall.into(),
                                    expire_timestamp,
                                    topic_id: topic.topic_id,
                                }),
                            });
                            ErrorCode::NONE
                        };
                        OffsetCommitResponsePartition {
                            partition_index: partition.partition_index,
                            error_code: error.0,
                        }
                    })
                    .collect(),
            })
            .collect();
        let bytes: usize = records.iter().map(Record::size_max).sum();
        if bytes + BATCH_OVERHEAD > self.config.batch_bytes_max {
            return refused_commit(request, ErrorCode::INVALID_COMMIT_OFFSET_SIZE);
        }
        if types::mutant!("GRP-02") {
            records.reverse();
        }
        if types::mutant!("GRP-32") {
            let expired = self.expired_now(&request.group_id, now);
            records.extend(expired);
        }
        out.records.append(&mut records);
        OffsetCommitResponse {
            topics,
            ..Default::default()
        }
    }

    /// Kafka counts UTF-16 code units, of which a text has no more than bytes.
    fn is_too_long(&self, metadata: &str) -> bool {
        let max = self.config.offset_metadata_bytes_max;
        metadata.len() > max && metadata.encode_utf16().count() > max
    }

    pub(crate) fn fetch_offsets(&self, request: &OffsetFetchGroup) -> OffsetFetchResponseGroup {
        let stored = self.groups.get(&request.group_id);
        let topics = match &request.topics {
            Some(topics) => topics
                .iter()
                .map(|topic| OffsetFetchResponseTopics {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    partitions: topic
                        .partitions
                        .iter()
                        .map(|&partition| {
                            let offset = stored
                                .and_then(|stored| stored.offset(&topic.name, partition))
                                .filter(|offset| is_for(offset, topic));
                            fetched(partition, offset)
                        })
                        .collect(),
                })
                .collect(),
            None => stored
                .iter()
                .flat_map(|stored| &stored.offsets)
                .map(|(name, partitions)| OffsetFetchResponseTopics {
                    name: name.clone(),
                    topic_id: partitions
                        .values()
                        .next()
                        .map_or(Uuid::ZERO, |o| o.topic_id),
                    partitions: partitions
                        .iter()
                        .map(|(partition, offset)| fetched(*partition, Some(offset)))
                        .collect(),
                })
                .collect(),
        };
        OffsetFetchResponseGroup {
            group_id: request.group_id.clone(),
            topics,
            error_code: ErrorCode::NONE.0,
        }
    }

    pub(crate) fn delete_offsets(
        &self,
        soft: &Soft,
        request: &OffsetDeleteRequest,
        out: &mut Decision<Record, Response>,
    ) -> OffsetDeleteResponse {
        let refuse = |error: ErrorCode| OffsetDeleteResponse {
            error_code: error.0,
            ..Default::default()
        };
        if request.group_id.is_empty() {
            return refuse(ErrorCode::INVALID_GROUP_ID);
        }
        let Some(group) = self.view(soft, &request.group_id) else {
            return refuse(ErrorCode::GROUP_ID_NOT_FOUND);
        };
        let is_consumer = group.protocol_type().is_some_and(|t| *t == CONSUMER);
        if group.state() != GroupState::Empty && !is_consumer {
            // Only consumers say what they read.
            return refuse(ErrorCode::NON_EMPTY_GROUP);
        }
        let stored = self.groups.get(&request.group_id);
        let topics = request
            .topics
            .iter()
            .map(|topic| OffsetDeleteResponseTopic {
                name: topic.name.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| {
                        let partition_index = partition.partition_index;
                        let error = if group.may_be_subscribed_to(&topic.name) {
                            ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
                        } else {
                            let offset = stored
                                .and_then(|stored| stored.offset(&topic.name, partition_index));
                            if offset.is_some() {
                                out.record(offset_tombstone(
                                    &request.group_id,
                                    &topic.name,
                                    partition_index,
                                ));
                            }
                            ErrorCode::NONE
                        };
                        OffsetDeleteResponsePartition {
                            partition_index,
                            error_code: error.0,
                        }
                    })
                    .collect(),
            })
            .collect();
        let bytes: usize = out.records.iter().map(Record::size_max).sum();
        if bytes + BATCH_OVERHEAD > self.config.batch_bytes_max {
            out.records.clear();
            return refuse(ErrorCode::INVALID_REQUEST);
        }
        OffsetDeleteResponse {
            topics,
            ..Default::default()
        }
    }
}

/// The record that deletes an offset.
pub(crate) fn offset_tombstone(group_id: &Str, topic: &Str, partition: i32) -> Record {
    Record::OffsetCommit {
        group_id: group_id.clone(),
        topic: topic.clone(),
        partition,
        value: None,
    }
}

/// Whether an offset was committed for this topic, and not for an earlier one of its name.
fn is_for(offset: &OffsetAndMetadata, topic: &OffsetFetchTopic) -> bool {
    offset.topic_id.is_zero() || topic.topic_id.is_zero() || offset.topic_id == topic.topic_id
}

fn fetched(
    partition_index: i32,
    offset: Option<&OffsetAndMetadata>,
) -> OffsetFetchResponsePartitions {
    match offset {
        Some(offset) => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: offset.offset.0,
            committed_leader_epoch: offset.leader_epoch.0,
            metadata: Some(offset.metadata.clone()),
            error_code: ErrorCode::NONE.0,
        },
        None => OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: -1,
            committed_leader_epoch: -1,
            metadata: Some(Str::new()),
            error_code: ErrorCode::NONE.0,
        },
    }
}

//! Committed offsets: fetching and committing them, for members and for admins.

use std::collections::BTreeMap;

use env::Env;
use protocol::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use protocol::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, Str,
};
use types::{ErrorCode, LeaderEpoch, Mono, Offset};

use crate::cluster::{Backoff, Cluster, CoordinatorKind, Lane};
use crate::metadata::{TopicPartition, by_topic};
use crate::{Error, Result};

/// Topics go by name: version 10 would take their ids, which not every offset's topic still has.
const VERSION_MAX: i16 = 9;

/// An offset that a group committed or is to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the next record to be read.
    pub offset: Offset,
    /// The epoch of the leader that wrote the record before it, if known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Whatever the committer noted.
    pub metadata: Str,
}

impl CommittedOffset {
    /// An offset without a note.
    #[must_use]
    pub fn new(offset: Offset, leader_epoch: Option<LeaderEpoch>) -> CommittedOffset {
        CommittedOffset {
            offset,
            leader_epoch,
            metadata: Str::new(),
        }
    }
}

/// Who commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committer {
    pub group: Str,
    /// Empty for nobody: an admin, or a consumer without a membership.
    pub member_id: Str,
    pub instance_id: Option<Str>,
    /// -1 for nobody.
    pub generation: i32,
}

impl<E: Env> Cluster<E> {
    /// The offsets that a group committed: for the partitions asked for, or all. A partition without
    /// one is not in the result.
    ///
    /// # Errors
    /// The coordinator cannot be reached or refuses.
    pub async fn fetch_offsets(
        &mut self,
        group: &Str,
        partitions: Option<&[TopicPartition]>,
        require_stable: bool,
        deadline: Mono,
    ) -> Result<BTreeMap<TopicPartition, Result<CommittedOffset>>> {
        let topics = partitions.map(|partitions| {
            let topics = by_topic(partitions.iter().map(|at| (at.clone(), ())));
            let topics = topics.into_iter().map(|(topic, partitions)| {
                let partitions = partitions
                    .into_iter()
                    .map(|(p, ())| p)
                    .collect::<Vec<i32>>();
                (topic, partitions)
            });
            topics.collect::<Vec<_>>()
        });
        // Only since version 2 can all be asked for.
        let version_min = if partitions.is_none() { 2 } else { 0 };
        let mut backoff = Backoff::new(deadline);
        loop {
            let tried =
                self.fetch_offsets_once(group, &topics, require_stable, version_min, deadline);
            let result = tried.await;
            let error = match &result {
                Err(error) => error.clone(),
                Ok(found) => {
                    let mut errors = found.values().filter_map(|r| r.as_ref().err());
                    // Offsets of an open transaction: they will be known when it ends.
                    match errors.find(|e| e.code() == Some(ErrorCode::UNSTABLE_OFFSET_COMMIT)) {
                        Some(error) => error.clone(),
                        None => return result,
                    }
                }
            };
            if !error.is_retriable() {
                return result;
            }
            self.note_coordinator_error(CoordinatorKind::Group, group, &error);
            self.pause(&mut backoff, error).await?;
        }
    }

    async fn fetch_offsets_once(
        &mut self,
        group: &Str,
        topics: &Option<Vec<(Str, Vec<i32>)>>,
        require_stable: bool,
        version_min: i16,
        deadline: Mono,
    ) -> Result<BTreeMap<TopicPartition, Result<CommittedOffset>>> {
        let kind = CoordinatorKind::Group;
        let connection = self.coordinator(kind, group, Lane::Main, deadline).await?;
        let version = connection.version::<OffsetFetchRequest>(version_min, VERSION_MAX)?;
        let mut request = OffsetFetchRequest {
            // Brokers that lack it have no transactions that could hold offsets back.
            require_stable: require_stable && version >= 7,
            ..OffsetFetchRequest::default()
        };
        if version >= 8 {
            let topic = |(name, partitions): &(Str, Vec<i32>)| OffsetFetchRequestTopics {
                name: name.clone(),
                partition_indexes: partitions.clone(),
                ..OffsetFetchRequestTopics::default()
            };
            request.groups = vec![OffsetFetchRequestGroup {
                group_id: group.clone(),
                topics: topics.as_ref().map(|t| t.iter().map(topic).collect()),
                ..OffsetFetchRequestGroup::default()
            }];
        } else {
            let topic = |(name, partitions): &(Str, Vec<i32>)| OffsetFetchRequestTopic {
                name: name.clone(),
                partition_indexes: partitions.clone(),
            };
            request.group_id = group.clone();
            request.topics = topics.as_ref().map(|t| t.iter().map(topic).collect());
        }
        let pending = connection.send(&request, version)?;
        let until = self.request_deadline(deadline);
        offsets_of(pending.answer(until).await?)
    }

    /// Commits offsets. The result of each partition is in the map.
    ///
    /// # Errors
    /// The coordinator cannot be reached.
    pub(crate) async fn commit_offsets(
        &mut self,
        committer: &Committer,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
        deadline: Mono,
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let group = &committer.group;
        let mut backoff = Backoff::new(deadline);
        loop {
            let result = self.commit_offsets_once(committer, offsets, deadline).await;
            let error = match &result {
                Err(error) => error.clone(),
                Ok(results) => {
                    let passes = |e: &&Error| e.is_retriable();
                    match results
                        .values()
                        .filter_map(|r| r.as_ref().err())
                        .find(passes)
                    {
                        Some(error) => error.clone(),
                        None => return result,
                    }
                }
            };
            if !error.is_retriable() {
                return result;
            }
            self.note_coordinator_error(CoordinatorKind::Group, group, &error);
            self.pause(&mut backoff, error).await?;
        }
    }

    async fn commit_offsets_once(
        &mut self,
        committer: &Committer,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
        deadline: Mono,
    ) -> Result<BTreeMap<TopicPartition, Result<()>>> {
        let (kind, group) = (CoordinatorKind::Group, &committer.group);
        let connection = self.coordinator(kind, group, Lane::Main, deadline).await?;
        let version_min = if committer.instance_id.is_some() {
            7
        } else {
            0
        };
        let version = connection.version::<OffsetCommitRequest>(version_min, VERSION_MAX)?;
        let partition =
            |(partition_index, o): (i32, CommittedOffset)| OffsetCommitRequestPartition {
                partition_index,
                committed_offset: o.offset.0,
                committed_leader_epoch: o.leader_epoch.map_or(-1, |epoch| epoch.0),
                committed_metadata: Some(o.metadata),
            };
        let items = offsets
            .iter()
            .map(|(at, offset)| (at.clone(), offset.clone()));
        let request = OffsetCommitRequest {
            group_id: group.clone(),
            generation_id_or_member_epoch: committer.generation,
            member_id: committer.member_id.clone(),
            group_instance_id: committer.instance_id.clone(),
            topics: by_topic(items)
                .into_iter()
                .map(|(name, partitions)| OffsetCommitRequestTopic {
                    name,
                    partitions: partitions.into_iter().map(partition).collect(),
                    ..OffsetCommitRequestTopic::default()
                })
                .collect(),
            ..OffsetCommitRequest::default()
        };
        let pending = connection.send(&request, version)?;
        let until = self.request_deadline(deadline);
        let response: OffsetCommitResponse = pending.answer(until).await?;
        let mut results = BTreeMap::new();
        for topic in response.topics {
            for p in topic.partitions {
                let at = TopicPartition::new(topic.name.detached(), p.partition_index);
                results.insert(at, Error::check(p.error_code, None));
            }
        }
        for at in offsets.keys() {
            let missing = || {
                Err(Error::protocol(
                    connection.peer(),
                    "it left out a partition",
                ))
            };
            results.entry(at.clone()).or_insert_with(missing);
        }
        Ok(results)
    }
}

fn offsets_of(
    response: OffsetFetchResponse,
) -> Result<BTreeMap<TopicPartition, Result<CommittedOffset>>> {
    Error::check(response.error_code, None)?;
    let mut found = BTreeMap::new();
    let mut add = |name: &Str, partition, offset: i64, epoch: i32, note: Option<Str>, code| {
        let at = TopicPartition::new(name.detached(), partition);
        let result = match Error::check(code, None) {
            // No offset was committed.
            Ok(()) if offset < 0 => return,
            Ok(()) => Ok(CommittedOffset {
                offset: Offset(offset),
                leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)),
                metadata: note.unwrap_or_default().detached(),
            }),
            Err(error) => Err(error),
        };
        found.insert(at, result);
    };
    for topic in response.topics {
        for p in topic.partitions {
            let epoch = p.committed_leader_epoch;
            let (offset, code) = (p.committed_offset, p.error_code);
            add(
                &topic.name,
                p.partition_index,
                offset,
                epoch,
                p.metadata,
                code,
            );
        }
    }
    for group in response.groups {
        Error::check(group.error_code, None)?;
        for topic in group.topics {
            for p in topic.partitions {
                let epoch = p.committed_leader_epoch;
                let (offset, code) = (p.committed_offset, p.error_code);
                add(
                    &topic.name,
                    p.partition_index,
                    offset,
                    epoch,
                    p.metadata,
                    code,
                );
            }
        }
    }
    Ok(found)
}

//! Looking up offsets by their place or by time (ListOffsets).

use std::collections::BTreeMap;

use env::Env;
use protocol::ListOffsetsRequest;
use protocol::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use types::{LeaderEpoch, Mono, Offset, TimestampMs};

use crate::cluster::{Cluster, PerPartition, Repeat};
use crate::metadata::{TopicPartition, by_topic};
use crate::{Error, Result};

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffsetSpec {
    /// The first record that is kept.
    Earliest,
    /// The end: the offset of the next record to become visible.
    Latest,
    /// The first record with this timestamp or a later one.
    Timestamp(TimestampMs),
    /// The record with the greatest timestamp (KIP-734).
    MaxTimestamp,
    /// The first record on the broker's own disk (KIP-405).
    EarliestLocal,
    /// The end of what is in tiered storage (KIP-1005).
    LatestTiered,
}

impl OffsetSpec {
    fn wire(self) -> i64 {
        match self {
            OffsetSpec::Timestamp(timestamp) => timestamp.0,
            OffsetSpec::Latest => -1,
            OffsetSpec::Earliest => -2,
            OffsetSpec::MaxTimestamp => -3,
            OffsetSpec::EarliestLocal => -4,
            OffsetSpec::LatestTiered => -5,
        }
    }

    fn version_min(self) -> i16 {
        match self {
            OffsetSpec::Earliest | OffsetSpec::Latest | OffsetSpec::Timestamp(_) => 1,
            OffsetSpec::MaxTimestamp => 7,
            OffsetSpec::EarliestLocal => 8,
            OffsetSpec::LatestTiered => 9,
        }
    }
}

/// What a reader may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// Records of open and aborted transactions too.
    #[default]
    ReadUncommitted = 0,
    /// Records of committed transactions, and those of none.
    ReadCommitted = 1,
}

/// An offset that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset; `None` when no record matches, as for a timestamp in the future.
    pub offset: Option<Offset>,
    /// The record's timestamp, for look-ups by timestamp.
    pub timestamp: Option<TimestampMs>,
    /// The epoch of the leader that wrote the record, if known.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl<E: Env> Cluster<E> {
    /// Looks up a place in each partition, and again until `deadline` where that may help.
    pub async fn list_offsets(
        &mut self,
        places: BTreeMap<TopicPartition, OffsetSpec>,
        isolation: Isolation,
        deadline: Mono,
    ) -> BTreeMap<TopicPartition, Result<FoundOffset>> {
        self.find_offsets(places, isolation, Repeat::Always, deadline)
            .await
    }

    /// The same, repeated as `repeat` says.
    pub(crate) async fn find_offsets(
        &mut self,
        places: BTreeMap<TopicPartition, OffsetSpec>,
        isolation: Isolation,
        repeat: Repeat,
        deadline: Mono,
    ) -> BTreeMap<TopicPartition, Result<FoundOffset>> {
        for (at, place) in &places {
            if let OffsetSpec::Timestamp(timestamp) = place
                && timestamp.0 < 0
            {
                let error = Error::Invalid(format!("{} is no timestamp", timestamp.0));
                return BTreeMap::from([(at.clone(), Err(error))]);
            }
        }
        let version_min = places.values().map(|p| p.version_min()).max().unwrap_or(0);
        let timeout_ms = i32::try_from(self.options().request_timeout.as_millis());
        let build = |version: i16, items| ListOffsetsRequest {
            replica_id: -1,
            isolation_level: if version >= 2 { isolation as i8 } else { 0 },
            timeout_ms: timeout_ms.unwrap_or(i32::MAX),
            topics: by_topic(items)
                .into_iter()
                .map(|(name, partitions)| ListOffsetsTopic {
                    name,
                    partitions: partitions
                        .into_iter()
                        .map(
                            |(partition_index, place): (i32, OffsetSpec)| ListOffsetsPartition {
                                partition_index,
                                timestamp: place.wire(),
                                ..ListOffsetsPartition::default()
                            },
                        )
                        .collect(),
                })
                .collect(),
        };
        let split = |response: protocol::ListOffsetsResponse| {
            let mut found = Vec::new();
            for topic in response.topics {
                let name = topic.name.detached();
                for p in topic.partitions {
                    let offset = FoundOffset {
                        offset: (p.offset >= 0).then_some(Offset(p.offset)),
                        timestamp: (p.timestamp >= 0).then_some(TimestampMs(p.timestamp)),
                        leader_epoch: (p.leader_epoch >= 0).then_some(LeaderEpoch(p.leader_epoch)),
                    };
                    let at = TopicPartition::new(name.clone(), p.partition_index);
                    found.push((at, Error::check(p.error_code, None).map(|()| offset)));
                }
            }
            found
        };
        let how = PerPartition {
            version_min,
            repeat,
            build,
            split,
        };
        self.per_partition(places, deadline, how).await
    }
}

//! The keys of groups.

use super::prelude::*;

keys! {
    "consumer.assignment.interval.ms" Int "1000" [AtLeast(0)] Medium ClusterWide
        "How long at least lies between two assignments of the group." NoEffect(KIP848);
    "consumer.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ClusterWide
        "How often the group's members send heartbeats." NoEffect(KIP848);
    "consumer.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ClusterWide
        "After how long without a heartbeat a member is removed." NoEffect(KIP848);
    "share.assignment.interval.ms" Int "1000" [AtLeast(0)] Medium ClusterWide
        "How long at least lies between two assignments of the share group." NoEffect(SHARE);
    "share.auto.offset.reset" String "latest" [OffsetReset] Medium ClusterWide
        "Where a share group starts in a partition that it has not read yet." NoEffect(SHARE);
    "share.delivery.count.limit" Int "5" [AtLeast(2)] Medium ClusterWide
        "How often a record is delivered before it is given up." NoEffect(SHARE);
    "share.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ClusterWide
        "How often the share group's members send heartbeats." NoEffect(SHARE);
    "share.isolation.level" String "read_uncommitted" [OneOf(&["read_committed", "read_uncommitted"])] Medium ClusterWide
        "Whether a share group sees records of open and aborted transactions." NoEffect(SHARE);
    "share.partition.max.record.locks" Int "2000" [AtLeast(100)] Medium ClusterWide
        "How many records of a partition may be acquired at once." NoEffect(SHARE);
    "share.record.lock.duration.ms" Int "30000" [AtLeast(1000)] Medium ClusterWide
        "How long a consumer may hold an acquired record." NoEffect(SHARE);
    "share.renew.acknowledge.enable" Boolean "true" [Any] Medium ClusterWide
        "Whether a consumer may prolong its hold on a record." NoEffect(SHARE);
    "share.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ClusterWide
        "After how long without a heartbeat a member of the share group is removed." NoEffect(SHARE);
    "streams.assignment.interval.ms" Int "1000" [AtLeast(0)] Medium ClusterWide
        "How long at least lies between two assignments of the streams group." NoEffect(STREAMS);
    "streams.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ClusterWide
        "How often the streams group's members send heartbeats." NoEffect(STREAMS);
    "streams.initial.rebalance.delay.ms" Int "3000" [AtLeast(0)] Medium ClusterWide
        "How long a new streams group waits for more members." NoEffect(STREAMS);
    "streams.num.standby.replicas" Int "0" [AtLeast(0)] Medium ClusterWide
        "How many standby tasks each task has." NoEffect(STREAMS);
    "streams.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ClusterWide
        "After how long without a heartbeat a member of the streams group is removed." NoEffect(STREAMS);
}

//! Broker keys: share groups and the coordinator of their state.

use super::prelude::*;

keys! {
    "group.share.assignment.interval.ms" Int "1000" [AtLeast(0)] Medium ClusterWide
        "How long at least lies between two assignments of a share group." NoEffect(SHARE);
    "group.share.max.assignment.interval.ms" Int "15000" [AtLeast(0)] Medium ReadOnly
        "The upper bound of that interval." NoEffect(SHARE);
    "group.share.min.assignment.interval.ms" Int "0" [AtLeast(0)] Medium ReadOnly
        "The lower bound of that interval." NoEffect(SHARE);
    "group.share.assignors" List "simple" [Any] Medium ReadOnly
        "The broker's assignor for share groups." NoEffect(SHARE);
    "group.share.delivery.count.limit" Int "5" [Between(2, 10)] Medium ReadOnly
        "How often a record is delivered before it is given up." NoEffect(SHARE);
    "group.share.max.delivery.count.limit" Int "10" [Between(5, 25)] Medium ReadOnly
        "The upper bound of that number." NoEffect(SHARE);
    "group.share.min.delivery.count.limit" Int "2" [Between(2, 5)] Medium ReadOnly
        "The lower bound of that number." NoEffect(SHARE);
    "group.share.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ReadOnly
        "How often members of a share group send heartbeats." NoEffect(SHARE);
    "group.share.max.heartbeat.interval.ms" Int "15000" [AtLeast(1)] Medium ReadOnly
        "The upper bound of that interval." NoEffect(SHARE);
    "group.share.min.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ReadOnly
        "The lower bound of that interval." NoEffect(SHARE);
    hidden "group.share.initialize.retry.interval.ms" Int "30000" [AtLeast(1)] Low ReadOnly
        "How long to wait before the state of a share partition is initialised again." NoEffect(SHARE);
    "group.share.partition.max.record.locks" Int "2000" [Between(100, 10000)] Medium ReadOnly
        "How many records of a partition may be acquired at once." NoEffect(SHARE);
    "group.share.max.partition.max.record.locks" Int "4000" [Between(2000, 10000)] Medium ReadOnly
        "The upper bound of that number." NoEffect(SHARE);
    "group.share.min.partition.max.record.locks" Int "100" [Between(100, 2000)] Medium ReadOnly
        "The lower bound of that number." NoEffect(SHARE);
    "group.share.record.lock.duration.ms" Int "30000" [Between(1000, 3600000)] Medium ReadOnly
        "How long a consumer may hold an acquired record." NoEffect(SHARE);
    "group.share.max.record.lock.duration.ms" Int "60000" [Between(30000, 3600000)] Medium ReadOnly
        "The upper bound of that duration." NoEffect(SHARE);
    "group.share.min.record.lock.duration.ms" Int "15000" [Between(1000, 30000)] Medium ReadOnly
        "The lower bound of that duration." NoEffect(SHARE);
    "group.share.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ReadOnly
        "After how long without a heartbeat a member of a share group is removed." NoEffect(SHARE);
    "group.share.max.session.timeout.ms" Int "60000" [AtLeast(1)] Medium ReadOnly
        "The upper bound of that timeout." NoEffect(SHARE);
    "group.share.min.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ReadOnly
        "The lower bound of that timeout." NoEffect(SHARE);
    "group.share.max.share.sessions" Int "2000" [AtLeast(1)] Medium ReadOnly
        "How many share sessions the broker keeps." NoEffect(SHARE);
    "group.share.max.size" Int "200" [Between(1, 1000)] Medium ReadOnly
        "How many members a share group may have." NoEffect(SHARE);
    hidden "group.share.persister.class.name" String "org.apache.kafka.server.share.persister.DefaultStatePersister" [Any] Medium ReadOnly
        "The Java class that keeps the state of share groups." Refused(JVM);
    "share.coordinator.append.linger.ms" Int "-1" [AtLeast(-1)] Medium ReadOnly
        "How long the share coordinator gathers records before it writes them." NoEffect(SHARE);
    "share.coordinator.cached.buffer.max.bytes" Int "1048588" [AtLeast(524288)] Medium ClusterWide
        "How large a buffer the share coordinator keeps for its next batch." NoEffect(SHARE);
    hidden "share.coordinator.cold.partition.snapshot.interval.ms" Int "300000" [AtLeast(1)] Low ReadOnly
        "How often idle share partitions are written out." NoEffect(SHARE);
    "share.coordinator.load.buffer.size" Int "5242880" [AtLeast(1)] High ReadOnly
        "How much is read at once when share state is loaded." NoEffect(SHARE);
    "share.coordinator.snapshot.update.records.per.snapshot" Int "500" [Between(0, 500)] Medium ReadOnly
        "How many updates of share state lie between two full ones." NoEffect(SHARE);
    "share.coordinator.state.topic.compression.codec" Int "0" [Any] High ReadOnly
        "How the share state topic is compressed." NoEffect(SHARE);
    "share.coordinator.state.topic.min.isr" Short "2" [AtLeast(1)] High ReadOnly
        "min.insync.replicas of the share state topic." NoEffect(SHARE);
    "share.coordinator.state.topic.num.partitions" Int "50" [AtLeast(1)] High ReadOnly
        "Partitions of the share state topic." NoEffect(SHARE);
    hidden "share.coordinator.state.topic.prune.interval.ms" Int "300000" [AtLeast(1)] Low ReadOnly
        "How often old share state is removed." NoEffect(SHARE);
    "share.coordinator.state.topic.replication.factor" Short "3" [AtLeast(1)] High ReadOnly
        "Replicas of the share state topic." NoEffect(SHARE);
    "share.coordinator.state.topic.segment.bytes" Int "104857600" [AtLeast(1)] High ReadOnly
        "The segment size of the share state topic." NoEffect(SHARE);
    "share.coordinator.threads" Int "1" [AtLeast(1)] Medium ReadOnly
        "Threads of the share coordinator." NoEffect(SHARE);
    "share.coordinator.write.timeout.ms" Int "5000" [AtLeast(1)] High ReadOnly
        "How long a write of share state may take." NoEffect(SHARE);
}

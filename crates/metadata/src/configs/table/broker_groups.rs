//! Broker keys: consumer groups and their offsets.

use super::prelude::*;

keys! {
    "group.initial.rebalance.delay.ms" Int "3000" [Any] Medium ReadOnly
        "How long a new group waits for more members before its first rebalance." Implemented;
    "group.min.session.timeout.ms" Int "6000" [Any] Medium ReadOnly
        "The shortest session timeout that a member may ask for." Implemented;
    "group.max.session.timeout.ms" Int "1800000" [Any] Medium ReadOnly
        "The longest session timeout that a member may ask for." Implemented;
    "group.max.size" Int "2147483647" [AtLeast(1)] Medium ReadOnly
        "How many members a group may have." Implemented;
    "offset.metadata.max.bytes" Int "4096" [Any] High ReadOnly
        "How long the text that comes with a committed offset may be." Implemented;
    "offsets.commit.timeout.ms" Int "5000" [AtLeast(1)] High ReadOnly
        "How long a commit may take before it counts as failed." NoEffect("A commit is answered when it is done or has failed.");
    "offsets.load.buffer.size" Int "5242880" [AtLeast(1)] High ReadOnly
        "How much is read at once when offsets are loaded." NoEffect(LOADBUF);
    "offsets.retention.check.interval.ms" Long "600000" [AtLeast(1)] High ReadOnly
        "How often the broker looks for offsets that may go." Implemented;
    "offsets.retention.minutes" Int "10080" [AtLeast(1)] High ReadOnly
        "How long the offsets of a group without members are kept." Implemented;
    "offsets.topic.compression.codec" Int "0" [Any] High ReadOnly
        "How the offsets topic is compressed." NoEffect("Ottla's own records are few and small, and stay uncompressed.");
    "offsets.topic.num.partitions" Int "50" [AtLeast(1)] High ReadOnly
        "Partitions of the offsets topic; not to be changed once it exists." Implemented;
    "offsets.topic.replication.factor" Short "3" [AtLeast(1)] High ReadOnly
        "Replicas of the offsets topic." NoEffect(ONE);
    "offsets.topic.segment.bytes" Int "104857600" [AtLeast(1)] High ReadOnly
        "The segment size of the offsets topic." Implemented;
    "group.coordinator.threads" Int "4" [AtLeast(1)] High ReadOnly
        "Threads of the group coordinator." NoEffect(THREADS);
    "group.coordinator.background.threads" Int "2" [AtLeast(1)] High ReadOnly
        "Threads of the group coordinator for background work." NoEffect(THREADS);
    "group.coordinator.append.linger.ms" Int "-1" [AtLeast(-1)] Medium ReadOnly
        "How long the group coordinator gathers records before it writes them." NoEffect("Ottla gathers what arrives while a sync is under way, and waits for nothing else.");
    "group.coordinator.cached.buffer.max.bytes" Int "1048588" [AtLeast(524288)] Medium ClusterWide
        "How large a buffer the group coordinator keeps for its next batch." NoEffect(LOADBUF);
    "group.coordinator.rebalance.protocols" List "classic,consumer,streams" [ListOf(&["consumer", "classic", "share", "streams"])] Medium ReadOnly
        "Which kinds of groups are served." NoEffect("Ottla serves the kinds of groups that it has; this list does not narrow them.");
    "group.consumer.assignors" List "uniform,range" [Any] Medium ReadOnly
        "The broker's assignors for consumer groups, the first being the default." NoEffect(KIP848);
    "group.consumer.assignment.interval.ms" Int "1000" [AtLeast(0)] Medium ClusterWide
        "How long at least lies between two assignments of a group." NoEffect(KIP848);
    "group.consumer.max.assignment.interval.ms" Int "15000" [AtLeast(0)] Medium ReadOnly
        "The upper bound of that interval." NoEffect(KIP848);
    "group.consumer.min.assignment.interval.ms" Int "0" [AtLeast(0)] Medium ReadOnly
        "The lower bound of that interval." NoEffect(KIP848);
    "group.consumer.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ReadOnly
        "How often members send heartbeats." NoEffect(KIP848);
    "group.consumer.max.heartbeat.interval.ms" Int "15000" [AtLeast(1)] Medium ReadOnly
        "The upper bound of that interval." NoEffect(KIP848);
    "group.consumer.min.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ReadOnly
        "The lower bound of that interval." NoEffect(KIP848);
    "group.consumer.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ReadOnly
        "After how long without a heartbeat a member is removed." NoEffect(KIP848);
    "group.consumer.max.session.timeout.ms" Int "60000" [AtLeast(1)] Medium ReadOnly
        "The upper bound of that timeout." NoEffect(KIP848);
    "group.consumer.min.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ReadOnly
        "The lower bound of that timeout." NoEffect(KIP848);
    "group.consumer.max.size" Int "2147483647" [AtLeast(1)] Medium ReadOnly
        "How many members a group of the newer protocol may have." NoEffect(KIP848);
    "group.consumer.migration.policy" String "bidirectional" [OneOfIgnoringCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"])] Medium ReadOnly
        "Which way groups may change between the two protocols." NoEffect(KIP848);
    hidden "group.consumer.regex.refresh.interval.ms" Int "600000" [AtLeast(10000)] Medium ReadOnly
        "How often subscriptions by pattern are matched again." NoEffect(KIP848);
    "group.streams.assignment.interval.ms" Int "1000" [AtLeast(0)] Medium ClusterWide
        "How long at least lies between two assignments of a streams group." NoEffect(STREAMS);
    "group.streams.max.assignment.interval.ms" Int "15000" [AtLeast(0)] Medium ReadOnly
        "The upper bound of that interval." NoEffect(STREAMS);
    "group.streams.min.assignment.interval.ms" Int "0" [AtLeast(0)] Medium ReadOnly
        "The lower bound of that interval." NoEffect(STREAMS);
    "group.streams.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ReadOnly
        "How often members of a streams group send heartbeats." NoEffect(STREAMS);
    "group.streams.max.heartbeat.interval.ms" Int "15000" [AtLeast(1)] Medium ReadOnly
        "The upper bound of that interval." NoEffect(STREAMS);
    "group.streams.min.heartbeat.interval.ms" Int "5000" [AtLeast(1)] Medium ReadOnly
        "The lower bound of that interval." NoEffect(STREAMS);
    "group.streams.initial.rebalance.delay.ms" Int "3000" [AtLeast(0)] Medium ReadOnly
        "How long a new streams group waits for more members." NoEffect(STREAMS);
    "group.streams.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ReadOnly
        "After how long without a heartbeat a member of a streams group is removed." NoEffect(STREAMS);
    "group.streams.max.session.timeout.ms" Int "60000" [AtLeast(1)] Medium ReadOnly
        "The upper bound of that timeout." NoEffect(STREAMS);
    "group.streams.min.session.timeout.ms" Int "45000" [AtLeast(1)] Medium ReadOnly
        "The lower bound of that timeout." NoEffect(STREAMS);
    "group.streams.max.size" Int "2147483647" [AtLeast(1)] Medium ReadOnly
        "How many members a streams group may have." NoEffect(STREAMS);
    "group.streams.num.standby.replicas" Int "0" [AtLeast(0)] Medium ReadOnly
        "How many standby tasks each task of a streams group has." NoEffect(STREAMS);
    "group.streams.max.standby.replicas" Int "2" [AtLeast(0)] Medium ReadOnly
        "How many standby tasks a streams group may ask for." NoEffect(STREAMS);
}

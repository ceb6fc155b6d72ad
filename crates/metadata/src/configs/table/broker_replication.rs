//! Broker keys: replicas, leaders and the brokers' life in the cluster.

use super::prelude::*;

keys! {
    "min.insync.replicas" Int "1" [AtLeast(1)] High ClusterWide
        "How many replicas must have a record before a producer that asks for all is answered." Implemented;
    "unclean.leader.election.enable" Boolean "false" [Any] High ClusterWide
        "Whether a replica that may lack committed records can become leader." NoEffect(ONE);
    hidden "unclean.leader.election.interval.ms" Long "300000" [AtLeast(1)] Medium ReadOnly
        "How often unclean elections are tried." NoEffect(ONE);
    "auto.leader.rebalance.enable" Boolean "true" [Any] High ReadOnly
        "Whether leaderships go back to the preferred replicas by themselves." NoEffect(ONE);
    "leader.imbalance.check.interval.seconds" Long "300" [AtLeast(1)] High ReadOnly
        "How often the controller looks for leaderships to hand back." NoEffect(ONE);
    "num.replica.fetchers" Int "1" [AtLeast(1)] High ClusterWide
        "Threads that copy from each other broker." NoEffect(ONE);
    "num.replica.alter.log.dirs.threads" Int null [Any] High ReadOnly
        "Threads that move replicas between directories." NoEffect(LATER);
    "replica.fetch.backoff.ms" Int "1000" [AtLeast(0)] Medium ReadOnly
        "How long a follower waits after a failed fetch." NoEffect(ONE);
    "replica.fetch.max.bytes" Int "1048576" [AtLeast(0)] Medium ReadOnly
        "How much a follower asks for per partition." NoEffect(ONE);
    "replica.fetch.min.bytes" Int "1" [Any] High ReadOnly
        "How much a follower waits for." NoEffect(ONE);
    "replica.fetch.response.max.bytes" Int "10485760" [AtLeast(0)] Medium ReadOnly
        "How much a follower asks for in all." NoEffect(ONE);
    "replica.fetch.wait.max.ms" Int "500" [Any] High ReadOnly
        "How long a follower's fetch may wait." NoEffect(ONE);
    "replica.high.watermark.checkpoint.interval.ms" Long "5000" [Any] High ReadOnly
        "How often high watermarks are noted on the disk." NoEffect(CHECKPOINT);
    "replica.lag.time.max.ms" Long "30000" [Any] High ReadOnly
        "How long a follower may lag before it leaves the in-sync replicas." NoEffect(ONE);
    "replica.selector.class" String null [Any] Medium ReadOnly
        "A Java class that chooses the replica a consumer reads from." Refused(JVM);
    "replica.socket.receive.buffer.bytes" Int "65536" [Any] High ReadOnly
        "The receive buffer of a follower's socket." NoEffect(ONE);
    "replica.socket.timeout.ms" Int "30000" [Any] High ReadOnly
        "How long a follower waits for an answer." NoEffect(ONE);
    "replication.quota.window.num" Int "11" [AtLeast(1)] Low ReadOnly
        "How many samples the replication quota is averaged over." NoEffect(QUOTA);
    "replication.quota.window.size.seconds" Int "1" [AtLeast(1)] Low ReadOnly
        "The length of a sample of the replication quota." NoEffect(QUOTA);
    "alter.log.dirs.replication.quota.window.num" Int "11" [AtLeast(1)] Low ReadOnly
        "How many samples the quota of moves between directories is averaged over." NoEffect(QUOTA);
    "alter.log.dirs.replication.quota.window.size.seconds" Int "1" [AtLeast(1)] Low ReadOnly
        "The length of a sample of the quota of moves between directories." NoEffect(QUOTA);
    hidden "leader.replication.throttled.rate" Long "9223372036854775807" [AtLeast(0)] Medium ClusterWide
        "Bytes a second that a leader may send for throttled replicas." NoEffect(QUOTA);
    hidden "follower.replication.throttled.rate" Long "9223372036854775807" [AtLeast(0)] Medium ClusterWide
        "Bytes a second that a follower may fetch for throttled replicas." NoEffect(QUOTA);
    hidden "replica.alter.log.dirs.io.max.bytes.per.second" Long "9223372036854775807" [AtLeast(0)] Medium ClusterWide
        "Bytes a second for moves between directories." NoEffect(QUOTA);
    "broker.heartbeat.interval.ms" Int "2000" [Any] Medium ReadOnly
        "How often a broker tells the controller that it lives." NoEffect(ONE);
    "broker.session.timeout.ms" Int "9000" [Any] Medium ReadOnly
        "After how long without a heartbeat a broker is fenced." NoEffect(ONE);
    "initial.broker.registration.timeout.ms" Int "60000" [Any] Medium ReadOnly
        "How long a starting broker tries to register." NoEffect(ONE);
    "controller.socket.timeout.ms" Int "30000" [Any] Medium ReadOnly
        "How long a broker waits for the controller's answer." NoEffect(ONE);
}

//! The keys of topics.

use super::prelude::*;

keys! {
    "cleanup.policy" List "delete" [ListOf(&["compact", "delete"])] Medium ClusterWide
        "What happens to old segments: delete, compact, or both." Partly(NOT_COMPACTED);
    "compression.gzip.level" Int "-1" [BetweenOr(1, 9, -1)] Medium ClusterWide
        "The level at which the broker compresses with gzip." Implemented;
    "compression.lz4.level" Int "9" [Between(1, 17)] Medium ClusterWide
        "The level at which the broker compresses with lz4." Implemented;
    "compression.type" String "producer" [OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])] Medium ClusterWide
        "How the broker stores batches: as the producer sent them, or in this compression." Implemented;
    "compression.zstd.level" Int "3" [Between(-131072, 22)] Medium ClusterWide
        "The level at which the broker compresses with zstd." Implemented;
    "delete.retention.ms" Long "86400000" [AtLeast(0)] Medium ClusterWide
        "How long a compacted log keeps its tombstones." NoEffect(COMPACT);
    "file.delete.delay.ms" Long "60000" [AtLeast(0)] Medium ClusterWide
        "How long the files of a removed segment stay on the disk." NoEffect("The files of a removed segment go at once.");
    "flush.messages" Long "9223372036854775807" [AtLeast(1)] Medium ClusterWide
        "After how many records the log is synced whoever waits for it. With ottla.durability=synced it always is, before acks=all is answered; 1 means synced, whatever ottla.durability says." Implemented;
    "flush.ms" Long "9223372036854775807" [AtLeast(0)] Medium ClusterWide
        "How long records may stay unsynced with ottla.durability=replicated. Without effect on when acks=all is answered; with synced they never wait." Implemented;
    "follower.replication.throttled.replicas" List "" [ThrottledReplicas] Medium ClusterWide
        "Which replicas fetch no faster than follower.replication.throttled.rate, as partition:broker." NoEffect(QUOTA);
    "index.interval.bytes" Int "4096" [AtLeast(0)] Medium ClusterWide
        "How many bytes of records lie between two entries of the offset index." Implemented;
    hidden "internal.segment.bytes" Int null [Any] Medium ClusterWide
        "A segment size below the lower bound, for Kafka's own tests." Refused(TEST);
    "leader.replication.throttled.replicas" List "" [ThrottledReplicas] Medium ClusterWide
        "Which replicas are sent no faster than leader.replication.throttled.rate, as partition:broker." NoEffect(QUOTA);
    "local.retention.bytes" Long "-2" [AtLeast(-2)] Medium ClusterWide
        "How much of a tiered log stays on the local disk; -2 follows retention.bytes." NoEffect(TIER);
    "local.retention.ms" Long "-2" [AtLeast(-2)] Medium ClusterWide
        "How long a tiered log stays on the local disk; -2 follows retention.ms." NoEffect(TIER);
    "max.compaction.lag.ms" Long "9223372036854775807" [AtLeast(1)] Medium ClusterWide
        "How long a record may stay uncompacted at most." NoEffect(COMPACT);
    "max.message.bytes" Int "1048588" [AtLeast(0)] Medium ClusterWide
        "The largest batch of records that the topic takes." Implemented;
    "message.timestamp.after.max.ms" Long "3600000" [AtLeast(0)] Medium ClusterWide
        "How far a record's timestamp may lie in the future." Implemented;
    "message.timestamp.before.max.ms" Long "9223372036854775807" [AtLeast(0)] Medium ClusterWide
        "How far a record's timestamp may lie in the past." Implemented;
    "message.timestamp.type" String "CreateTime" [OneOf(&["CreateTime", "LogAppendTime"])] Medium ClusterWide
        "Whether a record's timestamp is the producer's (CreateTime) or the broker's (LogAppendTime)." Implemented;
    "min.cleanable.dirty.ratio" Double "0.5" [Fraction("0", "1")] Medium ClusterWide
        "Which share of the log must be uncompacted before it is worth compacting." NoEffect(COMPACT);
    "min.compaction.lag.ms" Long "0" [AtLeast(0)] Medium ClusterWide
        "How long a record stays uncompacted at least." NoEffect(COMPACT);
    "min.insync.replicas" Int "1" [AtLeast(1)] Medium ClusterWide
        "How many replicas must have a record before a producer that asks for all is answered." Implemented;
    "ottla.durability" String "synced" [OneOf(&["synced", "replicated"])] High ClusterWide
        "When acks=all is answered: synced waits until the in-sync replicas have the records on stable storage, replicated until they have them in memory." Implemented;
    "preallocate" Boolean "false" [Any] Medium ClusterWide
        "Whether a new segment's file is given its full size at once." Implemented;
    "remote.log.copy.disable" Boolean "false" [Any] Medium ClusterWide
        "Whether no further segments of a tiered log are copied away." NoEffect(TIER);
    "remote.log.delete.on.disable" Boolean "false" [Any] Medium ClusterWide
        "Whether turning tiered storage off deletes what lies elsewhere." NoEffect(TIER);
    "remote.storage.enable" Boolean "false" [Any] Medium ClusterWide
        "Whether the topic's old segments go to tiered storage." Refused("Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.");
    "retention.bytes" Long "-1" [Any] Medium ClusterWide
        "How large a partition may grow before its oldest segments go; -1 for no limit." Implemented;
    "retention.ms" Long "604800000" [AtLeast(-1)] Medium ClusterWide
        "How long records are kept; -1 for ever." Implemented;
    "segment.bytes" Int "1073741824" [AtLeast(1048576)] Medium ClusterWide
        "The size at which the log starts a new segment." Implemented;
    "segment.index.bytes" Int "10485760" [AtLeast(4)] Medium ClusterWide
        "The size of the offset index at which the log starts a new segment." Implemented;
    "segment.jitter.ms" Long "0" [AtLeast(0)] Medium ClusterWide
        "How much at most is taken from segment.ms at random, so that logs do not roll together." NoEffect(LATER);
    "segment.ms" Long "604800000" [AtLeast(1)] Medium ClusterWide
        "The age at which the log starts a new segment." Implemented;
    "unclean.leader.election.enable" Boolean "false" [Any] Medium ClusterWide
        "Whether a replica that may lack committed records can become leader." NoEffect(ONE);
}

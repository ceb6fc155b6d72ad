//! Broker keys: where records are kept, how long, in which segments, and how they get to the disk.

use super::prelude::*;

keys! {
    "log.dir" List "data" [Any] High ReadOnly
        "The directory of the logs, if log.dirs is not set." Partly(ONE_DIR);
    "log.dirs" List null [Any] High ReadOnly
        "The directories of the logs, separated by commas." Partly(ONE_DIR);
    "ottla.disk.reserve.bytes" Long "67108864" [AtLeast(0)] Medium ReadOnly
        "Disk space that is kept back in the file disk-reserve and given up when the disk is full: then produce requests are refused, and retention, deletions, offsets and metadata go on in it." Implemented;
    "ottla.disk.direct" Boolean "true" [Any] Medium ReadOnly
        "Whether logs are written past the page cache, which is faster where the disk allows it." Implemented;
    "log.dir.failure.timeout.ms" Long "30000" [AtLeast(1)] Low ReadOnly
        "How long a broker stays up when it cannot tell the controller that a directory failed." NoEffect(ONE);
    "cordoned.log.dirs" List "" [Any] Medium PerBroker
        "Directories that get no new partitions." Refused(LATER);
    "log.segment.bytes" Int "1073741824" [AtLeast(1048576)] High ClusterWide
        "The size at which a log starts a new segment." Implemented;
    "log.roll.ms" Long null [Any] High ClusterWide
        "The age at which a log starts a new segment; unset, log.roll.hours counts." Implemented;
    "log.roll.hours" Int "168" [AtLeast(1)] High ReadOnly
        "The age in hours at which a log starts a new segment." Implemented;
    "log.roll.jitter.ms" Long null [Any] High ClusterWide
        "How much at most is taken from log.roll.ms at random, so that logs do not roll together; unset, log.roll.jitter.hours counts." NoEffect(LATER);
    "log.roll.jitter.hours" Int "0" [AtLeast(0)] High ReadOnly
        "How many hours at most are taken from log.roll.ms at random." NoEffect(LATER);
    "log.retention.ms" Long null [Any] High ClusterWide
        "How long records are kept; -1 for ever; unset, log.retention.minutes counts." Implemented;
    "log.retention.minutes" Int null [Any] High ReadOnly
        "How many minutes records are kept; unset, log.retention.hours counts." Implemented;
    "log.retention.hours" Int "168" [Any] High ReadOnly
        "How many hours records are kept." Implemented;
    "log.retention.bytes" Long "-1" [Any] High ClusterWide
        "How large a partition may grow before its oldest segments go; -1 for no limit." Implemented;
    "log.retention.check.interval.ms" Long "300000" [AtLeast(1)] Medium ReadOnly
        "How often the broker looks for segments that may go." Implemented;
    "log.cleanup.policy" List "delete" [ListOf(&["compact", "delete"])] Medium ClusterWide
        "What happens to old segments by default: delete, compact, or both." Partly(NOT_COMPACTED);
    "log.segment.delete.delay.ms" Long "60000" [AtLeast(0)] High ClusterWide
        "How long the files of a removed segment stay on the disk." NoEffect("The files of a removed segment go at once.");
    "log.index.size.max.bytes" Int "10485760" [AtLeast(4)] Medium ClusterWide
        "The size of an offset index at which a log starts a new segment." Implemented;
    "log.index.interval.bytes" Int "4096" [AtLeast(0)] Medium ClusterWide
        "How many bytes of records lie between two entries of the offset index." Implemented;
    "log.preallocate" Boolean "false" [Any] Medium ClusterWide
        "Whether a new segment's file is given its full size at once." Implemented;
    "log.message.timestamp.type" String "CreateTime" [OneOf(&["CreateTime", "LogAppendTime"])] Medium ClusterWide
        "Whether a record's timestamp is the producer's (CreateTime) or the broker's (LogAppendTime)." Implemented;
    "log.message.timestamp.before.max.ms" Long "9223372036854775807" [AtLeast(0)] Medium ClusterWide
        "How far a record's timestamp may lie in the past." Implemented;
    "log.message.timestamp.after.max.ms" Long "3600000" [AtLeast(0)] Medium ClusterWide
        "How far a record's timestamp may lie in the future." Implemented;
    "log.flush.interval.messages" Long "9223372036854775807" [AtLeast(1)] High ClusterWide
        "After how many records a log is synced whoever waits for it, by default of all topics; see flush.messages." Implemented;
    "log.flush.interval.ms" Long null [Any] High ClusterWide
        "How long records may stay unsynced, by default of all topics; unset, log.flush.scheduler.interval.ms counts; see flush.ms." Implemented;
    "log.flush.scheduler.interval.ms" Long "9223372036854775807" [Any] High ReadOnly
        "How long records may stay unsynced where log.flush.interval.ms is not set: Ottla looks when it is due." Implemented;
    "log.flush.offset.checkpoint.interval.ms" Int "60000" [AtLeast(0)] High ReadOnly
        "How often the synced ends of the logs are noted." NoEffect(CHECKPOINT);
    "log.flush.start.offset.checkpoint.interval.ms" Int "60000" [AtLeast(0)] High ReadOnly
        "How often the starts of the logs are noted." NoEffect(CHECKPOINT);
    hidden "log.initial.task.delay.ms" Long "30000" [AtLeast(0)] Low ReadOnly
        "How long after the start the background work on logs begins." NoEffect("Ottla's background work on logs begins when it is due.");
    "num.recovery.threads.per.data.dir" Int "2" [AtLeast(1)] High ClusterWide
        "Threads that check logs after a crash." NoEffect(THREADS);
    "ottla.durability" String "synced" [OneOf(&["synced", "replicated"])] High ClusterWide
        "When acks=all is answered, by default of all topics: synced waits until the in-sync replicas have the records on stable storage, replicated until they have them in memory." Implemented;
    "message.max.bytes" Int "1048588" [AtLeast(0)] High ClusterWide
        "The largest batch of records that the broker takes, by default of all topics." Implemented;
    "compression.type" String "producer" [OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])] High ClusterWide
        "How the broker stores batches: as the producer sent them, or in this compression." Implemented;
    "compression.gzip.level" Int "-1" [BetweenOr(1, 9, -1)] Medium ClusterWide
        "The level at which the broker compresses with gzip." Implemented;
    "compression.lz4.level" Int "9" [Between(1, 17)] Medium ClusterWide
        "The level at which the broker compresses with lz4." Implemented;
    "compression.zstd.level" Int "3" [Between(-131072, 22)] Medium ClusterWide
        "The level at which the broker compresses with zstd." Implemented;
    "log.cleaner.enable" Boolean "true" [Any] Medium ReadOnly
        "Whether logs are compacted at all." NoEffect(COMPACT);
    "log.cleaner.threads" Int "1" [AtLeast(0)] Medium ClusterWide
        "Threads that compact." NoEffect(COMPACT);
    "log.cleaner.backoff.ms" Long "15000" [AtLeast(0)] Medium ClusterWide
        "How long the compactor sleeps when there is nothing to do." NoEffect(COMPACT);
    "log.cleaner.dedupe.buffer.size" Long "134217728" [Any] Medium ClusterWide
        "Memory of the compactor for keys." NoEffect(COMPACT);
    "log.cleaner.delete.retention.ms" Long "86400000" [AtLeast(0)] Medium ClusterWide
        "How long a compacted log keeps its tombstones." NoEffect(COMPACT);
    "log.cleaner.io.buffer.size" Int "524288" [AtLeast(0)] Medium ClusterWide
        "Memory of the compactor for reading and writing." NoEffect(COMPACT);
    "log.cleaner.io.buffer.load.factor" Double "0.9" [Any] Medium ClusterWide
        "How full the compactor's memory for keys may become." NoEffect(COMPACT);
    "log.cleaner.io.max.bytes.per.second" Double "1.7976931348623157E308" [Any] Medium ClusterWide
        "How fast the compactor may read and write." NoEffect(COMPACT);
    "log.cleaner.max.compaction.lag.ms" Long "9223372036854775807" [AtLeast(1)] Medium ClusterWide
        "How long a record may stay uncompacted at most." NoEffect(COMPACT);
    "log.cleaner.min.cleanable.ratio" Double "0.5" [Fraction("0", "1")] Medium ClusterWide
        "Which share of a log must be uncompacted before it is worth compacting." NoEffect(COMPACT);
    "log.cleaner.min.compaction.lag.ms" Long "0" [AtLeast(0)] Medium ClusterWide
        "How long a record stays uncompacted at least." NoEffect(COMPACT);
}

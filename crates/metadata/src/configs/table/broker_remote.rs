//! Broker keys: tiered storage.

use super::prelude::*;

keys! {
    "remote.log.storage.system.enable" Boolean "false" [Any] Medium ReadOnly
        "Whether tiered storage is there at all." Refused(TIER);
    "remote.log.storage.manager.class.name" String null [NonEmpty] Medium ReadOnly
        "The Java class that stores segments elsewhere." Refused(JVM);
    "remote.log.storage.manager.class.path" String null [Any] Medium ReadOnly
        "Where that class is found." Refused(JVM);
    "remote.log.storage.manager.impl.prefix" String "rsm.config." [NonEmpty] Medium ReadOnly
        "The prefix of that class's own settings." NoEffect(TIER);
    "remote.log.metadata.manager.class.name" String "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager" [NonEmpty] Medium ReadOnly
        "The Java class that remembers which segments are elsewhere." Refused(JVM);
    "remote.log.metadata.manager.class.path" String null [Any] Medium ReadOnly
        "Where that class is found." Refused(JVM);
    "remote.log.metadata.manager.impl.prefix" String "rlmm.config." [NonEmpty] Medium ReadOnly
        "The prefix of that class's own settings." NoEffect(TIER);
    "remote.log.metadata.manager.listener.name" String null [NonEmpty] Medium ReadOnly
        "The listener that class connects to." NoEffect(TIER);
    "remote.log.metadata.custom.metadata.max.bytes" Int "128" [AtLeast(0)] Low ReadOnly
        "How much of its own a storage class may note about a segment." NoEffect(TIER);
    "remote.log.index.file.cache.total.size.bytes" Long "1073741824" [AtLeast(1)] Low ClusterWide
        "Disk space for indexes of segments that are elsewhere." NoEffect(TIER);
    hidden "remote.log.index.file.cache.ttl.ms" Long "900000" [AtLeast(-1)] Low ReadOnly
        "How long such indexes are kept." NoEffect(TIER);
    "remote.log.manager.task.interval.ms" Long "30000" [AtLeast(1)] Low ReadOnly
        "How often the broker looks for segments to move." NoEffect(TIER);
    hidden "remote.log.manager.task.retry.backoff.ms" Long "500" [AtLeast(1)] Low ReadOnly
        "How long to wait after a failed move at first." NoEffect(TIER);
    hidden "remote.log.manager.task.retry.backoff.max.ms" Long "30000" [AtLeast(1)] Low ReadOnly
        "How long to wait after a failed move at most." NoEffect(TIER);
    hidden "remote.log.manager.task.retry.jitter" Double "0.2" [Fraction("0", "0.5")] Low ReadOnly
        "How much that wait varies." NoEffect(TIER);
    "remote.log.manager.thread.pool.size" Int "2" [AtLeast(1)] Medium ReadOnly
        "Threads of tiered storage." NoEffect(TIER);
    "remote.log.manager.copier.thread.pool.size" Int "10" [AtLeast(1)] Medium ClusterWide
        "Threads that copy segments away." NoEffect(TIER);
    "remote.log.manager.expiration.thread.pool.size" Int "10" [AtLeast(1)] Medium ClusterWide
        "Threads that remove old segments elsewhere." NoEffect(TIER);
    "remote.log.manager.follower.thread.pool.size" Int "2" [AtLeast(1)] Medium ClusterWide
        "Threads that work for followers." NoEffect(TIER);
    "remote.log.manager.copy.max.bytes.per.second" Long "9223372036854775807" [AtLeast(1)] Medium ClusterWide
        "How fast segments are copied away." NoEffect(TIER);
    "remote.log.manager.copy.quota.window.num" Int "11" [AtLeast(1)] Medium ReadOnly
        "How many samples that rate is averaged over." NoEffect(TIER);
    "remote.log.manager.copy.quota.window.size.seconds" Int "1" [AtLeast(1)] Medium ReadOnly
        "The length of such a sample." NoEffect(TIER);
    "remote.log.manager.fetch.max.bytes.per.second" Long "9223372036854775807" [AtLeast(1)] Medium ClusterWide
        "How fast segments are read from elsewhere." NoEffect(TIER);
    "remote.log.manager.fetch.quota.window.num" Int "11" [AtLeast(1)] Medium ReadOnly
        "How many samples that rate is averaged over." NoEffect(TIER);
    "remote.log.manager.fetch.quota.window.size.seconds" Int "1" [AtLeast(1)] Medium ReadOnly
        "The length of such a sample." NoEffect(TIER);
    "remote.log.reader.threads" Int "10" [AtLeast(1)] Medium ClusterWide
        "Threads that read segments from elsewhere." NoEffect(TIER);
    "remote.log.reader.max.pending.tasks" Int "100" [AtLeast(1)] Medium ReadOnly
        "How many such reads may wait." NoEffect(TIER);
    "remote.fetch.max.wait.ms" Int "500" [AtLeast(1)] Medium ClusterWide
        "How long a fetch waits for records from elsewhere." NoEffect(TIER);
    "remote.list.offsets.request.timeout.ms" Long "30000" [AtLeast(1)] Medium ClusterWide
        "How long a question for an offset waits for an answer from elsewhere." NoEffect(TIER);
    "log.local.retention.bytes" Long "-2" [AtLeast(-2)] Medium ClusterWide
        "How much of a tiered log stays on the local disk; -2 follows log.retention.bytes." NoEffect(TIER);
    "log.local.retention.ms" Long "-2" [AtLeast(-2)] Medium ClusterWide
        "How long a tiered log stays on the local disk; -2 follows log.retention.ms." NoEffect(TIER);
    "follower.fetch.last.tiered.offset.enable" Boolean "false" [Any] Medium ClusterWide
        "Whether a new follower starts where tiered storage ends." NoEffect(TIER);
}

//! Broker keys: the node itself: identity, roles, topics it makes, where configuration comes from.

use super::prelude::*;

keys! {
    "node.id" Int required [AtLeast(0)] High ReadOnly
        "The node's id, unique in the cluster." Implemented;
    "broker.id" Int "-1" [Any] High ReadOnly
        "An older name of node.id." Implemented;
    "broker.rack" String null [Any] Medium ReadOnly
        "The rack or zone of the broker, told to clients." Implemented;
    "process.roles" List required [ListOf(&["broker", "controller"])] High ReadOnly
        "What the node is: broker, controller or both." Partly(COMBINED);
    "auto.create.topics.enable" Boolean "true" [Any] High ReadOnly
        "Whether asking for a topic that does not exist creates it." Implemented;
    "delete.topic.enable" Boolean "true" [Any] High ReadOnly
        "Whether topics can be deleted." Implemented;
    "num.partitions" Int "1" [AtLeast(1)] Medium ReadOnly
        "Partitions of a topic whose creator leaves the number to the broker." Implemented;
    "default.replication.factor" Int "1" [Any] Medium ReadOnly
        "Replicas of a topic whose creator leaves the number to the broker." Implemented;
    "create.topic.policy.class.name" Class null [Any] Low ReadOnly
        "A Java class that may refuse new topics." Refused(JVM);
    "alter.config.policy.class.name" Class null [Any] Low ReadOnly
        "A Java class that may refuse changes of configuration." Refused(JVM);
    "config.providers" List "" [Any] Low ClusterWide
        "Java classes that look values up elsewhere." Refused(JVM);
    "metric.reporters" List "org.apache.kafka.common.metrics.JmxReporter" [Any] Low ClusterWide
        "Java classes that are told of metrics." NoEffect(REPORTERS);
    "metrics.num.samples" Int "2" [AtLeast(1)] Low ReadOnly
        "How many samples a metric is averaged over." NoEffect(METRICS);
    "metrics.recording.level" String "INFO" [Any] Low ReadOnly
        "How detailed metrics are." NoEffect(METRICS);
    "metrics.sample.window.ms" Long "30000" [AtLeast(1)] Low ReadOnly
        "The length of a metric's sample." NoEffect(METRICS);
    "kafka.metrics.reporters" List "" [Any] Low ReadOnly
        "Java classes that are told of the older kind of metrics." NoEffect(REPORTERS);
    "kafka.metrics.polling.interval.secs" Int "10" [AtLeast(1)] Low ReadOnly
        "How often those classes are called." NoEffect(METRICS);
    "controlled.shutdown.enable" Boolean "true" [Any] Medium ReadOnly
        "Whether a stopping broker hands its leaderships over first." NoEffect(ONE);
    hidden "server.max.startup.time.ms" Long "9223372036854775807" [AtLeast(0)] Medium ReadOnly
        "How long starting may take before it counts as failed." NoEffect("Ottla starts in milliseconds, or says why it does not.");
    hidden "unstable.feature.versions.enable" Boolean "false" [Any] High ReadOnly
        "Whether feature levels that may still change can be finalised." Refused("Ottla finalises only levels that will not change.");
}

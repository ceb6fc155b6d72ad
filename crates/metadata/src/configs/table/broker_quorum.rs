//! Broker keys: the metadata log and the quorum that keeps it.

use super::prelude::*;

keys! {
    "controller.quorum.voters" List "" [Any] High ReadOnly
        "The controllers, as id@host:port." NoEffect(ONE);
    "controller.quorum.bootstrap.servers" List "" [Any] High ReadOnly
        "Where to find the controllers." NoEffect(ONE);
    "controller.quorum.auto.join.enable" Boolean "false" [Any] Low ReadOnly
        "Whether a controller joins the voters by itself." NoEffect(ONE);
    "controller.quorum.election.timeout.ms" Int "1000" [AtLeast(0)] High ReadOnly
        "How long without a leader before an election." NoEffect(ONE);
    "controller.quorum.election.backoff.max.ms" Int "1000" [AtLeast(0)] High ReadOnly
        "How long at most to wait before another election." NoEffect(ONE);
    "controller.quorum.fetch.timeout.ms" Int "2000" [AtLeast(0)] High ReadOnly
        "How long without the leader's answer before an election." NoEffect(ONE);
    "controller.quorum.fetch.max.bytes" Int "1048576" [AtLeast(1)] Low ReadOnly
        "How much of the metadata log one fetch asks for." NoEffect(ONE);
    "controller.quorum.fetch.snapshot.max.bytes" Int "1048576" [AtLeast(1)] Low ReadOnly
        "How much of a snapshot one fetch asks for." NoEffect(ONE);
    "controller.quorum.append.linger.ms" Int "25" [AtLeast(0)] Medium ReadOnly
        "How long the leader gathers records before it writes them." NoEffect("Ottla gathers what arrives while a sync is under way, and waits for nothing else.");
    "controller.quorum.request.timeout.ms" Int "2000" [AtLeast(0)] Medium ReadOnly
        "How long to wait for another controller's answer." NoEffect(ONE);
    "controller.quorum.retry.backoff.ms" Int "20" [AtLeast(0)] Low ReadOnly
        "How long to wait before asking again." NoEffect(ONE);
    hidden "controller.performance.always.log.threshold.ms" Long "2000" [AtLeast(0)] Medium ReadOnly
        "How slow work of the controller must be to be logged." NoEffect(METRICS);
    hidden "controller.performance.sample.period.ms" Long "60000" [AtLeast(100)] Medium ReadOnly
        "How often the controller logs how it fares." NoEffect(METRICS);
    "metadata.log.dir" String null [Any] High ReadOnly
        "A directory of its own for the metadata log." Refused("The metadata log lies in the first of log.dirs.");
    "metadata.log.segment.bytes" Int "1073741824" [AtLeast(8388608)] High ReadOnly
        "The size at which the metadata log starts a new segment." NoEffect(METALOG);
    "metadata.log.segment.ms" Long "604800000" [Any] High ReadOnly
        "The age at which the metadata log starts a new segment." NoEffect(METALOG);
    "metadata.log.max.record.bytes.between.snapshots" Long "20971520" [AtLeast(1)] High ReadOnly
        "After how many bytes a snapshot of the metadata is made." NoEffect(METALOG);
    "metadata.log.max.snapshot.interval.ms" Long "3600000" [AtLeast(0)] High ReadOnly
        "After how long a snapshot of the metadata is made." NoEffect(METALOG);
    "metadata.max.idle.interval.ms" Int "500" [AtLeast(0)] Low ReadOnly
        "How often an idle controller writes a record." NoEffect(ONE);
    "metadata.max.retention.bytes" Long "104857600" [Any] High ReadOnly
        "How large the metadata log and its snapshots may grow." NoEffect(METALOG);
    "metadata.max.retention.ms" Long "604800000" [Any] High ReadOnly
        "How long old metadata is kept." NoEffect(METALOG);
    hidden "internal.metadata.delete.delay.millis" Long "60000" [Any] Low ReadOnly
        "How long removed files of the metadata log stay." NoEffect(METALOG);
    hidden "internal.metadata.log.segment.bytes" Int null [Any] Low ReadOnly
        "A segment size of the metadata log, for Kafka's own tests." Refused(TEST);
    hidden "internal.metadata.max.batch.size.in.bytes" Int "8388608" [Any] Low ReadOnly
        "The largest batch of the metadata log." NoEffect(METALOG);
}

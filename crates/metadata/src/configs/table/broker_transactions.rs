//! Broker keys: idempotent producers and transactions.

use super::prelude::*;

keys! {
    "producer.id.expiration.ms" Int "86400000" [AtLeast(1)] Low ReadOnly
        "How long the broker remembers a producer that sends nothing." Implemented;
    hidden "producer.id.expiration.check.interval.ms" Int "600000" [AtLeast(1)] Low ReadOnly
        "How often the broker looks for producers to forget." NoEffect("Ottla looks for them when it looks for old segments.");
    "transactional.id.expiration.ms" Int "604800000" [AtLeast(1)] High ReadOnly
        "How long a transactional id is remembered without use." NoEffect(TXN);
    "transaction.max.timeout.ms" Int "900000" [AtLeast(1)] High ReadOnly
        "The longest transaction timeout that a producer may ask for." NoEffect(TXN);
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int "10000" [AtLeast(1)] Low ReadOnly
        "How often transactions that took too long are aborted." NoEffect(TXN);
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int "3600000" [AtLeast(1)] Low ReadOnly
        "How often forgotten transactional ids are removed." NoEffect(TXN);
    "transaction.partition.verification.enable" Boolean "true" [Any] Low ClusterWide
        "Whether a leader asks if a partition is part of the transaction before it appends." NoEffect(TXN);
    "transaction.two.phase.commit.enable" Boolean "false" [Any] Low ReadOnly
        "Whether transactions may be prepared and left for another to end." NoEffect(TXN);
    "transaction.state.log.load.buffer.size" Int "5242880" [AtLeast(1)] High ReadOnly
        "How much is read at once when transactions are loaded." NoEffect(TXN);
    "transaction.state.log.min.isr" Int "2" [AtLeast(1)] High ReadOnly
        "min.insync.replicas of the transaction topic." NoEffect(TXN);
    "transaction.state.log.num.partitions" Int "50" [AtLeast(1)] High ReadOnly
        "Partitions of the transaction topic." NoEffect(TXN);
    "transaction.state.log.replication.factor" Short "3" [AtLeast(1)] High ReadOnly
        "Replicas of the transaction topic." NoEffect(TXN);
    "transaction.state.log.segment.bytes" Int "104857600" [AtLeast(1)] High ReadOnly
        "The segment size of the transaction topic." NoEffect(TXN);
    "add.partitions.to.txn.retry.backoff.ms" Int "20" [AtLeast(1)] High ReadOnly
        "How long to wait before a partition is added to a transaction again." NoEffect(TXN);
    "add.partitions.to.txn.retry.backoff.max.ms" Int "100" [AtLeast(0)] High ReadOnly
        "How long such waits may add up to." NoEffect(TXN);
}

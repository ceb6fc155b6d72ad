//! Why a key has no effect, or is refused.

pub(super) const ONE: &str = "One node is the whole cluster for now.";
pub(super) const LATER: &str = "Ottla does not have this yet.";
pub(super) const SEC: &str =
    "Ottla has no TLS, SASL or access control yet, and does not pretend to.";
pub(super) const JVM: &str = "Ottla loads no Java classes.";
pub(super) const THREADS: &str = "Ottla runs one shard per core, and has no such threads to count.";
pub(super) const PURGATORY: &str =
    "Ottla drops a waiting request when it is answered, and has nothing to sweep.";
pub(super) const QUOTA: &str = "Ottla has no quotas yet.";
pub(super) const METRICS: &str = "Ottla exports no metrics yet.";
pub(super) const CHECKPOINT: &str = "Ottla notes this when it changes.";
pub(super) const COMPACT: &str = "Compaction comes later: of a compacted topic everything is kept.";
pub(super) const METALOG: &str = "Ottla sizes its metadata log itself.";
pub(super) const REPORTERS: &str = "Ottla loads no Java classes, and exports no metrics yet.";
pub(super) const NOT_COMPACTED: &str = "Nothing is compacted yet: a topic with compact takes records with keys only, and keeps every one of them, unless delete is set too.";
pub(super) const COMBINED: &str = "This version runs combined nodes only: broker,controller.";
pub(super) const ONE_DIR: &str = "This version keeps its data in one directory.";
pub(super) const CONTROLLERS: &str =
    "The controller of a single node is asked in process: listeners of these names are not opened.";
pub(super) const PLAINTEXT: &str = "This version speaks PLAINTEXT only.";
pub(super) const TEST: &str = "It exists for the tests of Apache Kafka.";
pub(super) const LOADBUF: &str = "Ottla sizes its buffers by what they hold.";
pub(super) const KIP848: &str = "The newer consumer protocol (KIP-848) comes later.";
pub(super) const STREAMS: &str = "Streams groups come later.";
pub(super) const SHARE: &str = "Share groups come later.";
pub(super) const TXN: &str = "Transactions come later.";
pub(super) const TIER: &str = "Tiered storage comes later.";
pub(super) const KERBEROS: &str = "Ottla has no Kerberos.";
pub(super) const TELEMETRY: &str = "Clients are not asked for their metrics yet.";

//! One partition's log on a disk.
//!
//! Batches come in as they are on the wire and lie in the files as they are on the wire; Kafka's own tools
//! read them. The crate knows batches and offsets; it knows nothing of requests, replicas or who may
//! read what. It waits only on [`env::Disk`].
//!
//! | Room | What for |
//! |---|---|
//! | [`log`] | the log: append, jobs, ends |
//! | [`read`], [`time_lookup`] | reading by offset and by time |
//! | [`transactions`] | which are open, which were aborted: the transaction index |
//! | [`retention`] | what is given up |
//! | [`recovery`], `closed_segments`, `producer_recovery`, `log_start`, `close` | making, opening, closing |
//! | [`torn_tail`], [`claims`], `expectation`, `scan`, `source` | torn tail or damage: the decision table, its evidence, and reading by both |
//! | [`tail`], `buffers`, [`job`], [`sync`] | the end of the log in memory, and its way to the disk |
//! | [`dir`], [`log_dir`], [`reserve`] | a disk's directory of logs: whose it is; what is in it; room kept back |
//! | [`tools`] | dump, verify, repair, for files that no broker has open |
//! | [`index`], [`epochs`], [`producer_snapshot`], [`state`] | the files beside the batches |
//!
//! Invariants, asserted where they are made: log start <= durable end <= written end <= log end; batches are
//! adjacent in offsets and in positions; a claim of durability is made only by a completed sync; after a
//! failed sync no claim is made at all; damaged bytes are never given out, and never shorten the log.

pub mod log;

pub mod read;
pub mod time_lookup;

pub mod transactions;

pub mod retention;

mod close;
mod closed_segments;
mod producer_recovery;
pub mod recovery;

mod log_start;

pub mod claims;
mod expectation;
mod scan;
mod source;
pub mod torn_tail;

mod buffers;
pub mod job;
mod segment;
pub mod sync;
pub mod tail;

pub mod epochs;
pub mod index;
pub mod producer_snapshot;
pub mod state;

pub mod dir;
pub mod log_dir;
pub mod reserve;

pub mod tools;

pub mod files;
pub mod names;

pub mod config;
pub mod error;

pub use config::{LogConfig, LogIdentity};
pub use epochs::{EpochCache, EpochEntry};
pub use error::{AppendError, ReadError, StorageError};
pub use job::{JobDone, JobError, JobOutcome};
pub use log::{Appended, Health, Log};
pub use log_dir::PartitionDir;
pub use producer_snapshot::ProducerEntry;
pub use read::{ReadPlan, ReadResult};
pub use recovery::{Recovered, ReplayedBatch};
pub use reserve::{Reserve, Room};
pub use retention::Retained;
pub use state::FaultyRange;
pub use sync::SyncDone;
pub use time_lookup::{MaxTimePlan, TimePlan, TimestampOffset};
pub use transactions::AbortedPlan;

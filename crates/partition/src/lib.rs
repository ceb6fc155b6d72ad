//! One replica of one partition, as a value that is stepped.
//!
//! [`Replica`] decides where a batch goes, whether it is a duplicate, when it is committed and what the
//! producer is told. It has no log of its own: it says [`Effect::Append`] and hears
//! [`Input::Written`] and [`Input::Synced`], so that a test can put a leader change, a crash or an error
//! of the disk between any two of them.
//!
//! What it deliberately does not do: read or keep records, parse or validate batches, know time beyond
//! the `now` it is given, pick leaders, or speak Kafka's protocol. The room before is the host's produce
//! path with `records`' validation; the room after is `storage`.
//!
//! Invariants, as relations:
//!
//! * `log_start <= last_stable_offset <= high_watermark <= log_end`; `durable_end <= written_end <= log_end`
//! * on a leader of several epochs: the epoch cache's last entry is its own epoch, starting at or below
//!   `log_end`
//! * the producer state and the epoch cache are functions of the log: one [`LogState::apply`] builds them,
//!   live and in replay
//! * a successful answer to `acks=all` names records below the high watermark, and to `acks=1` records
//!   below `written_end`

mod batch;
mod effect;
mod epoch_cache;
mod high_watermark;
mod input;
mod leader;
mod log_state;
mod producer_entry;
mod producer_state;
mod read;
mod replica;
mod waiting;

pub use batch::{Acks, BatchMeta, Control, Marker, Origin};
pub use effect::{Appended, Effect, OfflineReason, Reply};
pub use epoch_cache::{EpochCache, EpochEnd, EpochEntry};
pub use input::{Fence, Input};
pub use log_state::{Applied, LogState};
pub use producer_entry::{BatchSpan, ProducerEntry, SEQUENCES_KEPT};
pub use producer_state::{
    AbortedTransaction, CompletedTransaction, ProducerRow, ProducerSnapshot, ProducerState, Verdict,
};
pub use read::{Isolation, Readable};
pub use replica::{Durability, Recovered, Replica, ReplicaConfig, Role};

//! Record batch v2: layout, CRC-32C, compression, control records, validation.
//!
//! A batch is what producers send, logs store and consumers fetch, and its bytes are the same in all
//! three places. So this crate reads batches where they lie and writes into them as little as it can.
//! It knows nothing of partitions, logs or requests.
//!
//! Bytes from the wire or from disk never panic here, and no declared length or count sizes an
//! allocation before it was checked against the bytes that are there or against a limit.
//!
//! | Room | What for |
//! |---|---|
//! | [`layout`] | the header, its checksum, the fields that a broker writes |
//! | [`iter`] | batches of a range, records of a batch |
//! | [`walk`] | the same records without copying |
//! | [`compression`] | the four codecs |
//! | [`mod@validate`] | what a Produce is judged by |
//! | [`builder`] | making batches |
//! | [`control`] | transaction markers and the quorum's control records |
//! | [`search`] | a record by its timestamp |
//! | [`filter`] | dropping records, for compaction |

pub mod layout;

pub mod iter;
pub mod walk;

pub mod compression;

pub mod validate;

pub mod builder;
pub mod control;

pub mod filter;
pub mod search;

mod varint;

pub use builder::BatchBuilder;
pub use compression::{Codec, CompressionError};
pub use control::{ControlRecord, EndTransactionMarker, TransactionResult};
pub use iter::{Batch, Batches, Header, Record, RecordIter};
pub use layout::{Attributes, BatchError, BatchHeader, HEADER_SIZE, TimestampType};
pub use validate::{Origin, ProducePolicy, Rejection, TargetCodec, Validated, validate};
pub use walk::{RecordView, RecordViews};

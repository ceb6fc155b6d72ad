//! What is said about a batch that is refused.

use types::ErrorCode;

use crate::compression::CompressionError;
use crate::layout::BatchError;

/// A record that was refused, as a Produce response names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's place in the batch, from 0.
    pub batch_index: i32,
    /// What is wrong with it.
    pub message: String,
}

/// Why a batch was refused, for the broker's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// No batch, several, or one of another format.
    Shape,
    /// The checksum or the declared size.
    Corrupt,
    /// Offsets, count or sequence in the header.
    OffsetOrSequence,
    /// A control batch from a client.
    Control,
    /// A codec that is unknown or that the request's version lacks, or data that do not decompress.
    Compression,
    /// Records that are not what the header says.
    Records,
    /// A record without a key on a compacted topic.
    NoKey,
    /// A timestamp out of bounds.
    Timestamp,
    /// More bytes than a limit allows.
    TooLarge,
}

/// A refusal: what the response says about the partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {message}")]
pub struct Rejection {
    /// The partition's error code.
    pub error: ErrorCode,
    /// The partition's error message.
    pub message: String,
    /// The records that are to blame, if it is about records: the first
    /// [`RECORD_ERRORS_MAX`] of them.
    pub record_errors: Vec<RecordError>,
    /// For the counters.
    pub reason: RejectReason,
}

/// How many refused records are named. Kafka names all, which turns a small request into a large
/// answer; the producer fails the others of the batch anyway.
pub const RECORD_ERRORS_MAX: usize = 100;

impl Rejection {
    pub(crate) fn new(
        error: ErrorCode,
        reason: RejectReason,
        message: impl Into<String>,
    ) -> Rejection {
        Rejection {
            error,
            message: message.into(),
            record_errors: Vec::new(),
            reason,
        }
    }
}

/// Records refused one by one.
#[derive(Default)]
pub(super) struct Refused {
    count: usize,
    timestamp: bool,
    errors: Vec<RecordError>,
}

impl Refused {
    #[cold]
    pub(super) fn add(
        &mut self,
        batch_index: i32,
        reason: RejectReason,
        message: impl FnOnce() -> String,
    ) {
        self.count += 1;
        self.timestamp |= reason == RejectReason::Timestamp;
        if self.errors.len() < RECORD_ERRORS_MAX {
            self.errors.push(RecordError {
                batch_index,
                message: message(),
            });
        }
    }

    pub(super) fn verdict(self) -> Result<(), Rejection> {
        if self.count == 0 {
            return Ok(());
        }
        let (error, reason, message) = if self.timestamp {
            let message =
                "One or more records have been rejected due to invalid timestamp".to_owned();
            (
                ErrorCode::INVALID_TIMESTAMP,
                RejectReason::Timestamp,
                message,
            )
        } else {
            let message = format!(
                "One or more records have been rejected due to {} record errors in total",
                self.count
            );
            (ErrorCode::INVALID_RECORD, RejectReason::NoKey, message)
        };
        Err(Rejection {
            error,
            message,
            record_errors: self.errors,
            reason,
        })
    }
}

pub(super) fn reject_records(error: BatchError) -> Rejection {
    Rejection::new(
        ErrorCode::INVALID_RECORD,
        RejectReason::Records,
        error.to_string(),
    )
}

pub(super) fn reject_compression(error: CompressionError) -> Rejection {
    let code = match &error {
        CompressionError::UnknownCodec(_) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        // The one code at which producers split the batch and try again.
        CompressionError::LimitExceeded { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        CompressionError::Malformed { .. } => ErrorCode::INVALID_RECORD,
    };
    Rejection::new(code, RejectReason::Compression, error.to_string())
}

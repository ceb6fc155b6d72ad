//! What can be wrong with a message.

use crate::api::ApiKey;

/// Bytes that are not the message they should be.
///
/// Nothing here is worth an answer, except the two variants with a correlation id: a broker answers
/// an ApiVersions request of a version it does not know, and closes the connection on all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends in the middle of a value.
    #[error("the message ends early: a value needs {needed} bytes and {remaining} are left")]
    Truncated {
        /// What the value takes.
        needed: usize,
        /// What is left.
        remaining: usize,
    },
    /// A length below zero that does not stand for null.
    #[error("a length is negative: {0}")]
    NegativeLength(i32),
    /// Null where this version allows none.
    #[error("a value is null that may not be null in this version")]
    UnexpectedNull,
    /// A string longer than 32,767 bytes.
    #[error("a string has {0} bytes, more than 32767")]
    StringTooLong(usize),
    /// A string that is not UTF-8.
    #[error("a string is not valid UTF-8")]
    InvalidUtf8,
    /// A varint of more than 32 bits.
    #[error("a variable-length integer does not fit 32 bits")]
    VarintTooLong,
    /// An array with more elements than [`crate::DecodeLimits::array_len_max`].
    #[error("an array has {len} elements, more than {max}")]
    ArrayTooLong {
        /// The elements announced.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// An array whose elements cannot fit into what is left of the message.
    #[error("an array of {len} elements needs at least {needed} bytes and {remaining} are left")]
    ArrayExceedsMessage {
        /// The elements announced.
        len: usize,
        /// The least they take.
        needed: usize,
        /// What is left.
        remaining: usize,
    },
    /// More tagged fields in a section than [`crate::DecodeLimits::tags_max`].
    #[error("a section has {count} tagged fields, more than {max}")]
    TooManyTags {
        /// The fields announced.
        count: u32,
        /// The limit.
        max: u32,
    },
    /// A tag that is not greater than the one before it.
    #[error("tag {0} is out of order or comes twice")]
    TagOrder(u32),
    /// A tagged field that does not end where its size says.
    #[error("tag {tag} has {left} bytes more than its value")]
    TagSize {
        /// The tag.
        tag: u32,
        /// Bytes between the end of the value and the end of the field.
        left: usize,
    },
    /// The message takes far more memory decoded than it has bytes.
    #[error("the message takes more memory decoded than its {frame} bytes allow")]
    TooLargeDecoded {
        /// Bytes of the whole message.
        frame: usize,
    },
    /// A version that the message does not have.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A request of an API that does not exist or was retired.
    #[error("there is no API {api_key} (version {api_version})")]
    UnknownApiKey {
        /// The number in the request.
        api_key: i16,
        /// The version in the request.
        api_version: i16,
        /// The request's correlation id.
        correlation_id: i32,
    },
    /// A request of a version that is not supported.
    #[error("{api_key} has no version {api_version}")]
    UnsupportedApiVersion {
        /// The API.
        api_key: ApiKey,
        /// The version in the request.
        api_version: i16,
        /// The request's correlation id.
        correlation_id: i32,
    },
    /// A metadata record in a frame of another version than 1.
    #[error("unknown frame version {0} of a metadata record")]
    UnknownFrameVersion(u32),
    /// A record of a type that does not exist.
    #[error("unknown record type {0}")]
    UnknownRecordType(u32),
    /// Bytes after the end of the message.
    #[error("{0} bytes follow the end of the message")]
    TrailingBytes(usize),
}

/// A message that its version cannot carry. Always a mistake of the program that built it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A version that the message does not have.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is set that this version lacks, and that the other side must not miss.
    #[error("{field} is set, but version {version} has no such field")]
    FieldNotInVersion {
        /// Message and field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Null where this version allows none.
    #[error("{0} is null, but this version cannot say so")]
    UnexpectedNull(&'static str),
    /// A string longer than 32,767 bytes.
    #[error("{field} has {len} bytes, more than a string may have")]
    StringTooLong {
        /// Message and field.
        field: &'static str,
        /// Its length.
        len: usize,
    },
    /// An array, byte string or whole message of 2 GiB or more.
    #[error("a length of {0} does not fit 31 bits")]
    TooLong(usize),
}

impl EncodeError {
    /// `field` is set, but `version` lacks it.
    #[cold]
    pub(crate) fn not_in_version(field: &'static str, version: i16) -> EncodeError {
        EncodeError::FieldNotInVersion { field, version }
    }
}

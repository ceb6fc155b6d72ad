//! The hand-written core under the generated messages: what a message is, and how its bytes are
//! read, written and bounded.
//!
//! Generated code holds only the order of the fields and the versions in which they exist. Whatever
//! can go wrong with bytes from outside is decided here, once: every length is checked against the
//! bytes that are left before anything is allocated, see [`DecodeLimits`].

mod chunks;
mod error;
mod reader;
mod text;
mod writer;

#[cfg(any(test, feature = "testing"))]
pub(crate) mod dice;

pub use chunks::Records;
pub use error::{DecodeError, EncodeError};
pub use reader::{DecodeLimits, Reader, Tags};
pub use text::Str;
pub use writer::{TagMark, Writer};

use std::fmt::Debug;

use crate::api::ApiKey;

/// A message of Kafka's protocol, or a record whose content the same schemas describe.
pub trait Message: Clone + Debug + Default + PartialEq {
    /// Kafka's name of the message: `FetchRequest`.
    const NAME: &'static str;
    /// The first and the last version that exist.
    const VERSIONS: (i16, i16);
    /// The first version with compact lengths and tagged fields; `i16::MAX` if there is none.
    const FLEXIBLE_FROM: i16;

    /// Reads the fields that `version` has; the others get their defaults. Bytes after the message
    /// are left in `r`.
    ///
    /// # Errors
    ///
    /// The bytes are not a message of this version, or decode to more than the reader's limits.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// Writes the fields that `version` has.
    ///
    /// # Errors
    ///
    /// A value that `version` cannot carry. `w` then holds half a message and is of no further use.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// A message that a client sends, and the message that answers it.
pub trait Request: Message {
    /// The number of the API.
    const KEY: ApiKey;
    /// The answer, in the same version.
    type Response: Message;
}

/// Refuses versions that the message does not have.
#[inline]
pub(crate) fn check_decode<M: Message>(version: i16) -> Result<(), DecodeError> {
    if M::VERSIONS.0 <= version && version <= M::VERSIONS.1 {
        return Ok(());
    }
    Err(DecodeError::UnsupportedVersion {
        message: M::NAME,
        version,
    })
}

/// Refuses versions that the message does not have.
#[inline]
pub(crate) fn check_encode<M: Message>(version: i16) -> Result<(), EncodeError> {
    if M::VERSIONS.0 <= version && version <= M::VERSIONS.1 {
        return Ok(());
    }
    Err(EncodeError::UnsupportedVersion {
        message: M::NAME,
        version,
    })
}

//! The four codecs, each in its own file, behind one pair of functions.
//!
//! Decompression never trusts a declared size: output grows as it is produced and stops hard at the
//! caller's limit. So a few bytes that claim gigabytes cost what they really hold.

mod gzip;
pub(crate) mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks, in xerial's framing or raw.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// Zstandard frames.
    Zstd,
}

impl Codec {
    /// Every codec, by ascending id.
    pub const ALL: [Codec; 5] = [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ];

    /// The number in a batch's attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Codec::None => 0,
            Codec::Gzip => 1,
            Codec::Snappy => 2,
            Codec::Lz4 => 3,
            Codec::Zstd => 4,
        }
    }

    /// The codec with this number.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Codec> {
        match id {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// The name in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec with this name; `uncompressed` is a topic's word for `none`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Codec> {
        if name == "uncompressed" {
            return Some(Codec::None);
        }
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes did not decompress.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// No codec has this id.
    #[error("no codec has id {0}")]
    UnknownCodec(u8),
    /// The bytes hold, or declare, more than the limit.
    #[error("{codec} data decompress to more than {limit} bytes")]
    LimitExceeded {
        /// The codec.
        codec: Codec,
        /// The limit that was given.
        limit: usize,
    },
    /// The bytes are not what the codec writes.
    #[error("{codec} data are malformed: {reason}")]
    Malformed {
        /// The codec.
        codec: Codec,
        /// What the codec said.
        reason: String,
    },
}

impl CompressionError {
    fn malformed(codec: Codec, reason: impl fmt::Display) -> Self {
        CompressionError::Malformed {
            codec,
            reason: reason.to_string(),
        }
    }
}

/// Compresses `data`. `level` is the codec's own scale, brought into its range; `None` is the codec's
/// default, the same as Kafka's. Snappy and LZ4 have one level here.
#[must_use]
pub fn compress(codec: Codec, level: Option<i32>, data: &[u8]) -> Bytes {
    match codec {
        Codec::None => Bytes::copy_from_slice(data),
        Codec::Gzip => gzip::compress(level, data).into(),
        Codec::Snappy => snappy::compress(data).into(),
        Codec::Lz4 => lz4::compress(data).into(),
        Codec::Zstd => zstd::compress(level, data).into(),
    }
}

/// Decompresses `data` to at most `limit` bytes.
///
/// **Errors**: see [`CompressionError`]. Memory used beyond the output is bounded per codec: a block of
/// 4 MiB for LZ4, a window of 8 MiB for Zstandard.
pub fn decompress(codec: Codec, data: &[u8], limit: usize) -> Result<Bytes, CompressionError> {
    match codec {
        Codec::None if data.len() > limit => Err(CompressionError::LimitExceeded { codec, limit }),
        Codec::None => Ok(Bytes::copy_from_slice(data)),
        Codec::Gzip => gzip::decompress(data, limit).map(Bytes::from),
        Codec::Snappy => snappy::decompress(data, limit).map(Bytes::from),
        Codec::Lz4 => lz4::decompress(data, limit).map(Bytes::from),
        Codec::Zstd => zstd::decompress(data, limit).map(Bytes::from),
    }
}

/// Reads all of `decoder`, up to `limit` bytes. Starts with room for the usual ratio.
fn read_all(
    codec: Codec,
    decoder: impl Read,
    compressed: usize,
    limit: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::with_capacity(compressed.saturating_mul(4).min(limit).min(1 << 20));
    // One byte more than allowed tells "just full" from "too much".
    let mut decoder = decoder.take((limit as u64).saturating_add(1));
    match decoder.read_to_end(&mut out) {
        Ok(_) if out.len() > limit => Err(CompressionError::LimitExceeded { codec, limit }),
        Ok(_) => Ok(out),
        Err(error) => Err(malformed(codec, &error)),
    }
}

fn malformed(codec: Codec, error: &io::Error) -> CompressionError {
    CompressionError::malformed(codec, error)
}

//! Zstandard, through the reference library.
//!
//! A frame may ask its reader for a window of up to 2 GiB; clients get 8 MiB, and what we write stays
//! within that. Streams of levels 20 to 22 whose size was not known ask for more (32 MiB and up), so a
//! batch that a Java client compressed at such a level cannot be looked into here; below that, all can.

use ::zstd::stream::read::Decoder;
use ::zstd::zstd_safe::{CParameter, get_frame_content_size};

use super::{Codec, CompressionError, malformed, read_all};

const LEVEL_DEFAULT: i32 = 3;
const LEVELS: std::ops::RangeInclusive<i32> = -131_072..=22;
const WINDOW_LOG_MAX: u32 = 23;

pub(super) fn compress(level: Option<i32>, data: &[u8]) -> Vec<u8> {
    let level = level
        .unwrap_or(LEVEL_DEFAULT)
        .clamp(*LEVELS.start(), *LEVELS.end());
    let mut compressor =
        ::zstd::bulk::Compressor::new(level).expect("a context fails only without memory");
    if data.len() > 1 << WINDOW_LOG_MAX {
        compressor
            .set_parameter(CParameter::WindowLog(WINDOW_LOG_MAX))
            .expect("23 is within the bounds of a window log");
    }
    compressor
        .compress(data)
        .expect("the output buffer has the bound that the library asks for")
}

pub(super) fn decompress(data: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    // Only the first frame's claim is looked at: it spares the work on honest frames that are too
    // large. What a frame really holds is counted below.
    if let Ok(Some(declared)) = get_frame_content_size(data)
        && declared > limit as u64
    {
        return Err(CompressionError::LimitExceeded {
            codec: Codec::Zstd,
            limit,
        });
    }
    let mut decoder = Decoder::with_buffer(data).map_err(|e| malformed(Codec::Zstd, &e))?;
    decoder
        .window_log_max(WINDOW_LOG_MAX)
        .map_err(|e| malformed(Codec::Zstd, &e))?;
    read_all(Codec::Zstd, decoder, data.len(), limit)
}

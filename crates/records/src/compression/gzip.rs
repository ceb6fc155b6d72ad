//! gzip, through flate2 on zlib-rs.

use std::io::Write;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Codec, CompressionError, read_all};

const LEVEL_DEFAULT: i32 = 6;

pub(super) fn compress(level: Option<i32>, data: &[u8]) -> Vec<u8> {
    // Kafka's -1 is zlib's default as well.
    let level = level
        .filter(|level| *level >= 0)
        .unwrap_or(LEVEL_DEFAULT)
        .min(9);
    let out = Vec::with_capacity(data.len() / 3 + 64);
    let mut encoder = GzEncoder::new(out, Compression::new(level as u32));
    encoder
        .write_all(data)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

pub(super) fn decompress(data: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    // Members may be concatenated, as Java's reader allows.
    read_all(Codec::Gzip, MultiGzDecoder::new(data), data.len(), limit)
}

//! Snappy: one raw block, or blocks in xerial's framing.
//!
//! ```text
//! 82 53 4e 41 50 50 59 00 | version i32 | compatible version i32 | { length i32, raw block } ...
//! ```
//!
//! Java clients write the framing (and streams may be concatenated); librdkafka and others write a raw
//! block. Both are read; the framing is written. Snappy has no end mark and no checksum of its own: the
//! batch's checksum has to do.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Codec, CompressionError};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_SIZE: usize = 16;
const VERSION: i32 = 1;
const BLOCK_SIZE: usize = 32 * 1024;
/// A copy of 3 bytes yields at most 64, so no block grows by more than this.
const RATIO_MAX: usize = 22;

pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(XERIAL_HEADER_SIZE + data.len() / 2 + 64);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    let mut encoder = Encoder::new();
    for block in data.chunks(BLOCK_SIZE) {
        let length_at = out.len();
        let block_at = length_at + 4;
        out.resize(block_at + max_compress_len(block.len()), 0);
        let written = encoder
            .compress(block, &mut out[block_at..])
            .expect("the output has the bound that the codec asks for");
        out.truncate(block_at + written);
        out[length_at..block_at].copy_from_slice(&(written as u32).to_be_bytes());
    }
    out
}

pub(super) fn decompress(data: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    if !data.starts_with(&MAGIC) {
        block(data, limit, &mut out)?;
        return Ok(out);
    }
    let mut rest = data;
    while !rest.is_empty() {
        if rest.starts_with(&MAGIC) {
            rest = rest
                .get(XERIAL_HEADER_SIZE..)
                .ok_or_else(|| malformed("the framing's header is cut off"))?;
            continue;
        }
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Err(malformed("a block's length is cut off"));
        };
        let length = usize::try_from(i32::from_be_bytes(*length))
            .map_err(|_| malformed("a block's length is negative"))?;
        let Some((compressed, after)) = after.split_at_checked(length) else {
            return Err(malformed("a block is cut off"));
        };
        block(compressed, limit, &mut out)?;
        rest = after;
    }
    Ok(out)
}

fn block(compressed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
    let length = decompress_len(compressed).map_err(malformed)?;
    if length > compressed.len().saturating_mul(RATIO_MAX) {
        return Err(malformed("a block declares more than it can hold"));
    }
    let start = out.len();
    if length > limit - start {
        return Err(CompressionError::LimitExceeded {
            codec: Codec::Snappy,
            limit,
        });
    }
    out.resize(start + length, 0);
    let written = Decoder::new()
        .decompress(compressed, &mut out[start..])
        .map_err(malformed)?;
    out.truncate(start + written);
    Ok(())
}

fn malformed(reason: impl std::fmt::Display) -> CompressionError {
    CompressionError::malformed(Codec::Snappy, reason)
}

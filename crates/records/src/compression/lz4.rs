//! The LZ4 frame format, through lz4_flex (safe code only).
//!
//! Written as Kafka's Java client writes it: blocks of 64 KiB, independent of each other (its reader
//! refuses dependent ones), without checksums. Any frame is read.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{Codec, CompressionError, read_all};

pub(super) fn compress(data: &[u8]) -> Vec<u8> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let out = Vec::with_capacity(data.len() / 2 + 64);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder
        .write_all(data)
        .expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

pub(super) fn decompress(data: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    read_all(Codec::Lz4, FrameDecoder::new(data), data.len(), limit)
}

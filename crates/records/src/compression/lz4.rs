//! The LZ4 frame format, through lz4_flex (safe code only).
//!
//! Written as Kafka's Java client writes it: blocks of 64 KiB, independent of each other (its reader
//! refuses dependent ones), without checksums. Any frame is read;
//! [`has_dependent_blocks`] tells those that the Java client cannot read.

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

/// Whether a frame says that its blocks depend on each other. The Java consumer stops at such a batch for
/// good, so a broker must not take it in.
pub(crate) fn has_dependent_blocks(frame: &[u8]) -> bool {
    const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
    const INDEPENDENT: u8 = 0x20;
    frame.starts_with(&MAGIC) && frame.get(4).is_some_and(|flags| flags & INDEPENDENT == 0)
}

pub(super) fn decompress(data: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
    read_all(Codec::Lz4, FrameDecoder::new(data), data.len(), limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_with_dependent_blocks_are_told_from_ours() {
        let ours = compress(&[7; 300_000]);
        assert!(!has_dependent_blocks(&ours));
        let info = FrameInfo::new().block_mode(BlockMode::Linked);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&[7; 300_000]).unwrap();
        assert!(has_dependent_blocks(&encoder.finish().unwrap()));
        assert!(!has_dependent_blocks(b""));
    }
}

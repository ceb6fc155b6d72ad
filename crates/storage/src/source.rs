//! A segment's file as recovery and the tools read it: forward, and on past what cannot be read.

use std::io;

use bytes::{Bytes, BytesMut};
use env::{Disk, File, OpenMode};
use records::BatchHeader;
use records::layout::{self, HEADER_SIZE, MAGIC_AT};
use types::Offset;

const WINDOW: usize = 1 << 20;
const BLOCK: u64 = OpenMode::ALIGNMENT as u64;

/// A file that is read forward, a window at a time.
pub(crate) struct Source<D: Disk> {
    file: Option<D::File>,
    len: u64,
    window: Bytes,
    start: u64,
}

impl<D: Disk> Source<D> {
    /// Reads `file`, which has `len` bytes; without a file there are none.
    pub(crate) fn new(file: Option<D::File>, len: u64) -> Source<D> {
        let len = if file.is_some() { len } else { 0 };
        Source {
            file,
            len,
            window: Bytes::new(),
            start: 0,
        }
    }

    /// The file's length.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes at `from`, fewer than `len` only at the end of the file.
    ///
    /// # Errors
    /// The disk refused exactly these bytes, or their block.
    pub(crate) async fn bytes(&mut self, from: u64, len: usize) -> io::Result<Bytes> {
        let end = (from + len as u64).min(self.len);
        if from >= end {
            return Ok(Bytes::new());
        }
        let Some(file) = &self.file else {
            return Ok(Bytes::new());
        };
        let window_end = self.start + self.window.len() as u64;
        if from < self.start || end > window_end {
            let start = from - from % BLOCK;
            let want = (end - start).max(WINDOW as u64).next_multiple_of(BLOCK);
            let read = file.read_at(start, want as usize).await;
            self.window = match read {
                Ok(bytes) => bytes,
                // Somewhere in the window; ask for what is needed, block by block.
                Err(_) => {
                    let mut bytes = BytesMut::new();
                    let mut at = start;
                    while at < end {
                        bytes.extend_from_slice(&file.read_at(at, BLOCK as usize).await?);
                        at += BLOCK;
                    }
                    bytes.freeze()
                }
            };
            self.start = start;
        }
        let at = (from - self.start) as usize;
        let to = ((end - self.start) as usize).min(self.window.len());
        Ok(self.window.slice(at.min(to)..to))
    }

    /// Whether all is zero from `from` to `end`.
    pub(crate) async fn is_zero(&mut self, from: u64, end: u64) -> io::Result<bool> {
        let mut at = from;
        while at < end.min(self.len) {
            let len = (end.min(self.len) - at).min(WINDOW as u64 / 2) as usize;
            let bytes = self.bytes(at, len).await?;
            if bytes.is_empty() {
                break;
            }
            if !is_zero(&bytes) {
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
        Ok(true)
    }

    /// The next whole batch at or after `from` whose base offset lies beyond `after`.
    pub(crate) async fn find_batch(
        &mut self,
        from: u64,
        after: Offset,
    ) -> Option<(u64, BatchHeader)> {
        let mut at = from;
        while at + HEADER_SIZE as u64 <= self.len {
            let Ok(bytes) = self.bytes(at, WINDOW / 2).await else {
                at = (at + 1).next_multiple_of(BLOCK);
                continue;
            };
            if bytes.len() < HEADER_SIZE {
                return None;
            }
            for i in 0..=bytes.len() - HEADER_SIZE {
                if bytes[i + MAGIC_AT] != 2 {
                    continue;
                }
                let Ok(header) = BatchHeader::parse(&bytes[i..i + HEADER_SIZE]) else {
                    continue;
                };
                let distance = header.base_offset.0.checked_sub(after.0);
                if distance.is_some_and(|distance| (1..=i64::from(i32::MAX)).contains(&distance))
                    && at + (i + header.total_size()) as u64 <= self.len
                    && self.is_whole(at + i as u64, &header).await
                {
                    return Some((at + i as u64, header));
                }
            }
            at += (bytes.len() - HEADER_SIZE + 1) as u64;
        }
        None
    }

    async fn is_whole(&mut self, at: u64, header: &BatchHeader) -> bool {
        let batch = self.bytes(at, header.total_size()).await;
        batch.is_ok_and(|batch| {
            batch.len() == header.total_size() && layout::verify_crc(&batch).is_ok()
        })
    }
}

/// Whether all bytes are zero: compared in pieces, which is a memory compare and not a loop.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|piece| *piece == ZEROS[..piece.len()])
}

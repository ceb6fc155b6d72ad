//! Memory that reads return, used again when its reader drops it.
//!
//! A fresh megabyte costs a page fault per 4 KiB and the zeroing of every page, which is more than the
//! copy out of the page cache. So blocks that come back are kept, up to a limit, by size class.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use env::AlignedBuf;

/// Blocks of 16 KiB, 32 KiB, ... 2 MiB. What is smaller or larger comes from the allocator.
const SMALLEST: usize = 16 << 10;
const CLASSES: usize = 8;

/// Blocks waiting for use.
#[derive(Debug)]
pub(super) struct Buffers {
    classes: [Mutex<Vec<AlignedBuf>>; CLASSES],
    kept_bytes: AtomicUsize,
    kept_bytes_max: usize,
}

/// A block to read into. Its contents are whatever was in it before; only what a read filled leaves it.
#[derive(Debug)]
pub(super) struct Block {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    /// Small, from the allocator.
    Plain(Vec<u8>),
    /// Of a class or larger than all classes, and aligned.
    Aligned(Loan),
}

#[derive(Debug)]
struct Loan {
    block: Option<AlignedBuf>,
    home: Arc<Buffers>,
}

impl Buffers {
    pub(super) fn new(kept_bytes_max: usize) -> Buffers {
        Buffers {
            classes: std::array::from_fn(|_| Mutex::default()),
            kept_bytes: AtomicUsize::new(0),
            kept_bytes_max,
        }
    }

    /// Room for `len` bytes (more than none), aligned if asked for.
    pub(super) fn take(self: &Arc<Self>, len: usize, aligned: bool) -> Block {
        assert!(len > 0, "reading nothing needs no room");
        if len < SMALLEST / 2 && !aligned {
            return Block {
                memory: Memory::Plain(vec![0; len]),
                len,
            };
        }
        let kept = class_for(len).and_then(|class| self.lock(class).pop());
        if let Some(block) = &kept {
            self.kept_bytes.fetch_sub(block.len(), Ordering::Relaxed);
        }
        let block = kept.unwrap_or_else(|| {
            AlignedBuf::zeroed(class_for(len).map_or(len, |class| SMALLEST << class))
        });
        Block {
            memory: Memory::Aligned(Loan {
                block: Some(block),
                home: Arc::clone(self),
            }),
            len,
        }
    }

    fn give_back(&self, block: AlignedBuf) {
        let Some(class) = class_for(block.len()).filter(|class| SMALLEST << class == block.len())
        else {
            return;
        };
        let kept = self.kept_bytes.fetch_add(block.len(), Ordering::Relaxed) + block.len();
        if kept > self.kept_bytes_max {
            self.kept_bytes.fetch_sub(block.len(), Ordering::Relaxed);
        } else {
            self.lock(class).push(block);
        }
    }

    fn lock(&self, class: usize) -> std::sync::MutexGuard<'_, Vec<AlignedBuf>> {
        self.classes[class]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smallest class that holds `len` bytes.
fn class_for(len: usize) -> Option<usize> {
    (0..CLASSES).find(|class| SMALLEST << class >= len)
}

impl Block {
    /// The whole room asked for.
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Plain(bytes) => bytes,
            Memory::Aligned(loan) => {
                let block = loan.block.as_mut().expect("there until it is dropped");
                &mut block.as_mut()[..self.len]
            }
        }
    }

    /// The first `filled` bytes, for keeps.
    pub(super) fn freeze(self, filled: usize) -> Bytes {
        assert!(filled <= self.len, "a read filled more than it was given");
        match self.memory {
            Memory::Plain(mut bytes) => {
                bytes.truncate(filled);
                Bytes::from(bytes)
            }
            Memory::Aligned(_) if filled == 0 => Bytes::new(),
            Memory::Aligned(loan) => Bytes::from_owner(loan).slice(..filled),
        }
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.block
            .as_ref()
            .expect("there until it is dropped")
            .as_ref()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.home.give_back(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_when_its_last_reader_is_gone() {
        let buffers = Arc::new(Buffers::new(1 << 20));
        let mut block = buffers.take(100_000, false);
        block.as_mut().fill(7);
        let address = block.as_mut().as_ptr() as usize;
        let bytes = block.freeze(10);
        assert_eq!(&bytes[..], [7; 10]);
        let other = bytes.clone();
        drop(bytes);
        let mut second = buffers.take(100_000, false);
        assert_ne!(second.as_mut().as_ptr() as usize, address, "still in use");
        drop(other);
        let mut third = buffers.take(70_000, true);
        assert_eq!(third.as_mut().as_ptr() as usize, address);
        assert_eq!(third.as_mut().len(), 70_000);
    }

    #[test]
    fn keeps_no_more_than_its_limit() {
        let buffers = Arc::new(Buffers::new(100_000));
        let blocks: Vec<_> = (0..8).map(|_| buffers.take(SMALLEST, true)).collect();
        drop(blocks);
        assert_eq!(buffers.kept_bytes.load(Ordering::Relaxed), 6 * SMALLEST);
        drop(buffers.take(5 << 20, true));
        drop(buffers.take(200_000, true));
        assert_eq!(buffers.kept_bytes.load(Ordering::Relaxed), 6 * SMALLEST);
    }

    #[test]
    fn small_and_large_reads_get_what_they_ask_for() {
        let buffers = Arc::new(Buffers::new(1 << 20));
        for len in [
            1,
            4095,
            8191,
            8192,
            SMALLEST,
            SMALLEST + 1,
            2 << 20,
            3 << 20,
        ] {
            for aligned in [false, true] {
                let mut block = buffers.take(len, aligned);
                assert_eq!(block.as_mut().len(), len);
                let address = block.as_mut().as_ptr() as usize;
                assert!(!aligned || address.is_multiple_of(env::OpenMode::ALIGNMENT));
                assert_eq!(block.freeze(len).len(), len);
            }
        }
    }
}

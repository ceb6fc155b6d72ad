//! The memory of chunks, used again once its last reader has gone.
//!
//! Fresh memory costs a page fault and the zeroing of a page every 4 KiB, which is more than all else that
//! is done with a batch. A chunk that leaves the tail cache makes room for the next one, so a busy log goes
//! round in the same few buffers; an idle one gives them back.

use env::AlignedBuf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How much larger than asked for a used buffer may be.
const WASTE_MAX: usize = 4;
/// Buffers that wait for use; more are freed.
const SPARE_MAX: usize = 4;

/// Where used buffers come back to. Unbounded, because each of them came from here.
#[derive(Debug)]
pub(crate) struct Buffers {
    home: UnboundedSender<AlignedBuf>,
    returned: UnboundedReceiver<AlignedBuf>,
    spare: Vec<AlignedBuf>,
}

/// A buffer that comes back when it is dropped, wherever that is.
#[derive(Debug)]
pub(crate) struct Loan {
    buffer: Option<AlignedBuf>,
    home: UnboundedSender<AlignedBuf>,
}

impl Buffers {
    pub(crate) fn new() -> Buffers {
        let (home, returned) = unbounded_channel();
        Buffers {
            home,
            returned,
            spare: Vec::new(),
        }
    }

    /// At least `len` bytes, which hold anything.
    pub(crate) fn take(&mut self, len: usize) -> Loan {
        while let Ok(buffer) = self.returned.try_recv() {
            if self.spare.len() == SPARE_MAX {
                self.spare.remove(0);
            }
            self.spare.push(buffer);
        }
        let fits = |buffer: &AlignedBuf| (len..=len * WASTE_MAX).contains(&buffer.len());
        let used = self.spare.iter().rposition(fits);
        let buffer = match used {
            Some(at) => self.spare.swap_remove(at),
            None => AlignedBuf::zeroed(len),
        };
        Loan {
            buffer: Some(buffer),
            home: self.home.clone(),
        }
    }
}

const THERE: &str = "there until it is dropped";

impl Loan {
    pub(crate) fn len(&self) -> usize {
        self.as_ref().len()
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.buffer.as_ref().expect(THERE).as_ref()
    }
}

impl AsMut<[u8]> for Loan {
    fn as_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().expect(THERE).as_mut()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            // The log may be gone; then the memory goes too.
            let _ = self.home.send(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_reader_is_gone() {
        let mut buffers = Buffers::new();
        let mut first = buffers.take(8192);
        first.as_mut().fill(7);
        let address = first.as_ref().as_ptr();
        let bytes = Bytes::from_owner(first);
        let reader = bytes.slice(100..200);
        drop(bytes);
        assert_ne!(buffers.take(8192).as_ref().as_ptr(), address, "still read");
        drop(reader);
        let again = buffers.take(8192);
        assert_eq!(again.as_ref().as_ptr(), address);
        drop(again);
        // A small need does not take a large buffer from those who need one.
        drop(buffers.take(1 << 20));
        assert_eq!(buffers.take(4096).len(), 8192);
        assert_eq!(buffers.take(1 << 19).len(), 1 << 20);
        drop(buffers);
    }
}

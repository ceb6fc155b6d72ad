//! Memory that `Direct` files accept.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use bytes::Bytes;

use crate::OpenMode;

/// A zeroed buffer whose address and length are multiples of [`OpenMode::ALIGNMENT`].
///
/// Frozen into [`Bytes`] it keeps its address, so slices at aligned positions may be written to a
/// `Direct` file.
#[derive(Debug)]
pub struct AlignedBuf {
    start: NonNull<u8>,
    len: usize,
}

#[allow(
    unsafe_code,
    reason = "the global allocator is the only way to aligned memory"
)]
mod memory {
    use super::{AlignedBuf, Layout, NonNull, OpenMode, alloc_zeroed, dealloc, handle_alloc_error};

    // SAFETY: the buffer owns its memory, and gives it out only by the usual borrowing rules.
    unsafe impl Send for AlignedBuf {}
    // SAFETY: as above; `&AlignedBuf` only reads.
    unsafe impl Sync for AlignedBuf {}

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, OpenMode::ALIGNMENT).expect("a buffer smaller than isize::MAX")
    }

    impl AlignedBuf {
        /// A zeroed buffer of at least `len` bytes, rounded up to the alignment.
        ///
        /// # Panics
        /// If `len` is zero or does not fit the address space.
        #[must_use]
        pub fn zeroed(len: usize) -> AlignedBuf {
            assert!(len > 0, "an aligned buffer is never empty");
            let len = len
                .checked_next_multiple_of(OpenMode::ALIGNMENT)
                .expect("a sane length");
            // SAFETY: the layout has a non-zero size.
            let start = unsafe { alloc_zeroed(layout(len)) };
            let Some(start) = NonNull::new(start) else {
                handle_alloc_error(layout(len))
            };
            AlignedBuf { start, len }
        }
    }

    impl AsRef<[u8]> for AlignedBuf {
        fn as_ref(&self) -> &[u8] {
            // SAFETY: `start` is valid for `len` initialised bytes as long as `self` lives.
            unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
        }
    }

    impl AsMut<[u8]> for AlignedBuf {
        fn as_mut(&mut self) -> &mut [u8] {
            // SAFETY: as in `as_ref`, and `&mut self` makes this the only borrow.
            unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
        }
    }

    impl Drop for AlignedBuf {
        fn drop(&mut self) {
            // SAFETY: allocated in `zeroed` with this very layout, and freed once.
            unsafe { dealloc(self.start.as_ptr(), layout(self.len)) }
        }
    }
}

impl AlignedBuf {
    /// The buffer as shared bytes, at the same address.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_address_when_frozen() {
        let mut buf = AlignedBuf::zeroed(5000);
        assert_eq!(buf.len(), 8192);
        buf.as_mut()[4096] = 7;
        let address = buf.as_ref().as_ptr() as usize;
        let bytes = buf.freeze();
        assert_eq!(bytes.as_ptr() as usize, address);
        assert_eq!(
            bytes.slice(4096..).as_ptr() as usize % OpenMode::ALIGNMENT,
            0
        );
        assert_eq!(bytes[4096], 7);
    }
}

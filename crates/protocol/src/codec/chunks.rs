//! The record data of a partition: bytes that are passed on and not looked at here.

use std::fmt;

use bytes::Bytes;

/// Record batches as they are on the wire and on disk, in one piece or several.
///
/// A fetch response is put together from pieces of segments and page cache; the pieces reach the
/// socket without being copied into one.
#[derive(Clone, Default)]
pub struct Records {
    chunks: Vec<Bytes>,
}

impl Records {
    /// No record data.
    #[must_use]
    pub const fn new() -> Records {
        Records { chunks: Vec::new() }
    }

    /// The pieces, one after the other.
    #[must_use]
    pub fn from_chunks(mut chunks: Vec<Bytes>) -> Records {
        chunks.retain(|chunk| !chunk.is_empty());
        Records { chunks }
    }

    /// The pieces; none is empty.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Bytes in all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Whether there is not a byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.chunks.push(chunk);
        }
    }

    /// All bytes in one piece. Copies only if there is more than one.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        match self.chunks.len() {
            0 => Bytes::new(),
            1 => self.chunks.remove(0),
            _ => Bytes::from(self.chunks.concat()),
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Records {
        Records::from_chunks(vec![bytes])
    }
}

impl From<Vec<u8>> for Records {
    fn from(bytes: Vec<u8>) -> Records {
        Records::from(Bytes::from(bytes))
    }
}

/// Equal bytes are equal records, however they are cut into pieces.
impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self.len() == other.len()
            && self
                .chunks
                .iter()
                .flatten()
                .eq(other.chunks.iter().flatten())
    }
}

impl Eq for Records {}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} bytes", self.len())?;
        if self.chunks.len() > 1 {
            write!(f, " in {} chunks", self.chunks.len())?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_matter() {
        let whole = Records::from(Bytes::from_static(b"abcdef"));
        let cut = Records::from_chunks(vec![
            Bytes::from_static(b"ab"),
            Bytes::new(),
            Bytes::from_static(b"cdef"),
        ]);
        assert_eq!(whole, cut);
        assert_eq!(cut.chunks().len(), 2);
        assert_eq!(cut.len(), 6);
        assert_eq!(format!("{cut:?}"), "Records(6 bytes in 2 chunks)");
        assert_eq!(cut.into_bytes(), whole.into_bytes());
        assert_ne!(Records::from(vec![1]), Records::from(vec![2]));
        assert!(Records::from(Bytes::new()).is_empty());
    }
}

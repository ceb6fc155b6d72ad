//! Values that say who wrote them, so that any record that is read can be judged by itself.

use bytes::{BufMut, Bytes, BytesMut};
use world::seed::mix;

const MAGIC: u32 = 0x4f54_4c41;
const HEAD: usize = 16;

/// Who wrote a record, and as its how-manieth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The writer: one incarnation of one producer.
    pub writer: u32,
    /// Which of its records, from 0.
    pub seq: u32,
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {} of writer {}", self.seq, self.writer)
    }
}

fn filler(stamp: Stamp, at: usize) -> u8 {
    // Runs of equal bytes, so that compression has something to do.
    let word = (u64::from(stamp.writer) << 32) | u64::from(stamp.seq);
    mix(word, (at / 8) as u64) as u8
}

/// The value of a record, `len` bytes long or as long as its head.
#[must_use]
pub fn encode(stamp: Stamp, len: usize) -> Bytes {
    let len = len.max(HEAD);
    let mut value = BytesMut::with_capacity(len);
    value.put_u32(MAGIC);
    value.put_u32(stamp.writer);
    value.put_u32(stamp.seq);
    value.put_u32(len as u32);
    value.extend((HEAD..len).map(|at| filler(stamp, at)));
    value.freeze()
}

/// Who wrote a value.
///
/// # Errors
/// It is not, byte for byte, a value that anybody here writes.
pub fn decode(value: &[u8]) -> Result<Stamp, String> {
    let word = |at: usize| {
        let bytes = value.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    let (Some(MAGIC), Some(writer), Some(seq), Some(len)) = (word(0), word(4), word(8), word(12))
    else {
        return Err(format!("a value of {} bytes without a stamp", value.len()));
    };
    let stamp = Stamp { writer, seq };
    if len as usize != value.len() {
        return Err(format!(
            "{stamp} has {} bytes instead of {len}",
            value.len()
        ));
    }
    match (HEAD..value.len()).find(|at| value[*at] != filler(stamp, *at)) {
        Some(at) => Err(format!("{stamp} has a wrong byte at {at}")),
        None => Ok(stamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_tell_who_wrote_them() {
        let stamp = Stamp { writer: 7, seq: 9 };
        for len in [0, 16, 17, 1000] {
            assert_eq!(decode(&encode(stamp, len)), Ok(stamp));
        }
        let whole = encode(stamp, 100);
        for at in 0..100 {
            let mut wrong = whole.to_vec();
            wrong[at] ^= 1;
            assert_ne!(decode(&wrong), Ok(stamp), "{at}");
        }
        assert!(decode(&whole[..99]).is_err());
    }
}

//! Zig-zag variable-length integers, as record fields use them.
//!
//! Seven bits to a byte, least significant first; the top bit says that another byte follows. At most
//! five bytes carry 32 bits and ten carry 64. Bits beyond the width in the last byte are dropped, as
//! Kafka's own reader does.

/// Reads from a slice, front to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Why a field could not be read.
pub(crate) const SHORT: &str = "the bytes end within a field";
const TOO_LONG: &str = "a variable-length integer is too long";

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// **Panics** when `at` lies beyond the end.
    pub(crate) fn at(bytes: &'a [u8], at: usize) -> Self {
        assert!(at <= bytes.len());
        Self { bytes, at }
    }

    #[inline(always)]
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, &'static str> {
        let byte = *self.bytes.get(self.at).ok_or(SHORT)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let end = self.at.checked_add(count).ok_or(SHORT)?;
        let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(taken)
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<i32, &'static str> {
        let raw = match self.short_form() {
            Some(raw) => raw,
            None => self.long_form(5)? as u32,
        };
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    #[inline(always)]
    pub(crate) fn varlong(&mut self) -> Result<i64, &'static str> {
        let raw = match self.short_form() {
            Some(raw) => u64::from(raw),
            None => self.long_form(10)?,
        };
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// Nearly every length and delta fits one or two bytes.
    #[inline(always)]
    fn short_form(&mut self) -> Option<u32> {
        let first = *self.bytes.get(self.at)?;
        if first < 0x80 {
            self.at += 1;
            return Some(u32::from(first));
        }
        let second = *self.bytes.get(self.at + 1)?;
        if second < 0x80 {
            self.at += 2;
            return Some(u32::from(first & 0x7f) | u32::from(second) << 7);
        }
        None
    }

    #[inline(never)]
    fn long_form(&mut self, bytes_max: u32) -> Result<u64, &'static str> {
        let mut raw = 0;
        for i in 0..bytes_max {
            let byte = self.byte()?;
            raw |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                return Ok(raw);
            }
        }
        Err(TOO_LONG)
    }
}

pub(crate) fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_raw(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

pub(crate) fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_raw(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn write_raw(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

pub(crate) fn varint_size(value: i32) -> usize {
    raw_size(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

pub(crate) fn varlong_size(value: i64) -> usize {
    raw_size(((value << 1) ^ (value >> 63)) as u64)
}

fn raw_size(raw: u64) -> usize {
    (70 - (raw | 1).leading_zeros() as usize) / 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(value: i32) -> Vec<u8> {
        let mut out = Vec::new();
        write_varint(&mut out, value);
        out
    }

    #[test]
    fn known_values() {
        assert_eq!(encoded(0), [0x00]);
        assert_eq!(encoded(-1), [0x01]);
        assert_eq!(encoded(1), [0x02]);
        assert_eq!(encoded(63), [0x7e]);
        assert_eq!(encoded(64), [0x80, 0x01]);
        assert_eq!(encoded(i32::MAX), [0xfe, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(encoded(i32::MIN), [0xff, 0xff, 0xff, 0xff, 0x0f]);
    }

    #[test]
    fn too_long_and_too_short() {
        assert_eq!(Cursor::new(&[0x80; 5]).varint(), Err(TOO_LONG));
        assert_eq!(Cursor::new(&[0x80; 10]).varlong(), Err(TOO_LONG));
        assert_eq!(Cursor::new(&[0x80; 4]).varint(), Err(SHORT));
        assert_eq!(Cursor::new(&[]).varlong(), Err(SHORT));
        assert_eq!(Cursor::new(&[1, 2]).take(3), Err(SHORT));
        assert_eq!(Cursor::new(&[1, 2]).take(usize::MAX), Err(SHORT));
    }

    proptest! {
        #[test]
        fn round_trip(a: i32, b: i64) {
            let mut out = Vec::new();
            write_varint(&mut out, a);
            prop_assert_eq!(out.len(), varint_size(a));
            write_varlong(&mut out, b);
            prop_assert_eq!(out.len(), varint_size(a) + varlong_size(b));
            let mut cursor = Cursor::new(&out);
            prop_assert_eq!(cursor.varint(), Ok(a));
            prop_assert_eq!(cursor.varlong(), Ok(b));
            prop_assert_eq!(cursor.remaining(), 0);
        }
    }
}

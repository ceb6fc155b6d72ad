//! Takes a message apart, and never trusts a length.

use bytes::Bytes;
use types::Uuid;

use super::chunks::Records;
use super::error::DecodeError;
use super::text::Str;

#[cfg(any(test, feature = "testing"))]
use super::dice::Dice;

/// What a message may ask for before it is refused.
///
/// The first two are Kafka's (4.4). The third bounds amplification: an array of 2-byte elements may
/// become an array of 50-byte structs. Honest requests do that too (a metadata request for many
/// one-letter topics grows sixteenfold), so small frames are let through and large ones, where it
/// hurts and where names and offsets are the bulk, are held to four bytes of memory for each byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Elements of one array.
    pub array_len_max: usize,
    /// Tagged fields of one section.
    pub tags_max: u32,
    /// Bytes of memory that the arrays of the decoded message may take together. Text, byte strings
    /// and records are slices of the frame and are not counted.
    pub decoded_bytes_max: usize,
}

impl DecodeLimits {
    /// The limits for a frame of `len` bytes: 64 KiB, and 16 bytes for each of the first mebibyte,
    /// and 4 for each byte after it.
    #[must_use]
    pub const fn for_frame(len: usize) -> DecodeLimits {
        const MIB: usize = 1024 * 1024;
        let head = if len < MIB { len } else { MIB };
        DecodeLimits {
            array_len_max: 1_000_000,
            tags_max: 10_000,
            decoded_bytes_max: 64 * 1024 + 16 * head + 4 * (len - head),
        }
    }
}

/// Elements that an array reserves room for before it has seen them.
const RESERVED_ELEMENTS_MAX: usize = 1000;

/// Reads the values of a message one after the other. What it returns shares the buffer.
#[derive(Debug)]
pub struct Reader {
    buf: Bytes,
    pos: usize,
    /// Where the message or the tagged field that is being read ends.
    end: usize,
    limits: DecodeLimits,
    /// What is left of `limits.decoded_bytes_max`.
    budget: usize,
    #[cfg(any(test, feature = "testing"))]
    dice: Option<Dice>,
}

impl Reader {
    /// Reads `buf` with the limits that its length gives.
    #[must_use]
    pub fn new(buf: Bytes) -> Reader {
        let limits = DecodeLimits::for_frame(buf.len());
        Reader::with_limits(buf, limits)
    }

    /// Reads `buf` with limits of the caller's choice.
    #[must_use]
    pub fn with_limits(buf: Bytes, limits: DecodeLimits) -> Reader {
        Reader {
            pos: 0,
            end: buf.len(),
            buf,
            limits,
            budget: limits.decoded_bytes_max,
            #[cfg(any(test, feature = "testing"))]
            dice: None,
        }
    }

    /// A reader of no bytes at all, which makes up every value it is asked for.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn from_dice(dice: Dice) -> Reader {
        let mut r = Reader::with_limits(Bytes::new(), DecodeLimits::for_frame(1 << 30));
        r.dice = Some(dice);
        r
    }

    /// Bytes that were not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.pos
    }

    /// The bytes that were not read yet.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.buf.slice(self.pos..self.end)
    }

    /// Requires that everything was read.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TrailingBytes`].
    pub fn expect_end(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.array());
        }
        match self.buf[self.pos..self.end].first_chunk::<N>() {
            Some(bytes) => {
                self.pos += N;
                Ok(*bytes)
            }
            None => Err(DecodeError::Truncated {
                needed: N,
                remaining: self.remaining(),
            }),
        }
    }

    fn slice(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.remaining() {
            return Err(DecodeError::Truncated {
                needed: len,
                remaining: self.remaining(),
            });
        }
        let bytes = self.buf.slice(self.pos..self.pos + len);
        self.pos += len;
        Ok(bytes)
    }

    /// One byte; everything but zero is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.bool());
        }
        Ok(self.array::<1>()? != [0])
    }

    /// A signed byte.
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// Two bytes, signed.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// Two bytes, unsigned.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes, signed.
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// Four bytes, unsigned.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// Eight bytes, a floating-point number.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.f64());
        }
        self.array().map(f64::from_be_bytes)
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array().map(Uuid)
    }

    /// An unsigned number in groups of seven bits, the lowest first.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A length: in flexible versions a varint of length + 1 with 0 for null, else a number with
    /// -1 for null.
    fn length(&mut self, flexible: bool, short: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            // At most 2^32 - 2, which a usize holds.
            return Ok((self.uvarint()? as usize).checked_sub(1));
        }
        let len = if short {
            i32::from(self.i16()?)
        } else {
            self.i32()?
        };
        match len {
            -1 => Ok(None),
            _ => usize::try_from(len)
                .map(Some)
                .map_err(|_| DecodeError::NegativeLength(len)),
        }
    }

    /// Text, or null where `nullable`.
    pub fn opt_str(&mut self, flexible: bool, nullable: bool) -> Result<Option<Str>, DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.text(nullable));
        }
        let Some(len) = self.length(flexible, true)? else {
            return if nullable {
                Ok(None)
            } else {
                Err(DecodeError::UnexpectedNull)
            };
        };
        if len > i16::MAX as usize {
            return Err(DecodeError::StringTooLong(len));
        }
        let bytes = self.slice(len)?;
        Str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| DecodeError::InvalidUtf8)
    }

    /// Text.
    pub fn str(&mut self, flexible: bool) -> Result<Str, DecodeError> {
        self.opt_str(flexible, false).map(Option::unwrap_or_default)
    }

    /// Bytes, or null where `nullable`.
    pub fn opt_bytes(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<Bytes>, DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.bytes(nullable));
        }
        match self.length(flexible, false)? {
            Some(len) => self.slice(len).map(Some),
            None if nullable => Ok(None),
            None => Err(DecodeError::UnexpectedNull),
        }
    }

    /// Bytes.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        self.opt_bytes(flexible, false)
            .map(Option::unwrap_or_default)
    }

    /// Record data, or null where `nullable`.
    pub fn records(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<Records>, DecodeError> {
        let Some(bytes) = self.opt_bytes(flexible, nullable)? else {
            return Ok(None);
        };
        self.charge(size_of::<Bytes>())?;
        Ok(Some(Records::from(bytes)))
    }

    /// Takes `memory` bytes from the budget.
    fn charge(&mut self, memory: usize) -> Result<(), DecodeError> {
        match self.budget.checked_sub(memory) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(DecodeError::TooLargeDecoded {
                frame: self.buf.len(),
            }),
        }
    }

    /// The byte before a struct that may be absent.
    pub fn present(&mut self) -> Result<bool, DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.bool());
        }
        Ok(self.i8()? >= 0)
    }

    /// The length of an array of elements that take at least `size_min` bytes of the message and
    /// `memory` bytes decoded; all limits are checked.
    fn array_len(
        &mut self,
        flexible: bool,
        nullable: bool,
        size_min: usize,
        memory: usize,
    ) -> Result<Option<usize>, DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.array_len(nullable));
        }
        let Some(len) = self.length(flexible, false)? else {
            return if nullable {
                Ok(None)
            } else {
                Err(DecodeError::UnexpectedNull)
            };
        };
        let max = self.limits.array_len_max;
        if len > max {
            return Err(DecodeError::ArrayTooLong { len, max });
        }
        let (needed, remaining) = (len.saturating_mul(size_min), self.remaining());
        if needed > remaining {
            return Err(DecodeError::ArrayExceedsMessage {
                len,
                needed,
                remaining,
            });
        }
        self.charge(len.saturating_mul(memory))?;
        Ok(Some(len))
    }

    fn opt_array<T>(
        &mut self,
        flexible: bool,
        nullable: bool,
        size_min: usize,
        mut element: impl FnMut(&mut Reader) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(len) = self.array_len(flexible, nullable, size_min, size_of::<T>())? else {
            return Ok(None);
        };
        let mut array = Vec::with_capacity(len.min(RESERVED_ELEMENTS_MAX));
        for _ in 0..len {
            array.push(element(self)?);
        }
        Ok(Some(array))
    }

    /// An array of numbers, flags or ids, or null where `nullable`.
    pub fn opt_numbers<T>(
        &mut self,
        flexible: bool,
        nullable: bool,
        element: fn(&mut Reader) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        self.opt_array(flexible, nullable, size_of::<T>(), element)
    }

    /// An array of numbers, flags or ids.
    pub fn numbers<T>(
        &mut self,
        flexible: bool,
        element: fn(&mut Reader) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.opt_numbers(flexible, false, element)
            .map(Option::unwrap_or_default)
    }

    /// An array of texts, or null where `nullable`.
    pub fn opt_strs(
        &mut self,
        flexible: bool,
        nullable: bool,
    ) -> Result<Option<Vec<Str>>, DecodeError> {
        self.opt_array(flexible, nullable, if flexible { 1 } else { 2 }, |r| {
            r.str(flexible)
        })
    }

    /// An array of texts.
    pub fn strs(&mut self, flexible: bool) -> Result<Vec<Str>, DecodeError> {
        self.opt_strs(flexible, false)
            .map(Option::unwrap_or_default)
    }

    /// An array of structs that take at least `size_min` bytes each, or null where `nullable`.
    pub fn opt_structs<T>(
        &mut self,
        flexible: bool,
        nullable: bool,
        size_min: usize,
        version: i16,
        decode: fn(&mut Reader, i16) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        self.opt_array(flexible, nullable, size_min, |r| decode(r, version))
    }

    /// An array of structs that take at least `size_min` bytes each.
    pub fn structs<T>(
        &mut self,
        flexible: bool,
        size_min: usize,
        version: i16,
        decode: fn(&mut Reader, i16) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        self.opt_structs(flexible, false, size_min, version, decode)
            .map(Option::unwrap_or_default)
    }

    /// Starts the tagged fields at the end of a struct; [`Tags::next`] gives them one by one.
    pub fn tags(&mut self) -> Result<Tags, DecodeError> {
        let outer_end = self.end;
        #[cfg(any(test, feature = "testing"))]
        if self.dice.is_some() {
            return Ok(Tags {
                left: Dice::TAGS,
                current: None,
                outer_end,
            });
        }
        let count = self.uvarint()?;
        let max = self.limits.tags_max;
        if count > max {
            return Err(DecodeError::TooManyTags { count, max });
        }
        Ok(Tags {
            left: count,
            current: None,
            outer_end,
        })
    }

    /// Skips the tagged fields of a struct that knows none.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        let mut tags = self.tags()?;
        while tags.next(self)?.is_some() {
            self.skip_tag();
        }
        Ok(())
    }

    /// Skips the value of a tagged field that this version does not know.
    pub fn skip_tag(&mut self) {
        self.pos = self.end;
    }
}

/// The tagged fields of one struct. Between two calls of [`Tags::next`] the reader ends where the
/// field ends.
#[derive(Debug)]
pub struct Tags {
    left: u32,
    current: Option<u32>,
    outer_end: usize,
}

impl Tags {
    /// The tag of the next field, or `None` after the last one.
    pub fn next(&mut self, r: &mut Reader) -> Result<Option<u32>, DecodeError> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(dice) = &mut r.dice {
            return Ok(dice.next_tag(&mut self.left));
        }
        if let Some(tag) = self.current {
            match r.remaining() {
                0 => r.end = self.outer_end,
                left => return Err(DecodeError::TagSize { tag, left }),
            }
        }
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let tag = r.uvarint()?;
        if self.current.is_some_and(|previous| previous >= tag) {
            return Err(DecodeError::TagOrder(tag));
        }
        let size = r.uvarint()? as usize;
        if size > r.remaining() {
            return Err(DecodeError::Truncated {
                needed: size,
                remaining: r.remaining(),
            });
        }
        self.current = Some(tag);
        r.end = r.pos + size;
        Ok(Some(tag))
    }
}

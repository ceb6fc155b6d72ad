//! Puts a message together without copying what it carries.

use bytes::Bytes;
use types::Uuid;

use super::chunks::Records;
use super::error::EncodeError;
use super::text::Str;

/// Byte strings at least this long become chunks of their own instead of being copied.
const SPLICE_BYTES_MIN: usize = 1024;

/// Collects a message: small values in one buffer, large byte strings beside it.
#[derive(Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
    /// Chunks, each with the position in `buf` in front of which it belongs.
    spliced: Vec<(usize, Bytes)>,
    spliced_bytes: usize,
}

/// Where a tagged field began; made by [`Writer::begin_tag`].
#[derive(Debug)]
#[must_use]
pub struct TagMark {
    position: usize,
    spliced: usize,
    len: usize,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Writer {
        Writer::default()
    }

    /// An empty writer with room for `bytes` of small values.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer {
            buf: Vec::with_capacity(bytes),
            ..Writer::default()
        }
    }

    /// Bytes written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buf.len() + self.spliced_bytes
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was written, as chunks to be sent one after the other. None is empty.
    #[must_use]
    pub fn finish(self) -> Vec<Bytes> {
        let buf = Bytes::from(self.buf);
        let mut chunks = Vec::with_capacity(2 * self.spliced.len() + 1);
        let mut from = 0;
        for (position, chunk) in self.spliced {
            if position > from {
                chunks.push(buf.slice(from..position));
                from = position;
            }
            chunks.push(chunk);
        }
        if from < buf.len() {
            chunks.push(buf.slice(from..));
        }
        chunks
    }

    /// What was written, in one piece. Copies if a chunk was spliced in.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Records::from_chunks(self.finish()).into_bytes()
    }

    /// Overwrites the first four bytes with the number of bytes after them.
    ///
    /// # Panics
    ///
    /// If the first four bytes were not written as one `i32`.
    pub(crate) fn patch_frame_size(&mut self) -> Result<(), EncodeError> {
        assert!(self.buf.len() >= 4 && self.spliced.first().is_none_or(|(at, _)| *at >= 4));
        let size = length(self.len() - 4)?;
        self.buf[..4].copy_from_slice(&size.to_be_bytes());
        Ok(())
    }

    fn splice(&mut self, chunk: &Bytes) {
        if chunk.len() < SPLICE_BYTES_MIN {
            self.buf.extend_from_slice(chunk);
        } else {
            self.spliced.push((self.buf.len(), chunk.clone()));
            self.spliced_bytes += chunk.len();
        }
    }

    /// One byte: 1 for true.
    pub fn bool(&mut self, value: bool) {
        self.buf.push(u8::from(value));
    }

    /// A signed byte.
    pub fn i8(&mut self, value: i8) {
        self.buf.extend_from_slice(&value.to_be_bytes());
    }

    /// Two bytes, signed.
    pub fn i16(&mut self, value: i16) {
        self.buf.extend_from_slice(&value.to_be_bytes());
    }

    /// Two bytes, unsigned.
    pub fn u16(&mut self, value: u16) {
        self.buf.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, value: i32) {
        self.buf.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes, unsigned.
    pub fn u32(&mut self, value: u32) {
        self.buf.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes, signed.
    pub fn i64(&mut self, value: i64) {
        self.buf.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes, a floating-point number.
    pub fn f64(&mut self, value: f64) {
        self.buf.extend_from_slice(&value.to_be_bytes());
    }

    /// Sixteen bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.buf.extend_from_slice(&value.0);
    }

    /// An unsigned number in groups of seven bits, the lowest first.
    pub fn uvarint(&mut self, value: u32) {
        let (bytes, len) = uvarint_bytes(value);
        self.buf.extend_from_slice(&bytes[..len]);
    }

    /// A length, or null: see [`Reader`](super::Reader).
    fn length(&mut self, len: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        match (len, flexible) {
            (None, true) => self.uvarint(0),
            (None, false) => self.i32(-1),
            // At most 2^31, which a u32 holds.
            (Some(len), true) => self.uvarint(length(len)? as u32 + 1),
            (Some(len), false) => {
                let len = length(len)?;
                self.i32(len);
            }
        }
        Ok(())
    }

    /// Text.
    pub fn str(
        &mut self,
        text: &Str,
        flexible: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        let Ok(len) = i16::try_from(text.len()) else {
            return Err(EncodeError::StringTooLong {
                field,
                len: text.len(),
            });
        };
        if flexible {
            self.uvarint(len as u32 + 1);
        } else {
            self.i16(len);
        }
        self.splice(text.as_bytes());
        Ok(())
    }

    /// Text, or null where `nullable`.
    pub fn opt_str(
        &mut self,
        text: &Option<Str>,
        flexible: bool,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match text {
            Some(text) => return self.str(text, flexible, field),
            None if !nullable => return Err(EncodeError::UnexpectedNull(field)),
            None if flexible => self.uvarint(0),
            None => self.i16(-1),
        }
        Ok(())
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &Bytes, flexible: bool) -> Result<(), EncodeError> {
        self.length(Some(bytes.len()), flexible)?;
        self.splice(bytes);
        Ok(())
    }

    /// Bytes, or null where `nullable`.
    pub fn opt_bytes(
        &mut self,
        bytes: &Option<Bytes>,
        flexible: bool,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match bytes {
            Some(bytes) => self.bytes(bytes, flexible),
            None if nullable => self.length(None, flexible),
            None => Err(EncodeError::UnexpectedNull(field)),
        }
    }

    /// Record data, or null where `nullable`.
    pub fn records(
        &mut self,
        records: &Option<Records>,
        flexible: bool,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match records {
            Some(records) => {
                self.length(Some(records.len()), flexible)?;
                for chunk in records.chunks() {
                    self.splice(chunk);
                }
                Ok(())
            }
            None if nullable => self.length(None, flexible),
            None => Err(EncodeError::UnexpectedNull(field)),
        }
    }

    /// The byte before a struct that may be absent.
    pub fn present(&mut self, present: bool) {
        self.i8(if present { 1 } else { -1 });
    }

    /// An array of numbers, flags or ids.
    pub fn numbers<T: Copy>(
        &mut self,
        array: &[T],
        flexible: bool,
        element: fn(&mut Writer, T),
    ) -> Result<(), EncodeError> {
        self.length(Some(array.len()), flexible)?;
        for value in array {
            element(self, *value);
        }
        Ok(())
    }

    /// An array of numbers, flags or ids, or null where `nullable`.
    pub fn opt_numbers<T: Copy>(
        &mut self,
        array: &Option<Vec<T>>,
        flexible: bool,
        nullable: bool,
        field: &'static str,
        element: fn(&mut Writer, T),
    ) -> Result<(), EncodeError> {
        match array {
            Some(array) => self.numbers(array, flexible, element),
            None => self.null_array(flexible, nullable, field),
        }
    }

    /// An array of texts.
    pub fn strs(
        &mut self,
        array: &[Str],
        flexible: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        self.length(Some(array.len()), flexible)?;
        for text in array {
            self.str(text, flexible, field)?;
        }
        Ok(())
    }

    /// An array of texts, or null where `nullable`.
    pub fn opt_strs(
        &mut self,
        array: &Option<Vec<Str>>,
        flexible: bool,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        match array {
            Some(array) => self.strs(array, flexible, field),
            None => self.null_array(flexible, nullable, field),
        }
    }

    /// An array of structs.
    pub fn structs<T>(
        &mut self,
        array: &[T],
        flexible: bool,
        version: i16,
        encode: fn(&T, &mut Writer, i16) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.length(Some(array.len()), flexible)?;
        for value in array {
            encode(value, self, version)?;
        }
        Ok(())
    }

    /// An array of structs, or null where `nullable`.
    pub fn opt_structs<T>(
        &mut self,
        array: &Option<Vec<T>>,
        flexible: bool,
        nullable: bool,
        field: &'static str,
        version: i16,
        encode: fn(&T, &mut Writer, i16) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        match array {
            Some(array) => self.structs(array, flexible, version, encode),
            None => self.null_array(flexible, nullable, field),
        }
    }

    fn null_array(
        &mut self,
        flexible: bool,
        nullable: bool,
        field: &'static str,
    ) -> Result<(), EncodeError> {
        if nullable {
            self.length(None, flexible)
        } else {
            Err(EncodeError::UnexpectedNull(field))
        }
    }

    /// Starts a tagged field; its value is written next, then [`Writer::end_tag`] called.
    pub fn begin_tag(&mut self, tag: u32) -> TagMark {
        self.uvarint(tag);
        TagMark {
            position: self.buf.len(),
            spliced: self.spliced.len(),
            len: self.len(),
        }
    }

    /// Ends a tagged field: puts its size in front of its value.
    pub fn end_tag(&mut self, mark: TagMark) -> Result<(), EncodeError> {
        let size = length(self.len() - mark.len)?;
        let (bytes, len) = uvarint_bytes(size as u32);
        let end = self.buf.len();
        self.buf.extend_from_slice(&bytes[..len]);
        self.buf
            .copy_within(mark.position..end, mark.position + len);
        self.buf[mark.position..mark.position + len].copy_from_slice(&bytes[..len]);
        for (position, _) in &mut self.spliced[mark.spliced..] {
            *position += len;
        }
        Ok(())
    }
}

fn length(len: usize) -> Result<i32, EncodeError> {
    i32::try_from(len).map_err(|_| EncodeError::TooLong(len))
}

fn uvarint_bytes(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    (bytes, len + 1)
}

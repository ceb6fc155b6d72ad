//! Walks the records of a batch's uncompressed body without copying or allocating.
//!
//! ```text
//! length varint | attributes i8 | timestampDelta varlong | offsetDelta varint
//! keyLength varint, key | valueLength varint, value | headersCount varint
//! each header: keyLength varint, key | valueLength varint, value
//! ```
//!
//! A negative length stands for null, except for a header's key, which must be there. Each record must
//! fill its declared length exactly, and the records must fill the body.

use crate::layout::{BatchError, RECORD_SIZE_MIN};
use crate::varint::{Cursor, SHORT};

/// A record where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Unused by every version so far.
    pub attributes: i8,
    /// The timestamp less the batch's base timestamp.
    pub timestamp_delta: i64,
    /// The offset less the batch's base offset.
    pub offset_delta: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; a record without one is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// How many headers there are.
    pub headers_count: i32,
    /// The headers' bytes, already found to be well formed.
    headers: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The headers in their order, duplicates included.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor::new(self.headers);
        (0..self.headers_count).map_while(move |_| header(&mut cursor).ok())
    }

    /// The headers' bytes without their count.
    pub(crate) fn raw_headers(&self) -> &'a [u8] {
        self.headers
    }

    #[inline(always)]
    fn read(cursor: &mut Cursor<'a>) -> Result<RecordView<'a>, &'static str> {
        let length = cursor.varint()?;
        let length = usize::try_from(length).map_err(|_| "its length is negative")?;
        if length > cursor.remaining() {
            return Err("its length goes beyond the batch");
        }
        // The next record's place depends on this length alone, so that the processor can start on it
        // before it is done with this one's fields.
        let mut fields = Cursor::new(cursor.take(length)?);
        let attributes = fields.byte()? as i8;
        let timestamp_delta = fields.varlong()?;
        let offset_delta = fields.varint()?;
        let key = nullable(&mut fields)?;
        let value = nullable(&mut fields)?;
        let headers_count = fields.varint()?;
        let headers = if headers_count == 0 {
            &[]
        } else {
            headers(&mut fields, headers_count)?
        };
        if fields.remaining() > 0 {
            return Err("its fields do not fill its length");
        }
        Ok(RecordView {
            attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers_count,
            headers,
        })
    }
}

#[inline(always)]
fn nullable<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, &'static str> {
    let length = cursor.varint()?;
    match usize::try_from(length) {
        Ok(length) => cursor.take(length).map(Some),
        Err(_) => Ok(None),
    }
}

fn header<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), &'static str> {
    let key = nullable(cursor)?.ok_or("a header has no key")?;
    Ok((key, nullable(cursor)?))
}

fn headers<'a>(cursor: &mut Cursor<'a>, count: i32) -> Result<&'a [u8], &'static str> {
    let count = usize::try_from(count).map_err(|_| "its number of headers is negative")?;
    if count > cursor.remaining() {
        return Err("it declares more headers than it has bytes");
    }
    let mut end = *cursor;
    for _ in 0..count {
        header(&mut end)?;
    }
    cursor.take(end.position() - cursor.position())
}

/// The records of a body, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordViews<'a> {
    cursor: Cursor<'a>,
    index: i32,
    count: i32,
}

impl<'a> RecordViews<'a> {
    /// Walks `count` records in `body`, which must hold exactly these.
    ///
    /// **Errors**: when `body` is too short to hold `count` records of any kind.
    pub fn new(body: &'a [u8], count: i32) -> Result<Self, BatchError> {
        let wanted = usize::try_from(count).map_err(|_| BatchError::BadCount(count))?;
        if body.len() / RECORD_SIZE_MIN < wanted {
            let index = i32::try_from(body.len() / RECORD_SIZE_MIN).unwrap_or(i32::MAX);
            return Err(BatchError::BadRecord {
                index,
                reason: SHORT,
            });
        }
        let views = Self {
            cursor: Cursor::new(body),
            index: 0,
            count,
        };
        if count == 0 && !body.is_empty() {
            return Err(BatchError::BadRecord {
                index: 0,
                reason: TRAILING,
            });
        }
        Ok(views)
    }

    /// Goes on at a place that an earlier walk of the same body reached.
    pub(crate) fn resume(body: &'a [u8], at: usize, index: i32, count: i32) -> Self {
        Self {
            cursor: Cursor::at(body, at),
            index,
            count,
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.cursor.position()
    }

    /// How many records are still to come, if none is malformed.
    #[must_use]
    pub fn remaining(&self) -> i32 {
        self.count - self.index
    }
}

const TRAILING: &str = "bytes follow the last record";

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.index == self.count {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let mut read = RecordView::read(&mut self.cursor);
        if read.is_ok() && self.index == self.count && self.cursor.remaining() > 0 {
            read = Err(TRAILING);
        }
        Some(read.map_err(|reason| {
            self.count = self.index;
            BatchError::BadRecord { index, reason }
        }))
    }
}

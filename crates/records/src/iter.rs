//! Batches out of a range of bytes, and records out of a batch, without copying what is not compressed.

use bytes::Bytes;
use types::{Offset, TimestampMs};

use crate::compression::{Codec, decompress};
use crate::layout::{BatchError, BatchHeader, HEADER_SIZE, verify_crc};
use crate::walk::{RecordView, RecordViews};

/// One whole batch: exactly its bytes, and its header read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    header: BatchHeader,
    bytes: Bytes,
}

impl Batch {
    /// Takes the batch at the start of `bytes`; what follows it is left out. The checksum is not
    /// looked at.
    ///
    /// **Errors**: those of [`BatchHeader::parse`]; [`BatchError::Truncated`] when the records are not
    /// all there.
    pub fn parse(bytes: &Bytes) -> Result<Batch, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let size = header.total_size();
        if bytes.len() < size {
            return Err(BatchError::Truncated {
                have: bytes.len(),
                need: size,
            });
        }
        Ok(Batch {
            header,
            bytes: bytes.slice(..size),
        })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The batch's bytes, header included.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The batch's bytes, header included.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Checks the checksum.
    ///
    /// **Errors**: [`BatchError::CrcMismatch`].
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        verify_crc(&self.bytes)
    }

    /// The records' bytes, decompressed.
    ///
    /// **Errors**: an unknown codec; data that do not decompress, or to more than
    /// `max_decompressed_bytes` (which does not bound an uncompressed batch: it is here already).
    pub fn body(&self, max_decompressed_bytes: usize) -> Result<Bytes, BatchError> {
        let body = self.bytes.slice(HEADER_SIZE..);
        match self.header.attributes.codec()? {
            Codec::None => Ok(body),
            codec => Ok(decompress(codec, &body, max_decompressed_bytes)?),
        }
    }

    /// The records.
    ///
    /// **Errors**: those of [`Batch::body`], and a body too short for the declared number of records.
    pub fn records(&self, max_decompressed_bytes: usize) -> Result<RecordIter, BatchError> {
        RecordIter::new(self.header, self.body(max_decompressed_bytes)?)
    }
}

/// The batches of a range of bytes, in order.
///
/// Ends after the first error, because nothing says where the next batch would start. A range that a
/// size limit cut, as in a fetch response, ends with [`BatchError::Truncated`].
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
    position: usize,
    failed: bool,
}

impl Batches {
    /// The batches of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Batches {
        Batches {
            rest: bytes,
            position: 0,
            failed: false,
        }
    }

    /// How many bytes the batches so far took: after an error, where the bad one starts.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let batch = Batch::parse(&self.rest);
        match &batch {
            Ok(batch) => {
                let size = batch.bytes.len();
                self.position += size;
                self.rest = self.rest.slice(size..);
            }
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

/// A record's header. Order and duplicates matter to some applications, and are kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Header {
    /// The key: UTF-8 by the specification, and whatever the producer wrote by experience.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header.
    #[must_use]
    pub fn new(key: impl Into<Bytes>, value: Option<Bytes>) -> Header {
        Header {
            key: key.into(),
            value,
        }
    }
}

/// A record, sharing its batch's memory (or the decompressed body's).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its timestamp: the batch's maximum when the broker's clock counts.
    pub timestamp: TimestampMs,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; none is a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<Header>,
}

/// The records of one batch, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordIter {
    header: BatchHeader,
    body: Bytes,
    at: usize,
    index: i32,
}

impl RecordIter {
    /// The records of a batch with this header and this uncompressed body.
    ///
    /// **Errors**: as [`RecordViews::new`].
    pub fn new(header: BatchHeader, body: Bytes) -> Result<RecordIter, BatchError> {
        RecordViews::new(&body, header.records_count)?;
        Ok(RecordIter {
            header,
            body,
            at: 0,
            index: 0,
        })
    }

    /// The header of the batch.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The same records where they lie, for those who only look.
    #[must_use]
    pub fn views(&self) -> RecordViews<'_> {
        RecordViews::resume(&self.body, self.at, self.index, self.header.records_count)
    }

    fn own(&self, view: &RecordView<'_>) -> Record {
        let share = |bytes: &[u8]| self.body.slice_ref(bytes);
        Record {
            offset: self.header.offset_of(view.offset_delta),
            timestamp: self.header.timestamp_of(view.timestamp_delta),
            key: view.key.map(share),
            value: view.value.map(share),
            headers: view
                .headers()
                .map(|(key, value)| Header {
                    key: share(key),
                    value: value.map(share),
                })
                .collect(),
        }
    }
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut views = self.views();
        let next = views.next()?;
        let (at, index) = (
            views.position(),
            self.header.records_count - views.remaining(),
        );
        let record = next.map(|view| self.own(&view));
        if record.is_ok() {
            (self.at, self.index) = (at, index);
        } else {
            self.index = self.header.records_count;
        }
        Some(record)
    }
}

//! What one request makes the controller write: bounded, because a decision is one batch and is kept whole.

use protocol::MetadataRecord;
use state_machine::LogRecord;

use crate::error::Refused;
use crate::record::Record;

/// Records of one decision, at most: Kafka's.
pub(crate) const RECORDS_MAX: usize = 10_000;

/// Bytes of one decision's records, at most: what Kafka's quorum puts into one batch.
pub(crate) const BYTES_MAX: usize = 8 << 20;

/// A decision in the making.
#[derive(Default)]
pub(crate) struct Decided {
    records: Vec<MetadataRecord>,
    bytes: usize,
}

impl Decided {
    /// Adds these records, all or none.
    ///
    /// **Errors** with POLICY_VIOLATION when the decision would become too large.
    pub fn take(&mut self, more: Vec<MetadataRecord>) -> Result<(), Refused> {
        if more.len() > self.room() {
            return Err(Refused::too_large());
        }
        let records = more.into_iter().map(Record::new).collect::<Vec<_>>();
        let bytes = self.bytes + records.iter().map(size).sum::<usize>();
        if bytes > BYTES_MAX {
            return Err(Refused::too_large());
        }
        self.bytes = bytes;
        self.records
            .extend(records.into_iter().map(Record::into_metadata));
        Ok(())
    }

    /// How many more records fit.
    pub fn room(&self) -> usize {
        RECORDS_MAX - self.records.len()
    }

    /// The records.
    pub fn into_records(self) -> Vec<MetadataRecord> {
        self.records
    }
}

/// Bytes of a record in its batch, and a little more for what frames it.
fn size(record: &Record) -> usize {
    const FRAME: usize = 32;
    record.encode().value.map_or(0, |value| value.len()) + FRAME
}

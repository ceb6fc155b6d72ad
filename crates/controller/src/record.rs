//! A metadata record as it lies in the log: no key, and Kafka's frame as the value.

use metadata::features;
use protocol::MetadataRecord;
use state_machine::{KeyValue, LogRecord, RecordError};

/// A record of the metadata log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(MetadataRecord);

impl Record {
    /// The record that says this.
    #[must_use]
    pub fn new(record: MetadataRecord) -> Record {
        Record(record)
    }

    /// What it says.
    #[must_use]
    pub fn metadata(&self) -> &MetadataRecord {
        &self.0
    }

    /// What it says.
    #[must_use]
    pub fn into_metadata(self) -> MetadataRecord {
        self.0
    }
}

/// The version in which a record is written at metadata version 4.3.
fn version(record: &MetadataRecord) -> i16 {
    const { assert!(features::METADATA_VERSION_4_3 == 30) };
    match record {
        MetadataRecord::RegisterBrokerRecord(_) => 4,
        MetadataRecord::BrokerRegistrationChangeRecord(_) => 3,
        MetadataRecord::PartitionRecord(_) | MetadataRecord::PartitionChangeRecord(_) => 2,
        _ => 0,
    }
}

impl LogRecord for Record {
    fn encode(&self) -> KeyValue {
        let value = self.0.encode(version(&self.0));
        let value = value.expect("the controller decides only what metadata version 4.3 can say");
        KeyValue {
            key: None,
            value: Some(value),
        }
    }

    fn decode(key_value: &KeyValue) -> Result<Option<Record>, RecordError> {
        let Some(value) = &key_value.value else {
            return Err(RecordError {
                reason: "a metadata record without a value".into(),
            });
        };
        match MetadataRecord::decode(value.clone()) {
            Ok(record) => Ok(Some(Record(record))),
            Err(error) => Err(RecordError {
                reason: error.to_string(),
            }),
        }
    }
}

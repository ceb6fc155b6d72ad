//! CreatePartitions (key 37).

use std::collections::BTreeSet;

use metadata::PartitionRegistration;
use protocol::create_partitions_request::CreatePartitionsTopic;
use protocol::create_partitions_response::CreatePartitionsTopicResult;
use protocol::{CreatePartitionsRequest, CreatePartitionsResponse, MetadataRecord, Str};
use types::{BrokerId, ErrorCode};

use crate::Controller;
use crate::decided::Decided;
use crate::error::{Refused, fields};

impl Controller {
    pub(crate) fn create_partitions(
        &self,
        request: &CreatePartitionsRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> CreatePartitionsResponse {
        let mut names = BTreeSet::new();
        let mut duplicates = BTreeSet::new();
        for topic in &request.topics {
            if !names.insert(&topic.name) {
                duplicates.insert(&topic.name);
            }
        }
        let mut results = Vec::with_capacity(names.len());
        let mut answer = |name: &Str, result: Result<(), Refused>| {
            let (error_code, error_message) = fields(result);
            let name = name.clone();
            results.push(CreatePartitionsTopicResult {
                name,
                error_code,
                error_message,
            });
        };
        for name in &duplicates {
            answer(name, Err(Refused::request("Duplicate topic name.")));
        }
        let mut decided = Decided::default();
        for topic in &request.topics {
            if duplicates.contains(&topic.name) {
                continue;
            }
            let grown = self.grow(topic, decided.room());
            answer(&topic.name, grown.and_then(|new| decided.take(new)));
        }
        if !request.validate_only {
            records.extend(decided.into_records());
        }
        CreatePartitionsResponse {
            throttle_time_ms: 0,
            results,
        }
    }

    /// The records of the partitions that a topic gets, at most `room` of them.
    fn grow(
        &self,
        request: &CreatePartitionsTopic,
        room: usize,
    ) -> Result<Vec<MetadataRecord>, Refused> {
        let Some(topic) = self.image.topic(&request.name) else {
            return Err(Refused::bare(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        };
        let invalid = |why: String| Err(Refused::new(ErrorCode::INVALID_PARTITIONS, why));
        let (name, count) = (&request.name, request.count);
        if **name == *metadata::names::OFFSETS_TOPIC && !types::mutant!("GRP-25") {
            // A group's coordinator follows from its name and this number (KAFKA-2336).
            let why = "cannot grow: groups would lose their coordinators and offsets.";
            return invalid(format!("The topic {name} {why}"));
        }
        let now = topic.partitions.len() as i32;
        if count == now {
            return invalid(format!("Topic already has {now} partition(s)."));
        }
        if count < now {
            return invalid(format!(
                "The topic {name} currently has {now} partition(s); {count} would not be an increase."
            ));
        }
        let additional = count - now;
        if let Some(assignments) = &request.assignments
            && assignments.len() as i64 != i64::from(additional)
        {
            return Err(Refused::new(
                ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                format!(
                    "Attempted to add {additional} additional partition(s), but only {} \
                     assignment(s) were specified.",
                    assignments.len()
                ),
            ));
        }
        if additional as usize > room {
            return Err(Refused::too_large());
        }
        let replication_factor = topic.replication_factor();
        let partitions = match &request.assignments {
            None => {
                let wanted = i16::try_from(replication_factor).unwrap_or(i16::MAX);
                self.place(topic.id, now, additional, wanted)?
            }
            Some(assignments) => (now..)
                .zip(assignments)
                .map(|(index, a)| self.assigned_partition(index, &a.broker_ids, replication_factor))
                .collect::<Result<_, _>>()?,
        };
        let records = (now..).zip(&partitions).map(|(index, partition)| {
            debug_assert_eq!(partition.check(), Ok(()));
            partition.to_record(topic.id, index).into()
        });
        Ok(records.collect())
    }

    fn assigned_partition(
        &self,
        index: i32,
        broker_ids: &[i32],
        replication_factor: usize,
    ) -> Result<PartitionRegistration, Refused> {
        self.check_assignment(broker_ids, Some(replication_factor))?;
        let partition = self.registration(broker_ids.iter().map(|id| BrokerId(*id)).collect());
        if partition.isr.is_empty() {
            return Err(Refused::new(
                ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                format!(
                    "All brokers specified in the manual partition assignment for partition {index} \
                     are fenced or in controlled shutdown."
                ),
            ));
        }
        Ok(partition)
    }
}

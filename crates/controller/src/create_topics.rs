//! CreateTopics (key 19).

use std::collections::{BTreeMap, BTreeSet};

use metadata::configs::validate;
use metadata::{PartitionRegistration, names};
use protocol::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use protocol::{
    ConfigRecord, CreateTopicsRequest, CreateTopicsResponse, MetadataRecord, Str, TopicRecord,
};
use types::{BrokerId, ErrorCode, Uuid};

use crate::Controller;
use crate::decided::{Decided, RECORDS_MAX};
use crate::error::Refused;
use crate::ids::FreshIds;

/// A topic that may be made: its records, and what the client is told of it.
struct Made {
    records: Vec<MetadataRecord>,
    result: CreatableTopicResult,
}

impl Controller {
    pub(crate) fn create_topics(
        &self,
        request: &CreateTopicsRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> CreateTopicsResponse {
        let mut names = BTreeSet::new();
        let mut duplicates = BTreeSet::new();
        for topic in &request.topics {
            if !names.insert(topic.name.clone()) {
                duplicates.insert(topic.name.clone());
            }
        }
        let is_own = |topic: &&CreatableTopic| {
            !duplicates.contains(&topic.name) && &*topic.name != names::METADATA_TOPIC
        };
        let topics: Vec<&CreatableTopic> = request.topics.iter().filter(is_own).collect();
        let mut results = Vec::with_capacity(topics.len());
        if self.partitions_asked_for(&topics) > RECORDS_MAX as i64 {
            let refused = Refused::new(
                ErrorCode::POLICY_VIOLATION,
                "Excessively large number of partitions per request.",
            );
            results.extend(
                topics
                    .iter()
                    .map(|topic| failed(&topic.name, refused.clone())),
            );
        } else {
            let mut ids = self.fresh_ids();
            let mut decided = Decided::default();
            for topic in topics {
                let made = self.create_topic(topic, &mut ids);
                let taken = made.and_then(|made| {
                    decided.take(made.records)?;
                    Ok(made.result)
                });
                results.push(taken.unwrap_or_else(|refused| failed(&topic.name, refused)));
            }
            if !request.validate_only {
                records.extend(decided.into_records());
            }
        }
        for name in &duplicates {
            results.push(failed(name, Refused::request("Duplicate topic name.")));
        }
        if names.contains(names::METADATA_TOPIC) && !duplicates.contains(names::METADATA_TOPIC) {
            let name = names::METADATA_TOPIC;
            let why = format!("Creation of internal topic {name} is prohibited.");
            results.push(failed(&Str::from_static(name), Refused::request(why)));
        }
        CreateTopicsResponse {
            throttle_time_ms: 0,
            topics: results,
        }
    }

    /// How many partitions all of these topics would have.
    fn partitions_asked_for(&self, topics: &[&CreatableTopic]) -> i64 {
        let default = i64::from(self.broker_config().num_partitions);
        (topics.iter())
            .map(|topic| match topic.num_partitions {
                _ if !topic.assignments.is_empty() => topic.assignments.len() as i64,
                -1 => default,
                n => i64::from(n.max(0)),
            })
            .sum()
    }

    fn create_topic(
        &self,
        topic: &CreatableTopic,
        ids: &mut FreshIds<'_>,
    ) -> Result<Made, Refused> {
        self.check_new_name(&topic.name)?;
        let configs = new_configs(&topic.configs)?;
        validate::topic(&self.layers(), &configs)?;
        let topic_id = ids.next();
        let partitions = if topic.assignments.is_empty() {
            self.place_new(topic, topic_id)?
        } else {
            self.assigned(topic)?
        };
        let num_partitions = partitions.len() as i32;
        let replication_factor = partitions.first().map_or(0, |p| p.replicas.len()) as i16;

        // In Kafka's order: the topic, its settings, its partitions.
        let topic_record = TopicRecord {
            name: topic.name.detached(),
            topic_id,
        };
        let mut records = vec![MetadataRecord::from(topic_record)];
        records.extend(configs.iter().map(|(name, value)| {
            MetadataRecord::from(ConfigRecord {
                resource_type: metadata::ResourceType::Topic.number(),
                resource_name: topic.name.detached(),
                name: name.clone(),
                value: Some(value.clone()),
            })
        }));
        for (index, partition) in (0..).zip(&partitions) {
            debug_assert_eq!(partition.check(), Ok(()));
            records.push(partition.to_record(topic_id, index).into());
        }

        let configs = (self.describer().new_topic(&configs).into_iter())
            .map(|config| CreatableTopicConfigs {
                name: config.name,
                value: config.value,
                read_only: config.read_only,
                config_source: config.config_source,
                is_sensitive: config.is_sensitive,
            })
            .collect();
        let result = CreatableTopicResult {
            name: topic.name.clone(),
            topic_id,
            error_message: None,
            num_partitions,
            replication_factor,
            configs: Some(configs),
            ..Default::default()
        };
        Ok(Made { records, result })
    }

    fn check_new_name(&self, name: &Str) -> Result<(), Refused> {
        let invalid = |why: String| Refused::new(ErrorCode::INVALID_TOPIC_EXCEPTION, why);
        names::check(name).map_err(|why| invalid(why.to_string()))?;
        if self.image.topic(name).is_some() {
            let why = format!("Topic '{name}' already exists.");
            return Err(Refused::new(ErrorCode::TOPIC_ALREADY_EXISTS, why));
        }
        match self.image.colliding_topic(name) {
            Some(other) => Err(invalid(format!(
                "Topic '{name}' collides with existing topic: {other}"
            ))),
            None => Ok(()),
        }
    }

    /// Partitions of which the request says only how many.
    fn place_new(
        &self,
        topic: &CreatableTopic,
        topic_id: Uuid,
    ) -> Result<Vec<PartitionRegistration>, Refused> {
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(Refused::new(
                ErrorCode::INVALID_REPLICATION_FACTOR,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        if topic.num_partitions < -1 || topic.num_partitions == 0 {
            return Err(Refused::new(
                ErrorCode::INVALID_PARTITIONS,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
        let defaults = self.broker_config();
        let count = match topic.num_partitions {
            -1 => defaults.num_partitions,
            n => n,
        };
        let replication_factor = match topic.replication_factor {
            -1 => i16::try_from(defaults.default_replication_factor).unwrap_or(i16::MAX),
            n => n,
        };
        self.place(topic_id, 0, count, replication_factor)
    }

    /// Partitions of which the request says where they go.
    fn assigned(&self, topic: &CreatableTopic) -> Result<Vec<PartitionRegistration>, Refused> {
        if topic.replication_factor != -1 {
            return Err(Refused::request(
                "A manual partition assignment was specified, but replication factor was not set to \
                 -1.",
            ));
        }
        if topic.num_partitions != -1 {
            return Err(Refused::request(
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ));
        }
        let invalid = |why: String| Refused::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, why);
        let mut partitions = BTreeMap::new();
        let mut replication_factor = None;
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            if partitions.contains_key(&index) {
                let why =
                    format!("Found multiple manual partition assignments for partition {index}");
                return Err(invalid(why));
            }
            self.check_assignment(&assignment.broker_ids, replication_factor)?;
            replication_factor = Some(assignment.broker_ids.len());
            let replicas = assignment
                .broker_ids
                .iter()
                .map(|id| BrokerId(*id))
                .collect();
            let partition = self.registration(replicas);
            if partition.isr.is_empty() {
                return Err(invalid(format!(
                    "All brokers specified in the manual partition assignment for partition {index} \
                     are fenced or in controlled shutdown."
                )));
            }
            partitions.insert(index, partition);
        }
        if !(0..).zip(partitions.keys()).all(|(i, index)| i == *index) {
            let why = "partitions should be a consecutive 0-based integer sequence";
            return Err(invalid(why.to_owned()));
        }
        Ok(partitions.into_values().collect())
    }
}

/// The settings that a new topic is given. Of a key given twice the last counts, as in Kafka.
fn new_configs(given: &[CreatableTopicConfig]) -> Result<BTreeMap<Str, Str>, Refused> {
    let mut configs = BTreeMap::new();
    let mut without_value = Vec::new();
    for config in given {
        match &config.value {
            Some(value) => {
                configs.insert(config.name.detached(), value.detached());
            }
            None => without_value.push(config.name.as_str()),
        }
    }
    if without_value.is_empty() {
        return Ok(configs);
    }
    Err(Refused::new(
        ErrorCode::INVALID_CONFIG,
        format!(
            "Null value not supported for topic configs: {}",
            without_value.join(",")
        ),
    ))
}

fn failed(name: &Str, refused: Refused) -> CreatableTopicResult {
    let (error_code, error_message) = refused.fields();
    CreatableTopicResult {
        name: name.clone(),
        error_code,
        error_message,
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    }
}

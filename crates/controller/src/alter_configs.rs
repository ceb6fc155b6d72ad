//! IncrementalAlterConfigs (key 44) and its elder, AlterConfigs (key 33), which replaces all settings of a
//! resource.
//!
//! Otherwise than Kafka 4.3.1: an operation that does not exist is refused as one for every kind of
//! resource (Kafka answers -1 for a topic), and a resource named twice to AlterConfigs is refused as by
//! IncrementalAlterConfigs (Kafka closes the connection).

use std::collections::{BTreeMap, BTreeSet};

use metadata::configs::{self, Kind, Scope, validate};
use metadata::{ConfigResource, ResourceType};
use protocol::alter_configs_request::AlterConfigsResource as FullResource;
use protocol::alter_configs_response::AlterConfigsResourceResponse as AlterResponse;
use protocol::incremental_alter_configs_request::AlterConfigsResource as IncrementalResource;
use protocol::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse;
use protocol::{
    AlterConfigsRequest, AlterConfigsResponse, ConfigRecord, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, MetadataRecord, Str,
};
use types::ErrorCode;

use crate::Controller;
use crate::decided::Decided;
use crate::error::{Refused, fields};

/// A key and what it is to become; `None` removes it.
type Change = (Str, Option<Str>);

/// What is done to a key's value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    fn from_number(number: i8) -> Result<Operation, Refused> {
        match number {
            0 => Ok(Operation::Set),
            1 => Ok(Operation::Delete),
            2 => Ok(Operation::Append),
            3 => Ok(Operation::Subtract),
            _ => Err(Refused::request(format!(
                "Unknown operations type {number}"
            ))),
        }
    }
}

/// Decides about each resource by itself, but for those that are named more than once: these are refused.
fn decide_each<R>(
    resources: &[R],
    name: impl Fn(&R) -> (i8, &Str),
    decide: impl Fn(&R) -> Result<Vec<MetadataRecord>, Refused>,
) -> (Vec<(&R, Result<(), Refused>)>, Decided) {
    let mut times = BTreeMap::new();
    for resource in resources {
        *times.entry(name(resource)).or_insert(0) += 1;
    }
    let mut decided = Decided::default();
    let outcomes = resources.iter().map(|resource| {
        let outcome = match times[&name(resource)] {
            1 => decide(resource).and_then(|new| decided.take(new)),
            _ => Err(Refused::request("Each resource must appear at most once.")),
        };
        (resource, outcome)
    });
    let outcomes = outcomes.collect();
    (outcomes, decided)
}

/// Refuses keys named twice, and keys that need a value and have none.
fn check_keys<'a>(keys: impl Iterator<Item = (&'a Str, bool)>) -> Result<(), Refused> {
    let (mut seen, mut has_duplicates) = (BTreeSet::new(), false);
    let mut without_value = Vec::new();
    for (name, is_complete) in keys {
        has_duplicates |= !seen.insert(name);
        if !is_complete {
            without_value.push(name.as_str());
        }
    }
    if has_duplicates {
        return Err(Refused::request("Error due to duplicate config keys"));
    }
    if !without_value.is_empty() {
        let names = without_value.join(", ");
        return Err(Refused::request(format!(
            "Null value not supported for : {names}"
        )));
    }
    Ok(())
}

impl Controller {
    pub(crate) fn incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> IncrementalAlterConfigsResponse {
        let (outcomes, decided) = decide_each(
            &request.resources,
            |resource| (resource.resource_type, &resource.resource_name),
            |resource| self.alter_incrementally(resource),
        );
        if !request.validate_only {
            records.extend(decided.into_records());
        }
        let answer = |(resource, outcome): (&IncrementalResource, _)| {
            let (error_code, error_message) = fields(outcome);
            IncrementalResponse {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            }
        };
        IncrementalAlterConfigsResponse {
            throttle_time_ms: 0,
            responses: outcomes.into_iter().map(answer).collect(),
        }
    }

    pub(crate) fn alter_configs(
        &self,
        request: &AlterConfigsRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> AlterConfigsResponse {
        let (outcomes, decided) = decide_each(
            &request.resources,
            |resource| (resource.resource_type, &resource.resource_name),
            |resource| self.replace_all(resource),
        );
        if !request.validate_only {
            records.extend(decided.into_records());
        }
        let answer = |(resource, outcome): (&FullResource, _)| {
            let (error_code, error_message) = fields(outcome);
            AlterResponse {
                error_code,
                error_message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
            }
        };
        AlterConfigsResponse {
            throttle_time_ms: 0,
            responses: outcomes.into_iter().map(answer).collect(),
        }
    }

    fn replace_all(&self, resource: &FullResource) -> Result<Vec<MetadataRecord>, Refused> {
        let keys = resource.configs.iter();
        check_keys(keys.map(|c| (&c.name, c.value.is_some())))?;
        let target = self.target(resource.resource_type, &resource.resource_name, false)?;
        let given = resource.configs.iter().map(|config| {
            let value = config.value.clone().expect("checked above");
            (config.name.clone(), value)
        });
        self.replace(&target, given.collect())
    }

    /// The resource that a request means.
    fn target(
        &self,
        resource_type: i8,
        name: &Str,
        may_be_logger: bool,
    ) -> Result<ConfigResource, Refused> {
        let me = self.config.node_id;
        match ResourceType::from_number(resource_type) {
            Some(ResourceType::Broker) if !name.is_empty() => match name.parse::<i32>() {
                Ok(id) if id == me.0 => {
                    // `+1` and `01` are broker 1 too; its settings have one name.
                    Ok(ConfigResource::new(ResourceType::Broker, id.to_string()))
                }
                Ok(_) => {
                    let why = format!("Unexpected broker id, expected {me}, but received {name}");
                    Err(Refused::request(why))
                }
                Err(_) => {
                    let why = format!("Node id must be an integer, but it is: {name}");
                    Err(Refused::request(why))
                }
            },
            Some(ResourceType::BrokerLogger) if may_be_logger => match name.parse::<i32>() {
                Ok(id) if id == me.0 => Err(Refused::request(
                    "The levels of loggers belong to a broker's process, and are no settings of the cluster.",
                )),
                Ok(_) => {
                    let why = format!("Unexpected node id. Expected {me}, but received {name}");
                    Err(Refused::request(why))
                }
                Err(_) => {
                    let why = format!("Node id must be an integer, but it is: {name}");
                    Err(Refused::request(why))
                }
            },
            None | Some(ResourceType::BrokerLogger) => Err(Refused::request(format!(
                "Unknown resource type {resource_type}"
            ))),
            Some(resource_type) => Ok(ConfigResource::new(resource_type, name.detached())),
        }
    }

    fn alter_incrementally(
        &self,
        resource: &IncrementalResource,
    ) -> Result<Vec<MetadataRecord>, Refused> {
        let is_complete = |operation: i8, value: &Option<Str>| operation == 1 || value.is_some();
        let keys = resource.configs.iter();
        check_keys(keys.map(|c| (&c.name, is_complete(c.config_operation, &c.value))))?;
        let target = self.target(resource.resource_type, &resource.resource_name, true)?;
        let now = self.image.configs(&target);
        let mut changes: Vec<Change> = Vec::with_capacity(resource.configs.len());
        for config in &resource.configs {
            let operation = Operation::from_number(config.config_operation)?;
            let name = &config.name;
            let value = match (operation, &config.value) {
                (Operation::Delete, _) | (_, None) => None,
                (Operation::Set, Some(value)) => Some(value.detached()),
                (Operation::Append | Operation::Subtract, Some(parts)) => {
                    check_is_list(&target, name, operation)?;
                    let old = now
                        .get(name)
                        .map(Str::as_str)
                        .or_else(|| default(&target, name));
                    Some(Str::from(edit_list(
                        old.unwrap_or_default(),
                        parts,
                        operation,
                    )))
                }
            };
            changes.push((name.detached(), value));
        }
        self.change(&target, changes)
    }

    /// Makes `given` all the settings that the resource has.
    fn replace(
        &self,
        target: &ConfigResource,
        given: BTreeMap<Str, Str>,
    ) -> Result<Vec<MetadataRecord>, Refused> {
        let now = self.image.configs(target);
        let removed = now
            .keys()
            .filter(|name| !given.contains_key(*name))
            .cloned();
        let mut changes: Vec<Change> = removed.map(|name| (name, None)).collect();
        changes.extend(
            given
                .iter()
                .map(|(name, value)| (name.detached(), Some(value.detached()))),
        );
        self.change(target, changes)
    }

    /// The records of these changes, if the settings are then in order.
    fn change(
        &self,
        target: &ConfigResource,
        changes: Vec<Change>,
    ) -> Result<Vec<MetadataRecord>, Refused> {
        let now = self.image.configs(target);
        let mut then = now.clone();
        for (name, value) in &changes {
            match value {
                Some(value) => then.insert(name.clone(), value.clone()),
                None => then.remove(name),
            };
        }
        match target.resource_type {
            ResourceType::Topic => {
                validate::topic_name(&target.name)?;
                validate::topic(&self.layers(), &then)?;
                if self.image.topic(&target.name).is_none() {
                    return Err(Refused::new(
                        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                        format!("The topic '{}' does not exist.", target.name),
                    ));
                }
            }
            ResourceType::Broker => validate::broker(&then, target.name.is_empty())?,
            ResourceType::Group => validate::group(&self.layers(), &target.name, &then)?,
            ResourceType::ClientMetrics => validate::client_metrics(&target.name, &then)?,
            ResourceType::BrokerLogger => unreachable!("loggers are no target"),
        }
        // For brokers Kafka writes what is unchanged too, so that they read key files anew (KAFKA-14136).
        let is_news = |(name, value): &Change| {
            target.resource_type == ResourceType::Broker || now.get(name) != value.as_ref()
        };
        Ok((changes.into_iter().filter(is_news))
            .map(|(name, value)| {
                MetadataRecord::from(ConfigRecord {
                    resource_type: target.resource_type.number(),
                    resource_name: target.name.clone(),
                    name,
                    value,
                })
            })
            .collect())
    }
}

fn scope(resource_type: ResourceType) -> Scope {
    match resource_type {
        ResourceType::Topic => Scope::Topic,
        ResourceType::Group => Scope::Group,
        ResourceType::ClientMetrics => Scope::ClientMetrics,
        ResourceType::Broker | ResourceType::BrokerLogger => Scope::Broker,
    }
}

fn default(target: &ConfigResource, name: &str) -> Option<&'static str> {
    configs::find(scope(target.resource_type), name)?.default
}

fn check_is_list(target: &ConfigResource, name: &str, operation: Operation) -> Result<(), Refused> {
    let key = configs::find(scope(target.resource_type), name);
    if key.is_some_and(|key| key.kind == Kind::List) {
        return Ok(());
    }
    let (noun, verb) = match operation {
        Operation::Append => ("APPEND", "append"),
        _ => ("SUBTRACT", "subtract"),
    };
    let why = match (target.resource_type, key) {
        (ResourceType::Broker, None) => format!("Unknown config name: {name}"),
        (ResourceType::Broker, Some(_)) => {
            format!("Config value {verb} is not allowed for config key: {name}")
        }
        _ => format!("Can't {noun} to key {name} because its type is not LIST."),
    };
    Err(Refused::new(ErrorCode::INVALID_CONFIG, why))
}

fn edit_list(old: &str, parts: &str, operation: Operation) -> String {
    let mut list: Vec<&str> = old.split(',').filter(|part| !part.is_empty()).collect();
    for part in parts.split(',') {
        let place = list.iter().position(|old| *old == part);
        match (operation, place) {
            (Operation::Append, None) => list.push(part),
            (Operation::Subtract, Some(place)) => {
                list.remove(place);
            }
            _ => {}
        }
    }
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(edit_list("a,b", "b,c", Operation::Append), "a,b,c");
        assert_eq!(edit_list("", "a", Operation::Append), "a");
        assert_eq!(edit_list("a,b,c", "b,x", Operation::Subtract), "a,c");
        assert_eq!(edit_list("a", "a", Operation::Subtract), "");
        assert_eq!(edit_list("", "a", Operation::Subtract), "");
    }
}

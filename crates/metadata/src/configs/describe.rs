//! DescribeConfigs (key 32): every key with its value, where that comes from, and its synonyms.

use std::collections::BTreeMap;

use protocol::describe_configs_request::DescribeConfigsResource;
use protocol::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::{DescribeConfigsRequest, DescribeConfigsResponse, Str};
use types::{BrokerId, ErrorCode};

use super::key::{ConfigKey, Update};
use super::resolve::{Layers, Source, Synonym, broker_key_of_group_key};
use super::resource::{ConfigResource, ResourceType};
use super::{Scope, find, keys};
use crate::image::Image;
use crate::names;

/// Bytes that an answer may take in memory, about: some ten thousand topics without synonyms and documentation.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What is said of the resources that are beyond it.
const TOO_MANY: &str =
    "The answer would be too large: ask about fewer resources at a time, or without documentation.";

/// Who describes: a broker, its image and its `server.properties`.
#[derive(Clone, Copy, Debug)]
pub struct Describer<'a> {
    /// What the metadata log says.
    pub image: &'a Image,
    /// The broker.
    pub broker: BrokerId,
    /// Its `server.properties`.
    pub static_configs: &'a BTreeMap<String, String>,
}

/// What is wanted of each key.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
}

impl Describer<'_> {
    /// Answers a whole request. Authorisation comes before.
    #[must_use]
    pub fn describe(&self, request: &DescribeConfigsRequest) -> DescribeConfigsResponse {
        // Kafka refuses the request as a whole if one resource is of a kind that does not exist.
        let known =
            |r: &DescribeConfigsResource| ResourceType::from_number(r.resource_type).is_some();
        let all_known = request.resources.iter().all(known);
        let wanted = Wanted {
            synonyms: request.include_synonyms,
            documentation: request.include_documentation,
        };
        let refused = |resource, why| {
            let code = ErrorCode::INVALID_REQUEST;
            failed(resource, code, Some(Str::from_static(why)))
        };
        // A few bytes that name a resource are answered with kilobytes, and any group has settings.
        let mut bytes = 0;
        let results = (request.resources.iter())
            .map(|resource| match all_known {
                false => refused(resource, ErrorCode::INVALID_REQUEST.message()),
                true if bytes > BYTES_MAX => refused(resource, TOO_MANY),
                true => self.describe_resource(resource, wanted, &mut bytes),
            })
            .collect();
        DescribeConfigsResponse {
            throttle_time_ms: 0,
            results,
        }
    }

    fn layers(&self) -> Layers<'_> {
        Layers::new(self.image, self.broker, self.static_configs)
    }

    fn describe_resource(
        &self,
        resource: &DescribeConfigsResource,
        wanted: Wanted,
        bytes: &mut usize,
    ) -> DescribeConfigsResult {
        let name = &resource.resource_name;
        let refused = |why: String| {
            let code = ErrorCode::INVALID_REQUEST;
            failed(resource, code, Some(Str::from(why)))
        };
        let mut configs = match ResourceType::from_number(resource.resource_type) {
            Some(ResourceType::Topic) => match names::check(name) {
                Err(why) => {
                    let code = ErrorCode::INVALID_TOPIC_EXCEPTION;
                    return failed(resource, code, Some(Str::from(why.to_string())));
                }
                Ok(()) if self.image.topic(name).is_none() => {
                    return failed(resource, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None);
                }
                Ok(()) => {
                    let own = ConfigResource::new(ResourceType::Topic, name.clone());
                    self.topic(self.image.configs(&own), wanted)
                }
            },
            Some(ResourceType::Broker) if name.is_empty() => self.all_brokers(wanted),
            Some(ResourceType::Broker) => match name.parse::<i32>() {
                Ok(id) if id == self.broker.0 => self.one_broker(wanted),
                Ok(_) => {
                    return refused(format!(
                        "Unexpected broker id, expected {} or empty string, but received {name}",
                        self.broker
                    ));
                }
                Err(_) => {
                    return refused(format!("Broker id must be an integer, but it is: {name}"));
                }
            },
            Some(ResourceType::BrokerLogger) => match name.parse::<i32>() {
                _ if name.is_empty() => return refused("Broker id must not be empty".into()),
                // The levels of loggers belong to the process; its host adds them.
                Ok(id) if id == self.broker.0 => Vec::new(),
                Ok(_) => {
                    return refused(format!(
                        "Unexpected broker id, expected {} but received {name}",
                        self.broker
                    ));
                }
                Err(_) => {
                    return refused(format!("Broker id must be an integer, but it is: {name}"));
                }
            },
            Some(ResourceType::ClientMetrics) if name.is_empty() => {
                return refused("Client metrics subscription name must not be empty".into());
            }
            Some(ResourceType::ClientMetrics) => self.own(
                Scope::ClientMetrics,
                ResourceType::ClientMetrics,
                name,
                wanted,
            ),
            Some(ResourceType::Group) if name.is_empty() => {
                return refused("Group name must not be empty".into());
            }
            Some(ResourceType::Group) => self.own(Scope::Group, ResourceType::Group, name, wanted),
            None => return refused(ErrorCode::INVALID_REQUEST.message().to_owned()),
        };
        // What is not asked for was made all the same.
        *bytes += configs.iter().map(size).sum::<usize>();
        if let Some(asked) = resource
            .configuration_keys
            .as_ref()
            .filter(|keys| !keys.is_empty())
        {
            configs.retain(|config| asked.contains(&config.name));
        }
        DescribeConfigsResult {
            error_code: 0,
            error_message: Some(Str::new()),
            resource_type: resource.resource_type,
            resource_name: name.clone(),
            configs,
        }
    }

    /// Every key of a topic whose own settings are `own`.
    fn topic(
        &self,
        own: &BTreeMap<Str, Str>,
        wanted: Wanted,
    ) -> Vec<DescribeConfigsResourceResult> {
        let layers = self.layers();
        (keys(Scope::Topic).iter())
            .filter(|key| key.is_listed || own.contains_key(key.name))
            .map(|key| {
                let value = layers.topic_text(own, key).map(|value| value.into_owned());
                entry(key, value, false, layers.topic_synonyms(own, key), wanted)
            })
            .collect()
    }

    /// What CreateTopics answers about a topic whose own settings are `own`: as [`Describer::describe`]
    /// would, without synonyms and documentation.
    #[must_use]
    pub fn new_topic(&self, own: &BTreeMap<Str, Str>) -> Vec<DescribeConfigsResourceResult> {
        self.topic(
            own,
            Wanted {
                synonyms: false,
                documentation: false,
            },
        )
    }

    fn one_broker(&self, wanted: Wanted) -> Vec<DescribeConfigsResourceResult> {
        let layers = self.layers();
        let mut out: Vec<_> = (keys(Scope::Broker).iter())
            .filter(|key| key.is_listed || self.is_set(key.name))
            .map(|key| {
                let value = layers.broker_text(key).map(|(value, _)| value.to_owned());
                let read_only = key.update == Update::ReadOnly;
                entry(
                    key,
                    value,
                    read_only,
                    layers.broker_synonyms(key.name),
                    wanted,
                )
            })
            .collect();
        let unknown = |name: &&str| find(Scope::Broker, name).is_none();
        let names = self.static_configs.keys().map(String::as_str);
        out.extend(names.filter(unknown).map(|name| {
            // Nobody knows what it is, so nobody is shown what it says.
            DescribeConfigsResourceResult {
                name: Str::from(name),
                value: None,
                read_only: true,
                config_source: Source::Static as i8,
                is_sensitive: true,
                synonyms: Vec::new(),
                config_type: 0,
                documentation: None,
            }
        }));
        out
    }

    fn is_set(&self, name: &str) -> bool {
        let layers = self.layers();
        layers.of_broker().contains_key(name)
            || layers.of_all_brokers().contains_key(name)
            || layers.of_file().contains_key(name)
    }

    /// What was set at runtime for all brokers.
    fn all_brokers(&self, wanted: Wanted) -> Vec<DescribeConfigsResourceResult> {
        let layers = self.layers();
        let set = layers.of_all_brokers();
        (keys(Scope::Broker).iter())
            .filter_map(|key| set.get(key.name).map(|value| (key, value)))
            .map(|(key, value)| {
                let synonym = Synonym {
                    name: key.name.to_owned(),
                    value: value.to_string(),
                    source: Source::AllBrokers,
                };
                let read_only = key.update == Update::ReadOnly;
                entry(
                    key,
                    Some(value.to_string()),
                    read_only,
                    vec![synonym],
                    wanted,
                )
            })
            .collect()
    }

    /// Every key of a group or of a subscription to clients' metrics.
    fn own(
        &self,
        scope: Scope,
        resource_type: ResourceType,
        name: &Str,
        wanted: Wanted,
    ) -> Vec<DescribeConfigsResourceResult> {
        let layers = self.layers();
        let own = self
            .image
            .configs(&ConfigResource::new(resource_type, name.clone()));
        let source = match resource_type {
            ResourceType::Group => Source::Group,
            _ => Source::ClientMetrics,
        };
        (keys(scope).iter())
            .map(|key| {
                let mut synonyms = Vec::new();
                if let Some(value) = own.get(key.name) {
                    let (name, value) = (key.name.to_owned(), value.to_string());
                    synonyms.push(Synonym {
                        name,
                        value,
                        source,
                    });
                }
                if scope == Scope::Group {
                    match (broker_key_of_group_key(key.name), key.default) {
                        (Some(below), _) => synonyms.extend(layers.broker_synonyms(below.name)),
                        (None, Some(default)) if synonyms.is_empty() => synonyms.push(Synonym {
                            name: key.name.to_owned(),
                            value: default.to_owned(),
                            source: Source::Default,
                        }),
                        _ => {}
                    }
                }
                let first = synonyms.first().map(|synonym| synonym.value.clone());
                let value = first.or_else(|| key.default.map(str::to_owned));
                entry(key, value, false, synonyms, wanted)
            })
            .collect()
    }
}

fn entry(
    key: &ConfigKey,
    value: Option<String>,
    read_only: bool,
    synonyms: Vec<Synonym>,
    wanted: Wanted,
) -> DescribeConfigsResourceResult {
    let shown = |value: String| (!key.is_sensitive()).then(|| Str::from(value));
    DescribeConfigsResourceResult {
        name: Str::from_static(key.name),
        value: value.and_then(shown),
        read_only,
        config_source: synonyms
            .first()
            .map_or(Source::Default, |synonym| synonym.source) as i8,
        is_sensitive: key.is_sensitive(),
        synonyms: if wanted.synonyms {
            (synonyms.into_iter())
                .map(|synonym| DescribeConfigsSynonym {
                    name: Str::from(synonym.name),
                    value: shown(synonym.value),
                    source: synonym.source as i8,
                })
                .collect()
        } else {
            Vec::new()
        },
        config_type: key.kind.number(),
        documentation: wanted.documentation.then(|| Str::from(documentation(key))),
    }
}

/// What a key is for, and what Ottla makes of it.
#[must_use]
pub fn documentation(key: &ConfigKey) -> String {
    match key.status {
        super::Status::Implemented => key.doc.to_owned(),
        super::Status::Partly(why) => format!("{} In part: {why}", key.doc),
        super::Status::NoEffect(why) => format!("{} Without effect: {why}", key.doc),
        super::Status::Refused(why) => {
            format!("{} Nothing but the default is taken: {why}", key.doc)
        }
    }
}

/// Bytes that a key takes in memory, about.
fn size(config: &DescribeConfigsResourceResult) -> usize {
    let text = |text: &Option<Str>| text.as_ref().map_or(0, |text| text.len());
    let synonyms = config.synonyms.iter().map(|synonym| {
        size_of::<DescribeConfigsSynonym>() + synonym.name.len() + text(&synonym.value)
    });
    size_of::<DescribeConfigsResourceResult>()
        + text(&config.value)
        + text(&config.documentation)
        + synonyms.sum::<usize>()
}

fn failed(
    resource: &DescribeConfigsResource,
    code: ErrorCode,
    message: Option<Str>,
) -> DescribeConfigsResult {
    DescribeConfigsResult {
        error_code: code.0,
        // Where Kafka has nothing to say it says nothing, at length 0.
        error_message: Some(message.unwrap_or_default()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        configs: Vec::new(),
    }
}

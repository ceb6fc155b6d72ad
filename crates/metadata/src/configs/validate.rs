//! Whether settings may be made, in Kafka's words.
//!
//! What a *refused* key is set to must be its default; see [`super::Status`]. Where Kafka takes any
//! unknown broker key (a Java plugin might read it), Ottla refuses it: here it can only be a mistake.

use std::collections::BTreeMap;

use protocol::Str;
use types::ErrorCode;

use super::key::{ConfigKey, Status, Update, Value};
use super::resolve::Layers;
use super::{Scope, find, removed, suggest};
use crate::names;

/// Why settings are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Kafka's code.
    pub code: ErrorCode,
    /// In words.
    pub message: String,
}

impl ConfigError {
    fn config(message: impl Into<String>) -> ConfigError {
        ConfigError {
            code: ErrorCode::INVALID_CONFIG,
            message: message.into(),
        }
    }

    fn request(message: impl Into<String>) -> ConfigError {
        ConfigError {
            code: ErrorCode::INVALID_REQUEST,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

type Configs = BTreeMap<Str, Str>;

/// Parses every value.
fn parse_all(
    scope: Scope,
    unknown: &str,
    configs: &Configs,
) -> Result<Vec<(&'static ConfigKey, Value)>, ConfigError> {
    let mut keys = Vec::with_capacity(configs.len());
    for (name, text) in configs {
        let key = find(scope, name).ok_or_else(|| {
            let hint = hint(scope, name);
            ConfigError::config(format!("Unknown {unknown} config name: {name}{hint}"))
        })?;
        keys.push((key, text));
    }
    (keys.into_iter())
        .map(|(key, text)| Ok((key, key.parse(text).map_err(ConfigError::config)?)))
        .collect()
}

/// What was perhaps meant.
fn hint(scope: Scope, name: &str) -> String {
    suggest(scope, name).map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

fn unknown_broker_key(name: &str) -> String {
    match removed::why(name) {
        Some(why) => format!("Unknown broker config name: {name}: {why}"),
        None => format!(
            "Unknown broker config name: {name}{}",
            hint(Scope::Broker, name)
        ),
    }
}

/// Whether a key has this value although any but its default is refused.
fn refusal(key: &ConfigKey, text: &str, value: &Value) -> Option<String> {
    let Status::Refused(why) = key.status else {
        return None;
    };
    let default = key.default.map(|text| key.parse(text));
    if default == Some(Ok(value.clone())) {
        return None;
    }
    Some(if key.name == "remote.storage.enable" {
        why.to_owned()
    } else if key.is_sensitive() {
        format!("Configuration {} cannot be set: {why}", key.name)
    } else {
        format!("Configuration {} cannot be set to {text}: {why}", key.name)
    })
}

fn check_refused(
    values: &[(&'static ConfigKey, Value)],
    configs: &Configs,
) -> Result<(), ConfigError> {
    for (key, value) in values {
        if let Some(why) = refusal(key, &configs[key.name], value) {
            return Err(ConfigError::config(why));
        }
    }
    Ok(())
}

fn integer(values: &[(&'static ConfigKey, Value)], name: &str) -> Option<i64> {
    values.iter().find_map(|(key, value)| match value {
        Value::Integer(n) if key.name == name => Some(*n),
        _ => None,
    })
}

/// Checks all settings of a topic together; `layers` are those of the broker that the rest comes from.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn topic(layers: &Layers<'_>, configs: &Configs) -> Result<(), ConfigError> {
    let values = parse_all(Scope::Topic, "topic", configs)?;
    check_refused(&values, configs)?;
    let lag = |name: &str| match integer(&values, name) {
        Some(n) => n,
        None => match layers.topic_value(&Configs::new(), name) {
            Some(Value::Integer(n)) => n,
            other => panic!("{name} is no number: {other:?}"),
        },
    };
    let (min, max) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
    if min > max {
        return Err(ConfigError::config(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    Ok(())
}

/// Checks a topic's name as that of something with settings.
///
/// # Errors
/// What is wrong with it.
pub fn topic_name(name: &str) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(ConfigError::request(
            "Default topic resources are not allowed.",
        ));
    }
    names::check(name).map_err(|invalid| ConfigError {
        code: ErrorCode::INVALID_TOPIC_EXCEPTION,
        message: invalid.to_string(),
    })
}

/// Checks all settings made at runtime for one broker, or for all of them.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn broker(configs: &Configs, is_for_all: bool) -> Result<(), ConfigError> {
    let mut keys = Vec::with_capacity(configs.len());
    for (name, text) in configs {
        keys.push((name, text, find(Scope::Broker, base_name(name))));
    }
    let named = |wanted: &dyn Fn(&Str, Option<&ConfigKey>) -> bool| {
        let found: Vec<&str> = (keys.iter())
            .filter(|(name, _, key)| wanted(name, *key))
            .map(|(name, _, _)| name.as_str())
            .collect();
        (!found.is_empty()).then(|| found.join(", "))
    };
    let updates = |key: Option<&ConfigKey>| key.map(|key| key.update);
    if let Some(names) = named(&|_, key| updates(key) == Some(Update::ReadOnly)) {
        return Err(ConfigError::request(format!(
            "Cannot update these configs dynamically: [{names}]"
        )));
    }
    if let Some(name) = keys
        .iter()
        .find_map(|(name, _, key)| key.is_none().then_some(*name))
    {
        return Err(ConfigError::request(unknown_broker_key(name)));
    }
    let mut values = Vec::with_capacity(keys.len());
    for (_, text, key) in &keys {
        let key = key.expect("unknown keys were refused above");
        let value = key.parse(text).map_err(ConfigError::request)?;
        if let Some(why) = refusal(key, text, &value) {
            return Err(ConfigError::request(why));
        }
        values.push((key, value));
    }
    let per_broker = named(&|_, key| updates(key) == Some(Update::PerBroker));
    if let Some(names) = per_broker
        && is_for_all
    {
        return Err(ConfigError::request(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: [{names}]"
        )));
    }
    ranges_of_times(&values).map_err(ConfigError::request)
}

/// What Kafka checks of times beyond their ranges.
fn ranges_of_times(values: &[(&'static ConfigKey, Value)]) -> Result<(), String> {
    let required = |why: &str| Err(format!("requirement failed: {why}"));
    for name in [
        "log.retention.ms",
        "log.retention.minutes",
        "log.retention.hours",
    ] {
        if integer(values, name).is_some_and(|n| n == 0 || n < -1) {
            let why = format!("{name} must be unlimited (-1) or, greater than or equal to 1");
            return required(&why);
        }
    }
    if integer(values, "log.roll.ms").is_some_and(|n| n < 1) {
        return required("log.roll.ms must be greater than or equal to 1");
    }
    if integer(values, "log.roll.jitter.ms").is_some_and(|n| n < 0) {
        return required("log.roll.jitter.ms must be greater than or equal to 0");
    }
    Ok(())
}

/// `listener.name.INTERNAL.ssl.key.password` is `ssl.key.password` of one listener.
fn base_name(name: &str) -> &str {
    (name.strip_prefix("listener.name."))
        .and_then(|rest| rest.split_once('.'))
        .map_or(name, |(_, base)| base)
}

/// The broker's bounds of a group key: from which broker key, and whether that is the lower bound.
const GROUP_BOUNDS: &[(&str, &str, bool)] = &[
    (
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        true,
    ),
    (
        "consumer.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
        false,
    ),
    (
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        true,
    ),
    (
        "consumer.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
        false,
    ),
    (
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        true,
    ),
    (
        "consumer.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
        false,
    ),
    (
        "share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        true,
    ),
    (
        "share.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
        false,
    ),
    (
        "share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
        true,
    ),
    (
        "share.session.timeout.ms",
        "group.share.max.session.timeout.ms",
        false,
    ),
    (
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        true,
    ),
    (
        "share.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
        false,
    ),
    (
        "share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        true,
    ),
    (
        "share.delivery.count.limit",
        "group.share.max.delivery.count.limit",
        false,
    ),
    (
        "share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        true,
    ),
    (
        "share.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
        false,
    ),
    (
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        true,
    ),
    (
        "share.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
        false,
    ),
    (
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        true,
    ),
    (
        "streams.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
        false,
    ),
    (
        "streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        true,
    ),
    (
        "streams.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
        false,
    ),
    (
        "streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        true,
    ),
    (
        "streams.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
        false,
    ),
    (
        "streams.num.standby.replicas",
        "group.streams.max.standby.replicas",
        false,
    ),
];

/// Checks all settings of a group together, within the bounds that the broker sets.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn group(layers: &Layers<'_>, name: &str, configs: &Configs) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(ConfigError::request(
            "Default group resources are not allowed.",
        ));
    }
    let values = parse_all(Scope::Group, "group", configs)?;
    check_refused(&values, configs)?;
    for (key, bound, is_lower) in GROUP_BOUNDS {
        let Some(n) = integer(&values, key) else {
            continue;
        };
        let limit = layers.integer(bound);
        if *is_lower && n < limit {
            let why = format!("{key} must be greater than or equal to {bound}");
            return Err(ConfigError::config(why));
        }
        if !*is_lower && n > limit {
            let why = format!("{key} must be less than or equal to {bound}");
            return Err(ConfigError::config(why));
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let value = |what: &str| {
            let own = integer(&values, &format!("{kind}.{what}"));
            own.unwrap_or_else(|| layers.integer(&format!("group.{kind}.{what}")))
        };
        if value("session.timeout.ms") <= value("heartbeat.interval.ms") {
            return Err(ConfigError::config(format!(
                "{kind}.session.timeout.ms must be greater than {kind}.heartbeat.interval.ms"
            )));
        }
    }
    Ok(())
}

/// Checks all settings of a subscription to clients' metrics.
///
/// # Errors
/// The first thing that is wrong with them.
pub fn client_metrics(name: &str, configs: &Configs) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(ConfigError::request("Subscription name can't be empty"));
    }
    for name in configs.keys() {
        if find(Scope::ClientMetrics, name).is_none() {
            let why = format!("Unknown client metrics configuration: {name}");
            return Err(ConfigError::request(why));
        }
    }
    for (key, value) in parse_all(Scope::ClientMetrics, "client metrics", configs)? {
        match (key.name, value) {
            ("interval.ms", Value::Integer(n)) if !(100..=3_600_000).contains(&n) => {
                return Err(ConfigError::request(format!(
                    "Invalid value {n} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
                )));
            }
            ("match", Value::List(patterns)) => {
                if let Some(bad) = patterns.iter().find(|pattern| !is_match(pattern)) {
                    return Err(ConfigError::config(format!(
                        "Illegal client matching pattern: {bad}"
                    )));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether this is `selector=pattern` with a selector that exists. The pattern itself is looked at by
/// whoever matches with it.
fn is_match(pattern: &str) -> bool {
    const SELECTORS: [&str; 6] = [
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    (pattern.split_once('='))
        .is_some_and(|(name, rest)| SELECTORS.contains(&name.trim()) && !rest.trim().is_empty())
}

/// Something wrong with a line of `server.properties`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// Whether the key is unknown: the only problem that may be taken lightly.
    pub is_unknown: bool,
}

/// What is said in a broker's `server.properties` and changes nothing: keys without effect at another value than
/// their default, and keys at their default that could not be set to anything else. In the words of a warning.
#[must_use]
pub fn without_effect(static_configs: &BTreeMap<String, String>) -> Vec<Problem> {
    let told = static_configs.iter().filter_map(|(name, text)| {
        let key = find(Scope::Broker, base_name(name))?;
        let is_default = key.default.map(|text| key.parse(text)) == Some(key.parse(text));
        let why = match key.status {
            Status::NoEffect(why) if !is_default => why,
            Status::Refused(why) if is_default => why,
            _ => return None,
        };
        let value = if key.is_sensitive() { "[hidden]" } else { text };
        Some(Problem {
            key: name.clone(),
            message: format!("{name}={value} has no effect: {why}"),
            is_unknown: false,
        })
    });
    told.collect()
}

/// Checks a broker's `server.properties`.
#[must_use]
pub fn file(static_configs: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut values = Vec::new();
    for (name, text) in static_configs {
        let mut problem = |message: String, is_unknown| {
            problems.push(Problem {
                key: name.clone(),
                message,
                is_unknown,
            });
        };
        let Some(key) = find(Scope::Broker, base_name(name)) else {
            problem(unknown_broker_key(name), true);
            continue;
        };
        match key.parse(text) {
            Err(message) => problem(message, false),
            Ok(value) => match refusal(key, text, &value) {
                Some(message) => problem(message, false),
                None => values.push((key, value)),
            },
        }
    }
    if let Err(message) = ranges_of_times(&values) {
        let key = message.split(' ').nth(2).unwrap_or_default().to_owned();
        problems.push(Problem {
            key,
            message,
            is_unknown: false,
        });
    }
    problems
}

//! Which value counts: the topic's own, then what was set for the broker, then for all brokers, then
//! `server.properties`, then the default.
//!
//! Some settings go by several names (*synonyms*): a topic's `retention.ms` is a broker's
//! `log.retention.ms`, which may also be given as `log.retention.minutes` or `log.retention.hours`. Among
//! these the finer unit wins, wherever it is set.

use std::borrow::Cow;
use std::collections::BTreeMap;

use protocol::Str;
use types::BrokerId;

use super::key::{ConfigKey, Value};
use super::resource::{ConfigResource, ResourceType};
use super::{Scope, find};
use crate::image::Image;

/// Where a value comes from. The numbers are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum Source {
    /// Set for the topic.
    Topic = 1,
    /// Set at runtime for this broker.
    Broker = 2,
    /// Set at runtime for all brokers.
    AllBrokers = 3,
    /// In `server.properties`.
    Static = 4,
    /// Nowhere.
    Default = 5,
    /// Set for the subscription to clients' metrics.
    ClientMetrics = 7,
    /// Set for the group.
    Group = 8,
}

/// A value under one of a key's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub source: Source,
}

/// The layers of a broker's settings.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    image: &'a Image,
    broker: &'a BTreeMap<Str, Str>,
    all_brokers: &'a BTreeMap<Str, Str>,
    static_configs: &'a BTreeMap<String, String>,
}

/// A broker key's names, the one that counts first, each with the milliseconds in its unit.
#[must_use]
pub fn family(name: &str) -> &'static [(&'static str, i64)] {
    const HOUR: i64 = 3_600_000;
    match name {
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => &[
            ("log.retention.ms", 1),
            ("log.retention.minutes", 60_000),
            ("log.retention.hours", HOUR),
        ],
        "log.roll.ms" | "log.roll.hours" => &[("log.roll.ms", 1), ("log.roll.hours", HOUR)],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => {
            &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR)]
        }
        "log.flush.interval.ms" => &[
            ("log.flush.interval.ms", 1),
            ("log.flush.scheduler.interval.ms", 1),
        ],
        _ => &[],
    }
}

/// The broker key that stands behind a topic key.
#[must_use]
pub fn broker_key_of_topic_key(name: &str) -> Option<&'static str> {
    Some(match name {
        "cleanup.policy" => "log.cleanup.policy",
        "compression.gzip.level" => "compression.gzip.level",
        "compression.lz4.level" => "compression.lz4.level",
        "compression.type" => "compression.type",
        "compression.zstd.level" => "compression.zstd.level",
        "delete.retention.ms" => "log.cleaner.delete.retention.ms",
        "file.delete.delay.ms" => "log.segment.delete.delay.ms",
        "flush.messages" => "log.flush.interval.messages",
        "flush.ms" => "log.flush.interval.ms",
        "index.interval.bytes" => "log.index.interval.bytes",
        "local.retention.bytes" => "log.local.retention.bytes",
        "local.retention.ms" => "log.local.retention.ms",
        "max.compaction.lag.ms" => "log.cleaner.max.compaction.lag.ms",
        "max.message.bytes" => "message.max.bytes",
        "message.timestamp.after.max.ms" => "log.message.timestamp.after.max.ms",
        "message.timestamp.before.max.ms" => "log.message.timestamp.before.max.ms",
        "message.timestamp.type" => "log.message.timestamp.type",
        "min.cleanable.dirty.ratio" => "log.cleaner.min.cleanable.ratio",
        "min.compaction.lag.ms" => "log.cleaner.min.compaction.lag.ms",
        "min.insync.replicas" => "min.insync.replicas",
        "ottla.durability" => "ottla.durability",
        "preallocate" => "log.preallocate",
        "retention.bytes" => "log.retention.bytes",
        "retention.ms" => "log.retention.ms",
        "segment.bytes" => "log.segment.bytes",
        "segment.index.bytes" => "log.index.size.max.bytes",
        "segment.jitter.ms" => "log.roll.jitter.ms",
        "segment.ms" => "log.roll.ms",
        "unclean.leader.election.enable" => "unclean.leader.election.enable",
        _ => return None,
    })
}

/// The broker key that stands behind a group key.
#[must_use]
pub fn broker_key_of_group_key(name: &str) -> Option<&'static ConfigKey> {
    find(Scope::Broker, &format!("group.{name}"))
}

impl<'a> Layers<'a> {
    /// The settings of broker `id`, whose `server.properties` are `static_configs`.
    #[must_use]
    pub fn new(
        image: &'a Image,
        id: BrokerId,
        static_configs: &'a BTreeMap<String, String>,
    ) -> Layers<'a> {
        let configs =
            |name: String| image.configs(&ConfigResource::new(ResourceType::Broker, name));
        Layers {
            image,
            broker: configs(id.to_string()),
            all_brokers: configs(String::new()),
            static_configs,
        }
    }

    /// The image beneath.
    #[must_use]
    pub fn image(&self) -> &'a Image {
        self.image
    }

    /// What was set at runtime for this broker.
    #[must_use]
    pub fn of_broker(&self) -> &'a BTreeMap<Str, Str> {
        self.broker
    }

    /// What was set at runtime for all brokers.
    #[must_use]
    pub fn of_all_brokers(&self) -> &'a BTreeMap<Str, Str> {
        self.all_brokers
    }

    /// The broker's `server.properties`.
    #[must_use]
    pub fn of_file(&self) -> &'a BTreeMap<String, String> {
        self.static_configs
    }

    /// The value of a broker key under this very name, and where it was set; not its default.
    fn set(&self, name: &str) -> Option<(&'a str, Source)> {
        let dynamic = |layer: &'a BTreeMap<Str, Str>, source| {
            layer.get(name).map(|value| (value.as_str(), source))
        };
        dynamic(self.broker, Source::Broker)
            .or_else(|| dynamic(self.all_brokers, Source::AllBrokers))
            .or_else(|| {
                self.static_configs
                    .get(name)
                    .map(|v| (v.as_str(), Source::Static))
            })
    }

    /// The value of a broker key under this very name and where it comes from, its default included.
    #[must_use]
    pub fn broker_text(&self, key: &ConfigKey) -> Option<(&'a str, Source)> {
        self.set(key.name)
            .or_else(|| key.default.map(|value| (value, Source::Default)))
    }

    /// The value of a broker key that counts, its synonyms included; `None` if it has none.
    ///
    /// A value that cannot be parsed is passed over: such values are refused where they are set, and a
    /// broker that was nevertheless given one goes on with the layer below.
    ///
    /// # Panics
    /// If there is no such key: names are written by programmers.
    #[must_use]
    pub fn broker_value(&self, name: &str) -> Option<Value> {
        let names = family(name);
        if names.is_empty() {
            return self.plain_value(name);
        }
        let in_ms = |value: Value, unit: i64| match value {
            // A negative time means for ever; it has no unit.
            Value::Integer(n) if n < 0 => Value::Integer(-1),
            Value::Integer(n) => Value::Integer(n.saturating_mul(unit)),
            other => other,
        };
        let set = |(name, unit): &(&str, i64)| {
            self.set(name)
                .and_then(|_| self.plain_value(name))
                .map(|value| in_ms(value, *unit))
        };
        let default = |(name, unit): &(&str, i64)| {
            let key = key_of(name);
            key.default
                .and_then(|text| key.parse(text).ok())
                .map(|value| in_ms(value, *unit))
        };
        names
            .iter()
            .find_map(set)
            .or_else(|| names.iter().find_map(default))
    }

    fn plain_value(&self, name: &str) -> Option<Value> {
        let key = key_of(name);
        let layers = [
            self.broker.get(name).map(Str::as_str),
            self.all_brokers.get(name).map(Str::as_str),
            self.static_configs.get(name).map(String::as_str),
            key.default,
        ];
        layers
            .into_iter()
            .flatten()
            .find_map(|text| key.parse(text).ok())
    }

    /// Every value of a broker key under all of its names, the one that counts first.
    #[must_use]
    pub fn broker_synonyms(&self, name: &str) -> Vec<Synonym> {
        let single = [(name, 1)];
        let names: &[(&str, i64)] = match family(name) {
            [] => &single,
            names => names,
        };
        let mut out = Vec::new();
        let mut layer = |get: &dyn Fn(&str) -> Option<String>, source| {
            for (name, _) in names {
                if let Some(value) = get(name) {
                    out.push(Synonym {
                        name: (*name).to_owned(),
                        value,
                        source,
                    });
                }
            }
        };
        layer(
            &|name| self.broker.get(name).map(|v| v.to_string()),
            Source::Broker,
        );
        layer(
            &|name| self.all_brokers.get(name).map(|v| v.to_string()),
            Source::AllBrokers,
        );
        layer(
            &|name| self.static_configs.get(name).cloned(),
            Source::Static,
        );
        let default = |name: &str| find(Scope::Broker, name).and_then(|key| key.default);
        layer(&|name| default(name).map(str::to_owned), Source::Default);
        // As Kafka does: only what stands at or below the key's own name.
        let own = out
            .iter()
            .position(|synonym| synonym.name == name)
            .unwrap_or(out.len());
        out.split_off(own)
    }

    /// The value of a topic key for a topic whose own settings are `own`, as text.
    #[must_use]
    pub fn topic_text<'b>(
        &'b self,
        own: &'b BTreeMap<Str, Str>,
        key: &'static ConfigKey,
    ) -> Option<Cow<'b, str>> {
        if let Some(value) = own.get(key.name) {
            return Some(Cow::Borrowed(value));
        }
        match broker_key_of_topic_key(key.name) {
            None => key.default.map(Cow::Borrowed),
            Some(name) if family(name).is_empty() => self
                .broker_text(key_of(name))
                .map(|(text, _)| Cow::Borrowed(text)),
            Some(name) => match self.broker_value(name) {
                Some(Value::Integer(n)) => Some(Cow::Owned(n.to_string())),
                _ => key.default.map(Cow::Borrowed),
            },
        }
    }

    /// The value of a topic key for a topic whose own settings are `own`; `None` if it has none.
    ///
    /// # Panics
    /// If there is no such key: names are written by programmers.
    #[must_use]
    pub fn topic_value(&self, own: &BTreeMap<Str, Str>, name: &str) -> Option<Value> {
        let key = find(Scope::Topic, name).expect("the key is in the table");
        let set = own.get(name).and_then(|text| key.parse(text).ok());
        set.or_else(|| match broker_key_of_topic_key(name) {
            Some(name) => self.broker_value(name),
            None => key.default.and_then(|text| key.parse(text).ok()),
        })
    }

    /// Every value of a topic key under all of its names, the one that counts first.
    #[must_use]
    pub fn topic_synonyms(&self, own: &BTreeMap<Str, Str>, key: &ConfigKey) -> Vec<Synonym> {
        let set = own.get(key.name).map(|value| Synonym {
            name: key.name.to_owned(),
            value: value.to_string(),
            source: Source::Topic,
        });
        let below = broker_key_of_topic_key(key.name).map(|name| self.broker_synonyms(name));
        set.into_iter().chain(below.into_iter().flatten()).collect()
    }

    /// A yes or no.
    ///
    /// # Panics
    /// If there is no such key, or it is of another type.
    #[must_use]
    pub fn boolean(&self, name: &str) -> bool {
        match self.broker_value(name) {
            Some(Value::Boolean(value)) => value,
            other => panic!("{name} is no boolean: {other:?}"),
        }
    }

    /// A number.
    ///
    /// # Panics
    /// If there is no such key, or it is of another type or without a value.
    #[must_use]
    pub fn integer(&self, name: &str) -> i64 {
        match self.broker_value(name) {
            Some(Value::Integer(value)) => value,
            other => panic!("{name} is no number: {other:?}"),
        }
    }

    /// A number of 32 bits.
    ///
    /// # Panics
    /// If there is no such key, or it is of another type or without a value.
    #[must_use]
    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.integer(name)).expect("the key's type has 32 bits")
    }

    /// A text, `None` if there is none.
    ///
    /// # Panics
    /// If there is no such key, or it is of another type.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.broker_value(name) {
            Some(Value::Text(value)) => Some(value),
            None => None,
            other => panic!("{name} is no text: {other:?}"),
        }
    }
}

fn key_of(name: &str) -> &'static ConfigKey {
    match find(Scope::Broker, name) {
        Some(key) => key,
        None => panic!("{name} is not in the table"),
    }
}

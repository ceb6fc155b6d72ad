//! The table of settings against the list of keys taken from Apache Kafka 4.3.1.

use std::collections::BTreeMap;

use ottla_metadata::configs::{self, ConfigKey, Importance, Scope, Status, Update};

const LIST: &str = include_str!("data/kafka-4.3.1-keys.tsv");

struct Row {
    scope: Scope,
    fields: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    (LIST.lines())
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut fields: Vec<&str> = line.split('\t').collect();
            let scope = match fields.remove(0) {
                "broker" => Scope::Broker,
                "topic" => Scope::Topic,
                "group" => Scope::Group,
                "client-metrics" => Scope::ClientMetrics,
                other => panic!("no scope: {other}"),
            };
            Row { scope, fields }
        })
        .collect()
}

/// Ottla's own keys, and keys that Kafka has but does not list among its broker keys.
const NOT_IN_KAFKAS_LIST: &[&str] = &[
    "ottla.durability",
    "ottla.disk.direct",
    "ottla.disk.reserve.bytes",
    // Of a later Kafka.
    "max.decompressed.message.bytes",
    // Known to Kafka at runtime only.
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// What Kafka can change at runtime and Ottla reads when it starts.
const READ_AT_START: &[&str] = &[
    "listener.security.protocol.map",
    "listeners",
    "max.connections",
    "max.connections.per.ip",
    "producer.id.expiration.ms",
];

fn described(key: &ConfigKey) -> Vec<String> {
    let default = match key.default {
        Some(default) => default.to_owned(),
        None if key.is_required => "!".to_owned(),
        None => "-".to_owned(),
    };
    let importance = match key.importance {
        Importance::High => "HIGH",
        Importance::Medium => "MEDIUM",
        Importance::Low => "LOW",
    };
    vec![
        key.name.to_owned(),
        key.kind.to_string(),
        default,
        key.valid.to_string(),
        importance.to_owned(),
    ]
}

#[test]
fn every_key_of_kafka_is_there_as_it_is_there() {
    let rows = rows();
    assert_eq!(rows.len(), 414);
    for row in rows {
        let name = row.fields[0];
        let key = configs::find(row.scope, name).unwrap_or_else(|| panic!("{name} is missing"));
        let mut kafka: Vec<String> = row.fields[..5].iter().map(|f| (*f).to_owned()).collect();
        match name {
            // Kafka's default is a directory for temporary files.
            "log.dir" => kafka[2] = "data".to_owned(),
            // Kafka writes these ranges in words of their own, or does not write that anything goes.
            "authorizer.class.name" => kafka[3] = String::new(),
            "controller.quorum.voters" | "controller.quorum.bootstrap.servers" => {
                kafka[3] = String::new();
            }
            _ => {}
        }
        assert_eq!(described(key), kafka, "{name}");
        let [listed, update, sensitive] = row.fields[5..] else {
            panic!("{name}: {:?}", row.fields)
        };
        assert_eq!(key.is_listed, listed == "listed", "{name}");
        if key.is_listed {
            // What Ottla reads when it starts cannot be changed while it runs, and it says so.
            let is_read_at_start = READ_AT_START.contains(&name);
            assert_eq!(
                key.update == Update::ReadOnly,
                update == "ro" || is_read_at_start,
                "{name}"
            );
            assert_eq!(key.is_sensitive(), sensitive == "sensitive", "{name}");
        }
    }
}

#[test]
fn there_is_no_key_that_kafka_lacks_but_our_own() {
    let known: BTreeMap<(Scope, &str), ()> = rows()
        .iter()
        .map(|row| ((row.scope, row.fields[0]), ()))
        .collect();
    for scope in [
        Scope::Broker,
        Scope::Topic,
        Scope::Group,
        Scope::ClientMetrics,
    ] {
        for key in configs::keys(scope) {
            let is_kafkas = known.contains_key(&(scope, key.name));
            assert_ne!(
                is_kafkas,
                NOT_IN_KAFKAS_LIST.contains(&key.name),
                "{}",
                key.name
            );
        }
    }
}

#[test]
fn names_are_sorted_and_found_and_documented() {
    for scope in [
        Scope::Broker,
        Scope::Topic,
        Scope::Group,
        Scope::ClientMetrics,
    ] {
        let keys = configs::keys(scope);
        assert!(keys.windows(2).all(|pair| pair[0].name < pair[1].name));
        for key in keys {
            assert_eq!(configs::find(scope, key.name), Some(*key));
            assert!(
                key.doc.ends_with(['.', ';']) && key.doc.len() > 10,
                "{}: {}",
                key.name,
                key.doc
            );
            if let Status::NoEffect(why) | Status::Refused(why) = key.status {
                assert!(why.ends_with('.'), "{}: {why}", key.name);
            }
        }
    }
    assert_eq!(configs::find(Scope::Topic, "no.such.key"), None);
}

#[test]
fn defaults_are_valid() {
    for scope in [
        Scope::Broker,
        Scope::Topic,
        Scope::Group,
        Scope::ClientMetrics,
    ] {
        for key in configs::keys(scope) {
            if let Some(default) = key.default {
                assert!(
                    key.parse(default).is_ok(),
                    "{}: {:?}",
                    key.name,
                    key.parse(default)
                );
            }
        }
    }
}

//! The rows of the table, a file for each area.
//!
//! A row says: name, type, default, allowed values, importance, when it can be set; then what it is for,
//! and what Ottla makes of it. Types, defaults and ranges are Kafka 4.3.1's, and `tests/kafka_keys.rs`
//! holds them against a list taken from it. `hidden` keys are listed by DescribeConfigs only where they
//! are set.

use super::Scope;
use super::key::ConfigKey;
#[allow(unused_imports, reason = "no file of rows uses all of these")]
mod prelude {
    pub(super) use super::why::*;
    pub(super) use crate::configs::key::{
        ConfigKey, Importance::*, Kind::*, Status::*, Update::*, Valid::*,
    };
}

macro_rules! keys {
    (@default null) => { None };
    (@default required) => { None };
    (@default $default:literal) => { Some($default) };
    (@required required) => { true };
    (@required $default:tt) => { false };
    (@listed) => { true };
    (@listed hidden) => { false };
    ($(
        $($hidden:ident)? $name:literal $kind:ident $default:tt [$valid:expr] $importance:ident
            $update:ident $doc:literal $status:expr;
    )*) => {
        /// The rows.
        pub(super) const KEYS: &[ConfigKey] = &[$(
            ConfigKey {
                name: $name,
                kind: $kind,
                default: keys!(@default $default),
                is_required: keys!(@required $default),
                valid: $valid,
                importance: $importance,
                update: $update,
                is_listed: keys!(@listed $($hidden)?),
                doc: $doc,
                status: $status,
            },
        )*];
    };
}

mod broker_groups;
mod broker_log;
mod broker_network;
mod broker_node;
mod broker_quorum;
mod broker_remote;
mod broker_replication;
mod broker_sasl;
mod broker_security;
mod broker_share;
mod broker_transactions;
mod client_metrics;
mod group;
mod topic;
mod why;

const BROKER: &[&[ConfigKey]] = &[
    broker_node::KEYS,
    broker_network::KEYS,
    broker_log::KEYS,
    broker_replication::KEYS,
    broker_quorum::KEYS,
    broker_groups::KEYS,
    broker_share::KEYS,
    broker_transactions::KEYS,
    broker_remote::KEYS,
    broker_security::KEYS,
    broker_sasl::KEYS,
];

const fn count(parts: &[&[ConfigKey]]) -> usize {
    let (mut sum, mut i) = (0, 0);
    while i < parts.len() {
        sum += parts[i].len();
        i += 1;
    }
    sum
}

/// Every key of `parts`, sorted by name when the program is built.
const fn sorted<const N: usize>(parts: &'static [&'static [ConfigKey]]) -> [&'static ConfigKey; N] {
    let mut out = [&parts[0][0]; N];
    let (mut n, mut i) = (0, 0);
    while i < parts.len() {
        let mut j = 0;
        while j < parts[i].len() {
            let mut at = n;
            while at > 0 && is_less(parts[i][j].name, out[at - 1].name) {
                out[at] = out[at - 1];
                at -= 1;
            }
            out[at] = &parts[i][j];
            n += 1;
            j += 1;
        }
        i += 1;
    }
    out
}

const fn is_less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return a[i] < b[i];
        }
        i += 1;
    }
    a.len() < b.len()
}

macro_rules! scope {
    ($name:ident, $parts:expr) => {
        static $name: [&ConfigKey; count($parts)] = sorted($parts);
    };
}

scope!(BROKER_KEYS, BROKER);
scope!(TOPIC_KEYS, &[topic::KEYS]);
scope!(GROUP_KEYS, &[group::KEYS]);
scope!(CLIENT_METRICS_KEYS, &[client_metrics::KEYS]);

pub(super) fn keys(scope: Scope) -> &'static [&'static ConfigKey] {
    match scope {
        Scope::Broker => &BROKER_KEYS,
        Scope::Topic => &TOPIC_KEYS,
        Scope::Group => &GROUP_KEYS,
        Scope::ClientMetrics => &CLIENT_METRICS_KEYS,
    }
}

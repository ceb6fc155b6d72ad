//! **The** table of settings: every broker, topic, group and client-metrics key that Kafka 4.3 has, and
//! Ottla's own, with what Ottla makes of each.
//!
//! DescribeConfigs, `ottla config explain`, the checks of what is set, and the documentation are all
//! answers from this one table ([`table`]). A key is *implemented*, implemented *in part*, *accepted without
//! effect* (Kafka's clients and tools set it, and nothing is lost by ignoring it), or *refused*: any value but
//! the default is an error, because whoever sets it relies on what Ottla does not do.
//!
//! What is set where: [`resolve`] finds the value that counts and the layer it comes from;
//! [`topic`] and [`broker`] are the typed views that the broker works with; [`validate`] says whether a
//! change may be made, in Kafka's words; [`describe`] answers DescribeConfigs; [`removed`] has the keys that Kafka
//! once had; [`page`] is the table as a page of the documentation.

pub mod broker;
pub mod describe;
pub mod key;
pub mod page;
pub mod removed;
pub mod resolve;
pub mod resource;
mod suggest;
mod table;
pub mod topic;
pub mod validate;

pub use key::{ConfigKey, Importance, Kind, Status, Update, Valid, Value};
pub use suggest::{distance, suggest};

/// Whose keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Brokers.
    Broker,
    /// Topics.
    Topic,
    /// Groups.
    Group,
    /// Subscriptions to clients' metrics.
    ClientMetrics,
}

/// Every key of a scope, by name.
#[must_use]
pub fn keys(scope: Scope) -> &'static [&'static ConfigKey] {
    table::keys(scope)
}

/// The key of this name.
#[must_use]
pub fn find(scope: Scope, name: &str) -> Option<&'static ConfigKey> {
    let keys = keys(scope);
    keys.binary_search_by(|key| key.name.cmp(name))
        .ok()
        .map(|i| keys[i])
}

//! The historic bugs planted in this crate, each caught by the promise it breaks.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![cfg(feature = "mutants")]

use std::collections::BTreeMap;

use ottla_metadata::{Image, ResourceType};
use protocol::{ConfigRecord, Str};
use types::mutants::activate;
use types::{BrokerId, Uuid};

/// C11: a change of the brokers' settings leaves a topic's own settings alone.
fn topics_keep_their_own() -> bool {
    let mut image = Image::new(Uuid::ZERO);
    for (kind, resource, name, value) in [
        (ResourceType::Topic, "t", "cleanup.policy", "compact"),
        (ResourceType::Broker, "", "log.retention.ms", "1"),
    ] {
        let record = ConfigRecord {
            resource_type: kind.number(),
            resource_name: resource.into(),
            name: name.into(),
            value: Some(Str::from(value)),
        };
        image.apply(&record.into()).unwrap();
    }
    image
        .topic_config("t", BrokerId(1), &BTreeMap::new())
        .compacts()
}

#[test]
fn cmp_17_resets_what_topics_were_given() {
    assert!(topics_keep_their_own());
    activate(Some("CMP-17"));
    let caught = !topics_keep_their_own();
    activate(None);
    assert!(caught);
}

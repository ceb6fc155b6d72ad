//! Ottla answers as Apache Kafka did, except where tests/conformance/differences.toml says why not.
//!
//! One test for each session would be neater to read in a report; but entries that no longer differ can
//! only be seen over all of them. `OTTLA_BIN` names a binary that is built already.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test that starts the built binary"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use ottla_tests::conformance::compare::{Difference, compare, document, exchanges};
use ottla_tests::conformance::run::run;
use ottla_tests::conformance::servers::{Server, ottla_binary};
use ottla_tests::conformance::{differences, root, schemas, sessions};

/// The sessions may shrink only on purpose.
const EXCHANGES_MIN: usize = 1500;

/// How long a server may take to get where a session wants it.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn answers_are_kafkas() {
    let schemas = schemas().unwrap();
    let known = differences().unwrap();
    let binary = ottla_binary().unwrap();
    let mut used = BTreeSet::new();
    let mut report = String::new();
    let mut count = 0;
    for session in sessions(&[]).unwrap() {
        let found = Server::ottla(&binary, &session.settings)
            .and_then(|server| run(&schemas, &session, server.address(), PATIENCE))
            .and_then(|answers| compare(&session, &answers));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                count += 1;
                writeln!(report, "{}.session: {error:#}", session.name).unwrap();
                continue;
            }
        };
        let new: Vec<Difference> = found
            .into_iter()
            .filter(|difference| match known.covering(difference) {
                Some(entry) => {
                    used.insert(entry);
                    false
                }
                None => true,
            })
            .collect();
        count += new.len();
        for difference in new.iter().take(20) {
            writeln!(report, "{difference}").unwrap();
        }
        if new.len() > 20 {
            writeln!(
                report,
                "{}.session: and {} more",
                session.name,
                new.len() - 20
            )
            .unwrap();
        }
    }
    for (i, entry) in known.difference.iter().enumerate() {
        if !used.contains(&i) {
            count += 1;
            let (api, path) = (&entry.api, &entry.path);
            writeln!(report, "differences.toml: {api} {path} no longer differs").unwrap();
        }
    }
    assert!(
        count == 0,
        "{count} differences that are not explained:\n{report}"
    );
}

#[test]
fn every_api_is_asked_in_every_version() {
    let sessions = sessions(&[]).unwrap();
    let asked = exchanges(&sessions);
    let total: usize = asked.values().map(|(exchanges, _)| exchanges).sum();
    assert!(total >= EXCHANGES_MIN, "only {total} exchanges");
    // What Apache Kafka 4.3.1 offers, of the APIs that Ottla has.
    let offered: BTreeMap<&str, (i64, i64)> = BTreeMap::from([
        ("AlterConfigs", (0, 2)),
        ("ApiVersions", (0, 4)),
        ("CreatePartitions", (0, 3)),
        ("CreateTopics", (2, 7)),
        ("DeleteGroups", (0, 2)),
        ("DeleteRecords", (0, 2)),
        ("DeleteTopics", (1, 6)),
        ("DescribeCluster", (0, 2)),
        ("DescribeConfigs", (1, 4)),
        ("DescribeGroups", (0, 6)),
        ("DescribeLogDirs", (1, 5)),
        ("DescribeProducers", (0, 0)),
        ("DescribeTopicPartitions", (0, 0)),
        ("DescribeTransactions", (0, 0)),
        ("Fetch", (4, 18)),
        ("FindCoordinator", (0, 6)),
        ("Heartbeat", (0, 4)),
        ("IncrementalAlterConfigs", (0, 1)),
        ("InitProducerId", (0, 5)),
        ("JoinGroup", (0, 9)),
        ("LeaveGroup", (0, 5)),
        ("ListConfigResources", (0, 1)),
        ("ListGroups", (0, 5)),
        ("ListOffsets", (1, 11)),
        ("ListTransactions", (0, 2)),
        ("Metadata", (0, 13)),
        ("OffsetCommit", (2, 10)),
        ("OffsetDelete", (0, 0)),
        ("OffsetFetch", (1, 10)),
        ("OffsetForLeaderEpoch", (2, 4)),
        ("Produce", (3, 13)),
        ("SyncGroup", (0, 5)),
    ]);
    for (api, (from, to)) in offered {
        let versions = &asked[api].1;
        let missing: Vec<_> = (from..=to).filter(|v| !versions.contains(v)).collect();
        assert!(missing.is_empty(), "{api} is never asked in {missing:?}");
    }
}

#[test]
fn the_page_about_differences_is_up_to_date() {
    let page = std::fs::read_to_string(root().join("docs/COMPATIBILITY.md")).unwrap();
    let made = document(&sessions(&[]).unwrap(), &differences().unwrap());
    assert!(page == made, "run `cargo xtask conformance docs`");
}

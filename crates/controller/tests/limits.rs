//! How much one request makes the controller write.

mod common;

use common::Host;
use ottla_controller::{Record, Request, Response};
use protocol::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::{CreateTopicsRequest, Str};
use state_machine::LogRecord;
use types::ErrorCode;

fn topic(number: usize, setting: &Str) -> CreatableTopic {
    CreatableTopic {
        name: Str::from(format!("t{number}")),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![CreatableTopicConfig {
            name: "leader.replication.throttled.replicas".into(),
            value: Some(setting.clone()),
        }],
        ..Default::default()
    }
}

#[test]
fn a_decision_has_eight_mebibytes_at_most() {
    let setting = Str::from(vec!["0:1"; 7_500].join(","));
    let mut host = Host::new(&[]);
    let request = CreateTopicsRequest {
        topics: (0..400).map(|number| topic(number, &setting)).collect(),
        timeout_ms: 1000,
        validate_only: false,
    };
    let (response, written) = host.ask(Request::CreateTopics(request));
    let Response::CreateTopics(response) = response else {
        panic!("{response:?}")
    };
    let refused = |code: i16| ErrorCode(code) == ErrorCode::POLICY_VIOLATION;
    let made = (response.topics.iter())
        .take_while(|topic| topic.error_code == 0)
        .count();
    // What fits is made; each of the others is told why not.
    assert!((270..280).contains(&made), "{made}");
    assert!(
        response.topics[made..]
            .iter()
            .all(|topic| refused(topic.error_code))
    );
    let size = |record: &Record| record.encode().value.map_or(0, |value| value.len());
    let bytes: usize = written.iter().map(size).sum();
    assert!(bytes <= 8 << 20, "{bytes}");
    assert_eq!(written.len(), 3 * made);
}

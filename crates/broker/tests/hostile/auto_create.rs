//! Topics made on first use: many by one decision, and never without end.

use std::collections::BTreeSet;

use broker::Limits;
use protocol::metadata_request::MetadataRequestTopic;
use protocol::{CreateTopicsRequest, MetadataRequest, Str};
use types::ErrorCode;

use crate::site::{Site, Wire, limits};

fn wants(names: impl IntoIterator<Item = String>) -> MetadataRequest {
    let topic = |name| MetadataRequestTopic {
        name: Some(Str::from(name)),
        ..Default::default()
    };
    MetadataRequest {
        topics: Some(names.into_iter().map(topic).collect()),
        allow_auto_topic_creation: true,
        ..Default::default()
    }
}

/// How many topics there are.
async fn topics(wire: &mut Wire) -> usize {
    let all = MetadataRequest {
        topics: None,
        ..Default::default()
    };
    let all = wire.ask(&all, 12, 10_000).await;
    all.expect("an answer").topics.len()
}

#[test]
fn the_topics_of_one_request_are_made_by_one_decision() {
    let mut site = Site::new(limits(), &[]);
    let took_ms = site.client(|env| async move {
        use env::{Clock, Env};
        let mut wire = Wire::connect(&env).await;
        assert_eq!(topics(&mut wire).await, 0);
        let start = env.clock().mono();
        let request = wants((0..500).map(|number| format!("topic-{number}")));
        let answer = wire.ask(&request, 12, 60_000).await.expect("an answer");
        let took = env.clock().mono().since(start);
        // As in Kafka: they are being made, ask again.
        let errors: BTreeSet<i16> = answer.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(errors, [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0].into());
        let again = wire.ask(&request, 12, 10_000).await.expect("an answer");
        assert!(again.topics.iter().all(|topic| topic.error_code == 0));
        took.as_millis()
    });
    // A commit takes a third of a millisecond and more: five hundred of them would take longer.
    assert!(took_ms < 100, "{took_ms} ms");
}

#[test]
fn a_request_makes_no_more_than_one_decision_can_hold() {
    let mut site = Site::new(
        Limits {
            auto_create_partitions_max: usize::MAX,
            ..limits()
        },
        &[("num.partitions", "99")],
    );
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let request = wants((0..150).map(|number| format!("topic-{number}")));
        let answer = wire.ask(&request, 12, 60_000).await.expect("an answer");
        assert_eq!(answer.topics.len(), 150, "each name has its answer");
        // A topic of 99 partitions is a hundred records.
        assert_eq!(topics(&mut wire).await, 100);
    });
}

#[test]
fn a_cluster_with_too_many_partitions_makes_none_on_first_use() {
    let mut site = Site::new(
        Limits {
            auto_create_partitions_max: 10,
            ..limits()
        },
        &[("num.partitions", "3")],
    );
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        for number in 0..20 {
            let request = wants([format!("one-{number}"), format!("other-{number}")]);
            let answer = wire.ask(&request, 12, 10_000).await.expect("an answer");
            assert_eq!(answer.topics.len(), 2);
        }
        assert_eq!(topics(&mut wire).await, 3, "nine partitions fit into ten");
        // Whoever says what he wants gets it.
        let request = CreateTopicsRequest {
            topics: vec![protocol::create_topics_request::CreatableTopic {
                name: Str::from("wanted"),
                num_partitions: 5,
                replication_factor: 1,
                ..Default::default()
            }],
            timeout_ms: 10_000,
            ..Default::default()
        };
        let answer = wire.ask(&request, 7, 10_000).await.expect("an answer");
        assert_eq!(answer.topics[0].error_code, 0);
        assert_eq!(topics(&mut wire).await, 4);
    });
    assert_eq!(site.refused("auto_create_limit"), 19);
}

#[test]
fn names_that_cannot_be_keep_nobody_from_the_others() {
    let mut site = Site::new(limits(), &[]);
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let names = ["good", "bad name", "", "good", "also-good"];
        let request = wants(names.map(str::to_owned));
        let answer = wire.ask(&request, 12, 10_000).await.expect("an answer");
        let answers: Vec<(String, ErrorCode)> = answer
            .topics
            .iter()
            .map(|topic| {
                let name = topic.name.as_deref().expect("a name");
                (name.to_owned(), ErrorCode(topic.error_code))
            })
            .collect();
        let (unknown, invalid) = (
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::INVALID_TOPIC_EXCEPTION,
        );
        assert_eq!(
            answers,
            [
                ("good".to_owned(), unknown),
                ("bad name".to_owned(), invalid),
                (String::new(), invalid),
                ("also-good".to_owned(), unknown),
            ]
        );
        assert_eq!(topics(&mut wire).await, 2);
    });
}

/// Who asks a thousand times for one topic gets it described once: by name, and by id.
#[test]
fn what_is_asked_twice_is_answered_once() {
    let mut site = Site::new(limits(), &[]);
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let names = || vec!["orders".to_owned(); 1000];
        wire.ask(&wants(names()), 12, 10_000)
            .await
            .expect("an answer");
        let by_name = wire
            .ask(&wants(names()), 12, 10_000)
            .await
            .expect("an answer");
        assert_eq!(by_name.topics.len(), 1);
        let topic_id = by_name.topics[0].topic_id;
        let wanted = MetadataRequestTopic {
            name: None,
            topic_id,
        };
        let request = MetadataRequest {
            topics: Some(vec![wanted; 1000]),
            ..Default::default()
        };
        let by_id = wire.ask(&request, 12, 10_000).await.expect("an answer");
        assert_eq!(by_id.topics.len(), 1);
    });
}

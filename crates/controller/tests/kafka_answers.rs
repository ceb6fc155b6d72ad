//! The controller's answers, and DescribeConfigs, against those recorded from Apache Kafka 4.3.1.
//!
//! `data/kafka-4.3.1-answers.txt` is two long conversations with fresh brokers. We have the same ones with
//! fresh controllers, and compare answer by answer; where ours differs on purpose, [`DEVIATIONS`] says
//! what it is and why. Topic ids are matched up as topics are made; the order of results within an
//! answer, which in Kafka is that of a hash table or even shuffled, does not count.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use std::collections::BTreeMap;

use metadata::configs::describe::Describer;
use ottla_controller::{Request, Response};
use protocol::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, Str, UpdateFeaturesRequest,
};
use serde_json::{Value, json};
use types::BrokerId;

const ANSWERS: &str = include_str!("data/kafka-4.3.1-answers.txt");

/// The `server.properties` of the broker that was recorded.
const STATIC: &[(&str, &str)] = &[
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("broker.id", "1"),
    (
        "listeners",
        "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
    ),
    ("advertised.listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("controller.listener.names", "CONTROLLER"),
    ("controller.quorum.voters", "1@127.0.0.1:9093"),
    ("log.dirs", "/var/lib/kafka"),
];

/// Where we answer otherwise: the case, the topic, resource or key, and what we answer there.
const DEVIATIONS: &[(&str, &str, &str)] = &[
    // A segment size of a few bytes exists for Kafka's own tests.
    (
        "configs refused",
        "bad31",
        "Configuration internal.segment.bytes cannot be set to 100: It exists for the tests of Apache Kafka.",
    ),
    // Kafka says -1 and nothing.
    ("unknown operation", "three", "Unknown operations type 7"),
    // A Java plugin might read it; here it can only be a mistake.
    (
        "broker unknown key is a custom config",
        "1",
        "Unknown broker config name: no.such.key",
    ),
    // Listeners are read when the broker starts.
    (
        "per-broker key as cluster default",
        "",
        "Cannot update these configs dynamically: [listeners]",
    ),
    ("broker keys", "listeners", ""),
    // The key of the case before.
    ("broker keys", "no.such.key", ""),
    // Kafka's default is a directory for temporary files.
    ("broker keys", "log.dir", ""),
    // There is one level of each feature.
    (
        "unsupported",
        "",
        "The update failed for all features since the following feature had an error: Invalid update version 99 for feature metadata.version. Local controller 1 only supports versions 30-30",
    ),
    // Patterns are looked at by whoever matches with them, which nobody does yet.
    ("client metrics refused", "cm6", ""),
];

struct Case<'a> {
    /// The first of a conversation with a fresh broker.
    is_first: bool,
    title: &'a str,
    api: &'a str,
    version: i16,
    request: Value,
    answer: Value,
}

fn cases() -> Vec<Case<'static>> {
    let mut lines = ANSWERS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut cases = Vec::new();
    let mut is_first = true;
    while let Some(line) = lines.next() {
        if line.starts_with("=== ") {
            is_first = true;
            continue;
        }
        let title = line.strip_prefix("== ").expect("a title");
        let request = lines
            .next()
            .and_then(|line| line.strip_prefix("> "))
            .expect("a request");
        let answer = lines
            .next()
            .and_then(|line| line.strip_prefix("< "))
            .expect("an answer");
        let [api, version, json] = request.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{request}")
        };
        cases.push(Case {
            is_first: std::mem::take(&mut is_first),
            title,
            api,
            version: version.parse().unwrap(),
            request: serde_json::from_str(json).unwrap(),
            answer: serde_json::from_str(answer).unwrap(),
        });
    }
    cases
}

fn text(value: &Value) -> Str {
    Str::from(value.as_str().unwrap())
}

fn optional(value: &Value) -> Option<Str> {
    value.as_str().map(Str::from)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

fn broker_ids(value: &Value) -> Vec<i32> {
    list(value).map(|id| number(id) as i32).collect()
}

fn create_topics(json: &Value) -> CreateTopicsRequest {
    use protocol::create_topics_request::*;
    let topic = |t: &Value| CreatableTopic {
        name: text(&t["name"]),
        num_partitions: number(&t["numPartitions"]) as i32,
        replication_factor: number(&t["replicationFactor"]) as i16,
        assignments: list(&t["assignments"])
            .map(|a| CreatableReplicaAssignment {
                partition_index: number(&a["partitionIndex"]) as i32,
                broker_ids: broker_ids(&a["brokerIds"]),
            })
            .collect(),
        configs: list(&t["configs"])
            .map(|c| CreatableTopicConfig {
                name: text(&c["name"]),
                value: optional(&c["value"]),
            })
            .collect(),
    };
    CreateTopicsRequest {
        topics: list(&json["topics"]).map(topic).collect(),
        validate_only: json["validateOnly"].as_bool().unwrap(),
        ..Default::default()
    }
}

fn delete_topics(json: &Value) -> DeleteTopicsRequest {
    use protocol::delete_topics_request::*;
    DeleteTopicsRequest {
        topics: list(&json["topics"])
            .map(|t| DeleteTopicState {
                name: optional(&t["name"]),
                topic_id: t["topicId"].as_str().unwrap().parse().unwrap(),
            })
            .collect(),
        topic_names: list(&json["topicNames"]).map(text).collect(),
        ..Default::default()
    }
}

fn create_partitions(json: &Value) -> CreatePartitionsRequest {
    use protocol::create_partitions_request::*;
    let assignment = |a: &Value| CreatePartitionsAssignment {
        broker_ids: broker_ids(&a["brokerIds"]),
    };
    CreatePartitionsRequest {
        topics: list(&json["topics"])
            .map(|t| CreatePartitionsTopic {
                name: text(&t["name"]),
                count: number(&t["count"]) as i32,
                assignments: t["assignments"]
                    .as_array()
                    .map(|assignments| assignments.iter().map(assignment).collect()),
            })
            .collect(),
        validate_only: json["validateOnly"].as_bool().unwrap(),
        ..Default::default()
    }
}

fn incremental_alter_configs(json: &Value) -> IncrementalAlterConfigsRequest {
    use protocol::incremental_alter_configs_request::*;
    let config = |c: &Value| AlterableConfig {
        name: text(&c["name"]),
        config_operation: number(&c["configOperation"]) as i8,
        value: optional(&c["value"]),
    };
    IncrementalAlterConfigsRequest {
        resources: list(&json["resources"])
            .map(|r| AlterConfigsResource {
                resource_type: number(&r["resourceType"]) as i8,
                resource_name: text(&r["resourceName"]),
                configs: list(&r["configs"]).map(config).collect(),
            })
            .collect(),
        validate_only: json["validateOnly"].as_bool().unwrap(),
    }
}

fn alter_configs(json: &Value) -> AlterConfigsRequest {
    use protocol::alter_configs_request::*;
    let config = |c: &Value| AlterableConfig {
        name: text(&c["name"]),
        value: optional(&c["value"]),
    };
    AlterConfigsRequest {
        resources: list(&json["resources"])
            .map(|r| AlterConfigsResource {
                resource_type: number(&r["resourceType"]) as i8,
                resource_name: text(&r["resourceName"]),
                configs: list(&r["configs"]).map(config).collect(),
            })
            .collect(),
        validate_only: json["validateOnly"].as_bool().unwrap(),
    }
}

fn update_features(json: &Value) -> UpdateFeaturesRequest {
    use protocol::update_features_request::*;
    let update = |u: &Value| FeatureUpdateKey {
        feature: text(&u["feature"]),
        max_version_level: number(&u["maxVersionLevel"]) as i16,
        upgrade_type: number(&u["upgradeType"]) as i8,
        ..Default::default()
    };
    UpdateFeaturesRequest {
        feature_updates: list(&json["featureUpdates"]).map(update).collect(),
        validate_only: json["validateOnly"].as_bool().unwrap(),
        ..Default::default()
    }
}

fn describe_configs(json: &Value) -> DescribeConfigsRequest {
    use protocol::describe_configs_request::*;
    DescribeConfigsRequest {
        resources: list(&json["resources"])
            .map(|r| DescribeConfigsResource {
                resource_type: number(&r["resourceType"]) as i8,
                resource_name: text(&r["resourceName"]),
                configuration_keys: r["configurationKeys"]
                    .as_array()
                    .map(|keys| keys.iter().map(text).collect()),
            })
            .collect(),
        include_synonyms: json["includeSynonyms"].as_bool().unwrap(),
        include_documentation: json["includeDocumentation"].as_bool().unwrap(),
    }
}

/// A result in the form of the recording.
fn result(error_code: i16, message: &Option<Str>, version_has_message: bool) -> Value {
    let mut out = json!({ "errorCode": error_code });
    if version_has_message && let Some(message) = message {
        out["errorMessage"] = json!(message.as_str());
    }
    out
}

fn answer(response: &Response, version: i16) -> Value {
    match response {
        Response::CreateTopics(r) => {
            let topic = |t: &protocol::create_topics_response::CreatableTopicResult| {
                let mut out = result(t.error_code, &t.error_message, true);
                out["name"] = json!(t.name.as_str());
                if version >= 7 && !t.topic_id.is_zero() {
                    out["topicId"] = json!(t.topic_id.to_string());
                }
                if version >= 5 && t.num_partitions != -1 {
                    out["numPartitions"] = json!(t.num_partitions);
                    out["replicationFactor"] = json!(t.replication_factor);
                }
                let configs = t.configs.as_deref().unwrap_or_default().iter();
                let configs: Vec<Value> = configs
                    .filter(|c| !c.name.starts_with("ottla."))
                    .map(|c| json!([c.name.as_str(), c.value.as_deref(), c.config_source]))
                    .collect();
                if version >= 5 && !configs.is_empty() {
                    out["configs"] = Value::Array(configs);
                }
                out
            };
            json!({ "topics": r.topics.iter().map(topic).collect::<Vec<_>>() })
        }
        Response::DeleteTopics(r) => {
            let topic = |t: &protocol::delete_topics_response::DeletableTopicResult| {
                let mut out = result(t.error_code, &t.error_message, version >= 5);
                out["name"] = json!(t.name.as_deref());
                if version >= 6 && !t.topic_id.is_zero() {
                    out["topicId"] = json!(t.topic_id.to_string());
                }
                out
            };
            json!({ "responses": r.responses.iter().map(topic).collect::<Vec<_>>() })
        }
        Response::CreatePartitions(r) => {
            let topic = |t: &protocol::create_partitions_response::CreatePartitionsTopicResult| {
                let mut out = result(t.error_code, &t.error_message, true);
                out["name"] = json!(t.name.as_str());
                out
            };
            json!({ "results": r.results.iter().map(topic).collect::<Vec<_>>() })
        }
        Response::IncrementalAlterConfigs(r) => {
            let resource = (r.responses.iter()).map(|r| {
                let mut out = result(r.error_code, &r.error_message, true);
                out["resourceType"] = json!(r.resource_type);
                out["resourceName"] = json!(r.resource_name.as_str());
                out
            });
            json!({ "responses": resource.collect::<Vec<_>>() })
        }
        Response::AlterConfigs(r) => {
            let resource = (r.responses.iter()).map(|r| {
                let mut out = result(r.error_code, &r.error_message, true);
                out["resourceType"] = json!(r.resource_type);
                out["resourceName"] = json!(r.resource_name.as_str());
                out
            });
            json!({ "responses": resource.collect::<Vec<_>>() })
        }
        Response::UpdateFeatures(r) => {
            // Since version 2 the answer is one for all features.
            json!({ "results": [result(r.error_code, &r.error_message, true)] })
        }
        other => panic!("not recorded: {other:?}"),
    }
}

fn description(response: &protocol::DescribeConfigsResponse, version: i16) -> Value {
    let resource = |r: &protocol::describe_configs_response::DescribeConfigsResult| {
        let mut out = result(r.error_code, &r.error_message, true);
        out["resourceType"] = json!(r.resource_type);
        out["resourceName"] = json!(r.resource_name.as_str());
        let configs: Vec<Value> = (r.configs.iter())
            .filter(|c| !c.name.starts_with("ottla."))
            .map(|c| {
                let synonyms: Vec<Value> = (c.synonyms.iter())
                    .map(|s| json!([s.name.as_str(), s.value.as_deref(), s.source]))
                    .collect();
                json!([
                    c.name.as_str(),
                    c.value.as_deref(),
                    c.read_only,
                    c.config_source,
                    c.is_sensitive,
                    (version >= 3).then_some(c.config_type),
                    synonyms
                ])
            })
            .collect();
        out["configs"] = Value::Array(configs);
        out
    };
    json!({ "results": response.results.iter().map(resource).collect::<Vec<_>>() })
}

fn is_validate_only(case: &Case<'_>) -> bool {
    case.request["validateOnly"] == true
}

/// The results of an answer by what they are about, as text, without what is known to differ.
fn results(case: &Case<'_>, answer: &Value, are_ours: bool) -> Vec<String> {
    let all = ["topics", "responses", "results"];
    let whole = json!([answer]);
    let results = all.iter().find_map(|key| answer.get(key)).unwrap_or(&whole);
    let is_full = case.title == "a topic with the defaults of the broker";
    let mut out: Vec<String> = list(results)
        .map(|result| {
            let mut result = result.clone();
            let name = ["name", "resourceName"]
                .iter()
                .find_map(|key| result[key].as_str());
            let name = name.unwrap_or_default().to_owned();
            for (title, about, ours) in DEVIATIONS {
                if *title != case.title {
                    continue;
                }
                if *about == name {
                    if are_ours {
                        let said = result["errorMessage"].as_str().unwrap_or_default();
                        assert_eq!(said, *ours, "{title}, {about}");
                    }
                    result = json!(format!("{about}: differs on purpose"));
                } else if let Some(configs) =
                    result.get_mut("configs").and_then(Value::as_array_mut)
                {
                    configs.retain(|config| config[0].as_str() != Some(about));
                }
            }
            if is_validate_only(case)
                && let Some(fields) = result.as_object_mut()
            {
                fields.remove("topicId");
            }
            if case.api == "CreateTopics"
                && !is_full
                && let Some(configs) = result.get_mut("configs").and_then(Value::as_array_mut)
            {
                configs.retain(|config| config[2] != 5);
                if configs.is_empty() {
                    result.as_object_mut().unwrap().remove("configs");
                }
            }
            // Keys in order: how they are written does not count.
            let sorted: BTreeMap<String, Value> = match result {
                Value::Object(fields) => fields.into_iter().collect(),
                other => [("result".to_owned(), other)].into(),
            };
            serde_json::to_string(&sorted).unwrap()
        })
        .collect();
    out.sort();
    out
}

#[test]
fn answers_are_those_of_kafka() {
    let cases = cases();
    assert!(cases.len() > 90, "{} cases", cases.len());
    let mut host = common::Host::new(STATIC);
    let mut conversations = 0;
    let static_configs: BTreeMap<String, String> = STATIC
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    // Kafka's id of a topic, and ours.
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in &cases {
        if case.is_first {
            conversations += 1;
            host = common::Host::new(STATIC);
        }
        let mut request = serde_json::to_string(&case.request).unwrap();
        for (kafkas, ours) in &ids {
            request = request.replace(kafkas, ours);
        }
        let request: Value = serde_json::from_str(&request).unwrap();
        let ours = match case.api {
            "DescribeConfigs" => {
                let describer = Describer {
                    image: host.controller.image(),
                    broker: BrokerId(1),
                    static_configs: &static_configs,
                };
                description(
                    &describer.describe(&describe_configs(&request)),
                    case.version,
                )
            }
            api => {
                let request = match api {
                    "CreateTopics" => Request::CreateTopics(create_topics(&request)),
                    "DeleteTopics" => Request::DeleteTopics(delete_topics(&request)),
                    "CreatePartitions" => Request::CreatePartitions(create_partitions(&request)),
                    "IncrementalAlterConfigs" => {
                        Request::IncrementalAlterConfigs(incremental_alter_configs(&request))
                    }
                    "UpdateFeatures" => Request::UpdateFeatures(update_features(&request)),
                    "AlterConfigs" => Request::AlterConfigs(alter_configs(&request)),
                    other => panic!("{other}"),
                };
                answer(&host.ask(request).0, case.version)
            }
        };
        // An id shown by a request that only validates is nobody's.
        if !is_validate_only(case) {
            let results = |answer: &Value| {
                list(&answer["topics"])
                    .chain(list(&answer["responses"]))
                    .cloned()
                    .collect::<Vec<_>>()
            };
            for kafkas in results(&case.answer) {
                let is_same = |ours: &Value| {
                    ours["name"] == kafkas["name"] && ours["errorCode"] == kafkas["errorCode"]
                };
                let same = results(&ours)
                    .into_iter()
                    .find(is_same)
                    .unwrap_or(Value::Null);
                if let (Some(theirs), Some(ours)) =
                    (kafkas["topicId"].as_str(), same["topicId"].as_str())
                {
                    ids.insert(theirs.to_owned(), ours.to_owned());
                }
            }
        }
        let mut said = serde_json::to_string(&ours).unwrap();
        for (kafkas, ours) in &ids {
            said = said.replace(ours, kafkas);
        }
        let ours = results(case, &serde_json::from_str(&said).unwrap(), true);
        let kafkas = results(case, &case.answer, false);
        if ours != kafkas {
            let only = |a: &[String], b: &[String]| {
                a.iter()
                    .filter(|x| !b.contains(x))
                    .cloned()
                    .collect::<Vec<_>>()
                    .join("\n  ")
            };
            wrong.push(format!(
                "{} ({} v{})\n Kafka:\n  {}\n ours:\n  {}",
                case.title,
                case.api,
                case.version,
                only(&kafkas, &ours),
                only(&ours, &kafkas)
            ));
        }
    }
    assert_eq!(conversations, 2);
    assert!(
        wrong.is_empty(),
        "{} answers differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

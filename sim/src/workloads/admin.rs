//! An admin: topics of its own that it makes, changes and removes, and records of the others' that it
//! deletes.

use std::collections::BTreeMap;

use client::admin::{ConfigChange, NewTopic, Resource, TopicRef};
use client::{Admin, Outcome, TopicPartition as Place};
use env::entropy::ChaCha8Rng;
use protocol::Str;
use types::Offset;
use world::SimEnv;
use world::seed::Draw;

use super::Client;
use crate::history::partition_of;
use crate::scenario;

/// The groups' own topic.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// The setting that admins change.
pub const SETTING: &str = "max.message.bytes";
/// Its default.
const DEFAULT: &str = "1048588";

struct Topic {
    name: String,
    partitions: usize,
}

/// Does as many things as it is told. `incarnation` keeps the names of one process apart from those of
/// the one before.
pub async fn run(client: Client, spec: scenario::Admin, incarnation: u64) {
    let mut dice = client.dice();
    let mut admin = Admin::new(&client.env, client.options());
    let mut mine: Vec<Topic> = Vec::new();
    for number in 0..spec.operations {
        if client.history.is_draining() {
            break;
        }
        match dice.below(10) {
            0..4 => {
                let name = format!("{}-{incarnation}-{number}", client.name);
                create(&client, &mut admin, &mut dice, name, &mut mine).await;
            }
            4 => {
                if !mine.is_empty() {
                    let topic = mine.swap_remove(dice.index(mine.len()));
                    delete(&client, &mut admin, topic).await;
                }
            }
            5 => grow(&client, &mut admin, &mut dice, &mut mine).await,
            6..8 => set(&client, &mut admin, &mut dice, &mine).await,
            _ if spec.deletes_records => delete_records(&client, &mut admin, &mut dice).await,
            _ => {
                if let Err(error) = admin.list_topics().await {
                    client.judge(&error);
                }
            }
        }
        client.pause(&mut dice, spec.pause_ms_max).await;
    }
    client.history.finish(&client.name);
}

/// Makes topics of the load until they are there.
pub async fn prepare(client: Client, topics: Vec<scenario::Topic>) {
    let mut admin = Admin::new(&client.env, client.options());
    for topic in topics {
        let mut new = NewTopic::new(topic.name.as_str())
            .partitions(topic.partitions)
            .replication_factor(1);
        let durability = if topic.synced { "synced" } else { "replicated" };
        new = new.config("ottla.durability", durability);
        for (key, value) in &topic.configs {
            new = new.config(key.as_str(), value.as_str());
        }
        loop {
            let names = [Str::from(topic.name.as_str())];
            // Whoever was not told whether it was made finds it.
            let there = admin.describe_topics(&names).await;
            if let Ok(found) = there
                && let Some((_, Ok(found))) = found.first()
                && found.partitions.len() == topic.partitions as usize
            {
                client.history.topic_created(crate::history::TopicFacts {
                    name: topic.name.clone(),
                    id: found.id,
                    partitions: topic.partitions,
                    synced: topic.synced,
                    retention: topic.has_retention(),
                });
                break;
            }
            match admin.create_topics(std::slice::from_ref(&new), false).await {
                Ok(answers) => {
                    for (_, answer) in answers {
                        if let Err(error) = answer {
                            client.judge(&error);
                            if error.code() == Some(types::ErrorCode::INVALID_CONFIG) {
                                client
                                    .history
                                    .violated("V1", format!("a topic of the scenario: {error}"));
                                return;
                            }
                        }
                    }
                }
                Err(error) => client.judge(&error),
            }
            client.sleep_ms(50).await;
        }
    }
    client.history.finish(&client.name);
}

/// Deletes all records that were read or acknowledged, again and again, until everybody else has finished: the
/// operator of a disk that is full. It deletes what any client was told of, so that there is always something
/// that may go.
pub async fn clean_up(client: Client) {
    let mut admin = Admin::new(&client.env, client.options());
    loop {
        if client.history.count_of("disk-full-for-good") > 0 {
            for topic in client.history.topics() {
                for partition in 0..topic.partitions {
                    let at = partition_of(topic.id, partition);
                    let known = client.history.lock().known_end(&at);
                    if let Some(before) = known {
                        delete_before(&client, &mut admin, &topic, partition, before).await;
                    }
                }
            }
        }
        let others = client.history.unfinished();
        if client.history.is_draining() && others.iter().all(|other| *other == client.name) {
            break;
        }
        client.sleep_ms(400).await;
    }
    client.history.finish(&client.name);
}

async fn create(
    client: &Client,
    admin: &mut Admin<SimEnv>,
    dice: &mut ChaCha8Rng,
    name: String,
    mine: &mut Vec<Topic>,
) {
    let partitions = 1 + dice.index(3);
    client.history.lock().admin.creating(&name, partitions);
    let new = NewTopic::new(name.as_str())
        .partitions(partitions as i32)
        .replication_factor(1);
    match admin.create_topics(&[new], false).await {
        Ok(answers) => {
            for (_, answer) in answers {
                match answer {
                    Ok(created) => {
                        client.history.exercised("topic-created");
                        client.history.lock().admin.created(&name, Some(created.id));
                        mine.push(Topic {
                            name: name.clone(),
                            partitions,
                        });
                    }
                    Err(error) => client.judge(&error),
                }
            }
        }
        Err(error) => client.judge(&error),
    }
}

async fn delete(client: &Client, admin: &mut Admin<SimEnv>, topic: Topic) {
    client.history.lock().admin.deleting(&topic.name);
    let named = TopicRef::Name(Str::from(topic.name.as_str()));
    match admin.delete_topics(&[named]).await {
        Ok(answers) => {
            for (_, answer) in answers {
                match answer {
                    Ok(()) => {
                        client.history.exercised("topic-deleted");
                        client.history.lock().admin.deleted(&topic.name);
                    }
                    Err(error) => client.judge(&error),
                }
            }
        }
        Err(error) => client.judge(&error),
    }
}

async fn grow(
    client: &Client,
    admin: &mut Admin<SimEnv>,
    dice: &mut ChaCha8Rng,
    mine: &mut [Topic],
) {
    if mine.is_empty() {
        // Groups are found by the number of partitions of their topic: it must not change.
        client.history.exercised("offsets-topic-grown");
        let offsets = Str::from(OFFSETS_TOPIC);
        if let Err(error) = admin.create_partitions(&offsets, 9, &[], false).await {
            client.judge(&error);
        }
        return;
    }
    let index = dice.index(mine.len());
    let topic = &mut mine[index];
    let to = topic.partitions + 1;
    client.history.lock().admin.growing(&topic.name, to);
    let name = Str::from(topic.name.as_str());
    // Told or not, it is not tried for the same number again.
    match admin.create_partitions(&name, to as i32, &[], false).await {
        Ok(()) => {
            client.history.exercised("partitions-added");
            client.history.lock().admin.grown(&topic.name, to);
        }
        Err(error) => client.judge(&error),
    }
    topic.partitions = to;
}

async fn set(client: &Client, admin: &mut Admin<SimEnv>, dice: &mut ChaCha8Rng, mine: &[Topic]) {
    if mine.is_empty() {
        return;
    }
    let topic = &mine[dice.index(mine.len())];
    let value = (100_000 + dice.below(1_000_000)).to_string();
    client
        .history
        .lock()
        .admin
        .setting(&topic.name, SETTING, &value, DEFAULT);
    let resource = Resource::topic(topic.name.as_str());
    let change = (SETTING.to_owned(), ConfigChange::Set(value.clone()));
    match admin
        .alter_configs(&[(resource, vec![change])], false)
        .await
    {
        Ok(answers) => {
            for (_, answer) in answers {
                match answer {
                    Ok(()) => {
                        client.history.exercised("setting-changed");
                        client
                            .history
                            .lock()
                            .admin
                            .set(&topic.name, SETTING, &value);
                    }
                    Err(error) => client.judge(&error),
                }
            }
        }
        Err(error) => client.judge(&error),
    }
}

async fn delete_records(client: &Client, admin: &mut Admin<SimEnv>, dice: &mut ChaCha8Rng) {
    let topics = client.history.topics();
    if topics.is_empty() {
        return;
    }
    let topic = &topics[dice.index(topics.len())];
    let partition = dice.below(topic.partitions as u64) as i32;
    let at = partition_of(topic.id, partition);
    let Some(last) = client.history.lock().reads.last_read(&at) else {
        return;
    };
    let before = dice.below(last as u64 + 2) as i64;
    delete_before(client, admin, topic, partition, before).await;
}

async fn delete_before(
    client: &Client,
    admin: &mut Admin<SimEnv>,
    topic: &crate::history::TopicFacts,
    partition: i32,
    before: i64,
) {
    let at = partition_of(topic.id, partition);
    client.history.deleting_records(at, before);
    let place = Place::new(topic.name.as_str(), partition);
    let asked = BTreeMap::from([(place, Some(Offset(before)))]);
    for (place, answer) in admin.delete_records(asked).await {
        match answer {
            Ok(low) => {
                client.history.exercised("records-deleted");
                let mut inner = client.history.lock();
                inner.judge.check("X11", low.0 >= before, || {
                    format!(
                        "{place} starts at {low:?} after everything before {before} was deleted"
                    )
                });
            }
            Err(error) => {
                client.judge(&error);
                if error.outcome() == Outcome::NotDone {
                    client.history.exercised("delete-records-refused");
                }
            }
        }
    }
}

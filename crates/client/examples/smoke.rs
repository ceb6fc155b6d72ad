//! Runs every part of the client against a broker at an address, and says what failed.
//!
//! `cargo run -p ottla-client --example smoke -- 127.0.0.1:9092`
//!
//! Exits with 1 if a check failed. Makes topics and groups whose names start with `smoke-` and
//! deletes them. Works against any Kafka broker.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a program run by hand: it takes an argument, prints, and may panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use client::admin::{ConfigChange, NewTopic, Resource, TopicRef};
use client::{
    Acks, Admin, Assignor, ClientOptions, CommittedOffset, Consumer, ConsumerOptions,
    ConsumerRecord, Error, GroupConsumer, GroupOptions, Isolation, OffsetSpec, Outcome, Polled,
    Producer, ProducerOptions, ProducerRecord, Reset, Start, TopicPartition,
};
use env::{Clock, Env, Spawner, Task};
use env_tokio::{Runtime, RuntimeOptions, TokioEnv};
use ottla_client as client;
use protocol::Str;
use records::{Codec, Header};
use types::{ErrorCode, Offset, TimestampMs};

fn main() {
    let address = std::env::args().nth(1).expect("an address: host:port");
    let runtime = Runtime::new(&RuntimeOptions::default()).unwrap();
    let env = runtime.env().clone();
    let failed = runtime.block_on(async move {
        let options = ClientOptions::new(&address).unwrap();
        let id = env.clock().wall().0;
        // As tasks: what the simulator runs must be `Send`.
        let (done, failed) = tokio::sync::oneshot::channel();
        let world = env.clone();
        let all = async move {
            let mut smoke = Smoke {
                env: world,
                options,
                topic: Str::from(format!("smoke-{id}")),
                failed: 0,
            };
            smoke.run().await;
            done.send(smoke.failed).unwrap();
        };
        env.spawner().spawn("smoke", all).ended().await;
        failed.await.unwrap()
    });
    if failed > 0 {
        println!("{failed} checks failed");
        std::process::exit(1);
    }
    println!("all checks passed");
}

struct Smoke {
    env: TokioEnv,
    options: ClientOptions,
    topic: Str,
    failed: usize,
}

/// What a member has and has read.
#[derive(Default)]
struct Seen {
    has: BTreeSet<TopicPartition>,
    read: Vec<(TopicPartition, Offset)>,
    assigned: usize,
    revoked: usize,
}

type Checked = Result<String, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

macro_rules! ensure {
    ($condition:expr, $($rest:tt)*) => {
        if !$condition { return Err(format!($($rest)*)); }
    };
}

const PARTITIONS: i32 = 3;

impl Smoke {
    async fn run(&mut self) {
        macro_rules! check {
            ($name:ident) => {
                let start = self.env.clock().mono();
                let result = self.$name().await;
                let ms = self.env.clock().mono().since(start).as_millis();
                match result {
                    Ok(note) => println!("ok     {:<24} {ms:>6} ms  {note}", stringify!($name)),
                    Err(error) => {
                        self.failed += 1;
                        println!("FAILED {:<24} {ms:>6} ms  {error}", stringify!($name));
                    }
                }
            };
        }
        check!(versions);
        check!(unreachable);
        check!(create_topic);
        check!(describe_cluster);
        check!(configs);
        check!(produce_idempotent);
        check!(produce_codecs);
        check!(produce_other_acks);
        check!(produce_refusals);
        check!(consume_all);
        check!(consume_without_sessions);
        check!(consume_from_places);
        check!(consume_out_of_range);
        check!(list_offsets);
        check!(producers);
        check!(log_dirs);
        check!(delete_records);
        check!(group_eager);
        check!(group_cooperative);
        check!(group_static);
        check!(group_admin);
        check!(create_partitions);
        check!(delete_topic);
    }

    fn admin(&self) -> Admin<TokioEnv> {
        Admin::new(&self.env, self.options.clone())
    }

    fn producer(&self, options: ProducerOptions) -> Producer<TokioEnv> {
        Producer::new(&self.env, self.options.clone(), options).unwrap()
    }

    fn consumer(&self, options: ConsumerOptions) -> Consumer<TokioEnv> {
        Consumer::new(&self.env, self.options.clone(), options)
    }

    fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), partition)
    }

    fn places(&self, place: OffsetSpec) -> BTreeMap<TopicPartition, OffsetSpec> {
        (0..PARTITIONS).map(|p| (self.at(p), place)).collect()
    }

    async fn end(&self, partition: i32) -> Result<i64, String> {
        let at = self.at(partition);
        let places = BTreeMap::from([(at.clone(), OffsetSpec::Latest)]);
        let mut found = self
            .admin()
            .list_offsets(places, Isolation::ReadUncommitted)
            .await;
        let found = found.remove(&at).unwrap().map_err(text)?;
        Ok(found.offset.unwrap().0)
    }

    async fn versions(&mut self) -> Checked {
        let versions = self.admin().api_versions().await.map_err(text)?;
        ensure!(versions.ranges().count() > 20, "only {:?}", versions);
        Ok(format!(
            "{} APIs, features {:?}",
            versions.ranges().count(),
            versions.features()
        ))
    }

    async fn unreachable(&mut self) -> Checked {
        let options = ClientOptions::new("127.0.0.1:1").unwrap();
        let options = options.timeout(Duration::from_millis(300));
        let error = Admin::new(&self.env, options)
            .list_topics()
            .await
            .unwrap_err();
        ensure!(matches!(error, Error::Io { sent: false, .. }), "{error:?}");
        ensure!(error.outcome() == Outcome::NotDone, "{error:?}");
        Ok(text(error))
    }

    async fn create_topic(&mut self) -> Checked {
        let mut admin = self.admin();
        let topic = NewTopic::new(self.topic.clone())
            .partitions(PARTITIONS)
            .replication_factor(1)
            .config("retention.ms", "86400000");
        let dry = admin
            .create_topics(std::slice::from_ref(&topic), true)
            .await
            .map_err(text)?;
        dry[0].1.clone().map_err(text)?;
        let made = admin
            .create_topics(std::slice::from_ref(&topic), false)
            .await
            .map_err(text)?;
        let made = made[0].1.clone().map_err(text)?;
        let twice = admin.create_topics(&[topic], false).await.map_err(text)?;
        let error = twice[0].1.clone().unwrap_err();
        ensure!(
            error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS),
            "{error:?}"
        );
        let bad = admin
            .create_topics(&[NewTopic::new("a b")], false)
            .await
            .map_err(text)?;
        let code = bad[0].1.clone().unwrap_err().code();
        ensure!(code == Some(ErrorCode::INVALID_TOPIC_EXCEPTION), "{code:?}");
        let all = admin.list_topics().await.map_err(text)?;
        let listed = all
            .iter()
            .find(|t| t.name == self.topic)
            .ok_or("not listed")?;
        ensure!(listed.id == made.id, "ids differ");
        ensure!(listed.partitions.len() == PARTITIONS as usize, "{listed:?}");
        let missing = admin
            .describe_topics(&[Str::from("smoke-none")])
            .await
            .map_err(text)?;
        let code = missing[0].1.clone().unwrap_err().code();
        ensure!(
            code == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            "{code:?}"
        );
        Ok(format!("{} {}", self.topic.as_str(), made.id))
    }

    async fn describe_cluster(&mut self) -> Checked {
        let cluster = self.admin().describe_cluster(false).await.map_err(text)?;
        ensure!(!cluster.brokers.is_empty(), "no brokers");
        Ok(format!("{cluster:?}"))
    }

    async fn configs(&mut self) -> Checked {
        let mut admin = self.admin();
        let resource = Resource::topic(self.topic.clone());
        let changes = vec![
            (
                "cleanup.policy".to_owned(),
                ConfigChange::Append("compact".to_owned()),
            ),
            (
                "segment.bytes".to_owned(),
                ConfigChange::Set("2097152".to_owned()),
            ),
        ];
        let altered = admin
            .alter_configs(&[(resource.clone(), changes)], false)
            .await;
        altered.map_err(text)?[0].1.clone().map_err(text)?;
        let back = vec![
            (
                "cleanup.policy".to_owned(),
                ConfigChange::Subtract("compact".to_owned()),
            ),
            ("segment.bytes".to_owned(), ConfigChange::Delete),
        ];
        let value = async |admin: &mut Admin<TokioEnv>, key: &str| {
            let keys = [Str::from(key)];
            let resources = std::slice::from_ref(&resource);
            let described = admin
                .describe_configs(resources, Some(&keys), true, true)
                .await;
            let entries = described.map_err(text)?.remove(0).1.map_err(text)?;
            let value = entries.first().and_then(|e| e.value.clone());
            Ok::<_, String>(value.map(String::from))
        };
        // A broker may take a moment to hear of the change.
        for _ in 0..50 {
            if value(&mut admin, "segment.bytes").await? == Some("2097152".to_owned()) {
                break;
            }
            self.pause(20).await;
        }
        let segment = value(&mut admin, "segment.bytes").await?;
        ensure!(segment.as_deref() == Some("2097152"), "{segment:?}");
        let policy = value(&mut admin, "cleanup.policy").await?;
        ensure!(policy.as_deref() == Some("delete,compact"), "{policy:?}");
        let altered = admin
            .alter_configs(&[(resource.clone(), back)], false)
            .await;
        altered.map_err(text)?[0].1.clone().map_err(text)?;
        let bad = vec![(
            "no.such.config".to_owned(),
            ConfigChange::Set("1".to_owned()),
        )];
        let refused = admin.alter_configs(&[(resource.clone(), bad)], false).await;
        let error = refused.map_err(text)?[0].1.clone().unwrap_err();
        ensure!(error.code() == Some(ErrorCode::INVALID_CONFIG), "{error:?}");
        let broker = admin.describe_cluster(false).await.map_err(text)?.brokers[0]
            .0
            .id;
        let resources = [Resource::broker(broker)];
        let described = admin.describe_configs(&resources, None, true, false).await;
        let entries = described.map_err(text)?.remove(0).1.map_err(text)?;
        Ok(format!("broker {broker} has {} configs", entries.len()))
    }

    async fn pause(&self, ms: i64) {
        let clock = self.env.clock();
        clock.sleep_until(clock.mono().after_ms(ms)).await;
    }

    async fn produce_idempotent(&mut self) -> Checked {
        let producer = self.producer(ProducerOptions::default());
        let mut pending = Vec::new();
        for i in 0..3000i32 {
            let record = ProducerRecord::new(self.topic.clone(), format!("value {i}"))
                .key(format!("key {}", i % 10))
                .partition(i % PARTITIONS);
            pending.push((i % PARTITIONS, producer.send(record).await.map_err(text)?));
        }
        let mut next = [0i64; PARTITIONS as usize];
        for (partition, delivery) in pending {
            let delivered = delivery.await.map_err(text)?;
            ensure!(delivered.partition == partition, "{delivered:?}");
            let expected = &mut next[partition as usize];
            ensure!(
                delivered.offset == Some(Offset(*expected)),
                "{delivered:?} not {expected}"
            );
            *expected += 1;
        }
        // By key: where the Java client would put it; without one: anywhere.
        for i in 0..20 {
            let key = format!("key {i}");
            let record = ProducerRecord::new(self.topic.clone(), "keyed").key(key.clone());
            let delivered = producer.send(record).await.map_err(text)?;
            let keyless = ProducerRecord::new(self.topic.clone(), "keyless");
            let anywhere = producer.send(keyless).await.map_err(text)?;
            producer
                .flush(Duration::from_secs(10))
                .await
                .map_err(text)?;
            let delivered = delivered.await.map_err(text)?;
            let of_key =
                client::producer::partitioner::partition_of_key(key.as_bytes(), PARTITIONS);
            ensure!(delivered.partition == of_key, "{delivered:?}");
            anywhere.await.map_err(text)?;
        }
        producer
            .close(Duration::from_secs(10))
            .await
            .map_err(text)?;
        Ok(format!("{next:?}"))
    }

    async fn produce_codecs(&mut self) -> Checked {
        for codec in Codec::ALL {
            let producer = self.producer(ProducerOptions {
                codec,
                ..ProducerOptions::default()
            });
            let before = self.end(0).await?;
            let mut pending = Vec::new();
            for i in 0..200 {
                let mut record =
                    ProducerRecord::new(self.topic.clone(), "x".repeat(i)).partition(0);
                record.headers = vec![Header::new(codec.name(), Some(Bytes::from("h")))];
                record.timestamp = Some(TimestampMs(1_700_000_000_000 + i as i64));
                record.key = (i % 2 == 0).then(|| Bytes::from(vec![i as u8; 300]));
                pending.push(producer.send(record).await.map_err(text)?);
            }
            for (delivery, i) in pending.into_iter().zip(0..) {
                let delivered = delivery
                    .await
                    .map_err(|e| format!("{}: {e}", codec.name()))?;
                ensure!(
                    delivered.offset == Some(Offset(before + i)),
                    "{delivered:?}"
                );
            }
            producer
                .close(Duration::from_secs(10))
                .await
                .map_err(text)?;
        }
        Ok(String::new())
    }

    async fn produce_other_acks(&mut self) -> Checked {
        let before = self.end(1).await?;
        for (acks, count) in [(Acks::Leader, 10), (Acks::None, 10)] {
            let producer = self.producer(ProducerOptions {
                acks,
                idempotent: false,
                ..ProducerOptions::default()
            });
            for _ in 0..count {
                let record = ProducerRecord::new(self.topic.clone(), "v").partition(1);
                let delivery = producer.send(record).await.map_err(text)?;
                let delivered = delivery.await.map_err(text)?;
                ensure!(
                    delivered.offset.is_some() == (acks == Acks::Leader),
                    "{delivered:?}"
                );
            }
            producer
                .close(Duration::from_secs(10))
                .await
                .map_err(text)?;
        }
        for _ in 0..100 {
            if self.end(1).await? == before + 20 {
                return Ok(String::new());
            }
            self.pause(20).await;
        }
        Err(format!(
            "{} records came, 20 were sent",
            self.end(1).await? - before
        ))
    }

    async fn produce_refusals(&mut self) -> Checked {
        let producer = self.producer(ProducerOptions {
            request_bytes_max: 8 << 20,
            allow_auto_create: false,
            ..ProducerOptions::default()
        });
        let outcome = async |record: ProducerRecord| {
            let delivery = producer.send(record).await.map_err(text)?;
            delivery
                .await
                .err()
                .ok_or_else(|| "it was written".to_owned())
        };
        let before = self.end(2).await?;
        let large = ProducerRecord::new(self.topic.clone(), vec![0u8; 2 << 20]).partition(2);
        let error = outcome(large).await?;
        ensure!(error.outcome == Outcome::NotDone, "{error:?}");
        ensure!(
            error.error.code() == Some(ErrorCode::MESSAGE_TOO_LARGE),
            "{error:?}"
        );
        // The sequence that the refused batch had is not missed.
        let record = ProducerRecord::new(self.topic.clone(), "after").partition(2);
        let delivered = producer
            .send(record)
            .await
            .map_err(text)?
            .await
            .map_err(text)?;
        ensure!(delivered.offset == Some(Offset(before)), "{delivered:?}");
        let nowhere = ProducerRecord::new(self.topic.clone(), "x").partition(99);
        let error = outcome(nowhere).await?;
        ensure!(error.outcome == Outcome::NotDone, "{error:?}");
        let code = error.error.code();
        ensure!(
            code == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            "{error:?}"
        );
        let bad = outcome(ProducerRecord::new("no topic", "x")).await?;
        ensure!(
            bad.error.code() == Some(ErrorCode::INVALID_TOPIC_EXCEPTION),
            "{bad:?}"
        );
        producer
            .close(Duration::from_secs(10))
            .await
            .map_err(text)?;
        Ok(text(error))
    }

    async fn read(
        &self,
        consumer: &mut Consumer<TokioEnv>,
        enough: usize,
    ) -> Result<Vec<ConsumerRecord>, String> {
        let mut records = Vec::new();
        let mut empty = 0;
        while records.len() < enough && empty < 5 {
            let polled = consumer.poll(Duration::from_secs(1)).await.map_err(text)?;
            empty += usize::from(polled.is_empty());
            records.extend(polled);
        }
        Ok(records)
    }

    async fn read_all(&self, options: ConsumerOptions) -> Checked {
        let mut consumer = self.consumer(options);
        let start = Start::Place(OffsetSpec::Earliest);
        consumer.assign((0..PARTITIONS).map(|p| (self.at(p), start)));
        let mut expected = 0;
        for p in 0..PARTITIONS {
            expected += self.end(p).await? as usize;
        }
        let records = self.read(&mut consumer, expected).await?;
        ensure!(
            records.len() == expected,
            "{} of {expected} records",
            records.len()
        );
        let mut next: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        for record in &records {
            let next = next.entry(record.at.clone()).or_default();
            ensure!(
                record.offset == Offset(*next),
                "{} not {next}",
                record.offset
            );
            *next += 1;
        }
        let headers: BTreeSet<&[u8]> = records
            .iter()
            .flat_map(|r| &r.headers)
            .map(|h| &h.key[..])
            .collect();
        ensure!(headers.len() == Codec::ALL.len(), "{headers:?}");
        let lag = consumer.log_state(&self.at(0)).ok_or("no log state")?;
        let (position, _) = consumer.position(&self.at(0)).ok_or("no position")?;
        ensure!(lag.high_watermark == position, "{lag:?} {position}");
        let polled = consumer
            .poll(Duration::from_millis(700))
            .await
            .map_err(text)?;
        ensure!(polled.is_empty(), "{} records from nowhere", polled.len());
        Ok(format!("{expected} records"))
    }

    async fn consume_all(&mut self) -> Checked {
        self.read_all(ConsumerOptions {
            isolation: Isolation::ReadCommitted,
            ..ConsumerOptions::default()
        })
        .await
    }

    async fn consume_without_sessions(&mut self) -> Checked {
        self.read_all(ConsumerOptions {
            sessions: false,
            partition_bytes_max: 4096,
            poll_records_max: 37,
            ..ConsumerOptions::default()
        })
        .await
    }

    async fn consume_from_places(&mut self) -> Checked {
        let mut consumer = self.consumer(ConsumerOptions::default());
        consumer.assign([(self.at(0), Start::Offset(Offset(5), None))]);
        let records = self.read(&mut consumer, 1).await?;
        ensure!(records[0].offset == Offset(5), "{:?}", records[0].offset);
        consumer
            .seek(&self.at(0), Start::Offset(Offset(2), None))
            .map_err(text)?;
        let records = self.read(&mut consumer, 1).await?;
        ensure!(records[0].offset == Offset(2), "{:?}", records[0].offset);
        let start = Start::Place(OffsetSpec::Timestamp(TimestampMs(0)));
        consumer.seek(&self.at(0), start).map_err(text)?;
        let records = self.read(&mut consumer, 1).await?;
        ensure!(records[0].offset == Offset(0), "{:?}", records[0].offset);
        let start = Start::Place(OffsetSpec::Timestamp(TimestampMs(9_000_000_000_000)));
        consumer.seek(&self.at(0), start).map_err(text)?;
        let none = consumer
            .poll(Duration::from_millis(100))
            .await
            .map_err(text)?;
        ensure!(none.is_empty(), "{} records", none.len());
        // At the end, waiting; then one comes.
        let producer = self.producer(ProducerOptions::default());
        let record = ProducerRecord::new(self.topic.clone(), "late").partition(0);
        let delivered = producer
            .send(record)
            .await
            .map_err(text)?
            .await
            .map_err(text)?;
        let records = self.read(&mut consumer, 1).await?;
        ensure!(
            Some(records[0].offset) == delivered.offset,
            "{:?}",
            records[0]
        );
        consumer.pause(&self.at(0), true).map_err(text)?;
        Ok(String::new())
    }

    async fn consume_out_of_range(&mut self) -> Checked {
        let start = Start::Offset(Offset(1_000_000), None);
        let mut consumer = self.consumer(ConsumerOptions {
            reset: Reset::Fail,
            ..ConsumerOptions::default()
        });
        consumer.assign([(self.at(0), start)]);
        let error = consumer
            .poll(Duration::from_secs(5))
            .await
            .err()
            .ok_or("no error")?;
        ensure!(
            error.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE),
            "{error:?}"
        );
        let mut consumer = self.consumer(ConsumerOptions {
            reset: Reset::Earliest,
            ..ConsumerOptions::default()
        });
        consumer.assign([(self.at(0), start)]);
        let records = self.read(&mut consumer, 1).await?;
        ensure!(records[0].offset == Offset(0), "{:?}", records[0].offset);
        Ok(text(error))
    }

    async fn list_offsets(&mut self) -> Checked {
        let mut admin = self.admin();
        let places = self.places(OffsetSpec::MaxTimestamp);
        let found = admin.list_offsets(places, Isolation::ReadUncommitted).await;
        for (at, found) in &found {
            let found = found.clone().map_err(text)?;
            ensure!(found.timestamp.is_some(), "{at}: {found:?}");
        }
        let exact = OffsetSpec::Timestamp(TimestampMs(1_700_000_000_100));
        let places = BTreeMap::from([(self.at(0), exact)]);
        let found = admin.list_offsets(places, Isolation::ReadCommitted).await;
        let found = found[&self.at(0)].clone().map_err(text)?;
        // The first record is later than that already.
        ensure!(found.offset == Some(Offset(0)), "{found:?}");
        let missing = BTreeMap::from([(self.at(99), OffsetSpec::Latest)]);
        let options = self.options.clone().timeout(Duration::from_millis(300));
        let mut hasty = Admin::new(&self.env, options);
        let found = hasty
            .list_offsets(missing, Isolation::ReadUncommitted)
            .await;
        let error = found[&self.at(99)].clone().unwrap_err();
        ensure!(
            error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            "{error:?}"
        );
        Ok(text(error))
    }

    async fn producers(&mut self) -> Checked {
        let found = self.admin().describe_producers([self.at(0)]).await;
        let producers = found[&self.at(0)].clone().map_err(text)?;
        ensure!(!producers.is_empty(), "none");
        Ok(format!("{} producers", producers.len()))
    }

    async fn log_dirs(&mut self) -> Checked {
        let dirs = self
            .admin()
            .describe_log_dirs(&[], None)
            .await
            .map_err(text)?;
        let mut bytes = 0;
        for dirs in dirs.into_values() {
            for dir in dirs.map_err(text)? {
                let ours = dir.topics.iter().filter(|t| t.name == self.topic);
                bytes += ours
                    .flat_map(|t| &t.partitions)
                    .map(|p| p.partition_size)
                    .sum::<i64>();
            }
        }
        ensure!(bytes > 0, "no bytes");
        Ok(format!("{bytes} bytes"))
    }

    async fn delete_records(&mut self) -> Checked {
        let mut admin = self.admin();
        let before = BTreeMap::from([(self.at(0), Some(Offset(10))), (self.at(1), None)]);
        let deleted = admin.delete_records(before).await;
        let first = deleted[&self.at(0)].clone().map_err(text)?;
        ensure!(first == Offset(10), "{first}");
        let first = deleted[&self.at(1)].clone().map_err(text)?;
        ensure!(first.0 == self.end(1).await?, "{first}");
        let places = self.places(OffsetSpec::Earliest);
        let found = admin.list_offsets(places, Isolation::ReadUncommitted).await;
        let found = found[&self.at(0)].clone().map_err(text)?;
        ensure!(found.offset == Some(Offset(10)), "{found:?}");
        Ok(String::new())
    }

    fn member(
        &self,
        name: &str,
        change: impl FnOnce(&mut GroupOptions),
    ) -> GroupConsumer<TokioEnv> {
        let mut options = GroupOptions::new(format!("{}-{name}", self.topic.as_str()));
        options.session_timeout = Duration::from_secs(6);
        options.heartbeat_interval = Duration::from_millis(200);
        options.rebalance_timeout = Duration::from_secs(10);
        change(&mut options);
        let consumer = ConsumerOptions {
            reset: Reset::Earliest,
            poll_records_max: 100,
            ..ConsumerOptions::default()
        };
        let topics = [self.topic.clone()];
        GroupConsumer::new(&self.env, self.options.clone(), consumer, options, topics).unwrap()
    }

    /// Polls members in turn until `done`; what they have and read is noted.
    async fn turns(
        &self,
        members: &mut [(&mut GroupConsumer<TokioEnv>, &mut Seen)],
        done: impl Fn(&[&Seen]) -> bool,
    ) -> Result<(), String> {
        for _ in 0..400 {
            for (member, seen) in members.iter_mut() {
                match member.poll(Duration::from_millis(20)).await.map_err(text)? {
                    Polled::Records(records) => {
                        for record in records {
                            ensure!(
                                seen.has.contains(&record.at),
                                "{} is not assigned",
                                record.at
                            );
                            seen.read.push((record.at, record.offset));
                        }
                    }
                    Polled::Assigned(partitions) => {
                        seen.assigned += 1;
                        seen.has.extend(partitions);
                    }
                    Polled::Revoked(partitions) => {
                        seen.revoked += 1;
                        member.commit_positions().await.map_err(text)?;
                        seen.has.retain(|at| !partitions.contains(at));
                    }
                    Polled::Lost(_) => return Err("lost partitions".to_owned()),
                }
            }
            let owners = members.iter().flat_map(|(_, seen)| &seen.has);
            let owners: Vec<&TopicPartition> = owners.collect();
            let unique: BTreeSet<&TopicPartition> = owners.iter().copied().collect();
            ensure!(owners.len() == unique.len(), "two owners: {owners:?}");
            let all: Vec<&Seen> = members.iter().map(|(_, seen)| &**seen).collect();
            if done(&all) {
                return Ok(());
            }
        }
        let all: Vec<_> = members
            .iter()
            .map(|(_, seen)| (&seen.has, seen.read.len()))
            .collect();
        Err(format!("it did not come to that: {all:?}"))
    }

    /// How many records there are to read.
    async fn left(&self) -> Result<usize, String> {
        let mut left = 0;
        let mut admin = self.admin();
        for (sign, place) in [(1, OffsetSpec::Latest), (-1, OffsetSpec::Earliest)] {
            let found = admin
                .list_offsets(self.places(place), Isolation::ReadUncommitted)
                .await;
            for found in found.into_values() {
                left += sign * found.map_err(text)?.offset.unwrap().0;
            }
        }
        Ok(left as usize)
    }

    async fn group_pair(&self, name: &str, assignor: Assignor) -> Checked {
        let options = |o: &mut GroupOptions| {
            o.assignors = vec![assignor];
            o.auto_commit = None;
        };
        let total = self.left().await?;
        let (mut first, mut one) = (self.member(name, options), Seen::default());
        let (mut second, mut two) = (self.member(name, options), Seen::default());
        let all = |seen: &[&Seen]| seen[0].has.len() == PARTITIONS as usize;
        self.turns(&mut [(&mut first, &mut one)], all).await?;
        let some_read = |seen: &[&Seen]| seen[0].read.len() >= 300;
        self.turns(&mut [(&mut first, &mut one)], some_read).await?;
        let both = |seen: &[&Seen]| {
            seen[0].has.len() + seen[1].has.len() == PARTITIONS as usize && !seen[1].has.is_empty()
        };
        let mut pair = [(&mut first, &mut one), (&mut second, &mut two)];
        self.turns(&mut pair, both).await?;
        let all_read = |seen: &[&Seen]| seen[0].read.len() + seen[1].read.len() >= total;
        self.turns(&mut pair, all_read).await?;
        let read: BTreeSet<_> = one.read.iter().chain(&two.read).cloned().collect();
        ensure!(read.len() == total, "{} of {total} records", read.len());
        let again = one.read.len() + two.read.len() - total;
        ensure!(again == 0, "{again} records were read twice");
        first.commit_positions().await.map_err(text)?;
        second.commit_positions().await.map_err(text)?;
        let revoked = one.revoked;
        second.close().await.map_err(text)?;
        self.turns(&mut [(&mut first, &mut one)], all).await?;
        first.close().await.map_err(text)?;
        Ok(format!(
            "{total} records, {revoked} revocations, {} assignments",
            one.assigned
        ))
    }

    async fn group_eager(&mut self) -> Checked {
        let range = self.group_pair("range", Assignor::Range).await?;
        let robin = self.group_pair("robin", Assignor::RoundRobin).await?;
        Ok(format!("{range}; {robin}"))
    }

    async fn group_cooperative(&mut self) -> Checked {
        self.group_pair("coop", Assignor::CooperativeSticky).await
    }

    async fn group_static(&mut self) -> Checked {
        let options = |o: &mut GroupOptions| o.instance_id = Some(Str::from("one"));
        let all = |seen: &[&Seen]| seen[0].has.len() == PARTITIONS as usize;
        let (mut member, mut seen) = (self.member("static", options), Seen::default());
        self.turns(&mut [(&mut member, &mut seen)], all).await?;
        let generation = member.generation();
        member.close().await.map_err(text)?;
        // Back before the session ends: the same share, and no rebalance.
        let (mut member, mut seen) = (self.member("static", options), Seen::default());
        self.turns(&mut [(&mut member, &mut seen)], all).await?;
        ensure!(
            member.generation() == generation,
            "{} {generation}",
            member.generation()
        );
        // A twin takes its place: the first is told, and stays away.
        let (mut twin, mut seen) = (self.member("static", options), Seen::default());
        self.turns(&mut [(&mut twin, &mut seen)], all).await?;
        for _ in 0..100 {
            if let Err(error) = member.poll(Duration::from_millis(100)).await {
                ensure!(
                    error.code() == Some(ErrorCode::FENCED_INSTANCE_ID),
                    "{error:?}"
                );
                return Ok(text(error));
            }
        }
        Err("the first was not fenced".to_owned())
    }

    async fn group_admin(&mut self) -> Checked {
        let mut admin = self.admin();
        let group = Str::from(format!("{}-admin", self.topic.as_str()));
        let (mut member, mut seen) = (self.member("admin", |_| {}), Seen::default());
        let all = |seen: &[&Seen]| seen[0].has.len() == PARTITIONS as usize;
        self.turns(&mut [(&mut member, &mut seen)], all).await?;
        let listed = admin.list_groups(&[], &[]).await.map_err(text)?;
        ensure!(listed.iter().any(|g| g.group_id == group), "{listed:?}");
        let described = admin.describe_groups(std::slice::from_ref(&group)).await;
        let described = described[0].1.clone().map_err(text)?;
        ensure!(described.state == "Stable", "{described:?}");
        ensure!(
            described.members[0].assignment.len() == PARTITIONS as usize,
            "{described:?}"
        );
        let refused = admin.delete_groups(std::slice::from_ref(&group)).await;
        let code = refused[0].1.clone().unwrap_err().code();
        ensure!(code == Some(ErrorCode::NON_EMPTY_GROUP), "{code:?}");
        let offset = CommittedOffset {
            metadata: Str::from("note"),
            ..CommittedOffset::new(Offset(12), None)
        };
        let offsets = BTreeMap::from([(self.at(0), offset.clone())]);
        let refused = admin
            .alter_group_offsets(&group, &offsets)
            .await
            .map_err(text)?;
        let error = refused[&self.at(0)].clone().unwrap_err();
        ensure!(
            error.code() == Some(ErrorCode::UNKNOWN_MEMBER_ID),
            "{error:?}"
        );
        member.close().await.map_err(text)?;
        let altered = admin
            .alter_group_offsets(&group, &offsets)
            .await
            .map_err(text)?;
        altered[&self.at(0)].clone().map_err(text)?;
        let found = admin.group_offsets(&group, None).await.map_err(text)?;
        ensure!(found[&self.at(0)] == Ok(offset), "{found:?}");
        let some = [self.at(0)];
        let deleted = admin
            .delete_group_offsets(&group, &some)
            .await
            .map_err(text)?;
        deleted[&self.at(0)].clone().map_err(text)?;
        let found = admin
            .group_offsets(&group, Some(&some))
            .await
            .map_err(text)?;
        ensure!(found.is_empty(), "{found:?}");
        let deleted = admin.delete_groups(std::slice::from_ref(&group)).await;
        deleted[0].1.clone().map_err(text)?;
        let gone = admin.describe_groups(&[group]).await;
        let error = gone[0].1.clone().unwrap_err();
        ensure!(
            error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND),
            "{error:?}"
        );
        for name in ["range", "robin", "coop"] {
            let id = Str::from(format!("{}-{name}", self.topic.as_str()));
            admin.delete_groups(&[id]).await[0]
                .1
                .clone()
                .map_err(|e| format!("{name}: {e}"))?;
        }
        Ok(text(error))
    }

    async fn create_partitions(&mut self) -> Checked {
        let mut admin = self.admin();
        let topic = self.topic.clone();
        admin
            .create_partitions(&topic, 5, &[], false)
            .await
            .map_err(text)?;
        let error = admin
            .create_partitions(&topic, 2, &[], false)
            .await
            .unwrap_err();
        ensure!(
            error.code() == Some(ErrorCode::INVALID_PARTITIONS),
            "{error:?}"
        );
        Ok(text(error))
    }

    async fn delete_topic(&mut self) -> Checked {
        let mut admin = self.admin();
        let described = admin
            .describe_topics(std::slice::from_ref(&self.topic))
            .await
            .map_err(text)?;
        let id = described[0].1.clone().map_err(text)?.id;
        let deleted = admin
            .delete_topics(&[TopicRef::Id(id)])
            .await
            .map_err(text)?;
        deleted[0].1.clone().map_err(text)?;
        let name = TopicRef::Name(self.topic.clone());
        let again = admin.delete_topics(&[name]).await.map_err(text)?;
        let error = again[0].1.clone().unwrap_err();
        ensure!(
            error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
            "{error:?}"
        );
        Ok(String::new())
    }
}

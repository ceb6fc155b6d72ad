//! Writes and reads without end while somebody kills the broker, then checks what became of it.
//!
//! `cargo run -p ottla-client --example endure -- 127.0.0.1:9092 30` runs for 30 seconds. Kill and
//! restart the broker as often as you like; it must be up in the end.
//!
//! An idempotent producer writes numbered records to each partition, a member of a group reads them
//! and commits. Exits with 1 unless every acknowledged record is in the log once, at the offset that
//! was told, in order; none that was said not to be written is there; and the member read all.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a program run by hand: it takes arguments, prints, and may panic"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use env::{Clock, Env, Spawner, Task};
use env_tokio::{Runtime, RuntimeOptions, TokioEnv};
use ottla_client as client;
use protocol::Str;
use types::{Mono, Offset};

use client::admin::NewTopic;
use client::{
    Admin, ClientOptions, Consumer, ConsumerOptions, GroupConsumer, GroupOptions, Isolation,
    OffsetSpec, Outcome, Polled, Producer, ProducerOptions, ProducerRecord, Reset, Start,
    TopicPartition,
};

const PARTITIONS: i32 = 3;

type Log = BTreeMap<i32, Vec<(i64, u64)>>;

#[derive(Default)]
struct Written {
    acknowledged: BTreeMap<(i32, u64), i64>,
    refused: Vec<(i32, u64)>,
    unknown: usize,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("an address: host:port");
    let seconds: u64 = arguments.next().map_or(30, |s| s.parse().unwrap());
    let runtime = Runtime::new(&RuntimeOptions::default()).unwrap();
    let env = runtime.env().clone();
    let options = ClientOptions::new(&address).unwrap();
    let fine = runtime.block_on(endure(env, options, Duration::from_secs(seconds)));
    std::process::exit(i32::from(!fine));
}

async fn endure(env: TokioEnv, options: ClientOptions, time: Duration) -> bool {
    let topic = Str::from(format!("endure-{}", env.clock().wall().0));
    let made = NewTopic::new(topic.clone()).partitions(PARTITIONS);
    let mut admin = Admin::new(&env, options.clone());
    let made = admin.create_topics(&[made], false).await.unwrap().remove(0);
    made.1.unwrap();
    let end = env.clock().mono().after(time);
    let (writer, written) = tokio::sync::oneshot::channel();
    let (world, client, name) = (env.clone(), options.clone(), topic.clone());
    let task = env.spawner().spawn("writer", async move {
        let _ = writer.send(write(world, client, name, end).await);
    });
    let (reader, read_by_member) = tokio::sync::oneshot::channel();
    let (world, client, name) = (env.clone(), options.clone(), topic.clone());
    let member = env.spawner().spawn("reader", async move {
        let _ = reader.send(read_as_member(world, client, name, end).await);
    });
    task.ended().await;
    member.ended().await;
    let (written, by_member) = (written.await.unwrap(), read_by_member.await.unwrap());
    let log = read_log(&env, &options, &topic).await;
    judge(&written, &log, &by_member)
}

async fn write(env: TokioEnv, client: ClientOptions, topic: Str, end: Mono) -> Written {
    let producer = Producer::new(&env, client, ProducerOptions::default()).unwrap();
    let mut pending = std::collections::VecDeque::new();
    let mut written = Written::default();
    let mut number = 0u64;
    while env.clock().mono() < end || !pending.is_empty() {
        if env.clock().mono() < end && pending.len() < 2000 {
            let partition = (number % PARTITIONS as u64) as i32;
            let value = number.to_be_bytes().to_vec();
            let record = ProducerRecord::new(topic.clone(), value).partition(partition);
            pending.push_back((partition, number, producer.send(record).await.unwrap()));
            number += 1;
            if number.is_multiple_of(50) {
                env.clock()
                    .sleep_until(env.clock().mono().after_ms(2))
                    .await;
            }
            continue;
        }
        let (partition, number, delivery) = pending.pop_front().unwrap();
        match delivery.await {
            Ok(delivered) => {
                let offset = delivered.offset.unwrap().0;
                written.acknowledged.insert((partition, number), offset);
            }
            Err(error) if error.outcome == Outcome::NotDone => {
                println!("record {number} was not written: {error}");
                written.refused.push((partition, number));
            }
            Err(error) => {
                println!("record {number}: {error}");
                written.unknown += 1;
            }
        }
    }
    producer.close(Duration::from_secs(60)).await.unwrap();
    written
}

async fn read_as_member(env: TokioEnv, client: ClientOptions, topic: Str, end: Mono) -> Log {
    let mut options = GroupOptions::new(topic.clone());
    options.session_timeout = Duration::from_secs(10);
    options.heartbeat_interval = Duration::from_millis(500);
    options.auto_commit = Some(Duration::from_millis(200));
    let consumer = ConsumerOptions {
        reset: Reset::Earliest,
        ..ConsumerOptions::default()
    };
    let mut member = GroupConsumer::new(&env, client, consumer, options, [topic]).unwrap();
    let mut log = Log::new();
    let mut idle = 0;
    while env.clock().mono() < end || idle < 10 {
        match member.poll(Duration::from_millis(500)).await {
            Ok(Polled::Records(records)) => {
                idle = if records.is_empty() { idle + 1 } else { 0 };
                for record in records {
                    let value: [u8; 8] = record.value.unwrap()[..].try_into().unwrap();
                    let log = log.entry(record.at.partition).or_default();
                    log.push((record.offset.0, u64::from_be_bytes(value)));
                }
            }
            Ok(event) => println!("{event:?}"),
            Err(error) => {
                println!("poll: {error}");
                env.clock()
                    .sleep_until(env.clock().mono().after_ms(100))
                    .await;
            }
        }
    }
    if let Err(error) = member.close().await {
        println!("close: {error}");
    }
    log
}

async fn read_log(env: &TokioEnv, options: &ClientOptions, topic: &Str) -> Log {
    let mut consumer = Consumer::new(env, options.clone(), ConsumerOptions::default());
    let all = (0..PARTITIONS).map(|p| TopicPartition::new(topic.clone(), p));
    let places = all.clone().map(|at| (at, OffsetSpec::Latest)).collect();
    let mut admin = Admin::new(env, options.clone());
    let ends = admin.list_offsets(places, Isolation::ReadUncommitted).await;
    let start = Start::Offset(Offset(0), None);
    consumer.assign(all.map(|at| (at, start)));
    let mut log = Log::new();
    loop {
        let position = |at| consumer.position(at).map(|(offset, _)| offset);
        if ends
            .iter()
            .all(|(at, end)| position(at) >= end.clone().unwrap().offset)
        {
            return log;
        }
        for record in consumer.poll(Duration::from_secs(1)).await.unwrap() {
            let value: [u8; 8] = record.value.unwrap()[..].try_into().unwrap();
            let log = log.entry(record.at.partition).or_default();
            log.push((record.offset.0, u64::from_be_bytes(value)));
        }
    }
}

fn judge(written: &Written, log: &Log, by_member: &Log) -> bool {
    let mut faults = Vec::new();
    for (partition, records) in log {
        let numbers: Vec<u64> = records.iter().map(|(_, number)| *number).collect();
        if !numbers.is_sorted_by(|a, b| a < b) {
            faults.push(format!(
                "partition {partition} is out of order or repeats itself"
            ));
        }
        // At least once: a member whose broker died reads again from its last commit.
        let seen: BTreeMap<i64, u64> = by_member
            .get(partition)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let expected: BTreeMap<i64, u64> = records.iter().copied().collect();
        if seen != expected {
            let (some, all) = (seen.len(), expected.len());
            faults.push(format!(
                "partition {partition}: the member read {some} of {all} records"
            ));
        }
    }
    let placed: BTreeMap<(i32, u64), i64> = log
        .iter()
        .flat_map(|(p, records)| records.iter().map(|(offset, n)| ((*p, *n), *offset)))
        .collect();
    for (key, offset) in &written.acknowledged {
        if placed.get(key) != Some(offset) {
            faults.push(format!(
                "{key:?} was acknowledged at {offset}, is at {:?}",
                placed.get(key)
            ));
        }
    }
    for key in &written.refused {
        if placed.contains_key(key) {
            faults.push(format!("{key:?} was said not to be written, and is there"));
        }
    }
    println!(
        "{} acknowledged, {} not written, {} unknown; {} in the log",
        written.acknowledged.len(),
        written.refused.len(),
        written.unknown,
        placed.len()
    );
    for fault in faults.iter().take(20) {
        println!("FAULT: {fault}");
    }
    faults.is_empty()
}

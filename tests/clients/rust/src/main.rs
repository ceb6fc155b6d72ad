//! The Rust rdkafka crate as a foreign client; see ../README.md for the command line.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use sha1::{Digest, Sha1};

type Problem = Box<dyn std::error::Error>;

/// Counts what was not delivered.
#[derive(Clone, Default)]
struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl rdkafka::ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            eprintln!("{error}");
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn produce(options: &HashMap<String, String>) -> Result<(), Problem> {
    let deliveries = Deliveries::default();
    let producer: ThreadedProducer<Deliveries> = ClientConfig::new()
        .set("bootstrap.servers", &options["bootstrap"])
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.type", &options["codec"])
        .set("linger.ms", "20")
        .create_with_context(deliveries.clone())?;
    let mut count = 0_u64;
    for line in BufReader::new(File::open(&options["file"])?).lines() {
        let line = line?;
        let (key, value) = line.split_once('\t').ok_or("a line without a key")?;
        let mut record = BaseRecord::to(&options["topic"]).key(key).payload(value);
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        count += 1;
    }
    producer.flush(Duration::from_secs(60))?;
    match deliveries.failed.load(Ordering::Relaxed) {
        0 => println!("SENT {count}"),
        failed => return Err(format!("{failed} not delivered").into()),
    }
    Ok(())
}

fn consume(options: &HashMap<String, String>) -> Result<(), Problem> {
    let rate: u64 = options.get("rate").map_or(Ok(0), |rate| rate.parse())?;
    let ended = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&ended))?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &options["bootstrap"])
        .set("group.id", &options["group"])
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("auto.commit.interval.ms", "500")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500")
        .set("check.crcs", "true")
        .create()?;
    consumer.subscribe(&options["topic"].split(',').collect::<Vec<_>>())?;
    let mut out = stdout().lock();
    let mut count = 0;
    while !ended.load(Ordering::Relaxed) {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message?;
        let key = String::from_utf8_lossy(message.key().unwrap_or_default());
        write!(out, "REC\t{}\t{}\t{}\t{key}\t", message.topic(), message.partition(), message.offset())?;
        for byte in Sha1::digest(message.payload().unwrap_or_default()) {
            write!(out, "{byte:02x}")?;
        }
        writeln!(out)?;
        match consumer.store_offset_from_message(&message) {
            // It was taken away meanwhile: another member will read it again.
            Ok(()) | Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => {}
            Err(error) => return Err(error.into()),
        }
        count += 1;
        if rate > 0 && count % 100 == 0 {
            std::thread::sleep(Duration::from_secs(100) / u32::try_from(rate)?);
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_default();
    let mut options = HashMap::new();
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        options.insert(name.trim_start_matches("--").to_owned(), value);
    }
    let ended = match verb.as_str() {
        "produce" => produce(&options),
        _ => consume(&options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

//! Segments that Apache Kafka 4.3.1 wrote, one topic per codec (`kafka-segments/`): opened as a log of ours,
//! read, dumped, and their side files compared byte for byte with those we would make.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::path::{Path, PathBuf};

use common::{MemDisk, append, batch, flush, now, read_all};
use env::{Disk, File, OpenOptions, Wall};
use ottla_storage::tools::{DumpOptions, Severity, dump, verify};
use ottla_storage::{Log, LogConfig, LogIdentity, Recovered};
use records::{Batches, Codec};
use types::{LeaderEpoch, NextOffset, Offset, PartitionIndex, ProducerId, TimestampMs};

const TOPICS: [(&str, Codec); 5] = [
    ("t-none", Codec::None),
    ("t-gzip", Codec::Gzip),
    ("t-snappy", Codec::Snappy),
    ("t-lz4", Codec::Lz4),
    ("t-zstd", Codec::Zstd),
];
const DUMP: &str = "dump.txt";
const SEGMENT: &str = "00000000000000000000.log";

fn fixture(topic: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/kafka-segments")
        .join(format!("{topic}-0"))
}

fn dir(topic: &str) -> PathBuf {
    PathBuf::from(format!("/kafka/{topic}-0"))
}

#[allow(clippy::disallowed_methods, reason = "fixtures lie in real files")]
fn fixture_file(topic: &str, name: &str) -> Vec<u8> {
    std::fs::read(fixture(topic).join(name)).unwrap()
}

/// A disk with the files of a topic, as Kafka left them.
fn disk(topic: &str) -> MemDisk {
    let disk = MemDisk::default();
    now(disk.create_dir_all(&dir(topic))).unwrap();
    for entry in std::fs::read_dir(fixture(topic)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == DUMP {
            continue;
        }
        let file = now(disk.open(&dir(topic).join(&name), OpenOptions::CREATE)).unwrap();
        now(file.write_at(0, vec![fixture_file(topic, &name).into()])).unwrap();
    }
    disk
}

fn identity(topic: &str) -> LogIdentity {
    let metadata = String::from_utf8(fixture_file(topic, "partition.metadata")).unwrap();
    let id = metadata
        .lines()
        .last()
        .unwrap()
        .strip_prefix("topic_id: ")
        .unwrap();
    LogIdentity {
        cluster_id: None,
        topic_id: id.parse().unwrap(),
        topic: topic.to_owned(),
        partition: PartitionIndex(0),
    }
}

fn config() -> LogConfig {
    LogConfig {
        index_interval_bytes: 512,
        mode: env::OpenMode::Buffered,
        ..LogConfig::default()
    }
}

fn open(topic: &str, disk: &MemDisk) -> (Log<MemDisk>, Recovered) {
    now(Log::open(
        disk.clone(),
        dir(topic),
        identity(topic),
        config(),
        Wall(0),
    ))
    .unwrap()
}

#[test]
fn every_record_is_read() {
    for (topic, codec) in TOPICS {
        let disk = disk(topic);
        let (log, recovered) = open(topic, &disk);
        assert_eq!(recovered.faulty, [], "{topic}");
        assert_eq!(
            (log.log_start_offset(), log.log_end_offset()),
            (Offset(0), NextOffset(120))
        );
        let bytes = read_all(&log, Offset(0), 700).unwrap();
        assert_eq!(bytes, fixture_file(topic, SEGMENT));
        let mut values = Vec::new();
        for batch in Batches::new(bytes.into()) {
            let batch = batch.unwrap();
            assert_eq!(batch.header().attributes.codec(), Ok(codec));
            for record in batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                values.push((record.offset.0, value));
            }
        }
        let name = topic.strip_prefix("t-").unwrap();
        let expected = (0..120).map(|i| {
            let (round, number) = (i / 20 + 1, i % 20 + 1);
            (
                i,
                format!("value {number} of round {round}, words and words and words for {name}"),
            )
        });
        assert_eq!(values, expected.collect::<Vec<_>>());
    }
}

#[test]
fn the_producer_snapshot_and_epochs_are_understood() {
    for (topic, _) in TOPICS {
        let (log, recovered) = open(topic, &disk(topic));
        assert_eq!(recovered.producers_at, NextOffset(120));
        assert_eq!(recovered.replay, []);
        let [producer] = recovered.producers[..] else {
            panic!("one producer")
        };
        assert_eq!(
            (producer.last_offset, producer.last_sequence.0),
            (Offset(119), 119)
        );
        assert_ne!(producer.producer_id, ProducerId::NONE);
        assert_eq!(log.latest_epoch(), LeaderEpoch(0));
        let checkpoint = fixture_file(topic, "leader-epoch-checkpoint");
        assert_eq!(log.epochs().encode().as_bytes(), checkpoint);
    }
}

#[test]
fn our_indexes_are_kafkas_byte_for_byte() {
    for (topic, _) in TOPICS {
        let disk = disk(topic);
        let (log, _) = open(topic, &disk);
        now(log.close()).unwrap();
        for suffix in ["index", "timeindex", "log"] {
            let name = format!("00000000000000000000.{suffix}");
            let ours = disk.read(&dir(topic).join(&name)).unwrap();
            assert_eq!(ours, fixture_file(topic, &name), "{topic} {suffix}");
        }
        let ours = disk
            .read(&dir(topic).join("leader-epoch-checkpoint"))
            .unwrap();
        assert_eq!(
            ours,
            fixture_file(topic, "leader-epoch-checkpoint"),
            "{topic}"
        );
    }
}

#[test]
fn the_dump_reads_as_kafkas() {
    for (topic, _) in TOPICS {
        let disk = disk(topic);
        let mut rows = Vec::new();
        let options = DumpOptions {
            records: true,
            ..DumpOptions::default()
        };
        now(dump(&disk, &dir(topic).join(SEGMENT), options, |row| {
            rows.push(row.to_string())
        }))
        .unwrap();
        let kafka = String::from_utf8(fixture_file(topic, DUMP)).unwrap();
        let kafka: Vec<&str> = kafka.lines().skip(2).collect();
        assert_eq!(rows, kafka, "{topic}");
    }
}

#[test]
fn verify_finds_nothing_wrong_until_a_byte_changes() {
    for (topic, _) in TOPICS {
        let disk = disk(topic);
        let found = now(verify(&disk, &dir(topic))).unwrap();
        assert!(found.is_sound(), "{:?}", found.findings);
        assert_eq!((found.log_end, found.segments), (120, 1));
        assert!(
            found
                .findings
                .iter()
                .all(|finding| finding.severity == Severity::Note)
        );
        disk.damage(&dir(topic).join(SEGMENT), |bytes| bytes[700] ^= 4);
        let found = now(verify(&disk, &dir(topic))).unwrap();
        assert!(!found.is_sound());
    }
}

#[test]
fn a_kafka_log_goes_on_as_ours() {
    for (topic, _) in TOPICS {
        let disk = disk(topic);
        let (mut log, _) = open(topic, &disk);
        let more = batch(1, 3, 100, 1_795_246_200_000);
        append(&mut log, &more, 5);
        assert_eq!(flush(&mut log, true).unwrap().durable, NextOffset(123));
        let found = now(log
            .offset_for_timestamp(TimestampMs(1_795_246_200_001), NextOffset(123), 1 << 20)
            .unwrap()
            .run());
        assert_eq!(found.unwrap().unwrap().offset, Offset(121));
        now(log.close()).unwrap();
        let (log, recovered) = open(topic, &disk);
        assert!(recovered.clean);
        assert_eq!(log.log_end_offset(), NextOffset(123));
        let kafkas = fixture_file(topic, SEGMENT);
        let all = read_all(&log, Offset(0), 1 << 20).unwrap();
        assert_eq!(all[..kafkas.len()], kafkas);
    }
}

/// Records that were deleted under Kafka are in its segment and stay deleted under us.
#[test]
fn a_start_that_kafka_noted_is_taken_over() {
    let disk = disk("t-none");
    let file = disk.open(
        Path::new("/kafka/log-start-offset-checkpoint"),
        OpenOptions::CREATE,
    );
    let text = "0\n2\nother 0 3\nt-none 0 35\n";
    now(now(file).unwrap().write_at(0, vec![text.into()])).unwrap();
    for _ in 0..2 {
        let (log, recovered) = open("t-none", &disk);
        assert_eq!((recovered.faulty, recovered.alarms), (vec![], vec![]));
        assert_eq!(log.log_start_offset(), Offset(35));
        assert_eq!(log.log_end_offset(), NextOffset(120));
        now(log.close()).unwrap();
        // Ours from now on: what Kafka says of a log of that name is history.
        disk.damage(Path::new("/kafka/log-start-offset-checkpoint"), |bytes| {
            bytes.fill(0)
        });
        disk.remove(&dir("t-none").join("log-state"));
    }
}

//! Writes a small log with every codec, several segments and two leader epochs, and closes it: for tools
//! that read Kafka's files.
//!
//! `cargo run -p ottla-storage --example sample_log -- DIR [direct]`

#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own: it reads its arguments"
)]

use std::path::PathBuf;

use env::{Env, OpenMode, Wall};
use env_tokio::{Runtime, RuntimeOptions};
use ottla_storage::{Log, LogConfig, LogIdentity, ProducerEntry};
use records::{BatchBuilder, BatchHeader, Codec};
use types::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TimestampMs, Uuid,
};

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().expect("a directory"));
    let direct = args.next().as_deref() == Some("direct");
    let mode = if direct {
        OpenMode::Direct
    } else {
        OpenMode::Buffered
    };
    let runtime = Runtime::new(&RuntimeOptions::default()).expect("a runtime");
    let disk = runtime.env().disk().clone();
    let identity = LogIdentity {
        cluster_id: None,
        topic_id: Uuid([7; 16]),
        topic: "sample".to_owned(),
        partition: PartitionIndex(0),
    };
    let path = dir.join(identity.dir_name());
    let config = LogConfig {
        segment_bytes: 32 << 10,
        index_interval_bytes: 1024,
        mode,
        direct_bytes_min: 0,
        ..LogConfig::default()
    };
    runtime.block_on(async move {
        let log = Log::create(disk, path, identity, config, Wall(0)).await;
        let mut log = log.expect("a new log");
        let codecs = [
            Codec::None,
            Codec::Gzip,
            Codec::Snappy,
            Codec::Lz4,
            Codec::Zstd,
        ];
        let mut sequence = 0;
        for i in 0..400_i64 {
            let mut builder = BatchBuilder::new(codecs[i as usize % codecs.len()]);
            let (id, epoch) = (ProducerId(1), ProducerEpoch(0));
            builder = builder.producer(id, epoch, Sequence(sequence));
            for record in 0..1 + i % 4 {
                let key = format!("key-{record}");
                let value = format!("value {record} of batch {i}").repeat(3);
                let time = TimestampMs(1_700_000_000_000 + 10 * i + record);
                builder.append(time, Some(key.as_bytes()), Some(value.as_bytes()), &[]);
                sequence += 1;
            }
            let bytes = builder.build();
            let header = BatchHeader::parse(&bytes).expect("a batch");
            let base = log.log_end_offset().position();
            let epoch = LeaderEpoch((i / 200) as i32);
            log.append(&bytes, &header, base, epoch, Wall(0))
                .expect("room");
            if i % 7 == 0
                && let Some(job) = log.start_job(i % 2 == 0)
            {
                let done = job.await;
                assert_eq!(log.finish_job(done).error, None);
            }
        }
        let end = log.log_end_offset();
        let producer = ProducerEntry {
            producer_id: ProducerId(1),
            producer_epoch: ProducerEpoch(0),
            last_sequence: Sequence(sequence - 1),
            last_offset: Offset(end.0 - 1),
            offset_delta: 3,
            timestamp: TimestampMs(1_700_000_003_993),
            coordinator_epoch: -1,
            current_txn_first_offset: Offset(-1),
        };
        log.put_producer_snapshot(end, &[producer]);
        log.close().await.expect("closed in order");
    });
}

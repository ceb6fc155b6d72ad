//! Topics, made for a row and deleted after it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use protocol::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use protocol::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::{
    CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, MetadataRequest, Request, Str,
    decode_response, encode_request,
};
use types::ErrorCode;

const PATIENCE: Duration = Duration::from_secs(30);

fn ask<R: Request>(address: SocketAddr, request: &R, version: i16) -> Result<R::Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let frame = encode_request(1, Some("ottla-bench"), request, version)?.concat();
    stream.write_all(&frame)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size))?];
    stream.read_exact(&mut answer)?;
    Ok(decode_response::<R>(Bytes::from(answer), version)?.1)
}

/// Whether a broker answers.
pub(crate) fn answers(address: SocketAddr) -> bool {
    ask(address, &MetadataRequest::default(), 8).is_ok()
}

/// A fresh topic, all of whose partitions have a leader; gives its name.
pub(crate) fn create_topic(
    address: SocketAddr,
    name: &str,
    partitions: i32,
    settings: &[(&str, &str)],
) -> Result<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let topic = format!("{name}.{}.{number}", std::process::id());
    let configs = settings.iter().map(|(name, value)| CreatableTopicConfig {
        name: Str::from(*name),
        value: Some(Str::from(*value)),
    });
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: Str::from(&*topic),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        }],
        timeout_ms: 30_000,
        validate_only: false,
    };
    let answer = ask(address, &request, 4)?;
    let result = answer.topics.first().context("an answer for the topic")?;
    if result.error_code != 0 {
        bail!("{topic}: {}", ErrorCode(result.error_code));
    }
    // Metadata may name leaders that have not heard of it yet: they are asked themselves.
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: Str::from(&*topic),
            partitions: (0..partitions)
                .map(|partition_index| ListOffsetsPartition {
                    partition_index,
                    current_leader_epoch: -1,
                    timestamp: -1,
                })
                .collect(),
        }],
        ..Default::default()
    };
    let started = Instant::now();
    loop {
        let answer = ask(address, &request, 5)?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if partitions.all(|partition| partition.error_code == 0) {
            return Ok(topic);
        }
        if started.elapsed() > PATIENCE {
            bail!("{topic} has no leaders");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Deletes a topic.
pub(crate) fn delete_topic(address: SocketAddr, topic: &str) -> Result<()> {
    let request = DeleteTopicsRequest {
        topic_names: vec![Str::from(topic)],
        timeout_ms: 30_000,
        ..Default::default()
    };
    let answer = ask(address, &request, 3)?;
    match answer.responses.first().map(|result| result.error_code) {
        Some(0) => Ok(()),
        other => bail!("{topic} was not deleted: {other:?}"),
    }
}

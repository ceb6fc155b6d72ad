//! DescribeLogDirs (key 35): how large the logs are, and how much room is left.

use std::collections::{BTreeMap, BTreeSet};

use env::{Disk, Env};
use futures_util::future::join_all;
use protocol::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::{DescribeLogDirsRequest, DescribeLogDirsResponse, Str};
use tokio::sync::oneshot;

use super::Call;
use crate::answer::Reply;
use crate::shard::ShardMessage;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: DescribeLogDirsRequest) -> Reply {
    // Null asks for every partition, an empty list for none.
    let wanted: Option<BTreeSet<(Str, i32)>> = request.topics.map(|topics| {
        topics
            .into_iter()
            .flat_map(|topic| {
                topic
                    .partitions
                    .into_iter()
                    .map(move |index| (topic.topic.clone(), index))
            })
            .collect()
    });
    let mut waiting = Vec::new();
    for shard in &call.context.shards {
        let (reply, answer) = oneshot::channel();
        let _ = shard.send(ShardMessage::Describe(reply)).await;
        waiting.push(answer);
    }
    let context = call.context.clone();
    call.to.later(async move {
        let mut topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for logs in join_all(waiting).await.into_iter().flatten() {
            for log in logs {
                let key = (log.topic, log.partition.0);
                if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&key)) {
                    continue;
                }
                topics
                    .entry(key.0)
                    .or_default()
                    .push(DescribeLogDirsPartition {
                        partition_index: key.1,
                        partition_size: i64::try_from(log.size_bytes).unwrap_or(i64::MAX),
                        offset_lag: 0,
                        is_future_key: false,
                    });
            }
        }
        for partitions in topics.values_mut() {
            partitions.sort_by_key(|partition| partition.partition_index);
        }
        let disk = context.env.disk();
        let free = disk.free_bytes(&context.config.log_dir).await;
        let total = disk.total_bytes(&context.config.log_dir).await;
        let or_unknown = |bytes: std::io::Result<u64>| {
            bytes.ok().and_then(|b| i64::try_from(b).ok()).unwrap_or(-1)
        };
        DescribeLogDirsResponse {
            results: vec![DescribeLogDirsResult {
                log_dir: Str::from(context.config.log_dir.to_string_lossy().into_owned()),
                topics: topics
                    .into_iter()
                    .map(|(name, partitions)| DescribeLogDirsTopic { name, partitions })
                    .collect(),
                total_bytes: or_unknown(total),
                usable_bytes: or_unknown(free),
                ..Default::default()
            }],
            ..Default::default()
        }
    })
}

//! Opens, makes and removes the logs of a shard.

use std::path::PathBuf;

use env::{Clock, Disk, Env, OpenMode};
use metadata::TopicConfig;
use partition::Fence;
use storage::error::StorageError;
use storage::log::Log;
use storage::recovery::Recovered;
use storage::{LogConfig, LogIdentity};
use types::{Mono, TopicPartition, Wall};

use super::ShardConfig;
use super::message::Install;
use super::recovery::Tally;
use super::work::{Job, RETRY_MS};
use crate::batches;

/// A log that was opened, with what was found in it.
pub(crate) struct OpenLog<E: Env> {
    pub log: Log<E::Disk>,
    pub recovered: partition::Recovered,
    /// What was found, in numbers.
    pub tally: Tally,
}

/// The end of an attempt to open a log.
pub(crate) struct Opened<E: Env> {
    pub partition: TopicPartition,
    pub result: Result<OpenLog<E>, StorageError>,
    /// The first attempt in this life of the partition.
    pub is_first: bool,
}

/// Logs of a node that are opened at one time: each takes a few descriptors and some memory meanwhile.
pub(crate) const OPENS_MAX: usize = 64;
/// How long a log rests that could not be opened for want of descriptors or memory, at most.
const REST_MS_MAX: i64 = 8_000;
/// How often it is said that logs cannot be opened.
const SAY_MS: i64 = 60_000;

/// How long a log rests after so many failures before.
pub(crate) fn rest_ms(failures: u32) -> i64 {
    RETRY_MS
        .saturating_mul(1 << failures.min(8))
        .min(REST_MS_MAX)
}

/// Logs that cannot be opened for now: said when it begins, each minute while it goes on, and when it is
/// over, however many there are.
#[derive(Default)]
pub(crate) struct OpenTrouble {
    waiting: usize,
    said: Mono,
}

impl OpenTrouble {
    /// A log could not be opened, for the first time or again.
    pub fn one_more(
        &mut self,
        now: Mono,
        is_new: bool,
        topic: &str,
        partition: TopicPartition,
        error: &StorageError,
    ) {
        self.waiting += usize::from(is_new);
        if (is_new && self.waiting == 1) || now >= self.said.after_ms(SAY_MS) {
            self.said = now;
            tracing::warn!(topic, partition = partition.partition.0, %error, waiting = self.waiting,
                "logs cannot be opened for now: trying again");
        }
    }

    /// A log that could not be opened is, or is wanted no more.
    pub fn one_less(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            tracing::info!("every log that could not be opened is open");
        }
    }
}

/// A topic's settings, as a log takes them.
pub(crate) fn log_config(
    config: &TopicConfig,
    mode: OpenMode,
    segment_bytes_max: u32,
) -> LogConfig {
    LogConfig {
        segment_bytes: u32::try_from(config.segment_bytes)
            .unwrap_or(u32::MAX)
            .min(segment_bytes_max),
        segment_ms: config.segment_ms,
        index_interval_bytes: u32::try_from(config.index_interval_bytes).unwrap_or(0),
        index_max_bytes: u32::try_from(config.segment_index_bytes).unwrap_or(u32::MAX),
        // Without `delete` in the policy nothing is removed by age or size.
        retention_ms: config
            .retention_ms
            .filter(|_| config.deletes())
            .unwrap_or(-1),
        retention_bytes: config
            .retention_bytes
            .filter(|_| config.deletes())
            .map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        // Room is reserved in steps that grow with the log, whatever Kafka's `preallocate` says: small
        // logs stay small, and a large one does not run out of room in the middle of a write.
        preallocate: true,
        mode,
        ..LogConfig::default()
    }
}

/// Opens the log of a partition, or makes it if there is none.
pub(crate) async fn open_or_create<D: Disk>(
    disk: &D,
    dir: PathBuf,
    identity: LogIdentity,
    config: LogConfig,
    now: Wall,
) -> Result<(Log<D>, Recovered), StorageError> {
    match disk.list(&dir).await {
        Ok(entries) if !entries.is_empty() => {
            return Log::open(disk.clone(), dir, identity, config, now).await;
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(StorageError::Io {
                path: dir,
                source: error,
            });
        }
        // Made by a node that got no further, or not at all.
        Ok(_) | Err(_) => {}
    }
    let log = Log::create(disk.clone(), dir, identity, config, now).await?;
    let found = Recovered {
        clean: true,
        log_start: log.log_start_offset(),
        log_end: log.log_end_offset(),
        torn_bytes: 0,
        faulty: Vec::new(),
        producers: Vec::new(),
        producers_at: log.log_end_offset(),
        replay: Vec::new(),
        alarms: Vec::new(),
    };
    Ok((log, found))
}

/// Opens the log of a partition that this node hosts.
pub(crate) fn open<E: Env>(
    env: &E,
    config: &ShardConfig,
    fence: Fence,
    install: Install,
    is_first: bool,
) -> impl Future<Output = Job<E>> + Send + use<E> {
    let identity = LogIdentity {
        cluster_id: Some(config.cluster_id.digest()),
        topic_id: install.partition.topic_id,
        topic: install.topic.to_string(),
        partition: install.partition.partition,
    };
    let dir = config.log_dir.join(identity.dir_name());
    let settings = log_config(&install.config, config.open_mode, config.segment_bytes_max);
    let env = env.clone();
    let opens = config.opens.clone();
    let partition = install.partition;
    async move {
        let _one_of_few = opens.acquire().await;
        let wall = env.clock().wall();
        let result = open_or_create(env.disk(), dir, identity, settings, wall).await;
        let result = result.map(|(log, found)| {
            env.observe(env::Seen::LogOpened {
                partition,
                log_start: found.log_start,
                log_end: found.log_end,
                clean: found.clean,
            });
            for range in &found.faulty {
                env.observe(env::Seen::Faulty {
                    partition,
                    from: range.from,
                    to: range.to,
                });
            }
            if found.torn_bytes > 0 {
                tracing::info!(
                    ?partition,
                    bytes = found.torn_bytes,
                    "a torn tail was cut off"
                );
            }
            let recovered = batches::recovered(env.clock().mono(), fence, &log, &found);
            OpenLog {
                log,
                recovered,
                tally: Tally::of_log(&found),
            }
        });
        Job::Opened(Box::new(Opened {
            partition,
            result,
            is_first,
        }))
    }
}

/// Removes a log for good. The directory gets another name first, so that a new topic of the same name
/// never meets the old one's files.
pub(crate) fn delete<E: Env>(
    disk: E::Disk,
    partition: TopicPartition,
    log: Log<E::Disk>,
) -> impl Future<Output = Job<E>> + Send + use<E> {
    let dir = log.dir().to_path_buf();
    drop(log);
    async move {
        Job::Deleted(
            partition,
            storage::dir::delete_log(&disk, &dir, &partition).await,
        )
    }
}

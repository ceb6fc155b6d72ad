//! What a log is told about itself: whose it is, how it rolls, what it keeps.

use env::OpenMode;
use types::{PartitionIndex, Uuid};

/// Whose log a directory holds. Bound into every claim and every tag, so that bytes of another
/// partition, or of an earlier topic of the same name, are never taken for this one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIdentity {
    /// The cluster, if it is known.
    pub cluster_id: Option<Uuid>,
    /// The topic's id, never used twice.
    pub topic_id: Uuid,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: PartitionIndex,
}

impl LogIdentity {
    /// The name of the log's directory: `topic-partition`.
    #[must_use]
    pub fn dir_name(&self) -> String {
        format!("{}-{}", self.topic, self.partition.0)
    }

    /// The start value of every checksum that binds bytes to this log.
    pub(crate) fn seed(&self) -> u32 {
        let mut text = [0u8; 36];
        text[..16].copy_from_slice(&self.cluster_id.unwrap_or(Uuid::ZERO).0);
        text[16..32].copy_from_slice(&self.topic_id.0);
        text[32..].copy_from_slice(&self.partition.0.to_be_bytes());
        crc_fast::crc32_iscsi(&text)
    }
}

/// How a log rolls, what it keeps, and how it reaches the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it would grow beyond this.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is closed when its first record is older than this.
    pub segment_ms: i64,
    /// `index.interval.bytes`: bytes of batches between two entries of the offset index.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: a segment is closed when its offset index would grow beyond this.
    pub index_max_bytes: u32,
    /// `retention.ms`: segments whose newest record is older are removed; -1 keeps them.
    pub retention_ms: i64,
    /// `retention.bytes`: oldest segments are removed while the log is larger; -1 keeps them.
    pub retention_bytes: i64,
    /// Through the page cache or past it, where the file system allows it.
    pub mode: OpenMode,
    /// With `Direct`: a log whose jobs write less than this at once goes through the page cache all the
    /// same, until they write more. Zero: never.
    pub direct_bytes_min: usize,
    /// Whether room for a segment is reserved ahead of the writes.
    pub preallocate: bool,
    /// Bytes of recently written chunks that are kept for readers.
    pub tail_cache_bytes: usize,
    /// Bytes that may wait for their write before appends are refused.
    pub pending_bytes_max: usize,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            index_interval_bytes: 4096,
            index_max_bytes: 10 << 20,
            retention_ms: 7 * 24 * 3600 * 1000,
            retention_bytes: -1,
            mode: OpenMode::Direct,
            direct_bytes_min: 64 << 10,
            preallocate: true,
            tail_cache_bytes: 4 << 20,
            pending_bytes_max: 64 << 20,
        }
    }
}

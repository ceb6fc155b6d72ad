//! The names of files in a log's directory. Kafka's, where Kafka has such a file.

/// Segment files: batches as on the wire.
pub const LOG: &str = "log";
/// Offset indexes.
pub const INDEX: &str = "index";
/// Time indexes.
pub const TIME_INDEX: &str = "timeindex";
/// Transaction indexes.
pub const TXN_INDEX: &str = "txnindex";
/// Producer snapshots.
pub const SNAPSHOT: &str = "snapshot";
/// Identity tags of a closed segment (ours).
pub const TAGS: &str = "tags";

/// The topic's id.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// Where each leader epoch starts, for Kafka's tools; our own copy is in [`STATE`].
pub const EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// What is known of the log up to its recovery point (ours).
pub const STATE: &str = "log-state";
/// A second copy of where the log starts (ours).
pub const START: &str = "log-start";
/// Claims of durability beyond the recovery point (ours).
pub const CLAIMS: &str = "durable-claims";
/// Present while the log is cleanly closed (ours).
pub const CLEAN: &str = "clean-shutdown";

/// Suffix of files that are being written.
pub const TEMPORARY: &str = "tmp";
/// Suffix of a removed partition's directory.
pub const DELETE_SUFFIX: &str = "-delete";
/// Suffix of a directory that no known partition owns.
pub const STRAY_SUFFIX: &str = "-stray";

/// The name of a segment's file: twenty digits of its base offset, and a suffix.
#[must_use]
pub fn segment_file(base_offset: i64, suffix: &str) -> String {
    format!("{base_offset:020}.{suffix}")
}

/// Splits a segment file's name into base offset and suffix.
#[must_use]
pub fn parse_segment_file(name: &str) -> Option<(i64, &str)> {
    let (digits, suffix) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_names() {
        assert_eq!(segment_file(42, LOG), "00000000000000000042.log");
        assert_eq!(
            parse_segment_file("00000000000000000042.timeindex"),
            Some((42, "timeindex"))
        );
        for bad in [
            "42.log",
            "0000000000000000004x.log",
            "log-state",
            "99999999999999999999.log",
        ] {
            assert_eq!(parse_segment_file(bad), None, "{bad}");
        }
    }
}

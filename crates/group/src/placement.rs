//! Which partition of the offsets topic a group lives in.

use types::PartitionIndex;

/// The partition of `__consumer_offsets` that coordinates `group_id`.
///
/// `partition_count` is the number of partitions the topic *has*, not the number that the
/// configuration would give a new one: a group that hashes elsewhere has lost its offsets
/// (KAFKA-2336).
///
/// # Panics
///
/// `partition_count` is not positive.
///
/// **Source**: Kafka's `Utils.abs(groupId.hashCode()) % numPartitions`.
#[must_use]
pub fn partition_for(group_id: &str, partition_count: i32) -> PartitionIndex {
    assert!(partition_count > 0, "a topic has at least one partition");
    let hash = java_hash(group_id);
    // Kafka's abs, unlike Java's own, takes the one number without a positive twin to 0.
    let abs = if hash == i32::MIN { 0 } else { hash.abs() };
    PartitionIndex(abs % partition_count)
}

/// Java's `String.hashCode`, which is over UTF-16 code units and not over characters or bytes.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_java() {
        // Values printed by Java 17.
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("my-group"), -1_906_497_762);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        assert_eq!(java_hash("grüße"), 98_768_023);
        assert_eq!(java_hash("\u{1f980} crab"), 220_228_910);
    }

    #[test]
    fn the_hash_without_a_positive_twin_is_zero() {
        assert_eq!(partition_for("polygenelubricants", 50), PartitionIndex(0));
        assert_eq!(partition_for("my-group", 50), PartitionIndex(12));
        assert_eq!(partition_for("anything", 1), PartitionIndex(0));
    }
}

//! Why an error happens, and what to do about it: for the errors that people meet.

use types::ErrorCode;

/// What is known of an error beyond its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub code: ErrorCode,
    /// The usual causes.
    pub why: &'static str,
    /// What to do.
    pub next: &'static str,
}

/// What is known of a code.
pub(crate) fn of(code: ErrorCode) -> Option<&'static Advice> {
    ADVICE.iter().find(|advice| advice.code == code)
}

macro_rules! advice {
    ($($code:ident: $why:literal, $next:literal;)+) => {
        &[$(Advice { code: ErrorCode::$code, why: $why, next: $next }),+]
    };
}

const ADVICE: &[Advice] = advice! {
    OFFSET_OUT_OF_RANGE:
        "The consumer's offset is below the log's start (retention or a trim removed it) or beyond its end (the \
         topic was deleted and made anew, or records were lost).",
        "`ottla topic offsets TOPIC` shows what is there; `ottla group seek` or `auto.offset.reset` chooses where \
         to go on.";
    CORRUPT_MESSAGE:
        "A batch does not match its checksum: it was damaged on the way or on the disk.",
        "If it comes from a producer, look at its machine; if from a log, `ottla log verify DIR` on the broker.";
    UNKNOWN_TOPIC_OR_PARTITION:
        "There is no such topic or partition; or it was created a moment ago; or this client may not see it.",
        "`ottla topic list` shows the topics; `ottla topic create NAME` makes one.";
    LEADER_NOT_AVAILABLE:
        "The partition has no leader at this moment: it was just created, or the brokers of all its replicas in \
         sync are down.",
        "Try again; `ottla topic describe TOPIC` shows leaders and replicas.";
    NOT_LEADER_OR_FOLLOWER:
        "The client's metadata is out of date: the leader has moved.",
        "Clients refresh their metadata and try again by themselves; if it lasts, look at the broker's log.";
    REQUEST_TIMED_OUT:
        "The broker could not finish in the time that the request gave it: replicas are slow, or it is overloaded. \
         The request may have been carried out.",
        "Look whether it was done before doing it again; give it more with `--timeout`.";
    MESSAGE_TOO_LARGE:
        "A batch is larger than the topic's `max.message.bytes`.",
        "`ottla config set --topic TOPIC max.message.bytes=...`, or smaller records, or compression.";
    OFFSET_METADATA_TOO_LARGE:
        "The note committed with an offset is longer than `offset.metadata.max.bytes`.",
        "Commit a shorter one.";
    COORDINATOR_LOAD_IN_PROGRESS:
        "The coordinator is reading its state after a start or a move.",
        "Try again in a moment.";
    COORDINATOR_NOT_AVAILABLE:
        "The coordinator's partition has no leader yet; with the first group of a cluster it is being created.",
        "Try again in a moment.";
    NOT_COORDINATOR:
        "The client's idea of who coordinates the group is out of date.",
        "Clients look it up again by themselves.";
    INVALID_TOPIC_EXCEPTION:
        "A topic's name has 1 to 249 letters, digits, dots, underscores and hyphens, and is not `.` or `..`; or an \
         internal topic was written to.",
        "Choose another name.";
    RECORD_LIST_TOO_LARGE:
        "A batch is larger than a segment.",
        "Smaller batches, or a larger `segment.bytes`.";
    NOT_ENOUGH_REPLICAS:
        "Fewer replicas are in sync than `min.insync.replicas` asks for. Nothing was written.",
        "Bring the missing brokers back (`ottla topic describe TOPIC` names them), or lower \
         `min.insync.replicas`.";
    NOT_ENOUGH_REPLICAS_AFTER_APPEND:
        "Replicas fell out of sync while the batch was written: it is in the leader's log and may be lost.",
        "An idempotent producer may send it again; bring the missing brokers back.";
    INVALID_REQUIRED_ACKS:
        "acks is 0, 1 or -1 (all).",
        "Correct the producer's `acks`.";
    ILLEGAL_GENERATION:
        "The group has rebalanced since the member joined.",
        "The member joins again by itself; if it happens often, its polls are too far apart \
         (`max.poll.interval.ms`).";
    INCONSISTENT_GROUP_PROTOCOL:
        "The members of the group have no assignor in common, or are of another protocol.",
        "Give all members at least one `partition.assignment.strategy` in common.";
    INVALID_GROUP_ID:
        "The group has no name, or one that cannot be used.",
        "Set `group.id`.";
    UNKNOWN_MEMBER_ID:
        "The group does not know the member: its session ran out, or it left; or offsets were set while the group \
         has members.",
        "Members join again by themselves. To set offsets, stop the group's members first.";
    INVALID_SESSION_TIMEOUT:
        "The member's session timeout is outside what the broker allows.",
        "Choose one between `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.";
    REBALANCE_IN_PROGRESS:
        "The group is dividing its partitions anew.",
        "Members join again by themselves.";
    TOPIC_AUTHORIZATION_FAILED:
        "The principal may not do this to the topic.",
        "Ask whoever gives rights in this cluster for the operation on the topic.";
    GROUP_AUTHORIZATION_FAILED:
        "The principal may not do this to the group.",
        "Ask whoever gives rights in this cluster for READ on the group.";
    CLUSTER_AUTHORIZATION_FAILED:
        "The principal may not do this to the cluster.",
        "Ask whoever gives rights in this cluster for the operation on the cluster.";
    INVALID_TIMESTAMP:
        "A record's timestamp is further from the broker's clock than `message.timestamp.before.max.ms` and \
         `message.timestamp.after.max.ms` allow.",
        "Correct the producer's clock, or the topic's limits.";
    UNSUPPORTED_VERSION:
        "The broker and the client have no version of this request in common.",
        "Update the older of the two; `ottla cluster info` shows what the broker is.";
    TOPIC_ALREADY_EXISTS:
        "There is a topic of this name.",
        "Use it, or `--if-not-exists` if that is as well.";
    INVALID_PARTITIONS:
        "The number of partitions cannot be used: it is below 1, or not above what the topic has.",
        "A new topic has at least one; of a topic that exists there can only be more: `ottla topic add-partitions TOPIC --to N`.";
    INVALID_REPLICATION_FACTOR:
        "There are fewer brokers than copies wanted.",
        "Ask for no more copies than `ottla cluster info` shows brokers.";
    INVALID_CONFIG:
        "A setting is not known, or its value is not allowed.",
        "`ottla config explain KEY` shows what a key takes.";
    NOT_CONTROLLER:
        "The request reached a node that is not the controller at this moment.",
        "Try again.";
    POLICY_VIOLATION:
        "The request breaks a limit of this cluster, which the message names.",
        "Ask for less, or have that limit raised: `ottla config get --broker ID` shows those that are set.";
    OUT_OF_ORDER_SEQUENCE_NUMBER:
        "An idempotent producer's batch is not the next after its last: one before it was lost or given up.",
        "The producer must start anew; if the producer is sound, look for lost records on the broker.";
    DUPLICATE_SEQUENCE_NUMBER:
        "The batch was written before, too long ago to tell its offset.",
        "Nothing: it is in the log once.";
    INVALID_PRODUCER_EPOCH:
        "A newer producer with the same id has taken over.",
        "Stop one of the two; they share a transactional id.";
    KAFKA_STORAGE_ERROR:
        "The broker's disk failed: a write or a sync was refused.",
        "Look at the broker's log and its disk; `ottla log verify DIR` tells what is sound.";
    SASL_AUTHENTICATION_FAILED:
        "The user does not exist or the password is wrong; the broker does not say which.",
        "Correct the credentials.";
    UNKNOWN_PRODUCER_ID:
        "The broker has forgotten the producer: all its records are gone.",
        "The producer goes on with a new id by itself.";
    NON_EMPTY_GROUP:
        "The group has members.",
        "Stop them (`ottla group describe GROUP` names them) and try again.";
    GROUP_ID_NOT_FOUND:
        "There is no such group: it never committed or joined, or its offsets have expired.",
        "`ottla group list` shows the groups.";
    TOPIC_DELETION_DISABLED:
        "The cluster is set up not to delete topics.",
        "Set `delete.topic.enable=true` on the brokers.";
    FENCED_LEADER_EPOCH:
        "The client knows an older leader than the broker.",
        "Clients refresh their metadata and try again by themselves.";
    MEMBER_ID_REQUIRED:
        "The member must join again with the id that it was just given.",
        "Clients do so by themselves.";
    GROUP_MAX_SIZE_REACHED:
        "The group has as many members as `group.max.size` allows.",
        "Run fewer members, or raise the limit.";
    FENCED_INSTANCE_ID:
        "Another process has the same `group.instance.id` and has taken this one's place.",
        "Give each process an instance id of its own.";
    GROUP_SUBSCRIBED_TO_TOPIC:
        "Members of the group read the topic whose offsets are to be deleted.",
        "Stop them first.";
    INVALID_RECORD:
        "A batch breaks the rules: its counts, its offsets, its sequence; or a record has no key on a compacted \
         topic.",
        "Correct the record that the message names; `ottla topic describe TOPIC` shows whether the topic is compacted.";
    UNKNOWN_TOPIC_ID:
        "The topic was deleted, or deleted and made anew under another id; or this broker has not heard of it yet.",
        "Clients refresh their metadata and try again by themselves.";
    THROTTLING_QUOTA_EXCEEDED:
        "Topics or partitions were created or deleted faster than the quota allows.",
        "Try again after the time that the broker gave.";
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_advice_is_about_a_known_error_and_there_is_one_each() {
        for (i, advice) in ADVICE.iter().enumerate() {
            assert_ne!(advice.code.name(), "UNKNOWN_CODE");
            assert!(
                ADVICE[..i].iter().all(|other| other.code != advice.code),
                "{}",
                advice.code
            );
            assert!(
                advice.why.ends_with('.') && advice.next.ends_with('.'),
                "{}",
                advice.code
            );
        }
    }
}

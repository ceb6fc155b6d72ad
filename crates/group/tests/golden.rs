//! Records of `__consumer_offsets` as Apache Kafka 4.3.1 wrote them, byte for byte.

use ottla_group::{GroupMetadata, MemberMetadata, OffsetAndMetadata, Record};
use protocol::Str;
use state_machine::{KeyValue, LogRecord};
use types::{LeaderEpoch, Offset, TimestampMs, Uuid};

/// The bytes of annotated hex: everything from `#` to the end of a line is a remark.
fn hex(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .collect();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex digits"))
        .collect()
}

fn key_value(key: &str, value: Option<&str>) -> KeyValue {
    KeyValue {
        key: Some(hex(key).into()),
        value: value.map(|value| hex(value).into()),
    }
}

fn decoded(key: &str, value: Option<&str>) -> Record {
    let record = Record::decode(&key_value(key, value)).expect("Kafka can be read");
    record.expect("a kind that is coordinated here")
}

/// Read and written again, the bytes are the same.
fn both_ways(key: &str, value: Option<&str>, record: &Record) {
    assert_eq!(&decoded(key, value), record);
    assert_eq!(record.encode(), key_value(key, value));
}

const OFFSET_KEY: &str = "
    0001                    # offset commit
    0001 67                 # group: g
    0001 74                 # topic: t
    00000001                # partition
";

fn offset(offset: OffsetAndMetadata) -> Record {
    Record::OffsetCommit {
        group_id: Str::from("g"),
        topic: Str::from("t"),
        partition: 1,
        value: Some(offset),
    }
}

#[test]
fn an_offset_of_today() {
    let value = "
        0004                # version
        0000000000000003    # offset
        ffffffff            # leader epoch
        04 776879           # metadata: why
        000001a1fd08411c    # committed at
        01                  # one tagged field
        00 10 e97dfdc4701f4339a49176e6d0291e55 # topic id
    ";
    let topic_id = hex("e97dfdc4701f4339a49176e6d0291e55")
        .try_into()
        .map(Uuid)
        .expect("16 bytes");
    let record = offset(OffsetAndMetadata {
        offset: Offset(3),
        leader_epoch: LeaderEpoch(-1),
        metadata: Str::from("why"),
        commit_timestamp: TimestampMs(0x01a1_fd08_411c),
        expire_timestamp: TimestampMs::NONE,
        topic_id,
    });
    both_ways(OFFSET_KEY, Some(value), &record);
}

#[test]
fn an_offset_that_expires() {
    let value = "
        0001                # version: the only one with an expire timestamp
        0000000000000003    # offset
        0000                # metadata
        000001a1fd08411c    # committed at
        000001a1fd087bb4    # expires at
    ";
    let record = offset(OffsetAndMetadata {
        offset: Offset(3),
        leader_epoch: LeaderEpoch(-1),
        metadata: Str::new(),
        commit_timestamp: TimestampMs(0x01a1_fd08_411c),
        expire_timestamp: TimestampMs(0x01a1_fd08_7bb4),
        topic_id: Uuid::ZERO,
    });
    both_ways(OFFSET_KEY, Some(value), &record);
}

#[test]
fn an_offset_of_the_oldest_format() {
    let key = "
        0000                # offset commit, of the first format
        0001 67 0001 74 00000001
    ";
    let value = "
        0000                # version
        0000000000000003    # offset
        0000                # metadata
        000001a1fd08411c    # timestamp
    ";
    let record = offset(OffsetAndMetadata {
        offset: Offset(3),
        leader_epoch: LeaderEpoch(-1),
        metadata: Str::new(),
        commit_timestamp: TimestampMs(0x01a1_fd08_411c),
        expire_timestamp: TimestampMs::NONE,
        topic_id: Uuid::ZERO,
    });
    assert_eq!(decoded(key, Some(value)), record);
}

const GROUP_KEY: &str = "
    0002                    # group metadata
    0001 67                 # group: g
";

#[test]
fn a_group_with_a_static_and_a_dynamic_member() {
    let value = "
        0003                # version
        0008 636f6e73756d6572 # protocol type: consumer
        00000002            # generation
        0005 72616e6765     # protocol: range
        0004 612d6964       # leader: a-id
        000001a1fd083e4a    # since
        00000002            # members
        0004 612d6964       # member id: a-id
        0002 6931           # instance id: i1
        0001 61             # client id
        000a 2f3132372e302e302e31 # client host: /127.0.0.1
        0000ea60            # rebalance timeout: 60 s
        00002710            # session timeout: 10 s
        0000000d 000000000001000174ffffffff # subscription: to t
        00000003 742d30     # assignment
        0004 622d6964       # member id: b-id
        ffff                # no instance id
        0001 62
        000a 2f3132372e302e302e31
        0000ea60
        00002710
        0000000d 000000000001000174ffffffff
        00000003 742d31
    ";
    let member =
        |id: &str, instance: Option<&str>, client: &str, assignment: &'static str| MemberMetadata {
            member_id: Str::from(id),
            group_instance_id: instance.map(Str::from),
            client_id: Str::from(client),
            client_host: Str::from("/127.0.0.1"),
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 10_000,
            subscription: hex("000000000001000174ffffffff").into(),
            assignment: assignment.into(),
        };
    let record = Record::GroupMetadata {
        group_id: Str::from("g"),
        value: Some(GroupMetadata {
            protocol_type: Str::from("consumer"),
            generation_id: 2,
            protocol: Some(Str::from("range")),
            leader: Some(Str::from("a-id")),
            current_state_timestamp: TimestampMs(0x01a1_fd08_3e4a),
            members: vec![
                member("a-id", Some("i1"), "a", "t-0"),
                member("b-id", None, "b", "t-1"),
            ],
        }),
    };
    both_ways(GROUP_KEY, Some(value), &record);
}

#[test]
fn an_empty_group() {
    let value = "
        0003 0008 636f6e73756d6572
        00000003            # generation
        ffff                # no protocol
        ffff                # no leader
        000001a1fd08682d
        00000000            # no members
    ";
    let record = Record::GroupMetadata {
        group_id: Str::from("g"),
        value: Some(GroupMetadata {
            protocol_type: Str::from("consumer"),
            generation_id: 3,
            protocol: None,
            leader: None,
            current_state_timestamp: TimestampMs(0x01a1_fd08_682d),
            members: Vec::new(),
        }),
    };
    both_ways(GROUP_KEY, Some(value), &record);
}

#[test]
fn tombstones() {
    both_ways(
        GROUP_KEY,
        None,
        &Record::GroupMetadata {
            group_id: Str::from("g"),
            value: None,
        },
    );
    let record = Record::OffsetCommit {
        group_id: Str::from("g"),
        topic: Str::from("t"),
        partition: 1,
        value: None,
    };
    both_ways(OFFSET_KEY, None, &record);
}

#[test]
fn what_is_skipped_and_what_is_an_error() {
    // A group of the new protocol: not coordinated here.
    let skipped = Record::decode(&key_value("0003 0001 67", Some("0000 00000001 00")));
    assert_eq!(skipped, Ok(None));
    let keyless = KeyValue {
        key: None,
        value: None,
    };
    assert!(Record::decode(&keyless).is_err());
    for (key, value) in [
        ("00", None),
        ("0002 0002 67", None),
        (GROUP_KEY, Some("0063")),
        (GROUP_KEY, Some("0003 0008")),
        (OFFSET_KEY, Some("0004 00")),
        (OFFSET_KEY, Some("")),
    ] {
        assert!(
            Record::decode(&key_value(key, value)).is_err(),
            "{key} {value:?}"
        );
    }
}

//! What consumers write into the fields of the group protocol that brokers do not read.
//!
//! A version (i16), then the message. A reader that knows fewer versions reads a newer one as its own
//! last: fields are only ever added at the end.

use bytes::Bytes;
use protocol::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use protocol::consumer_protocol_subscription::TopicPartition as OwnedTopic;
use protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, DecodeError, Message, Reader, Str,
    Writer,
};

use super::assignor::Member;
use crate::Result;
use crate::metadata::{TopicPartition, by_topic};

/// What members of a group of consumers call their protocol.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

fn encode<M: Message>(message: &M) -> Result<Bytes> {
    let mut w = Writer::new();
    w.i16(M::VERSIONS.1);
    message.encode(&mut w, M::VERSIONS.1)?;
    Ok(w.into_bytes())
}

fn decode<M: Message>(bytes: &Bytes) -> std::result::Result<M, DecodeError> {
    let mut r = Reader::new(bytes.clone());
    let version = r.i16()?.min(M::VERSIONS.1);
    M::decode(&mut r, version)
}

/// A member's wishes, as it joins.
pub(super) fn encode_subscription(
    topics: &[Str],
    owned: &[TopicPartition],
    generation: i32,
) -> Result<Bytes> {
    let owned = by_topic(owned.iter().map(|at| (at.clone(), ())));
    encode(&ConsumerProtocolSubscription {
        topics: topics.to_vec(),
        user_data: None,
        owned_partitions: owned
            .into_iter()
            .map(|(topic, partitions)| OwnedTopic {
                topic,
                partitions: partitions.into_iter().map(|(p, ())| p).collect(),
            })
            .collect(),
        generation_id: generation,
        rack_id: None,
    })
}

/// A member, from what it wrote when it joined.
pub(super) fn decode_member(
    id: &Str,
    instance_id: Option<&Str>,
    metadata: &Bytes,
) -> std::result::Result<Member, DecodeError> {
    let subscription: ConsumerProtocolSubscription = decode(metadata)?;
    let owned = subscription.owned_partitions.iter().flat_map(|t| {
        let at = |p: &i32| TopicPartition::new(t.topic.detached(), *p);
        t.partitions.iter().map(at)
    });
    Ok(Member {
        id: id.detached(),
        instance_id: instance_id.map(Str::detached),
        topics: subscription.topics.iter().map(Str::detached).collect(),
        owned: owned.collect(),
        generation: subscription.generation_id,
    })
}

/// A member's share.
pub(super) fn encode_assignment(partitions: &[TopicPartition]) -> Result<Bytes> {
    let topics = by_topic(partitions.iter().map(|at| (at.clone(), ())));
    encode(&ConsumerProtocolAssignment {
        assigned_partitions: topics
            .into_iter()
            .map(|(topic, partitions)| AssignedTopic {
                topic,
                partitions: partitions.into_iter().map(|(p, ())| p).collect(),
            })
            .collect(),
        user_data: None,
    })
}

/// A member's share. No bytes are no partitions.
pub(crate) fn decode_assignment(
    bytes: &Bytes,
) -> std::result::Result<Vec<TopicPartition>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let assignment: ConsumerProtocolAssignment = decode(bytes)?;
    let partitions = assignment.assigned_partitions.iter().flat_map(|t| {
        let at = |p: &i32| TopicPartition::new(t.topic.detached(), *p);
        t.partitions.iter().map(at)
    });
    Ok(partitions.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_and_shares_round_trip() {
        let owned = [TopicPartition::new("a", 1), TopicPartition::new("b", 0)];
        let topics = [Str::from("a"), Str::from("b")];
        let bytes = encode_subscription(&topics, &owned, 7).unwrap();
        let member = decode_member(&Str::from("m"), None, &bytes).unwrap();
        assert_eq!((member.owned, member.generation), (owned.to_vec(), 7));
        assert_eq!(member.topics, topics.into());
        let bytes = encode_assignment(&owned).unwrap();
        assert_eq!(decode_assignment(&bytes).unwrap(), owned);
        // A version from the future, with a field more at the end.
        let mut newer = bytes.to_vec();
        newer[0..2].copy_from_slice(&99i16.to_be_bytes());
        newer.push(1);
        assert_eq!(decode_assignment(&Bytes::from(newer)).unwrap(), owned);
        assert_eq!(decode_assignment(&Bytes::new()).unwrap(), []);
        assert!(decode_assignment(&Bytes::from_static(b"\x00")).is_err());
        for len in 2..bytes.len() {
            let _ = decode_assignment(&bytes.slice(..len));
        }
    }

    /// What the Java client sends: version 1, one topic, no user data, nothing owned.
    #[test]
    fn older_versions_are_read() {
        let bytes = Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0");
        let member = decode_member(&Str::from("m"), None, &bytes).unwrap();
        assert_eq!(member.topics, [Str::from("t")].into());
        assert_eq!(member.generation, -1);
    }
}

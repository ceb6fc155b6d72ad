//! Looks into what members of protocol type `consumer` say about themselves: the topics they read.
//!
//! The coordinator carries metadata as opaque bytes. This is the one exception, and only to know which
//! offsets a group still needs: a topic that no member reads may have its offsets deleted or expire.

use std::collections::BTreeSet;

use bytes::Bytes;
use protocol::{ConsumerProtocolSubscription, Message, Reader, Str};

/// The protocol type of consumers.
pub(crate) const CONSUMER: &str = "consumer";

/// The topics that a group's members subscribe to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum SubscribedTopics {
    /// They cannot be known: not consumers, or metadata that is not theirs.
    #[default]
    Unknown,
    /// Exactly these.
    Known(BTreeSet<Str>),
}

impl SubscribedTopics {
    /// Reads the metadata of every member of a group of type `protocol_type`.
    pub fn parse<'a>(
        protocol_type: Option<&str>,
        metadata: impl Iterator<Item = &'a Bytes>,
    ) -> SubscribedTopics {
        if protocol_type != Some(CONSUMER) {
            return SubscribedTopics::Unknown;
        }
        let mut topics = BTreeSet::new();
        for metadata in metadata {
            let Some(subscribed) = topics_of(metadata) else {
                return SubscribedTopics::Unknown;
            };
            for topic in subscribed {
                if !topics.contains(&topic) {
                    topics.insert(topic.detached());
                }
            }
        }
        SubscribedTopics::Known(topics)
    }

    /// Whether a member of a group of type `protocol_type` may be reading `topic`.
    pub fn may_contain(&self, protocol_type: Option<&str>, topic: &str) -> bool {
        match self {
            SubscribedTopics::Unknown => protocol_type == Some(CONSUMER),
            SubscribedTopics::Known(topics) => topics.contains(topic),
        }
    }
}

/// The topics of one member. Every version of the subscription begins with the fields of version 0,
/// so that one reading serves them all.
fn topics_of(metadata: &Bytes) -> Option<Vec<Str>> {
    let mut reader = Reader::new(metadata.clone());
    let version = reader.i16().ok()?;
    if version < 0 {
        return None;
    }
    Some(
        ConsumerProtocolSubscription::decode(&mut reader, 0)
            .ok()?
            .topics,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(version: u8, topics: &[&str]) -> Bytes {
        let mut bytes = vec![0, version];
        bytes.extend((topics.len() as i32).to_be_bytes());
        for topic in topics {
            bytes.extend((topic.len() as i16).to_be_bytes());
            bytes.extend(topic.as_bytes());
        }
        bytes.extend((-1i32).to_be_bytes());
        // What later versions append.
        bytes.extend(vec![0xab; 3 * usize::from(version)]);
        Bytes::from(bytes)
    }

    #[test]
    fn topics_of_all_members_in_any_version() {
        let metadata = [subscription(0, &["a", "b"]), subscription(3, &["b", "c"])];
        let topics = SubscribedTopics::parse(Some(CONSUMER), metadata.iter());
        for topic in ["a", "b", "c"] {
            assert!(topics.may_contain(Some(CONSUMER), topic));
        }
        assert!(!topics.may_contain(Some(CONSUMER), "d"));
        let nobody = SubscribedTopics::parse(Some(CONSUMER), [].into_iter());
        assert_eq!(nobody, SubscribedTopics::Known(BTreeSet::new()));
    }

    #[test]
    fn what_cannot_be_read_may_be_anything() {
        for broken in [
            &b""[..],
            b"\0",
            b"\xff\xff\0\0\0\0",
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\0\0\0\x01\0",
        ] {
            let metadata = [subscription(0, &["a"]), Bytes::copy_from_slice(broken)];
            let topics = SubscribedTopics::parse(Some(CONSUMER), metadata.iter());
            assert_eq!(topics, SubscribedTopics::Unknown, "{broken:?}");
            assert!(topics.may_contain(Some(CONSUMER), "anything"));
        }
        let connect = SubscribedTopics::parse(Some("connect"), [].into_iter());
        assert!(!connect.may_contain(Some("connect"), "anything"));
    }
}

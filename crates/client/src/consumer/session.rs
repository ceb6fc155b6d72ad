//! A fetch session with one broker (KIP-227): after the first request only what changed is said.
//!
//! ```text
//! none -- full request (id 0, epoch 0) --> established (id from the answer, epoch 1)
//! established -- answered --> established (epoch + 1)
//! established -- broker forgot it --> none
//! established -- no answer --> a full request that closes the old session (its id, epoch 0)
//! ```

use std::collections::BTreeMap;

use protocol::Str;
use protocol::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use types::{ErrorCode, Uuid};

use crate::metadata::TopicPartition;

/// The epoch of a request that starts a session.
const EPOCH_INITIAL: i32 = 0;
/// The epoch of a request outside any session.
const EPOCH_NONE: i32 = -1;

/// What is wanted of one partition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub topic_id: Uuid,
    pub partition: FetchPartition,
}

/// What a request says of sessions and partitions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic>,
    pub forgotten: Vec<ForgottenTopic>,
}

/// A session, seen from the client.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    /// What the broker believes to be wanted.
    told: BTreeMap<TopicPartition, Wanted>,
}

impl Session {
    /// The next request for `wanted`. With `sessions` off it says everything and stands alone.
    pub fn say(&mut self, wanted: BTreeMap<TopicPartition, Wanted>, sessions: bool) -> Said {
        if !sessions {
            self.told = wanted;
            return Said {
                session_id: 0,
                session_epoch: EPOCH_NONE,
                topics: topics(&self.told, |_, _| true),
                forgotten: Vec::new(),
            };
        }
        let uses_ids = |map: &BTreeMap<_, Wanted>| map.values().all(|w| !w.topic_id.is_zero());
        if uses_ids(&wanted) != uses_ids(&self.told) {
            self.epoch = EPOCH_INITIAL;
        }
        let told = std::mem::replace(&mut self.told, wanted);
        let mut said = Said {
            session_id: self.id,
            session_epoch: self.epoch,
            ..Said::default()
        };
        if self.epoch == EPOCH_INITIAL {
            said.topics = topics(&self.told, |_, _| true);
            return said;
        }
        said.topics = topics(&self.told, |at, wanted| told.get(at) != Some(wanted));
        let mut forgotten: BTreeMap<(Str, Uuid), Vec<i32>> = BTreeMap::new();
        for (at, old) in &told {
            // A topic that was made anew is another one: the old one is forgotten by its old id.
            let kept = self
                .told
                .get(at)
                .is_some_and(|w| w.topic_id == old.topic_id);
            if !kept {
                let topic = forgotten.entry((at.topic.clone(), old.topic_id));
                topic.or_default().push(at.partition);
            }
        }
        let forget = |((topic, topic_id), partitions)| ForgottenTopic {
            topic,
            topic_id,
            partitions,
        };
        said.forgotten = forgotten.into_iter().map(forget).collect();
        said
    }

    /// The name of the topic that the broker was told of by this id.
    pub fn name_of(&self, id: Uuid) -> Option<&Str> {
        let mut told = self.told.iter();
        told.find(|(_, w)| w.topic_id == id)
            .map(|(at, _)| &at.topic)
    }

    /// The request was answered.
    pub fn answered(&mut self, session_id: i32) {
        if session_id == 0 {
            // The broker keeps no session for this client: say everything each time.
            self.id = 0;
            self.epoch = EPOCH_INITIAL;
            return;
        }
        self.id = session_id;
        self.epoch = if self.epoch == i32::MAX {
            1
        } else {
            self.epoch + 1
        };
    }

    /// The request was refused. Returns whether a full request mends that.
    pub fn refused(&mut self, code: ErrorCode) -> bool {
        match code {
            ErrorCode::FETCH_SESSION_ID_NOT_FOUND => {
                (self.id, self.epoch) = (0, EPOCH_INITIAL);
                true
            }
            ErrorCode::INVALID_FETCH_SESSION_EPOCH | ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR => {
                self.epoch = EPOCH_INITIAL;
                true
            }
            _ => {
                self.epoch = EPOCH_INITIAL;
                false
            }
        }
    }

    /// The request was not answered.
    pub fn lost(&mut self) {
        self.epoch = EPOCH_INITIAL;
    }
}

fn topics(
    wanted: &BTreeMap<TopicPartition, Wanted>,
    pick: impl Fn(&TopicPartition, &Wanted) -> bool,
) -> Vec<FetchTopic> {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (at, want) in wanted {
        if !pick(at, want) {
            continue;
        }
        let same = |t: &&mut FetchTopic| t.topic == at.topic;
        match topics.last_mut().filter(same) {
            Some(topic) => topic.partitions.push(want.partition.clone()),
            None => topics.push(FetchTopic {
                topic: at.topic.clone(),
                topic_id: want.topic_id,
                partitions: vec![want.partition.clone()],
            }),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(list: &[(i32, i64)]) -> BTreeMap<TopicPartition, Wanted> {
        let item = |(partition, fetch_offset): &(i32, i64)| {
            let wanted = Wanted {
                topic_id: Uuid([1; 16]),
                partition: FetchPartition {
                    partition: *partition,
                    fetch_offset: *fetch_offset,
                    ..FetchPartition::default()
                },
            };
            (TopicPartition::new("t", *partition), wanted)
        };
        list.iter().map(item).collect()
    }

    fn said(said: &Said) -> (i32, i32, Vec<i32>, Vec<i32>) {
        let named = said.topics.iter().flat_map(|t| &t.partitions);
        let forgotten = said.forgotten.iter().flat_map(|t| &t.partitions);
        (
            said.session_id,
            said.session_epoch,
            named.map(|p| p.partition).collect(),
            forgotten.copied().collect(),
        )
    }

    #[test]
    fn only_changes_are_said() {
        let mut session = Session::default();
        let first = session.say(want(&[(0, 5), (1, 5)]), true);
        assert_eq!(said(&first), (0, 0, vec![0, 1], vec![]));
        session.answered(77);
        let second = session.say(want(&[(0, 6), (1, 5)]), true);
        assert_eq!(said(&second), (77, 1, vec![0], vec![]));
        session.answered(77);
        let third = session.say(want(&[(1, 5)]), true);
        assert_eq!(said(&third), (77, 2, vec![], vec![0]));
        // No answer: the old session is closed by a full request.
        session.lost();
        let fourth = session.say(want(&[(1, 5)]), true);
        assert_eq!(said(&fourth), (77, 0, vec![1], vec![]));
        assert!(session.refused(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        let fifth = session.say(want(&[(1, 5)]), true);
        assert_eq!(said(&fifth), (0, 0, vec![1], vec![]));
        session.answered(0);
        assert_eq!(
            said(&session.say(want(&[(1, 5)]), true)),
            (0, 0, vec![1], vec![])
        );
        assert_eq!(
            said(&session.say(want(&[(1, 5)]), false)),
            (0, -1, vec![1], vec![])
        );
        assert_eq!(session.name_of(Uuid([1; 16])), Some(&Str::from("t")));
    }

    #[test]
    fn a_topic_made_anew_is_forgotten_by_its_old_id() {
        let mut session = Session::default();
        session.say(want(&[(0, 5)]), true);
        session.answered(3);
        let mut anew = want(&[(0, 0)]);
        for wanted in anew.values_mut() {
            wanted.topic_id = Uuid([2; 16]);
        }
        let said = session.say(anew, true);
        assert_eq!(said.topics[0].topic_id, Uuid([2; 16]));
        assert_eq!(said.forgotten[0].topic_id, Uuid([1; 16]));
    }

    #[test]
    fn epochs_wrap_past_zero() {
        let mut session = Session {
            id: 3,
            epoch: i32::MAX,
            told: BTreeMap::new(),
        };
        session.answered(3);
        assert_eq!(session.epoch, 1);
    }
}

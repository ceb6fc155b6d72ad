//! DeleteTopics (key 20): by name, or since version 6 by id.

use std::collections::{BTreeMap, BTreeSet};

use protocol::delete_topics_response::DeletableTopicResult;
use protocol::{DeleteTopicsRequest, DeleteTopicsResponse, MetadataRecord, RemoveTopicRecord, Str};
use types::{ErrorCode, Uuid};

use crate::Controller;
use crate::decided::RECORDS_MAX;
use crate::error::Refused;

/// What was named once, and what more than once.
struct Named<T> {
    once: BTreeSet<T>,
    more: BTreeSet<T>,
}

impl<T: Ord + Clone> Named<T> {
    fn new() -> Named<T> {
        Named {
            once: BTreeSet::new(),
            more: BTreeSet::new(),
        }
    }

    fn add(&mut self, item: T) {
        if self.more.contains(&item) || !self.once.insert(item.clone()) {
            self.once.remove(&item);
            self.more.insert(item);
        }
    }
}

impl Controller {
    pub(crate) fn delete_topics(
        &self,
        request: &DeleteTopicsRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> DeleteTopicsResponse {
        let mut responses = Vec::new();
        let mut answer = |name: Option<Str>, topic_id: Uuid, refused: Option<Refused>| {
            let (error_code, error_message) = refused.map_or((0, None), Refused::fields);
            responses.push(DeletableTopicResult {
                name,
                topic_id,
                error_code,
                error_message,
            });
        };
        if !self.broker_config().delete_topic_enable {
            let refused = || Some(Refused::bare(ErrorCode::TOPIC_DELETION_DISABLED));
            for name in &request.topic_names {
                answer(Some(name.clone()), Uuid::ZERO, refused());
            }
            for topic in &request.topics {
                answer(topic.name.clone(), topic.topic_id, refused());
            }
            return DeleteTopicsResponse {
                throttle_time_ms: 0,
                responses,
            };
        }
        let mut names = Named::new();
        let mut ids = Named::new();
        for name in &request.topic_names {
            names.add(name.clone());
        }
        for topic in &request.topics {
            match (&topic.name, topic.topic_id.is_zero()) {
                (Some(name), true) => names.add(name.clone()),
                (None, false) => ids.add(topic.topic_id),
                (None, true) => {
                    let why = "Neither topic name nor id were specified.";
                    answer(None, Uuid::ZERO, Some(Refused::request(why)));
                }
                (Some(name), false) => {
                    let why = "You may not specify both topic name and topic id.";
                    answer(
                        Some(name.clone()),
                        topic.topic_id,
                        Some(Refused::request(why)),
                    );
                }
            }
        }
        for name in &names.more {
            let refused = Refused::request("Duplicate topic name.");
            answer(Some(name.clone()), Uuid::ZERO, Some(refused));
        }
        for id in &ids.more {
            answer(None, *id, Some(Refused::request("Duplicate topic id.")));
        }

        let mut deleted: BTreeMap<Uuid, Str> = BTreeMap::new();
        for id in &ids.once {
            match self.image.topic_by_id(*id) {
                Some(topic) => {
                    deleted.insert(*id, topic.name.clone());
                }
                None => answer(None, *id, Some(unknown(ErrorCode::UNKNOWN_TOPIC_ID))),
            }
        }
        for name in &names.once {
            let Some(topic) = self.image.topic(name) else {
                let refused = unknown(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                answer(Some(name.clone()), Uuid::ZERO, Some(refused));
                continue;
            };
            let was_named = deleted.insert(topic.id, name.clone()).is_some();
            if was_named || ids.more.contains(&topic.id) {
                deleted.remove(&topic.id);
                let why = "The provided topic name maps to an ID that was already supplied.";
                answer(Some(name.clone()), topic.id, Some(Refused::request(why)));
            }
        }
        for (count, (id, name)) in deleted.into_iter().enumerate() {
            if count < RECORDS_MAX {
                records.push(RemoveTopicRecord { topic_id: id }.into());
                answer(Some(name), id, None);
            } else {
                answer(Some(name), id, Some(Refused::too_large()));
            }
        }
        DeleteTopicsResponse {
            throttle_time_ms: 0,
            responses,
        }
    }
}

fn unknown(code: ErrorCode) -> Refused {
    Refused::new(code, code.message())
}

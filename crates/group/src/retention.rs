//! What leaves the log: expired offsets, groups without offsets, and what somebody deletes.
//!
//! All three may concern any number of records, but one decision is one batch of bounded size. So
//! each is a job that does a part in every tick until it is done.
//!
//! **Source**: KIP-211, KIP-496; Kafka's `OffsetMetadataManager.cleanupExpiredOffsets`.

use std::collections::BTreeMap;
use std::ops::Bound;

use protocol::Str;
use protocol::delete_groups_response::DeletableGroupResult;
use state_machine::{Decision, Ticket};
use tracing::{debug, info};
use types::{ErrorCode, Mono, Now, TimestampMs, Uuid};

use crate::api::Response;
use crate::classic::{ClassicGroup, GroupState, Turn};
use crate::coordinator::{GroupCoordinator, Soft};
use crate::offsets::offset_tombstone;
use crate::record::{OffsetAndMetadata, Record};
use crate::stored::StoredGroup;
use crate::subscription::{CONSUMER, SubscribedTopics};

/// How many offsets one tick looks at.
const EXAMINED_MAX: usize = 10_000;

/// The periodic search for expired offsets.
#[derive(Clone, Debug)]
pub(crate) struct ExpiryPass {
    due: Mono,
    /// Where the pass goes on, if it is under way.
    from: Option<Str>,
}

impl ExpiryPass {
    /// A pass that begins at `due`.
    pub fn at(due: Mono) -> ExpiryPass {
        ExpiryPass { due, from: None }
    }

    /// When there is something to do.
    pub fn due(&self) -> Mono {
        self.due
    }
}

/// A deletion under way.
#[derive(Clone, Debug)]
pub(crate) enum Deletion {
    Group {
        ticket: Ticket,
        group_id: Str,
        begun: bool,
    },
    Topics {
        ticket: Ticket,
        topics: BTreeMap<Str, Uuid>,
        from: Option<Str>,
    },
}

/// Since when an offset of a group is counted as unused.
enum UnusedSince {
    /// It is in use, or nobody can tell.
    Never,
    /// Since its commit.
    Commit,
    /// Since this moment.
    Moment(TimestampMs),
}

impl GroupCoordinator {
    /// Does a part of the search for expired offsets, if one is due.
    pub(crate) fn continue_expiry(
        &self,
        soft: &mut Soft,
        now: Now,
        room: &mut usize,
        out: &mut Decision<Record, Response>,
    ) {
        let Some(pass) = &soft.expiry else {
            // Not activated: the log is still being replayed, and what looks like the last commit
            // may be an old one (KAFKA-2163).
            if types::mutant!("GRP-03") {
                for group_id in self.groups.keys() {
                    out.records.extend(self.expired_now(group_id, now));
                }
            }
            return;
        };
        if pass.due > now.mono {
            return;
        }
        let mut examined = 0;
        let from = pass.from.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let mut stopped_at = None;
        for (group_id, stored) in self.groups.range::<Str, _>((from, Bound::Unbounded)) {
            let done = examined < EXAMINED_MAX
                && self.expire_group(soft, now, group_id, stored, &mut examined, room, out);
            if !done {
                stopped_at = Some(group_id.clone());
                break;
            }
        }
        let interval_ms = self.config.offsets_retention_check_interval_ms.max(1);
        soft.expiry = Some(match stopped_at {
            Some(from) => ExpiryPass {
                due: now.mono,
                from: Some(from),
            },
            None => ExpiryPass::at(now.mono.after_ms(interval_ms)),
        });
    }

    /// Deletes the expired offsets of a group, and the group if it has no others; false if there was
    /// not enough room.
    fn expire_group(
        &self,
        soft: &Soft,
        now: Now,
        group_id: &Str,
        stored: &StoredGroup,
        examined: &mut usize,
        room: &mut usize,
        out: &mut Decision<Record, Response>,
    ) -> bool {
        *examined += 1;
        let group = self.view(soft, group_id).expect("the group is in the log");
        let unused_since = unused_since(&group);
        let mut is_left_with_none = true;
        for (topic, partitions) in &stored.offsets {
            if matches!(unused_since, UnusedSince::Never) || group.may_be_subscribed_to(topic) {
                is_left_with_none = false;
                continue;
            }
            for (partition, offset) in partitions {
                *examined += 1;
                if !self.is_expired(offset, &unused_since, now) {
                    is_left_with_none = false;
                } else if !write(offset_tombstone(group_id, topic, *partition), room, out) {
                    return false;
                }
            }
        }
        let is_empty = group.is_idle();
        drop(group);
        if is_left_with_none && is_empty && !soft.groups.contains_key(group_id) {
            info!(%group_id, "a group without members and offsets is removed");
            return stored.metadata.is_none() || write(group_tombstone(group_id), room, out);
        }
        true
    }

    fn is_expired(&self, offset: &OffsetAndMetadata, since: &UnusedSince, now: Now) -> bool {
        if offset.expire_timestamp != TimestampMs::NONE {
            return now.wall.0 >= offset.expire_timestamp.0;
        }
        let since = match since {
            UnusedSince::Never => return false,
            UnusedSince::Commit => offset.commit_timestamp,
            UnusedSince::Moment(moment) => *moment,
        };
        now.wall.0.saturating_sub(since.0) >= self.config.offsets_retention_ms
    }

    /// Tombstones by the age of commits alone. Wrong, and used by planted bugs only.
    pub(crate) fn expired_now(&self, group_id: &Str, now: Now) -> Vec<Record> {
        let stored = self.groups.get(group_id).into_iter();
        stored
            .flat_map(|stored| &stored.offsets)
            .flat_map(|(topic, partitions)| partitions.iter().map(move |p| (topic, p)))
            .filter(|(_, (_, offset))| self.is_expired(offset, &UnusedSince::Commit, now))
            .map(|(topic, (partition, _))| offset_tombstone(group_id, topic, *partition))
            .collect()
    }

    /// Deletes a group that is empty.
    pub(crate) fn delete_group(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        group_id: &Str,
        out: &mut Decision<Record, Response>,
    ) {
        soft.deletions.push_back(Deletion::Group {
            ticket,
            group_id: group_id.detached(),
            begun: false,
        });
        self.begin_deletion(soft, now, out);
    }

    /// Deletes what all groups have committed for some topics.
    pub(crate) fn delete_topics(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        topics: &[(Str, Uuid)],
        out: &mut Decision<Record, Response>,
    ) {
        soft.deletions.push_back(Deletion::Topics {
            ticket,
            topics: topics
                .iter()
                .map(|(name, id)| (name.detached(), *id))
                .collect(),
            from: None,
        });
        self.begin_deletion(soft, now, out);
    }

    fn begin_deletion(&self, soft: &mut Soft, now: Now, out: &mut Decision<Record, Response>) {
        if soft.deletions.len() == 1 {
            let mut room = self.config.batch_bytes_max / 2;
            self.continue_deletions(soft, now, &mut room, out);
        }
    }

    /// Does a part of the first deletion that waits.
    pub(crate) fn continue_deletions(
        &self,
        soft: &mut Soft,
        now: Now,
        room: &mut usize,
        out: &mut Decision<Record, Response>,
    ) {
        // One per decision: the next one must see what this one did.
        let Some(deletion) = soft.deletions.pop_front() else {
            return;
        };
        let unfinished = match deletion {
            Deletion::Group {
                ticket,
                group_id,
                begun,
            } => self.continue_group(soft, now, ticket, group_id, begun, room, out),
            Deletion::Topics {
                ticket,
                topics,
                from,
            } => self.continue_topics(ticket, topics, from, room, out),
        };
        if let Some(deletion) = unfinished {
            soft.deletions.push_front(deletion);
        }
    }

    fn continue_group(
        &self,
        soft: &mut Soft,
        now: Now,
        ticket: Ticket,
        group_id: Str,
        begun: bool,
        room: &mut usize,
        out: &mut Decision<Record, Response>,
    ) -> Option<Deletion> {
        let error = match self.view(soft, &group_id).map(|group| group.state()) {
            None if begun => ErrorCode::NONE,
            None => ErrorCode::GROUP_ID_NOT_FOUND,
            // Somebody may have joined since the deletion began.
            Some(GroupState::Empty) => {
                if let Some(mut group) = soft.groups.remove(&group_id) {
                    let timers = &mut soft.timers;
                    let mut turn = Turn {
                        config: &self.config,
                        now,
                        timers,
                        out,
                    };
                    group.remove_all_pending(&mut turn);
                }
                if !self.write_group_tombstones(&group_id, room, out) {
                    return Some(Deletion::Group {
                        ticket,
                        group_id,
                        begun: true,
                    });
                }
                info!(%group_id, "a group is deleted");
                ErrorCode::NONE
            }
            Some(_) => ErrorCode::NON_EMPTY_GROUP,
        };
        let result = DeletableGroupResult {
            group_id,
            error_code: error.0,
            ..Default::default()
        };
        out.reply(ticket, Response::DeleteGroup(result));
        None
    }

    fn write_group_tombstones(
        &self,
        group_id: &Str,
        room: &mut usize,
        out: &mut Decision<Record, Response>,
    ) -> bool {
        let Some(stored) = self.groups.get(group_id) else {
            return true;
        };
        for (topic, partitions) in &stored.offsets {
            for partition in partitions.keys() {
                if !write(offset_tombstone(group_id, topic, *partition), room, out) {
                    return false;
                }
            }
        }
        stored.metadata.is_none() || write(group_tombstone(group_id), room, out)
    }

    fn continue_topics(
        &self,
        ticket: Ticket,
        topics: BTreeMap<Str, Uuid>,
        from: Option<Str>,
        room: &mut usize,
        out: &mut Decision<Record, Response>,
    ) -> Option<Deletion> {
        let start = from.as_ref().map_or(Bound::Unbounded, Bound::Included);
        for (group_id, stored) in self.groups.range::<Str, _>((start, Bound::Unbounded)) {
            for (topic, topic_id) in &topics {
                for (partition, offset) in stored.offsets.get(topic).into_iter().flatten() {
                    let is_of_another_topic = !offset.topic_id.is_zero()
                        && !topic_id.is_zero()
                        && offset.topic_id != *topic_id;
                    if is_of_another_topic {
                        continue;
                    }
                    debug!(%group_id, %topic, partition, "an offset goes with its topic");
                    if !write(offset_tombstone(group_id, topic, *partition), room, out) {
                        let from = Some(group_id.clone());
                        return Some(Deletion::Topics {
                            ticket,
                            topics,
                            from,
                        });
                    }
                }
            }
        }
        out.reply(ticket, Response::DeleteTopics(Ok(())));
        None
    }
}

/// Adds a record if there is room. A batch with nothing else in it has room for any one tombstone.
fn write(record: Record, room: &mut usize, out: &mut Decision<Record, Response>) -> bool {
    let bytes = record.size_max();
    if bytes > *room && !out.records.is_empty() {
        *room = 0;
        return false;
    }
    *room = room.saturating_sub(bytes);
    out.record(record);
    true
}

fn group_tombstone(group_id: &Str) -> Record {
    Record::GroupMetadata {
        group_id: group_id.clone(),
        value: None,
    }
}

/// Since when the offsets of a group, of topics that it does not read, are unused.
fn unused_since(group: &ClassicGroup) -> UnusedSince {
    let Some(protocol_type) = group.protocol_type() else {
        // A consumer that assigns partitions to itself: only its commits show that it lives.
        return UnusedSince::Commit;
    };
    let knows_topics = *protocol_type == CONSUMER
        && matches!(group.subscribed_topics(), SubscribedTopics::Known(_));
    match group.state() {
        GroupState::Empty => match group.state_timestamp() {
            TimestampMs::NONE => UnusedSince::Commit,
            since => UnusedSince::Moment(since),
        },
        GroupState::Stable if knows_topics => UnusedSince::Commit,
        // What the members will read once they have rebalanced is not known yet (KAFKA-13636).
        _ if knows_topics && types::mutant!("GRP-05") => UnusedSince::Commit,
        _ => UnusedSince::Never,
    }
}

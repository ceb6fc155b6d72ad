//! Incremental fetch sessions (KIP-227): a client names its partitions once, and then only what changed.
//!
//! A session belongs to the connection that opened it. A client that reconnects is told that its session
//! is unknown and opens a new one, as after an eviction; so no session outlives its client, and no state
//! is shared between connections but the number of sessions that may exist.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use protocol::Str;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use types::{ErrorCode, Uuid};

/// Sessions of one connection. Clients have one; whoever opens more loses the one that was not used for longest, and
/// cannot have those of all others.
const SESSIONS_MAX: usize = 8;

/// What a request says of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub topic: Str,
    pub topic_id: Uuid,
    pub partition: i32,
    pub fetch_offset: i64,
    pub bytes_max: i32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
}

/// A partition's identity within a session: by id or by name, whichever the client speaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    topic: Str,
    topic_id: Uuid,
    partition: i32,
}

impl Key {
    fn of(wanted: &Wanted) -> Key {
        Key {
            topic: wanted.topic.clone(),
            topic_id: wanted.topic_id,
            partition: wanted.partition,
        }
    }
}

#[derive(Debug)]
struct Cached {
    wanted: Wanted,
    /// Grows with every change of place: partitions are served in this order, and one that returned
    /// data goes to the end, so that all get their turn under a byte limit.
    turn: u64,
    high_watermark: i64,
    log_start: i64,
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    id: i32,
    /// The epoch that the next request must carry.
    epoch: i32,
    uses_topic_ids: bool,
    partitions: BTreeMap<Key, Cached>,
    turns: BTreeMap<u64, Key>,
    next_turn: u64,
    _slot: OwnedSemaphorePermit,
}

/// The sessions of one connection.
pub(crate) struct Sessions {
    slots: Arc<Semaphore>,
    /// By id, the one that was used last at the end.
    open: Vec<(i32, Arc<Mutex<Session>>)>,
}

/// How a fetch is to be answered.
pub(crate) enum Kind {
    /// All partitions, no session.
    Full,
    /// All partitions, and the session is opened.
    Opened(Arc<Mutex<Session>>),
    /// Only what changed.
    Incremental(Arc<Mutex<Session>>),
}

/// What a partition's answer must be compared by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub error: ErrorCode,
    pub has_records: bool,
    pub diverging: bool,
    pub high_watermark: i64,
    pub log_start: i64,
}

impl Sessions {
    /// No sessions; each one to come takes one of `slots`.
    pub fn new(slots: Arc<Semaphore>) -> Sessions {
        Sessions {
            slots,
            open: Vec::new(),
        }
    }

    /// Takes a session out.
    fn take(&mut self, id: i32) -> Option<Arc<Mutex<Session>>> {
        let at = self.open.iter().position(|(open, _)| *open == id)?;
        Some(self.open.remove(at).1)
    }

    /// Finds or opens the session that a request asks for, and brings it up to date. Gives the
    /// partitions to read, in the order to serve them.
    ///
    /// # Errors
    /// 70 for an unknown session, 71 for one at another epoch, 106 when the client changes between
    /// topic names and topic ids.
    pub fn begin(
        &mut self,
        session_id: i32,
        epoch: i32,
        uses_topic_ids: bool,
        wanted: Vec<Wanted>,
        forgotten: Vec<(Str, Uuid, i32)>,
        fresh_id: impl FnOnce() -> i32,
    ) -> Result<(Kind, Vec<Wanted>), ErrorCode> {
        if epoch <= 0 {
            // -1 closes a session and 0 opens one; both replace the one named.
            self.take(session_id);
            if epoch < 0 {
                return Ok((Kind::Full, wanted));
            }
            if self.open.len() >= SESSIONS_MAX {
                self.open.remove(0);
            }
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                return Ok((Kind::Full, wanted));
            };
            let mut id = fresh_id();
            while id <= 0 || self.open.iter().any(|(open, _)| *open == id) {
                id = id.wrapping_add(1).max(1);
            }
            let mut session = Session {
                id,
                epoch: 1,
                uses_topic_ids,
                partitions: BTreeMap::new(),
                turns: BTreeMap::new(),
                next_turn: 0,
                _slot: slot,
            };
            for wanted in &wanted {
                session.want(wanted.clone());
            }
            let session = Arc::new(Mutex::new(session));
            self.open.push((id, session.clone()));
            return Ok((Kind::Opened(session), wanted));
        }
        let session = self
            .take(session_id)
            .ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        self.open.push((session_id, session.clone()));
        let order = {
            let mut session = session
                .lock()
                .expect("nobody panics with a session in hand");
            if session.epoch != epoch {
                return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
            }
            if session.uses_topic_ids != uses_topic_ids {
                return Err(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
            }
            session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
            for (topic, topic_id, partition) in forgotten {
                session.forget(&Key {
                    topic,
                    topic_id,
                    partition,
                });
            }
            for wanted in wanted {
                session.want(wanted);
            }
            session.in_order()
        };
        Ok((Kind::Incremental(session), order))
    }
}

impl Session {
    /// The session's id.
    pub fn id(&self) -> i32 {
        self.id
    }

    fn want(&mut self, mut wanted: Wanted) {
        if let Some(cached) = self.partitions.get_mut(&Key::of(&wanted)) {
            wanted.topic = cached.wanted.topic.clone();
            cached.wanted = wanted;
            return;
        }
        // The name lies in the request's frame, which would stay as long as the session.
        wanted.topic = wanted.topic.detached();
        let key = Key::of(&wanted);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(turn, key.clone());
        self.partitions.insert(
            key,
            Cached {
                wanted,
                turn,
                high_watermark: -1,
                log_start: -1,
            },
        );
    }

    fn forget(&mut self, key: &Key) {
        if let Some(cached) = self.partitions.remove(key) {
            self.turns.remove(&cached.turn);
        }
    }

    fn in_order(&self) -> Vec<Wanted> {
        self.turns
            .values()
            .map(|key| self.partitions[key].wanted.clone())
            .collect()
    }

    /// Whether a partition's answer belongs into an incremental response, and remembers it.
    pub fn must_answer(&mut self, wanted: &Wanted, answered: Answered) -> bool {
        let key = Key::of(wanted);
        let Some(cached) = self.partitions.get_mut(&key) else {
            return false;
        };
        let mut must = answered.has_records || answered.diverging;
        must |= cached.high_watermark != answered.high_watermark;
        must |= cached.log_start != answered.log_start;
        cached.high_watermark = answered.high_watermark;
        cached.log_start = answered.log_start;
        if !answered.error.is_none() {
            // So that the first good answer after the error is sent, whatever it says.
            cached.high_watermark = -1;
            must = true;
        }
        if answered.has_records {
            self.turns.remove(&cached.turn);
            cached.turn = self.next_turn;
            self.next_turn += 1;
            self.turns.insert(cached.turn, key);
        }
        must
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partition: i32, fetch_offset: i64) -> Wanted {
        Wanted {
            topic: Str::from("t"),
            topic_id: Uuid::ZERO,
            partition,
            fetch_offset,
            bytes_max: 100,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn quiet(high_watermark: i64) -> Answered {
        Answered {
            error: ErrorCode::NONE,
            has_records: false,
            diverging: false,
            high_watermark,
            log_start: 0,
        }
    }

    fn partitions(order: &[Wanted]) -> Vec<i32> {
        order.iter().map(|wanted| wanted.partition).collect()
    }

    #[test]
    fn only_changes_are_answered_and_the_served_go_last() {
        let mut sessions = Sessions::new(Arc::new(Semaphore::new(1)));
        let all = vec![wanted(0, 0), wanted(1, 0), wanted(2, 0)];
        let Ok((Kind::Opened(session), order)) = sessions.begin(0, 0, false, all, vec![], || 42)
        else {
            panic!("a session opens")
        };
        assert_eq!(partitions(&order), [0, 1, 2]);
        {
            let mut session = session.lock().unwrap();
            assert!(session.must_answer(&wanted(0, 0), quiet(5)));
            assert!(!session.must_answer(&wanted(0, 0), quiet(5)));
            assert!(session.must_answer(&wanted(0, 0), quiet(6)));
            let served = Answered {
                has_records: true,
                ..quiet(6)
            };
            assert!(session.must_answer(&wanted(0, 0), served));
        }
        let (_, order) = sessions
            .begin(
                42,
                1,
                false,
                vec![wanted(1, 9)],
                vec![(Str::from("t"), Uuid::ZERO, 2)],
                || 0,
            )
            .unwrap_or_else(|_| panic!("the session goes on"));
        assert_eq!(partitions(&order), [1, 0]);
        assert_eq!(order[0].fetch_offset, 9);
    }

    #[test]
    fn a_session_keeps_no_frame() {
        let frame = bytes::Bytes::from(vec![b't'; 100]);
        let topic = || Str::from_utf8(frame.slice(..1)).unwrap();
        let of_frame = |fetch_offset| Wanted {
            topic: topic(),
            ..wanted(0, fetch_offset)
        };
        let mut sessions = Sessions::new(Arc::new(Semaphore::new(1)));
        let opened = sessions.begin(0, 0, false, vec![of_frame(0)], vec![], || 1);
        assert!(opened.is_ok());
        drop(opened);
        let (_, order) = sessions
            .begin(1, 1, false, vec![of_frame(5)], vec![], || 0)
            .unwrap_or_else(|_| panic!("the session goes on"));
        assert_eq!(order[0].fetch_offset, 5);
        assert!(frame.is_unique(), "the session holds its frame");
    }

    #[test]
    fn a_connection_has_a_few_sessions() {
        let slots = Arc::new(Semaphore::new(100));
        let mut sessions = Sessions::new(slots.clone());
        for id in 1..=50 {
            let opened = sessions.begin(0, 0, false, vec![wanted(0, 0)], vec![], || id);
            assert!(matches!(opened, Ok((Kind::Opened(_), _))));
            // The first is in use all the time.
            assert!(sessions.begin(1, id, false, vec![], vec![], || 0).is_ok());
        }
        assert_eq!(slots.available_permits(), 100 - SESSIONS_MAX);
        let known =
            (2..=50).filter(|id| sessions.begin(*id, 1, false, vec![], vec![], || 0).is_ok());
        assert_eq!(known.count(), SESSIONS_MAX - 1);
    }

    #[test]
    fn an_error_is_answered_and_so_is_what_follows_it() {
        let mut sessions = Sessions::new(Arc::new(Semaphore::new(1)));
        let Ok((Kind::Opened(session), _)) =
            sessions.begin(0, 0, false, vec![wanted(0, 0)], vec![], || 1)
        else {
            panic!("a session opens")
        };
        let mut session = session.lock().unwrap();
        assert!(session.must_answer(&wanted(0, 0), quiet(5)));
        let failed = Answered {
            error: ErrorCode::NOT_LEADER_OR_FOLLOWER,
            ..quiet(5)
        };
        assert!(session.must_answer(&wanted(0, 0), failed));
        assert!(session.must_answer(&wanted(0, 0), quiet(5)));
        assert!(!session.must_answer(&wanted(0, 0), quiet(5)));
    }

    #[test]
    fn wrong_sessions_are_refused() {
        let mut sessions = Sessions::new(Arc::new(Semaphore::new(1)));
        let refused = |result: Result<(Kind, Vec<Wanted>), ErrorCode>| result.err();
        assert_eq!(
            refused(sessions.begin(9, 3, false, vec![], vec![], || 1)),
            Some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
        );
        assert!(
            sessions
                .begin(0, 0, false, vec![wanted(0, 0)], vec![], || 9)
                .is_ok()
        );
        assert_eq!(
            refused(sessions.begin(9, 3, false, vec![], vec![], || 1)),
            Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH)
        );
        assert_eq!(
            refused(sessions.begin(9, 1, true, vec![], vec![], || 1)),
            Some(ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR)
        );
        // The one slot is taken: the client is served without a session.
        assert!(matches!(
            sessions.begin(0, 0, false, vec![wanted(0, 0)], vec![], || 10),
            Ok((Kind::Full, _))
        ));
    }
}

//! The shape that every replayed core shares: the controller, the group coordinator, and those to come.
//!
//! Such a core is the replay of a log. It *handles* a request by deciding which records to write and what
//! to answer, and changes only by *replaying* records, its own included. The host (in `broker`) appends a
//! decision's records to the core's partition as one batch, replays them at once so that the next request
//! sees them, and lets the answers go only when everything the core had written by then is committed.
//! When the append fails or leadership is lost, the host throws the value away and replays the log anew.
//!
//! Invariant: the state is a function of the records replayed, in order. [`StateMachine::handle`] takes
//! `&self`, so the compiler keeps a decision from touching it. What may be lost with the leader (waiting
//! requests, session timers, a rebalance under way) is in [`StateMachine::Soft`].

use bytes::Bytes;
use types::{Mono, Now};

/// Names a request that waits for its answer. The host makes them; a core only hands them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a core decided: records to be written together, and answers that wait for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<Record, Response> {
    /// Written as one batch: all of them or none.
    pub records: Vec<Record>,
    /// Sent when the records, and everything written before them, are committed. A request may be
    /// answered by a later decision than its own, and must be answered exactly once.
    pub replies: Vec<(Ticket, Response)>,
}

impl<Record, Response> Default for Decision<Record, Response> {
    fn default() -> Self {
        Decision {
            records: Vec::new(),
            replies: Vec::new(),
        }
    }
}

impl<Record, Response> Decision<Record, Response> {
    /// Adds a record.
    pub fn record(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Adds an answer.
    pub fn reply(&mut self, ticket: Ticket, response: Response) {
        self.replies.push((ticket, response));
    }

    /// Whether nothing was decided.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.replies.is_empty()
    }
}

/// A record as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The record's key, if it has one.
    pub key: Option<Bytes>,
    /// The record's value; `None` is a tombstone where there is a key.
    pub value: Option<Bytes>,
}

/// A record that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for RecordError {}

/// The typed form of what a core writes.
pub trait LogRecord: Sized {
    /// As it goes into the log.
    fn encode(&self) -> KeyValue;

    /// As it comes out of it; `None` for a kind that this version may skip.
    ///
    /// # Errors
    /// The bytes are no record of this core. The host stops replaying: an error is never read as absence.
    fn decode(key_value: &KeyValue) -> Result<Option<Self>, RecordError>;
}

/// A replayed core.
pub trait StateMachine {
    /// What it is asked.
    type Request;
    /// What it answers.
    type Response;
    /// What it writes.
    type Record: LogRecord;
    /// What may be lost with the leader.
    type Soft: Default;

    /// Decides a request. The answer goes into `out` now, or with a later decision.
    fn handle(
        &self,
        soft: &mut Self::Soft,
        now: Now,
        ticket: Ticket,
        request: Self::Request,
        out: &mut Decision<Self::Record, Self::Response>,
    );

    /// Does what is due at `now`. Called at [`StateMachine::deadline`] or later.
    fn tick(
        &self,
        soft: &mut Self::Soft,
        now: Now,
        out: &mut Decision<Self::Record, Self::Response>,
    );

    /// When [`StateMachine::tick`] has something to do next.
    fn deadline(&self, soft: &Self::Soft) -> Option<Mono>;

    /// Called once after the whole log has been replayed and before the first request: sets up what a
    /// new leader needs (session timers of the members it found, for one).
    fn activate(
        &self,
        soft: &mut Self::Soft,
        now: Now,
        out: &mut Decision<Self::Record, Self::Response>,
    );

    /// Applies a record: the only way in which the state changes.
    fn replay(&mut self, record: &Self::Record);
}

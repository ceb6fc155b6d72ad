//! Produce requests under way: which batches still wait, and who is to hear of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use partition::Reply;
use tokio::sync::oneshot;
use types::{ErrorCode, LookupMap, Mono, Offset, TimestampMs, TopicPartition};

use super::message::{DeleteRecordsAnswer, Produce, ProduceAnswer};
use crate::memory::Held;

struct InFlight {
    answers: Vec<Option<ProduceAnswer>>,
    partitions: Vec<TopicPartition>,
    /// The replica's name for each batch that waits.
    tokens: Vec<Option<u64>>,
    waiting: usize,
    reply: Option<oneshot::Sender<Vec<ProduceAnswer>>>,
    /// When its client's patience ends.
    deadline: Option<Mono>,
    _held: Arc<Held>,
}

/// The produce requests of one shard.
#[derive(Default)]
pub(crate) struct Produces {
    in_flight: BTreeMap<u64, InFlight>,
    next: u64,
    /// When deadlines are looked at next. One timer for all: nearly every request is answered long before
    /// its own, and a timer for each would stay behind it until then.
    next_look: Option<Mono>,
}

impl Produces {
    /// Opens the book on a request; gives its number.
    pub fn begin(&mut self, produce: &Produce) -> u64 {
        let request = self.next;
        self.next += 1;
        let count = produce.batches.len();
        let in_flight = InFlight {
            answers: vec![None; count],
            partitions: produce
                .batches
                .iter()
                .map(|(partition, _)| *partition)
                .collect(),
            tokens: vec![None; count],
            waiting: count,
            reply: None,
            deadline: None,
            _held: produce.held.clone(),
        };
        self.in_flight.insert(request, in_flight);
        request
    }

    /// Notes who is to be answered.
    pub fn attach(&mut self, request: u64, reply: oneshot::Sender<Vec<ProduceAnswer>>) {
        if let Some(in_flight) = self.in_flight.get_mut(&request) {
            in_flight.reply = Some(reply);
        }
    }

    /// Notes when a request has waited long enough, unless that is sooner already. Gives the time of the timer that
    /// is to be set for it, if none that is set comes before.
    pub fn set_deadline(&mut self, request: u64, at: Mono) -> Option<Mono> {
        if let Some(in_flight) = self.in_flight.get_mut(&request) {
            in_flight.deadline = Some(in_flight.deadline.map_or(at, |before| before.min(at)));
        }
        if self.next_look.is_some_and(|next| next <= at) {
            return None;
        }
        self.next_look = Some(at);
        Some(at)
    }

    /// The timer is due: requests that have waited long enough, and when to look again.
    pub fn overdue(&mut self, now: Mono) -> (Vec<u64>, Option<Mono>) {
        // A later timer than the one that counts may have been set before it.
        if self.next_look.is_none_or(|next| next > now) {
            return (Vec::new(), None);
        }
        let mut overdue = Vec::new();
        self.next_look = None;
        for (request, in_flight) in &mut self.in_flight {
            match in_flight.deadline {
                Some(at) if at <= now => {
                    overdue.push(*request);
                    in_flight.deadline = None;
                }
                Some(at) => {
                    self.next_look = Some(self.next_look.map_or(at, |next| next.min(at)));
                }
                None => {}
            }
        }
        (overdue, self.next_look)
    }

    /// Notes the replica's name for a batch.
    pub fn wait(&mut self, request: u64, index: usize, token: u64) {
        if let Some(in_flight) = self.in_flight.get_mut(&request) {
            in_flight.tokens[index] = Some(token);
        }
    }

    /// Batches of a request that still wait.
    pub fn waiting_tokens(&self, request: u64) -> Vec<(TopicPartition, u64)> {
        let Some(in_flight) = self.in_flight.get(&request) else {
            return Vec::new();
        };
        in_flight
            .partitions
            .iter()
            .zip(&in_flight.tokens)
            .zip(&in_flight.answers)
            .filter(|(_, answer)| answer.is_none())
            .filter_map(|((partition, token), _)| token.map(|token| (*partition, token)))
            .collect()
    }

    /// A batch was refused.
    pub fn refuse(
        &mut self,
        request: u64,
        index: usize,
        error: ErrorCode,
        message: Option<String>,
    ) {
        let Some(in_flight) = self.in_flight.get(&request) else {
            return;
        };
        let answer = ProduceAnswer {
            partition: in_flight.partitions[index],
            error,
            message,
            base_offset: Offset(-1),
            log_append_time: TimestampMs::NONE,
            log_start: Offset(-1),
        };
        self.answer(request, index, answer);
    }

    /// A replica's answer to a batch.
    pub fn replied(&mut self, request: u64, index: usize, reply: Reply, log_start: Offset) {
        match reply {
            Reply::Appended(appended) => {
                let Some(in_flight) = self.in_flight.get(&request) else {
                    return;
                };
                let answer = ProduceAnswer {
                    partition: in_flight.partitions[index],
                    error: ErrorCode::NONE,
                    message: None,
                    base_offset: appended.base_offset,
                    log_append_time: appended.log_append_time,
                    log_start,
                };
                self.answer(request, index, answer);
            }
            Reply::Refused(error) => self.refuse(request, index, error, None),
            Reply::Deleted { .. } => unreachable!("a batch is not answered with a deletion"),
        }
    }

    fn answer(&mut self, request: u64, index: usize, answer: ProduceAnswer) {
        if let Some(in_flight) = self.in_flight.get_mut(&request) {
            assert!(
                in_flight.answers[index].is_none(),
                "a batch is answered once"
            );
            in_flight.answers[index] = Some(answer);
            in_flight.waiting -= 1;
        }
        self.settle(request);
    }

    /// Sends the answers when all of them are there.
    pub fn settle(&mut self, request: u64) {
        let done = self
            .in_flight
            .get(&request)
            .is_some_and(|in_flight| in_flight.waiting == 0 && in_flight.reply.is_some());
        if !done {
            return;
        }
        if let Some(in_flight) = self.in_flight.remove(&request)
            && let Some(reply) = in_flight.reply
        {
            // The connection may be gone; then nobody is left to tell.
            let _ = reply.send(in_flight.answers.into_iter().flatten().collect());
        }
    }
}

struct Deleting {
    left: usize,
    answers: Vec<DeleteRecordsAnswer>,
    reply: oneshot::Sender<Vec<DeleteRecordsAnswer>>,
}

/// DeleteRecords requests under way.
#[derive(Default)]
pub(crate) struct Deletions {
    in_flight: LookupMap<u64, Deleting>,
    next: u64,
}

impl Deletions {
    /// Opens the book on a request for `count` partitions.
    pub fn begin(&mut self, count: usize, reply: oneshot::Sender<Vec<DeleteRecordsAnswer>>) -> u64 {
        let request = self.next;
        self.next += 1;
        self.in_flight.insert(
            request,
            Deleting {
                left: count,
                answers: Vec::new(),
                reply,
            },
        );
        request
    }

    /// One partition's answer; the request is answered with the last of them.
    pub fn answer(&mut self, request: u64, answer: DeleteRecordsAnswer) {
        let Some(deleting) = self.in_flight.get_mut(&request) else {
            return;
        };
        deleting.answers.push(answer);
        deleting.left -= 1;
        if deleting.left == 0
            && let Some(deleting) = self.in_flight.remove(&request)
        {
            let _ = deleting.reply.send(deleting.answers);
        }
    }
}

#[cfg(test)]
mod tests {
    use partition::Acks;

    use super::*;

    fn request(produces: &mut Produces) -> u64 {
        let (reply, _) = oneshot::channel();
        produces.begin(&Produce {
            acks: Acks::All,
            timeout_ms: 0,
            batches: Vec::new(),
            held: Arc::default(),
            reply,
        })
    }

    /// Its sender may be gone; its batches are still there.
    #[test]
    fn what_is_under_way_holds_its_memory() {
        let mut produces = Produces::default();
        let (reply, _) = oneshot::channel();
        let produce = Produce {
            acks: Acks::Leader,
            timeout_ms: 0,
            batches: Vec::new(),
            held: Arc::default(),
            reply,
        };
        let held = Arc::downgrade(&produce.held);
        let request = produces.begin(&produce);
        produces.attach(request, produce.reply);
        drop(produce.held);
        assert!(held.upgrade().is_some());
        produces.settle(request);
        assert!(held.upgrade().is_none());
    }

    #[test]
    fn one_timer_finds_every_deadline() {
        let mut produces = Produces::default();
        let at = |ms: i64| Mono(0).after_ms(ms);
        let (a, b, c) = (
            request(&mut produces),
            request(&mut produces),
            request(&mut produces),
        );
        assert_eq!(produces.set_deadline(a, at(30)), Some(at(30)));
        assert_eq!(produces.set_deadline(b, at(40)), None);
        // A shorter patience needs an earlier look; the timer at 30 has nothing to say then.
        assert_eq!(produces.set_deadline(c, at(20)), Some(at(20)));
        assert_eq!(produces.overdue(at(20)), (vec![c], Some(at(30))));
        assert_eq!(produces.overdue(at(25)), (vec![], None));
        assert_eq!(produces.overdue(at(30)), (vec![a], Some(at(40))));
        assert_eq!(produces.overdue(at(30)), (vec![], None));
        assert_eq!(produces.overdue(at(41)), (vec![b], None));
        let d = request(&mut produces);
        assert_eq!(produces.set_deadline(d, at(90)), Some(at(90)));
    }
}

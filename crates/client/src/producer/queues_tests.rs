//! The queues against a broker that is a value: it appends what Kafka would append, and loses what a
//! network may lose.

use std::time::Duration;

use proptest::prelude::*;
use records::{Batch as RecordBatch, Codec};

use super::*;
use crate::one_at_a_time::alone;

type Answer = oneshot::Receiver<Result<Delivered, DeliveryError>>;

fn options() -> ProducerOptions {
    ProducerOptions {
        linger: Duration::ZERO,
        delivery_timeout: Duration::from_secs(10),
        ..ProducerOptions::default()
    }
}

fn at() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn push(queues: &mut Queues, value: u32, now: Mono) -> Answer {
    let (answer, receiver) = oneshot::channel();
    let waiter = Waiter {
        answer,
        _room: None,
    };
    let record = ProducerRecord::new("t", value.to_be_bytes().to_vec());
    queues.push(&at(), &record, TimestampMs(1), waiter, now, now);
    receiver
}

fn send(queues: &mut Queues, now: Mono) -> Option<Outgoing> {
    let ready = queues.sendable(now, false);
    ready.first().and_then(|at| queues.start(at, 1))
}

fn header(outgoing: &Outgoing) -> (i16, i32) {
    let batch = RecordBatch::parse(&outgoing.bytes).unwrap();
    batch.verify_crc().unwrap();
    let header = batch.header();
    (header.producer_epoch.0, header.base_sequence.0)
}

fn refused(queues: &mut Queues, number: u64, code: ErrorCode) -> Failed {
    queues.failed(&at(), number, Error::server(code), Mono(0), |_| 0)
}

#[test]
fn a_retry_waits_for_what_is_in_flight_and_keeps_order_and_sequences() {
    let _alone = alone();
    let mut queues = Queues::new(options());
    let now = Mono(0);
    let mut answers: Vec<Answer> = Vec::new();
    answers.push(push(&mut queues, 0, now));
    assert!(send(&mut queues, now).is_none(), "no identity yet");
    assert!(queues.wants_identity());
    queues.set_identity(ProducerId(7));
    let first = send(&mut queues, now).unwrap();
    answers.push(push(&mut queues, 1, now));
    let second = send(&mut queues, now).unwrap();
    assert_eq!((header(&first), header(&second)), ((0, 0), (0, 1)));
    answers.push(push(&mut queues, 2, now));

    let code = ErrorCode::NOT_ENOUGH_REPLICAS;
    assert_eq!(refused(&mut queues, first.number, code), Failed::Again);
    assert!(send(&mut queues, now).is_none(), "the second is in flight");
    let code = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    assert_eq!(refused(&mut queues, second.number, code), Failed::Again);
    assert_eq!(send(&mut queues, now), Some(first.clone()));
    assert_eq!(send(&mut queues, now), Some(second.clone()));
    let third = send(&mut queues, now).unwrap();
    assert_eq!(header(&third), (0, 2));
    for (outgoing, offset) in [(first, 10), (second, 11), (third, 12)] {
        queues.succeeded(&at(), outgoing.number, Some(Offset(offset)), None);
    }
    assert_eq!(queues.pending(), 0);
    for (mut answer, offset) in answers.into_iter().zip(10..) {
        let delivered = answer.try_recv().unwrap().unwrap();
        assert_eq!(delivered.offset, Some(Offset(offset)));
    }
}

#[test]
fn a_lost_sequence_starts_a_new_epoch() {
    let _alone = alone();
    let mut queues = Queues::new(options());
    let now = Mono(0);
    queues.set_identity(ProducerId(7));
    let mut lost = push(&mut queues, 0, now);
    let first = send(&mut queues, now).unwrap();
    let mut kept = push(&mut queues, 1, now);
    let second = send(&mut queues, now).unwrap();
    let code = ErrorCode::MESSAGE_TOO_LARGE;
    assert_eq!(refused(&mut queues, first.number, code), Failed::ForGood);
    let error = lost.try_recv().unwrap().unwrap_err();
    assert_eq!(error.outcome, Outcome::NotDone);
    let code = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    assert_eq!(refused(&mut queues, second.number, code), Failed::Again);
    let again = send(&mut queues, now).unwrap();
    assert_eq!((again.number, header(&again)), (second.number, (1, 0)));
    queues.succeeded(&at(), again.number, Some(Offset(0)), None);
    assert!(kept.try_recv().unwrap().is_ok());
}

#[test]
fn a_sequence_error_out_of_the_blue_is_reported() {
    let _alone = alone();
    let mut queues = Queues::new(options());
    queues.set_identity(ProducerId(7));
    let mut answer = push(&mut queues, 0, Mono(0));
    let first = send(&mut queues, Mono(0)).unwrap();
    let code = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    assert_eq!(refused(&mut queues, first.number, code), Failed::ForGood);
    let error = answer.try_recv().unwrap().unwrap_err();
    assert_eq!(error.outcome, Outcome::NotDone);
    assert_eq!(error.error.code(), Some(code));
}

#[test]
fn what_may_be_written_is_not_sent_under_another_epoch() {
    let _alone = alone();
    let mut queues = Queues::new(options());
    queues.set_identity(ProducerId(7));
    let _lost = push(&mut queues, 0, Mono(0));
    let first = send(&mut queues, Mono(0)).unwrap();
    let mut unknown = push(&mut queues, 1, Mono(0));
    let second = send(&mut queues, Mono(0)).unwrap();
    let gone = Error::Closed {
        peer: "b".into(),
        sent: true,
    };
    let again = queues.failed(&at(), second.number, gone, Mono(0), |_| 0);
    assert_eq!(again, Failed::Again);
    refused(&mut queues, first.number, ErrorCode::MESSAGE_TOO_LARGE);
    assert!(send(&mut queues, Mono(0)).is_none());
    let error = unknown.try_recv().unwrap().unwrap_err();
    assert_eq!(error.outcome, Outcome::Unknown);
    assert_eq!(queues.pending(), 0);
}

#[test]
fn records_expire() {
    let _alone = alone();
    let mut queues = Queues::new(options());
    let mut answer = push(&mut queues, 0, Mono(0));
    let end = Mono(0).after_ms(10_000);
    assert_eq!(queues.wake(Mono(1)), Some(end));
    queues.expire(Mono(end.0 - 1));
    assert!(answer.try_recv().is_err());
    queues.expire(end);
    let error = answer.try_recv().unwrap().unwrap_err();
    assert_eq!(error.outcome, Outcome::NotDone);
    assert!(matches!(error.error, Error::Timeout { sent: false, .. }));
    assert_eq!(queues.wake(end), None);
}

#[test]
fn sequences_wrap_and_large_batches_are_cut() {
    let _alone = alone();
    let mut queues = Queues::new(ProducerOptions {
        batch_bytes: 200,
        codec: Codec::Lz4,
        ..options()
    });
    queues.set_identity(ProducerId(7));
    let answers: Vec<Answer> = (0..40).map(|v| push(&mut queues, v, Mono(0))).collect();
    queues.partitions.get_mut(&at()).unwrap().next_sequence = i32::MAX - 1;
    let first = send(&mut queues, Mono(0)).unwrap();
    let second = send(&mut queues, Mono(0)).unwrap();
    let count = RecordBatch::parse(&first.bytes)
        .unwrap()
        .header()
        .records_count;
    assert!(count > 2 && count < 20);
    assert_eq!(header(&first), (0, i32::MAX - 1));
    assert_eq!(header(&second), (0, count - 2));
    drop(answers);
}

/// A partition as a Kafka broker keeps it.
#[derive(Default)]
struct Broker {
    log: Vec<u32>,
    epoch: i16,
    next: i32,
    /// The last five batches: first sequence, last sequence, offset.
    window: VecDeque<(i32, i32, i64)>,
    /// Takes a duplicate for a gap, as some brokers did (Redpanda, #3039).
    forgetful: bool,
}

impl Broker {
    fn produce(&mut self, bytes: &Bytes) -> Result<i64, ErrorCode> {
        let batch = RecordBatch::parse(bytes).unwrap();
        let header = *batch.header();
        let (epoch, first) = (header.producer_epoch.0, header.base_sequence.0);
        let last = header.last_sequence().0;
        if epoch < self.epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if epoch > self.epoch {
            if first != 0 {
                return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
            (self.epoch, self.next) = (epoch, 0);
            self.window.clear();
        }
        let twin = self
            .window
            .iter()
            .find(|(f, l, _)| (*f, *l) == (first, last));
        if let Some((_, _, offset)) = twin.filter(|_| !self.forgetful) {
            return Ok(*offset);
        }
        if first != self.next {
            return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        let offset = self.log.len() as i64;
        for record in batch.records(usize::MAX).unwrap() {
            let value = record.unwrap().value.unwrap();
            self.log
                .push(u32::from_be_bytes(value[..].try_into().unwrap()));
        }
        self.next = last + 1;
        self.window.push_back((first, last, offset));
        if self.window.len() > 5 {
            self.window.pop_front();
        }
        Ok(offset)
    }
}

/// Requests and answers get lost, old requests arrive late, brokers refuse: what was acknowledged is
/// in the log once and in order, and what is said not to be written is not.
fn weather(moves: &[u8]) -> Result<(), TestCaseError> {
    let mut queues = Queues::new(ProducerOptions {
        // One or two records to a batch: several batches wait at a time.
        batch_bytes: 90,
        ..options()
    });
    queues.set_identity(ProducerId(7));
    let mut broker = Broker {
        forgetful: moves[0].is_multiple_of(4),
        ..Broker::default()
    };
    let mut answers: Vec<Answer> = Vec::new();
    let mut wire: VecDeque<Outgoing> = VecDeque::new();
    let mut late: Vec<Outgoing> = Vec::new();
    let mut now = Mono(0);
    let calm = [46u8; 2000];
    for (i, step) in moves.iter().chain(&calm).enumerate() {
        let storm = i < moves.len();
        now = now.after_ms(if *step % 64 == 63 { 4000 } else { 1 });
        queues.expire(now);
        match step % 8 {
            0 | 1 if storm => answers.push(push(&mut queues, answers.len() as u32, now)),
            2 => wire.extend(send(&mut queues, now)),
            // The connection breaks. The broker has seen some of what was in flight.
            3 if storm => {
                let seen = usize::from(step / 8) % (wire.len() + 1);
                for (i, outgoing) in wire.drain(..).enumerate() {
                    if i < seen {
                        let _ = broker.produce(&outgoing.bytes);
                    } else {
                        late.push(outgoing.clone());
                    }
                    let gone = Error::Closed {
                        peer: "b".into(),
                        sent: true,
                    };
                    queues.failed(&at(), outgoing.number, gone, now, i64::from);
                }
            }
            4 if storm && !late.is_empty() => {
                let outgoing = late.remove(usize::from(step / 8) % late.len());
                let _ = broker.produce(&outgoing.bytes);
            }
            5 if storm => {
                if let Some(outgoing) = wire.pop_front() {
                    let code = match step / 8 % 3 {
                        0 => ErrorCode::NOT_ENOUGH_REPLICAS,
                        1 => ErrorCode::MESSAGE_TOO_LARGE,
                        _ => {
                            let _ = broker.produce(&outgoing.bytes);
                            ErrorCode::REQUEST_TIMED_OUT
                        }
                    };
                    queues.failed(&at(), outgoing.number, Error::server(code), now, |_| 3);
                }
            }
            _ => {
                if let Some(outgoing) = wire.pop_front() {
                    match broker.produce(&outgoing.bytes) {
                        Ok(offset) => {
                            queues.succeeded(&at(), outgoing.number, Some(Offset(offset)), None);
                        }
                        Err(code) => {
                            let error = Error::server(code);
                            queues.failed(&at(), outgoing.number, error, now, |_| 3);
                        }
                    }
                }
                if !storm {
                    wire.extend(send(&mut queues, now));
                }
            }
        }
    }
    prop_assert_eq!(queues.pending(), 0, "everything was resolved");
    // Whatever happened, the next record gets through.
    answers.push(push(&mut queues, answers.len() as u32, now));
    let outgoing = send(&mut queues, now).expect("nothing holds it back");
    let offset = broker.produce(&outgoing.bytes);
    prop_assert!(offset.is_ok(), "{offset:?}");
    let offset = offset.ok().map(Offset);
    queues.succeeded(&at(), outgoing.number, offset, None);
    let mut last = -1;
    for (value, mut answer) in (0u32..).zip(answers) {
        let times = broker.log.iter().filter(|v| **v == value).count();
        match answer.try_recv().expect("an outcome") {
            Ok(delivered) => {
                let offset = delivered.offset.expect("an offset").0;
                prop_assert_eq!(times, 1);
                prop_assert_eq!(broker.log[offset as usize], value);
                prop_assert!(offset > last);
                last = offset;
            }
            Err(error) if error.outcome == Outcome::NotDone => prop_assert_eq!(times, 0),
            Err(_) => prop_assert!(times <= 1),
        }
    }
    Ok(())
}

fn weathers() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0u8..=255, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn acknowledged_once_and_in_order(moves in weathers()) {
        let _alone = alone();
        weather(&moves)?;
    }
}

/// The historic bugs planted here do not survive the weather.
#[cfg(feature = "mutants")]
#[test]
fn each_planted_bug_shows() {
    use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
    let _alone = alone();
    let survives = |mutant: Option<&str>| {
        types::mutants::activate(mutant);
        let config = ProptestConfig {
            failure_persistence: None,
            max_shrink_iters: 0,
            ..ProptestConfig::default()
        };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let result = runner.run(&weathers(), |moves| weather(&moves));
        types::mutants::activate(None);
        result.is_ok()
    };
    assert!(survives(None));
    for mutant in ["TXN-25", "TXN-28", "TXN-44"] {
        assert!(!survives(Some(mutant)), "{mutant}");
    }
}

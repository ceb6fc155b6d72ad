//! The producer: records in, their offsets out.
//!
//! A [`Producer`] is a handle on a task that owns everything: metadata, connections, batches. Records
//! reach it through a bounded queue; each is answered through its own [`Delivery`]. What the task may
//! send, and in what order, is decided in `queues`; who is asked and when, in `sender`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use env::{Clock, Either, Env, Spawner, race};
use protocol::Str;
use records::{Codec, Header};
use tokio::sync::{Semaphore, mpsc, oneshot};
use types::{ErrorCode, Mono, Offset, TimestampMs};

use crate::options::ClientOptions;
use crate::{Error, Outcome, Result};

pub mod partitioner;
mod queues;
mod sender;

use queues::Waiter;

/// Which acknowledgement a record waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acks {
    /// None: a record counts as delivered when it was handed to the connection.
    None = 0,
    /// The leader's.
    Leader = 1,
    /// That of all replicas in sync.
    #[default]
    All = -1,
}

/// How a producer works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerOptions {
    /// Which acknowledgement to wait for.
    pub acks: Acks,
    /// Whether retries must neither repeat nor reorder records. Needs [`Acks::All`].
    pub idempotent: bool,
    /// How batches are compressed.
    pub codec: Codec,
    /// The codec's level; `None` for its default.
    pub compression_level: Option<i32>,
    /// How long a batch waits for more records. Zero sends as soon as the broker may take more.
    pub linger: Duration,
    /// A batch is closed when it has this many bytes before compression.
    pub batch_bytes: usize,
    /// The most bytes of batches in one request, and the largest record.
    pub request_bytes_max: usize,
    /// The most bytes of records that wait for their outcome; [`Producer::send`] waits for room.
    pub buffer_bytes: usize,
    /// Requests in flight to one broker, at most 5. Without idempotence, more than one may reorder
    /// records when one is sent again.
    pub in_flight_max: usize,
    /// How long a record may take from [`Producer::send`] to its outcome.
    pub delivery_timeout: Duration,
    /// Whether a missing topic is asked for in a way that makes brokers create it, if they do that.
    pub allow_auto_create: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            acks: Acks::All,
            idempotent: true,
            codec: Codec::None,
            compression_level: None,
            linger: Duration::from_millis(5),
            batch_bytes: 64 * 1024,
            request_bytes_max: 1024 * 1024,
            buffer_bytes: 32 * 1024 * 1024,
            in_flight_max: 5,
            delivery_timeout: Duration::from_secs(120),
            allow_auto_create: true,
        }
    }
}

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerRecord {
    /// The topic.
    pub topic: Str,
    /// The partition; `None` lets the key decide, or for a record without one the producer.
    pub partition: Option<i32>,
    /// The timestamp; `None` for now.
    pub timestamp: Option<TimestampMs>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone on a compacted topic.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Vec<Header>,
}

impl ProducerRecord {
    /// A record with a value.
    #[must_use]
    pub fn new(topic: impl Into<Str>, value: impl Into<Bytes>) -> ProducerRecord {
        ProducerRecord {
            topic: topic.into(),
            value: Some(value.into()),
            ..ProducerRecord::default()
        }
    }

    /// The same, with a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> ProducerRecord {
        self.key = Some(key.into());
        self
    }

    /// The same, for this partition.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> ProducerRecord {
        self.partition = Some(partition);
        self
    }

    /// No fewer bytes than it takes in a batch of its own.
    fn bytes(&self) -> usize {
        let len = |b: &Option<Bytes>| b.as_ref().map_or(0, Bytes::len);
        let headers = self
            .headers
            .iter()
            .map(|h| h.key.len() + len(&h.value) + 10);
        records::HEADER_SIZE + 40 + len(&self.key) + len(&self.value) + headers.sum::<usize>()
    }
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The partition.
    pub partition: i32,
    /// The offset; `None` with [`Acks::None`].
    pub offset: Option<Offset>,
    /// Its timestamp: the record's own, or the broker's where the topic says so.
    pub timestamp: TimestampMs,
}

/// Why a record was not delivered, and whether it may be in the log all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}{}", if *.outcome == Outcome::Unknown { " (the record may have been written)" } else { "" })]
pub struct DeliveryError {
    /// What is known.
    pub outcome: Outcome,
    /// What went wrong with the last try.
    pub error: Error,
}

/// The outcome of a record, once it is known.
#[derive(Debug)]
pub struct Delivery {
    answer: oneshot::Receiver<std::result::Result<Delivered, DeliveryError>>,
}

impl Future for Delivery {
    type Output = std::result::Result<Delivered, DeliveryError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(cx).map(|result| {
            result.unwrap_or_else(|_| {
                // The task ended in the middle: what was in flight may have arrived.
                Err(DeliveryError {
                    outcome: Outcome::Unknown,
                    error: Error::Closed {
                        peer: "the producer".to_owned(),
                        sent: true,
                    },
                })
            })
        })
    }
}

/// A record on its way to the task.
#[derive(Debug)]
struct Accepted {
    record: ProducerRecord,
    timestamp: TimestampMs,
    waiter: Waiter,
    at: Mono,
}

#[derive(Debug)]
enum Command {
    Record(Accepted),
    Flush(oneshot::Sender<()>),
}

/// Writes records. Dropping it delivers what it has accepted, in the background; [`Producer::close`]
/// waits for that.
pub struct Producer<E: Env> {
    env: E,
    commands: mpsc::Sender<Command>,
    room: Arc<Semaphore>,
    room_total: usize,
    request_bytes_max: usize,
    task: <E::Spawner as Spawner>::Task,
}

/// Records that may wait in the queue to the task.
const COMMANDS_MAX: usize = 1024;

impl<E: Env> Producer<E> {
    /// Starts a producer. Connects with the first record.
    ///
    /// # Errors
    /// [`Error::Invalid`] for options that contradict each other.
    pub fn new(env: &E, client: ClientOptions, options: ProducerOptions) -> Result<Producer<E>> {
        let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
        if options.idempotent && options.acks != Acks::All {
            return invalid("an idempotent producer needs acks=all");
        }
        if !(1..=5).contains(&options.in_flight_max) {
            return invalid("in_flight_max is 1 to 5");
        }
        if options.batch_bytes == 0 || options.request_bytes_max < records::HEADER_SIZE + 40 {
            return invalid("batch_bytes and request_bytes_max must have room for a record");
        }
        if options.buffer_bytes < options.request_bytes_max {
            return invalid("buffer_bytes must not be below request_bytes_max");
        }
        let room_total = options
            .buffer_bytes
            .min(Semaphore::MAX_PERMITS)
            .min(u32::MAX as usize);
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let request_bytes_max = options.request_bytes_max;
        let sender = sender::Sender::new(env, client, options, inbox);
        let task = env.spawner().spawn("producer", sender.run());
        Ok(Producer {
            env: env.clone(),
            commands,
            room: Arc::new(Semaphore::new(room_total)),
            room_total,
            request_bytes_max,
            task,
        })
    }

    /// Accepts a record, waiting for room if too many wait for their outcome. Records for one
    /// partition are written in the order in which they were accepted.
    ///
    /// # Errors
    /// The record is too large or the producer's task is gone; nothing was or will be written.
    pub async fn send(&self, record: ProducerRecord) -> Result<Delivery> {
        let bytes = record.bytes();
        if bytes > self.request_bytes_max {
            return Err(Error::server_with(
                ErrorCode::MESSAGE_TOO_LARGE,
                Some(&format!(
                    "The record takes up to {bytes} bytes, more than the {} that this producer sends.",
                    self.request_bytes_max
                )),
            ));
        }
        let closed = || Error::Closed {
            peer: "the producer".to_owned(),
            sent: false,
        };
        let permits = bytes.min(self.room_total) as u32;
        let room = self.room.clone().acquire_many_owned(permits).await;
        let (answer, receiver) = oneshot::channel();
        let timestamp = record.timestamp.unwrap_or(self.env.clock().wall().into());
        let accepted = Accepted {
            record,
            timestamp,
            waiter: Waiter {
                answer,
                _room: room.ok(),
            },
            at: self.env.clock().mono(),
        };
        let sent = self.commands.send(Command::Record(accepted)).await;
        sent.map_err(|_| closed())?;
        Ok(Delivery { answer: receiver })
    }

    /// Sends what waits, without lingering, and waits until the outcome of every record is known.
    ///
    /// # Errors
    /// [`Error::Timeout`] if that takes longer than `timeout`; the records go on.
    pub async fn flush(&self, timeout: Duration) -> Result<()> {
        let deadline = self.env.clock().mono().after(timeout);
        let (done, wait) = oneshot::channel();
        let flush = async {
            if self.commands.send(Command::Flush(done)).await.is_ok() {
                // The task ends only when nothing is left.
                let _ = wait.await;
            }
        };
        match race(flush, self.env.clock().sleep_until(deadline)).await {
            Either::First(()) => Ok(()),
            Either::Second(()) => Err(Error::timeout("flushing the producer", true)),
        }
    }

    /// Flushes, then ends the task. After `timeout` the task is ended in the middle, and what was
    /// pending fails with [`Outcome::Unknown`].
    ///
    /// # Errors
    /// [`Error::Timeout`] if something was pending after `timeout`.
    pub async fn close(self, timeout: Duration) -> Result<()> {
        use env::Task;
        let flushed = self.flush(timeout).await;
        drop(self.commands);
        if flushed.is_err() {
            self.task.abort();
        }
        self.task.ended().await;
        flushed
    }
}

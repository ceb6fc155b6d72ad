//! What a shard's partitions share: the world, timers, tokens, requests under way.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use env::{Clock, Env};
use types::{LookupMap, Mono, Now, TopicPartition};

use super::ShardConfig;
use super::coordinator::Replayed;
use super::open::Opened;
use super::produce::{Deletions, Produces};
use super::recovery::Tally;
use super::timers::{Timer, Timers};

/// How long a partition waits after its disk was full before it tries again.
pub(crate) const RETRY_MS: i64 = 500;

/// A job on a disk that has ended.
pub(crate) enum Job<E: Env> {
    /// A log was opened, or could not be.
    Opened(Box<Opened<E>>),
    /// A log's writes are done, and what goes with them.
    Log(TopicPartition, storage::job::JobDone<E::Disk>),
    /// What a log had written is durable.
    Synced(TopicPartition, storage::sync::SyncDone<E::Disk>),
    /// A coordinator has replayed its log.
    Replayed(TopicPartition, Replayed),
    /// A log was closed.
    Closed(TopicPartition, Result<(), storage::error::StorageError>),
    /// A log was removed.
    Deleted(TopicPartition, Result<(), storage::error::StorageError>),
}

/// A job on a disk.
pub(crate) type JobFuture<E> = Pin<Box<dyn Future<Output = Job<E>> + Send>>;

/// Who waits for a replica's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// A batch of a produce request.
    Produce {
        request: u64,
        index: usize,
        acks: partition::Acks,
    },
    /// A partition of a DeleteRecords request.
    Deletion { request: u64, index: usize },
    /// The partition's coordinator.
    Coordinator,
}

/// The work desk.
pub(crate) struct Work<E: Env> {
    pub env: E,
    pub config: ShardConfig,
    pub timers: Timers,
    pub produces: Produces,
    pub deletions: Deletions,
    /// What opening logs has found so far.
    pub tally: Tally,
    /// Partitions whose disk may have something to do.
    pub dirty: Vec<TopicPartition>,
    /// Partitions whose producers may have been told of batches that readers do not see yet: all of those, and
    /// some of which it was so.
    pub ahead: BTreeSet<TopicPartition>,
    /// Scratch space for a step's effects.
    pub effects: Vec<partition::Effect>,
    tokens: LookupMap<u64, Waiting>,
    next_token: u64,
    fences: u64,
    sleep: Option<(Mono, Pin<Box<dyn Future<Output = ()> + Send>>)>,
}

impl<E: Env> Work<E> {
    /// An empty desk.
    pub fn new(env: E, config: ShardConfig) -> Work<E> {
        Work {
            env,
            config,
            timers: Timers::default(),
            produces: Produces::default(),
            deletions: Deletions::default(),
            tally: Tally::default(),
            dirty: Vec::new(),
            ahead: BTreeSet::new(),
            effects: Vec::new(),
            tokens: LookupMap::new(),
            next_token: 0,
            fences: 0,
            sleep: None,
        }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let clock = self.env.clock();
        Now {
            mono: clock.mono(),
            wall: clock.wall(),
        }
    }

    /// A new incarnation of a log.
    pub fn next_fence(&mut self) -> partition::Fence {
        self.fences += 1;
        partition::Fence(self.fences)
    }

    /// Gives a partition's disk another chance in a while.
    pub fn retry(&mut self, partition: TopicPartition) {
        self.retry_in(partition, RETRY_MS);
    }

    /// Gives a partition's disk another chance in so many milliseconds.
    pub fn retry_in(&mut self, partition: TopicPartition, ms: i64) {
        let at = self.env.clock().mono().after_ms(ms);
        self.timers.add(at, Timer::Retry(partition));
    }

    /// A new name for somebody who waits.
    pub fn token(&mut self, waiting: Waiting) -> u64 {
        self.next_token += 1;
        self.tokens.insert(self.next_token, waiting);
        self.next_token
    }

    /// Who waits under a name; the name is free afterwards.
    pub fn redeem(&mut self, token: u64) -> Option<Waiting> {
        self.tokens.remove(&token)
    }

    /// Completes when the next timer is due. The sleep is kept between turns: most turns do not move
    /// the next timer.
    pub fn sleep(&mut self) -> impl Future<Output = ()> + Send + '_ {
        let next = self.timers.next();
        if self.sleep.as_ref().map(|(at, _)| *at) != next {
            self.sleep = next.map(|at| {
                let sleep: Pin<Box<dyn Future<Output = ()> + Send>> =
                    Box::pin(self.env.clock().sleep_until(at));
                (at, sleep)
            });
        }
        let sleep = &mut self.sleep;
        std::future::poll_fn(move |cx| match sleep {
            None => std::task::Poll::Pending,
            Some((_, future)) => {
                let polled = future.as_mut().poll(cx);
                if polled.is_ready() {
                    *sleep = None;
                }
                polled
            }
        })
    }
}

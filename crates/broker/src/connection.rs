//! One client connection: frames in, answers out in the order of their requests.
//!
//! Requests are taken up one after another: a handler has handed its work to the shards before the next
//! frame is decoded, so the produce requests of one connection reach a partition in the order they were
//! sent. What a handler then waits for (a sync, new records) it waits for while later requests are taken
//! up. Answers leave in request order, always.
//!
//! The room before: `listener`. The room after: `dispatch`.

mod read;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes};
use env::{Clock, Connection, Either, Env, Network, race};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use types::Mono;

use crate::answer::{Outcome, Reply};
use crate::context::Context;
use crate::fetch_session::Sessions;
use crate::memory::{HURRY_MS, Held};
use crate::rejections::{Closing, Reason};

pub(crate) use read::READ_BYTES;

/// How long a client may refuse to take a byte of what waits for it.
const WRITE_STALL_MS: i64 = 60_000;
/// How often it is asked whether a client takes more than now and then a byte, and how many it has to take.
const TAKEN_INTERVAL_MS: i64 = 60_000;
const TAKEN_BYTES_MIN: usize = 64 * 1024;
/// Answers that travel together hold so many bytes, about.
const GATHER_BYTES_MAX: usize = 1024 * 1024;
/// How long what was asked is still answered when the client asks no more. It may have gone altogether,
/// which cannot be told before something is written to it.
const LAST_ANSWERS_MS: i64 = 60_000;

/// What a handler may know of the connection it serves.
pub(crate) struct Peer {
    /// Number of this connection, for logs.
    pub id: u64,
    /// The client's address.
    pub addr: SocketAddr,
    /// This node's address, as the client reached it.
    pub local: SocketAddr,
    /// Which of the node's listeners it came through.
    pub listener: usize,
    /// The client's fetch sessions.
    pub sessions: Sessions,
    /// Whether it was said that this client's requests are followed by bytes that belong to nothing.
    pub told_trailing_bytes: bool,
}

/// A reply whose turn to be written has not come, and what it holds until then: memory of the node, and of
/// this connection for its requests and for its answers.
struct Pending {
    reply: Reply,
    _held: (Held, OwnedSemaphorePermit, Option<OwnedSemaphorePermit>),
}

/// Serves a connection until it ends.
pub(crate) async fn serve<E: Env>(
    context: Arc<Context<E>>,
    connection: <E::Network as Network>::Connection,
    id: u64,
    listener: usize,
) {
    let peer = Peer {
        id,
        addr: connection.peer_addr(),
        local: connection.local_addr(),
        listener,
        sessions: Sessions::new(context.fetch_session_slots.clone()),
        told_trailing_bytes: false,
    };
    let addr = peer.addr;
    let (reader, writer) = connection.split();
    let (replies, queue) = mpsc::channel(context.config.limits.in_flight_max);
    let mut writing = pin!(write_loop::<E>(context.clone(), writer, queue));
    let reading = read::read_loop(context.clone(), reader, peer, replies);
    let end = match race(writing.as_mut(), reading).await {
        Either::First(end) => end,
        // What was asked before the client stopped asking is still answered, and so is what it asked before
        // the request that is refused: it has been done, and would be done twice.
        Either::Second(end) if end.lets_answers_go() => {
            let clock = context.env.clock();
            let patience = clock.sleep_until(clock.mono().after_ms(LAST_ANSWERS_MS));
            match race(writing, patience).await {
                Either::First(End::Eof) | Either::Second(()) => end,
                Either::First(sooner) => sooner,
            }
        }
        Either::Second(end) => end,
    };
    match end {
        End::Eof => tracing::debug!(connection = id, %addr, "closed by the client"),
        End::Io(error) => tracing::debug!(connection = id, %addr, %error, "connection lost"),
        End::Closed(Closing { reason, detail }) => {
            if context.rejections.count(reason) {
                let reason = reason.label();
                tracing::info!(connection = id, %addr, reason, detail, "connection closed");
            }
        }
    }
}

enum End {
    /// The client has nothing more to say.
    Eof,
    /// The network failed.
    Io(std::io::Error),
    /// We end it, for this reason.
    Closed(Closing),
}

impl End {
    /// Whether answers that are under way are waited for. Not where others wait for what they hold.
    fn lets_answers_go(&self) -> bool {
        match self {
            End::Eof => true,
            End::Io(_) => false,
            End::Closed(closing) => {
                !matches!(closing.reason, Reason::RequestMemory | Reason::Internal)
            }
        }
    }
}

async fn write_loop<E: Env>(
    context: Arc<Context<E>>,
    mut writer: <<E::Network as Network>::Connection as Connection>::Writer,
    mut queue: mpsc::Receiver<Pending>,
) -> End {
    let clock = context.env.clock().clone();
    let mut head: Option<Pending> = None;
    loop {
        let mut pending = match head.take() {
            Some(pending) => pending,
            None => match queue.recv().await {
                Some(pending) => pending,
                None => {
                    let _ = writer.shutdown().await;
                    return End::Eof;
                }
            },
        };
        if types::mutant!("WIR-06")
            && let Ok(next) = queue.try_recv()
        {
            head = Some(std::mem::replace(&mut pending, next));
        }
        let mut out: Vec<Bytes> = Vec::new();
        let mut close = None;
        let mut room = Held::default();
        match resolve(&mut pending.reply).await {
            Outcome::Frame(chunks) => out = chunks,
            Outcome::Large(chunks, held) => (out, room) = (chunks, held),
            Outcome::Nothing => {}
            Outcome::Close(reason) => close = Some(reason),
        }
        let mut held = vec![pending];
        // Answers that are ready by now travel with this one.
        let mut bytes: usize = out.iter().map(Bytes::len).sum();
        while close.is_none() && out.len() < 64 && bytes < GATHER_BYTES_MAX {
            let Ok(mut next) = queue.try_recv() else {
                break;
            };
            match ready(&mut next.reply).await {
                Some(Outcome::Frame(chunks)) => {
                    bytes += chunks.iter().map(Bytes::len).sum::<usize>();
                    out.extend(chunks);
                    held.push(next);
                }
                Some(Outcome::Large(..)) => unreachable!("memory is waited for in turn"),
                Some(Outcome::Nothing) => {}
                Some(Outcome::Close(reason)) => close = Some(reason),
                None => {
                    head = Some(next);
                    break;
                }
            }
        }
        // Others wait for the last room: it is not for those who take their time.
        let hurry = room.has_turn().then(|| clock.mono().after_ms(HURRY_MS));
        if let Err(end) = write_all::<E>(&clock, &mut writer, out, hurry).await {
            return end;
        }
        if let Some(reason) = close {
            return End::Closed(reason);
        }
    }
}

/// The outcome of a reply, when it is known.
async fn resolve(reply: &mut Reply) -> Outcome {
    match reply {
        Reply::Now(outcome) => std::mem::replace(outcome, Outcome::Nothing),
        Reply::Later(future) | Reply::InTurn(future) => future.as_mut().await,
    }
}

/// The outcome of a reply if it is known now.
async fn ready(reply: &mut Reply) -> Option<Outcome> {
    if let Reply::InTurn(_) = reply {
        return None;
    }
    let mut resolving = pin!(resolve(reply));
    std::future::poll_fn(|cx| match resolving.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn write_all<E: Env>(
    clock: &E::Clock,
    writer: &mut (impl AsyncWrite + Unpin),
    mut chunks: Vec<Bytes>,
    hurry: Option<Mono>,
) -> Result<(), End> {
    chunks.retain(|chunk| !chunk.is_empty());
    let mut first = 0;
    let mut pace = Taken::begin(clock.mono());
    while first < chunks.len() {
        let slices: Vec<std::io::IoSlice<'_>> = chunks[first..]
            .iter()
            .take(64)
            .map(|chunk| std::io::IoSlice::new(chunk))
            .collect();
        let deadline = pace.deadline();
        let deadline = clock.sleep_until(hurry.map_or(deadline, |hurry| hurry.min(deadline)));
        let written = match race(writer.write_vectored(&slices), deadline).await {
            Either::First(Ok(0)) => return Err(End::Io(std::io::ErrorKind::WriteZero.into())),
            Either::First(Ok(written)) => written,
            Either::First(Err(error)) => return Err(End::Io(error)),
            Either::Second(()) if hurry.is_some_and(|hurry| hurry <= clock.mono()) => {
                let why = "an answer held the last room for answers for too long";
                return Err(End::Closed(Closing::new(Reason::SlowReader, why)));
            }
            Either::Second(()) if pace.is_enough(clock.mono()) => continue,
            Either::Second(()) => return Err(slow_reader()),
        };
        pace.took(clock.mono(), written);
        let mut left = written;
        while left > 0 {
            if left >= chunks[first].len() {
                left -= chunks[first].len();
                first += 1;
            } else {
                chunks[first].advance(left);
                left = 0;
            }
        }
    }
    let deadline = clock.mono().after_ms(WRITE_STALL_MS);
    match race(writer.flush(), clock.sleep_until(deadline)).await {
        Either::First(Ok(())) => Ok(()),
        Either::First(Err(error)) => Err(End::Io(error)),
        Either::Second(()) => Err(slow_reader()),
    }
}

/// How fast a client takes its answers.
struct Taken {
    /// Since when it is counted.
    since: Mono,
    bytes: usize,
    /// When it last took something.
    last: Mono,
}

impl Taken {
    fn begin(now: Mono) -> Taken {
        Taken {
            since: now,
            bytes: 0,
            last: now,
        }
    }

    fn took(&mut self, now: Mono, bytes: usize) {
        self.bytes += bytes;
        self.last = now;
    }

    /// When it is judged: soon after the last byte, or at the end of the interval.
    fn deadline(&self) -> Mono {
        let stalled = self.last.after_ms(WRITE_STALL_MS);
        stalled.min(self.since.after_ms(TAKEN_INTERVAL_MS))
    }

    /// At the deadline: whether it took enough. Then another interval begins, and the last byte stays where
    /// it was.
    fn is_enough(&mut self, now: Mono) -> bool {
        let enough = self.bytes >= TAKEN_BYTES_MIN;
        (self.since, self.bytes) = (now, 0);
        enough
    }
}

fn slow_reader() -> End {
    let why = "the client does not take its answers";
    End::Closed(Closing::new(Reason::SlowReader, why))
}

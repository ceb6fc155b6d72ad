//! One client connection: frames in, answers out in the order of their requests.
//!
//! Requests are taken up one after another: a handler has handed its work to the shards before the next
//! frame is decoded, so the produce requests of one connection reach a partition in the order they were
//! sent. What a handler then waits for (a sync, new records) it waits for while later requests are taken
//! up. Answers leave in request order, always.
//!
//! The room before: `listener`. The room after: `dispatch`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use env::{Clock, Connection, Either, Env, Network, race};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use types::Mono;

use crate::answer::{Outcome, Reply};
use crate::context::Context;
use crate::dispatch;
use crate::fetch_session::Sessions;

/// Bytes asked of the socket at a time, at least.
const READ_BYTES: usize = 64 * 1024;
/// A frame that has begun must grow by this much a second, after a grace period.
const FRAME_BYTES_PER_SECOND_MIN: u64 = 10 * 1024;
/// How long a frame may take before that is asked of it.
const FRAME_GRACE_MS: i64 = 10_000;
/// How long a client may refuse to take a byte of what waits for it.
const WRITE_STALL_MS: i64 = 60_000;
/// The queue of requests is counted in units of this many bytes.
pub(crate) const QUEUE_UNIT_BYTES: usize = 1024;

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
}

struct Pending {
    reply: Reply,
    _queued: OwnedSemaphorePermit,
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
    };
    let addr = peer.addr;
    let (reader, writer) = connection.split();
    let (replies, queue) = mpsc::channel(context.config.limits.in_flight_max);
    let mut writing = pin!(write_loop::<E>(context.clone(), writer, queue));
    let reading = read_loop(context.clone(), reader, peer, replies);
    let end = match race(writing.as_mut(), reading).await {
        Either::First(end) => end,
        // What was asked before the client stopped asking is still answered.
        Either::Second(End::Eof) => writing.await,
        Either::Second(end) => end,
    };
    match end {
        End::Eof => tracing::debug!(connection = id, %addr, "closed by the client"),
        End::Io(error) => tracing::debug!(connection = id, %addr, %error, "connection lost"),
        End::Closed(reason) => tracing::info!(connection = id, %addr, reason, "connection closed"),
    }
}

enum End {
    /// The client has nothing more to say.
    Eof,
    /// The network failed.
    Io(std::io::Error),
    /// We end it, for this reason.
    Closed(String),
}

async fn read_loop<E: Env>(
    context: Arc<Context<E>>,
    mut reader: <<E::Network as Network>::Connection as Connection>::Reader,
    mut peer: Peer,
    replies: mpsc::Sender<Pending>,
) -> End {
    let clock = context.env.clock().clone();
    let mut buffer = BytesMut::new();
    loop {
        // The size, the key and the version: enough to know what the frame may weigh.
        let idle = clock
            .mono()
            .after_ms(context.config.limits.connection_idle_ms_max);
        if let Err(end) = fill::<E>(&clock, &mut reader, &mut buffer, 4, idle).await {
            return end;
        }
        let size = i32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
        let general = context.config.limits.request_bytes_max;
        if !usize::try_from(size).is_ok_and(|size| (4..=general).contains(&size)) {
            return End::Closed(refused_size(size, general, &buffer[..4]));
        }
        let grace = clock.mono().after_ms(FRAME_GRACE_MS);
        if let Err(end) = fill::<E>(&clock, &mut reader, &mut buffer, 8, grace).await {
            return end;
        }
        let key = i16::from_be_bytes([buffer[4], buffer[5]]);
        let limit = dispatch::frame_bytes_max(key, general);
        let size = match usize::try_from(size) {
            Ok(size) if (4..=limit).contains(&size) => size,
            _ => return End::Closed(refused_size(size, limit, &buffer[..8])),
        };
        let units = size.div_ceil(QUEUE_UNIT_BYTES).min(context.queue_capacity);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let queued = match context
            .queued_requests
            .clone()
            .acquire_many_owned(units)
            .await
        {
            Ok(queued) => queued,
            Err(_) => return End::Closed("the node is shutting down".into()),
        };
        let deadline = clock
            .mono()
            .after_ms(FRAME_GRACE_MS + (size as u64 * 1000 / FRAME_BYTES_PER_SECOND_MIN) as i64);
        if let Err(end) = fill::<E>(&clock, &mut reader, &mut buffer, 4 + size, deadline).await {
            return match end {
                End::Eof => End::Closed("the client left in the middle of a request".into()),
                other => other,
            };
        }
        buffer.advance(4);
        let frame = buffer.split_to(size).freeze();
        let reply = match dispatch::dispatch(&context, &mut peer, frame).await {
            Reply::Now(Outcome::Close(reason)) => return End::Closed(reason),
            Reply::Now(Outcome::Nothing) => continue,
            reply => reply,
        };
        if replies
            .send(Pending {
                reply,
                _queued: queued,
            })
            .await
            .is_err()
        {
            return End::Closed("the answers cannot be written".into());
        }
    }
}

/// Reads until `buffer` holds `wanted` bytes. Room grows with what has come, never by the client's word.
async fn fill<E: Env>(
    clock: &E::Clock,
    reader: &mut <<E::Network as Network>::Connection as Connection>::Reader,
    buffer: &mut BytesMut,
    wanted: usize,
    deadline: Mono,
) -> Result<(), End> {
    while buffer.len() < wanted {
        let missing = wanted - buffer.len();
        buffer.reserve(missing.clamp(READ_BYTES, READ_BYTES.max(buffer.len())));
        match race(reader.read_buf(buffer), clock.sleep_until(deadline)).await {
            Either::First(Ok(0)) => return Err(End::Eof),
            Either::First(Ok(_)) => {}
            Either::First(Err(error)) => return Err(End::Io(error)),
            Either::Second(()) if wanted == 4 && buffer.is_empty() => {
                return Err(End::Closed(
                    "idle for too long (connections.max.idle.ms)".into(),
                ));
            }
            Either::Second(()) => {
                return Err(End::Closed("a request was sent too slowly".into()));
            }
        }
    }
    Ok(())
}

fn refused_size(size: i32, limit: usize, start: &[u8]) -> String {
    let guess = if start[0] == 0x16 && start[1] == 3 {
        ": it looks like a TLS handshake, but this listener speaks plaintext"
    } else if start[..4]
        .iter()
        .all(|b| b.is_ascii_uppercase() || *b == b' ')
    {
        ": it looks like HTTP, but this listener speaks Kafka's protocol"
    } else {
        ""
    };
    format!("a request of {size} bytes is outside 4..={limit}{guess}")
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
        let mut out: Vec<Bytes> = Vec::new();
        let mut close = None;
        match resolve(&mut pending.reply).await {
            Outcome::Frame(chunks) => out = chunks,
            Outcome::Nothing => {}
            Outcome::Close(reason) => close = Some(reason),
        }
        let mut held = vec![pending];
        // Answers that are ready by now travel with this one.
        while close.is_none() && out.len() < 64 {
            let Ok(mut next) = queue.try_recv() else {
                break;
            };
            match ready(&mut next.reply).await {
                Some(Outcome::Frame(chunks)) => {
                    out.extend(chunks);
                    held.push(next);
                }
                Some(Outcome::Nothing) => {}
                Some(Outcome::Close(reason)) => close = Some(reason),
                None => {
                    head = Some(next);
                    break;
                }
            }
        }
        let deadline = || clock.mono().after_ms(WRITE_STALL_MS);
        if let Err(end) = write_all::<E>(&clock, &mut writer, out, deadline).await {
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
        Reply::Later(future) => future.as_mut().await,
    }
}

/// The outcome of a reply if it is known now.
async fn ready(reply: &mut Reply) -> Option<Outcome> {
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
    deadline: impl Fn() -> Mono,
) -> Result<(), End> {
    chunks.retain(|chunk| !chunk.is_empty());
    let mut first = 0;
    while first < chunks.len() {
        let slices: Vec<std::io::IoSlice<'_>> = chunks[first..]
            .iter()
            .take(64)
            .map(|chunk| std::io::IoSlice::new(chunk))
            .collect();
        let written = match race(
            writer.write_vectored(&slices),
            clock.sleep_until(deadline()),
        )
        .await
        {
            Either::First(Ok(0)) => return Err(End::Io(std::io::ErrorKind::WriteZero.into())),
            Either::First(Ok(written)) => written,
            Either::First(Err(error)) => return Err(End::Io(error)),
            Either::Second(()) => {
                return Err(End::Closed("the client does not take its answers".into()));
            }
        };
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
    match race(writer.flush(), clock.sleep_until(deadline())).await {
        Either::First(Ok(())) => Ok(()),
        Either::First(Err(error)) => Err(End::Io(error)),
        Either::Second(()) => Err(End::Closed("the client does not take its answers".into())),
    }
}

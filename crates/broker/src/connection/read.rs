//! The way in: bytes to frames, within limits.
//!
//! A client may be silent between requests for `connections.max.idle.ms`. Once the first byte of a request
//! is there it has to come: its head within [`HEAD_MS`], the rest at [`BYTES_PER_SECOND_MIN`] or more in
//! every interval of [`INTERVAL_MS`] after the first. Buffers grow with what has come, and so does what is
//! held of the node's memory for requests ([`Memory`]).

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use env::{Clock, Connection, Either, Env, Network, race};
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use types::Mono;

use super::{End, Peer, Pending};
use crate::answer::{Outcome, Reply};
use crate::context::Context;
use crate::dispatch;
use crate::memory::{Grown, HURRY_MS, Held, Memory};
use crate::rejections::{Closing, Reason};

/// Bytes asked of the socket at a time, at least. A request up to this size is small.
pub(crate) const READ_BYTES: usize = 64 * 1024;
/// Size, key, version, correlation id and the length of the client's id: what every request begins with.
const HEAD_BYTES: usize = 14;
/// How long the head may take once its first byte is there.
const HEAD_MS: i64 = 5_000;
/// How often the speed of a request that is being sent is judged. The first time it is not.
const INTERVAL_MS: i64 = 10_000;
/// A request must grow by this much a second.
const BYTES_PER_SECOND_MIN: usize = 10 * 1024;
/// The same for a request that goes on although there is no room, after [`INTERVAL_MS`].
const BYTES_PER_SECOND_IN_A_HURRY: usize = 1024 * 1024;
/// One connection's requests may hold this part of what all may: one in so many.
const OWN_PART: usize = 4;
/// Bytes of answers that wait to be written, before further requests are taken up.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What one connection may have under way.
struct Budget {
    bytes: usize,
    free: Arc<Semaphore>,
}

impl Budget {
    fn new(bytes: usize) -> Budget {
        let bytes = bytes.clamp(1, u32::MAX as usize);
        Budget {
            bytes,
            free: Arc::new(Semaphore::new(bytes)),
        }
    }

    /// Waits until so much is free; what is larger than the budget needs all of it.
    async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = bytes.min(self.bytes) as u32;
        let taken = self.free.clone().acquire_many_owned(bytes).await;
        taken.expect("a connection's budget is never closed")
    }

    /// Waits until nothing is under way.
    async fn idle(&self) {
        drop(self.take(self.bytes).await);
    }
}

pub(super) async fn read_loop<E: Env>(
    context: Arc<Context<E>>,
    reader: <<E::Network as Network>::Connection as Connection>::Reader,
    mut peer: Peer,
    replies: mpsc::Sender<Pending>,
) -> End {
    let limits = &context.config.limits;
    let requests = Budget::new(limits.queued_request_bytes_max / OWN_PART);
    let answers = Budget::new(ANSWER_BYTES_MAX);
    let mut frames = Frames::<E> {
        clock: context.env.clock().clone(),
        reader,
        buffer: BytesMut::new(),
    };
    loop {
        let size = match frames.size(&context).await {
            Ok(size) => size,
            Err(end) => return end,
        };
        let own = requests.take(size).await;
        let (frame, mut held) = match frames.body(size, &context.request_memory).await {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        let has_turn = held.has_turn();
        let reply = match dispatch::dispatch(&context, &mut peer, frame, &mut held).await {
            Reply::Now(Outcome::Close(closing)) => return End::Closed(closing),
            Reply::Now(Outcome::Nothing) => continue,
            reply => reply,
        };
        let answer = match &reply {
            Reply::Now(Outcome::Frame(chunks)) => {
                Some(answers.take(chunks.iter().map(Bytes::len).sum()).await)
            }
            _ => None,
        };
        let pending = Pending {
            reply,
            _held: (held, own, answer),
        };
        if replies.send(pending).await.is_err() {
            return End::Closed(Closing::internal("the answers cannot be written"));
        }
        if has_turn {
            // Others wait for what this request holds.
            let patience = frames.clock.mono().after_ms(HURRY_MS);
            let served = race(requests.idle(), frames.clock.sleep_until(patience)).await;
            if let Either::Second(()) = served {
                let why = "a request held the last room for requests for too long";
                return End::Closed(Closing::new(Reason::RequestMemory, why));
            }
        }
    }
}

/// Cuts what comes into frames.
struct Frames<E: Env> {
    clock: E::Clock,
    reader: <<E::Network as Network>::Connection as Connection>::Reader,
    /// Begins with the size of a frame, if it is not empty.
    buffer: BytesMut,
}

impl<E: Env> Frames<E> {
    /// The size of the next frame, which has begun: its head is there.
    async fn size(&mut self, context: &Context<E>) -> Result<usize, End> {
        let limits = &context.config.limits;
        let idle = self.clock.mono().after_ms(limits.connection_idle_ms_max);
        let silent = || Closing::new(Reason::Idle, "idle for too long (connections.max.idle.ms)");
        self.fill(1, idle, silent).await?;
        let soon = self.clock.mono().after_ms(HEAD_MS);
        let slow = || Closing::new(Reason::SlowRequest, "a request begins too slowly");
        self.fill(4, soon, slow).await?;
        let b = &self.buffer;
        let size = i32::from_be_bytes([b[0], b[1], b[2], b[3]]);
        let general = limits.request_bytes_max;
        let within = |limit: usize| {
            let size = usize::try_from(size).ok();
            size.filter(|size| (4..=limit).contains(size))
        };
        let Some(fits) = within(general) else {
            return Err(End::Closed(refused_size(size, general, &self.buffer[..4])));
        };
        self.fill(HEAD_BYTES.min(4 + fits), soon, slow).await?;
        let key = i16::from_be_bytes([self.buffer[4], self.buffer[5]]);
        let limit = dispatch::frame_bytes_max(key, general);
        within(limit).ok_or_else(|| End::Closed(refused_size(size, limit, &self.buffer[..4])))
    }

    /// The frame that has begun, without its size, and what it holds.
    async fn body(&mut self, size: usize, memory: &Memory) -> Result<(Bytes, Held), End> {
        let whole = 4 + size;
        let mut held = Held::default();
        let mut pace = Pace::begin(self.clock.mono(), self.buffer.len());
        while self.buffer.len() < whole {
            if !memory.is_small(size) {
                self.hold(&mut held, memory, whole, &mut pace).await?;
            }
            let deadline = self.clock.sleep_until(pace.judged_at);
            reserve(&mut self.buffer, whole);
            match race(self.reader.read_buf(&mut self.buffer), deadline).await {
                Either::First(Ok(0)) => return Err(self.ended()),
                Either::First(Ok(_)) => {}
                Either::First(Err(error)) => return Err(End::Io(error)),
                Either::Second(()) => {
                    if let Err(closing) = pace.judge(self.buffer.len(), whole) {
                        return Err(End::Closed(closing));
                    }
                }
            }
        }
        if memory.is_small(size) {
            let room = memory.hold(size).await;
            held = room.ok_or_else(going_down)?;
        } else {
            self.hold(&mut held, memory, whole, &mut pace).await?;
        }
        self.buffer.advance(4);
        Ok((self.buffer.split_to(size).freeze(), held))
    }

    /// Has the request hold what has come of it.
    async fn hold(
        &mut self,
        held: &mut Held,
        memory: &Memory,
        whole: usize,
        pace: &mut Pace,
    ) -> Result<(), End> {
        let have = self.buffer.len().min(whole);
        match memory.grow(held, have).await {
            Grown::AtOnce => {}
            Grown::Waited => *pace = Pace::begin(self.clock.mono(), have),
            Grown::Hurry => *pace = Pace::hurry(self.clock.mono(), have, whole),
            Grown::Closed => return Err(going_down()),
        }
        Ok(())
    }

    /// Reads until the buffer holds `wanted` bytes.
    async fn fill(
        &mut self,
        wanted: usize,
        deadline: Mono,
        late: impl Fn() -> Closing,
    ) -> Result<(), End> {
        while self.buffer.len() < wanted {
            reserve(&mut self.buffer, wanted);
            let deadline = self.clock.sleep_until(deadline);
            match race(self.reader.read_buf(&mut self.buffer), deadline).await {
                Either::First(Ok(0)) => return Err(self.ended()),
                Either::First(Ok(_)) => {}
                Either::First(Err(error)) => return Err(End::Io(error)),
                Either::Second(()) => return Err(End::Closed(late())),
            }
        }
        Ok(())
    }

    /// The client has nothing more to say.
    fn ended(&self) -> End {
        if self.buffer.is_empty() {
            return End::Eof;
        }
        let why = "the client left in the middle of a request";
        End::Closed(Closing::new(Reason::Incomplete, why))
    }
}

/// Makes room in `buffer`, which is to hold `wanted` bytes: it grows with what has come, never by the
/// client's word.
fn reserve(buffer: &mut BytesMut, wanted: usize) {
    let missing = wanted.saturating_sub(buffer.len());
    buffer.reserve(missing.clamp(READ_BYTES, READ_BYTES.max(buffer.len())));
}

fn going_down() -> End {
    End::Closed(Closing::internal("the node is going down"))
}

/// How fast a request has to come.
struct Pace {
    judged_at: Mono,
    /// What has to be there then.
    wanted: usize,
    in_a_hurry: bool,
}

impl Pace {
    /// The first interval is free.
    fn begin(now: Mono, have: usize) -> Pace {
        Pace {
            judged_at: now.after_ms(INTERVAL_MS),
            wanted: have,
            in_a_hurry: false,
        }
    }

    /// All of it has to come.
    fn hurry(now: Mono, have: usize, whole: usize) -> Pace {
        let missing = whole.saturating_sub(have);
        let ms = missing as u64 * 1000 / BYTES_PER_SECOND_IN_A_HURRY as u64;
        Pace {
            judged_at: now.after_ms(INTERVAL_MS + ms as i64),
            wanted: whole,
            in_a_hurry: true,
        }
    }

    /// At `judged_at`: whether enough has come, and what is wanted next.
    fn judge(&mut self, have: usize, whole: usize) -> Result<(), Closing> {
        if have < self.wanted {
            let (reason, why) = if self.in_a_hurry {
                (
                    Reason::RequestMemory,
                    "there is no room for more requests, and this one did not hurry",
                )
            } else {
                (Reason::SlowRequest, "a request was sent too slowly")
            };
            let detail = format!("{why} ({have} of {whole} bytes)");
            return Err(Closing::new(reason, detail));
        }
        self.judged_at = self.judged_at.after_ms(INTERVAL_MS);
        self.wanted = have + BYTES_PER_SECOND_MIN * (INTERVAL_MS as usize / 1000);
        Ok(())
    }
}

fn refused_size(size: i32, limit: usize, start: &[u8]) -> Closing {
    let guess = if start[0] == 0x16 && start[1] == 3 {
        "it looks like a TLS handshake, but this listener speaks plaintext"
    } else if start[..4]
        .iter()
        .all(|b| b.is_ascii_uppercase() || *b == b' ')
    {
        "it looks like HTTP, but this listener speaks Kafka's protocol"
    } else {
        let detail = format!("a request of {size} bytes is outside 4..={limit}");
        return Closing::new(Reason::FrameSize, detail);
    };
    Closing::new(Reason::OtherProtocol, guess)
}

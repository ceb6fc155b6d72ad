//! One connection to one broker: versions agreed on, requests pipelined, answers in order.
//!
//! A task owns the socket; handles send it whole frames and await the answers. Dropping a future
//! here never leaves the stream in the middle of a frame, so callers may race and cancel freely. When
//! a request is not answered in time the connection is given up, because the answers behind it would
//! wait for ever: whatever was in flight fails as [`Error::Closed`] with `sent: true`.
//!
//! The room before is [`crate::cluster`], the room after is `env`'s network.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use env::watch;
use env::{Clock, Connection as _, Either, Env, Network, Spawner, race, race3};
use protocol::api_versions_response::ApiVersion;
use protocol::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, Message, Reader, Request, Str,
    decode_response, decode_response_header, encode_request, response_header_version,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use types::{ErrorCode, Mono};

use crate::options::ClientOptions;
use crate::{Error, Result};

/// The version of ApiVersions that is tried first: every broker since Kafka 3.8 knows it, and older
/// ones say which one they know.
const API_VERSIONS_FIRST: i16 = 4;
/// Frames are gathered into one write up to this many bytes.
const WRITE_BYTES_MAX: usize = 256 * 1024;
/// How much room for a response is set aside before its bytes have come.
const READ_RESERVE_MAX: usize = 256 * 1024;

/// A handle on a connection. Clones share it; it closes when the last one is dropped.
#[derive(Debug)]
pub struct Connection<E: Env> {
    shared: Arc<Shared<E>>,
}

impl<E: Env> Clone for Connection<E> {
    fn clone(&self) -> Self {
        Connection {
            shared: self.shared.clone(),
        }
    }
}

#[derive(Debug)]
struct Shared<E: Env> {
    env: E,
    peer: String,
    client_id: String,
    commands: mpsc::UnboundedSender<Command>,
    give_up: watch::Sender<bool>,
    versions: Versions,
}

/// What a broker said it supports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    ranges: BTreeMap<ApiKey, (i16, i16)>,
    features: BTreeMap<String, i16>,
}

impl Versions {
    fn new(response: &ApiVersionsResponse) -> Versions {
        let range = |v: &ApiVersion| (ApiKey(v.api_key), (v.min_version, v.max_version));
        Versions {
            ranges: response.api_keys.iter().map(range).collect(),
            features: response
                .finalized_features
                .iter()
                .map(|f| (f.name.to_string(), f.max_version_level))
                .collect(),
        }
    }

    /// The first and last version of `api` that the broker supports.
    #[must_use]
    pub fn range(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&api).copied()
    }

    /// Every API that the broker supports, with its first and last version.
    pub fn ranges(&self) -> impl Iterator<Item = (ApiKey, (i16, i16))> + '_ {
        self.ranges.iter().map(|(key, range)| (*key, *range))
    }

    /// The finalized level of each of the cluster's features.
    #[must_use]
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// The highest version of `R` that both sides have, up to `max`.
    fn common<R: Request>(&self, max: i16) -> Option<i16> {
        let (low, high) = self.range(R::KEY)?;
        let ours = R::KEY.info()?.stable_versions();
        let version = high.min(ours.1).min(max);
        (version >= low.max(ours.0)).then_some(version)
    }
}

struct Command {
    frames: Vec<Bytes>,
    correlation_id: i32,
    /// Who waits for the answer; nobody for a produce with acks 0.
    answer: Option<oneshot::Sender<Result<Bytes>>>,
}

struct Waiting {
    correlation_id: i32,
    answer: oneshot::Sender<Result<Bytes>>,
}

/// An answer that is on its way.
#[derive(Debug)]
pub struct Pending<E: Env, R: Request> {
    connection: Connection<E>,
    answer: oneshot::Receiver<Result<Bytes>>,
    version: i16,
    request: PhantomData<fn() -> R>,
}

impl<E: Env, R: Request> Pending<E, R> {
    /// The version in which the request was sent.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Waits for the answer, at most until `deadline`; then the connection is given up.
    ///
    /// # Errors
    /// The connection broke, time ran out, or the answer makes no sense. An error code within the
    /// answer is left to the caller.
    pub async fn answer(self, deadline: Mono) -> Result<R::Response> {
        let peer = &self.connection.shared.peer;
        let sleep = self.connection.shared.env.clock().sleep_until(deadline);
        match race(self.answer, sleep).await {
            Either::First(Ok(Ok(frame))) => match decode_response::<R>(frame, self.version) {
                Ok((_, response)) => Ok(response),
                Err(error) => {
                    self.connection.give_up();
                    Err(Error::decode(peer, error))
                }
            },
            Either::First(Ok(Err(error))) => Err(error),
            Either::First(Err(_)) => Err(closed(peer, true)),
            Either::Second(()) => {
                self.connection.give_up();
                let what = format!("{} at {peer}", R::KEY.name());
                Err(Error::timeout(what, true))
            }
        }
    }
}

fn closed(peer: &str, sent: bool) -> Error {
    Error::Closed {
        peer: peer.to_owned(),
        sent,
    }
}

impl<E: Env> Connection<E> {
    /// Connects to `host:port` and learns what the broker supports.
    ///
    /// # Errors
    /// Nobody answers there by `deadline`, or it is no Kafka broker. Nothing of the caller's was sent.
    pub async fn connect(
        env: &E,
        options: &ClientOptions,
        host: &str,
        port: u16,
        deadline: Mono,
    ) -> Result<Connection<E>> {
        let peer = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let deadline = deadline.min(env.clock().mono().after(options.connect_timeout));
        let open = Self::open(env, options, host, port, &peer);
        match race(open, env.clock().sleep_until(deadline)).await {
            Either::First(result) => result,
            Either::Second(()) => Err(Error::timeout(format!("connecting to {peer}"), false)),
        }
    }

    async fn open(
        env: &E,
        options: &ClientOptions,
        host: &str,
        port: u16,
        peer: &str,
    ) -> Result<Connection<E>> {
        let io = |e: io::Error| Error::io(format!("cannot connect to {peer}"), &e, false);
        let socket = env.network().connect(host, port).await.map_err(io)?;
        let (mut reader, mut writer) = socket.split();
        let mut input = Input::new(options.response_bytes_max);
        let versions = agree(&mut reader, &mut writer, &mut input, &options.client_id)
            .await
            .map_err(|error| match error {
                Handshake::Io(error) => io(error),
                Handshake::Protocol(detail) => Error::protocol(peer, detail),
            })?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let (give_up, given_up) = watch::channel(false);
        env.spawner().spawn(
            "client connection",
            run(reader, writer, input, inbox, given_up, peer.to_owned()),
        );
        Ok(Connection {
            shared: Arc::new(Shared {
                env: env.clone(),
                peer: peer.to_owned(),
                client_id: options.client_id.clone(),
                commands,
                give_up,
                versions,
            }),
        })
    }

    /// The broker's address, for messages.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.shared.peer
    }

    /// What the broker supports.
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.shared.versions
    }

    /// Whether nothing can be sent any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.shared.give_up.borrow() || self.shared.commands.is_closed()
    }

    /// Closes the connection; what is in flight fails.
    pub fn give_up(&self) {
        self.shared.give_up.send_replace(true);
    }

    /// The version in which `R` is sent: the highest that both sides have, up to `max`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none from `min` on.
    pub fn version<R: Request>(&self, min: i16, max: i16) -> Result<i16> {
        let common = self.versions().common::<R>(max).filter(|v| *v >= min);
        common.ok_or_else(|| Error::Unsupported {
            peer: self.shared.peer.clone(),
            api: R::KEY,
            detail: match self.versions().range(R::KEY) {
                Some((low, high)) => {
                    format!("it has {low} to {high}, this request needs {min} or later")
                }
                None => "it does not have the API".to_owned(),
            },
        })
    }

    /// Sends `request` in `version` and returns at once. Requests leave in the order of the calls.
    ///
    /// # Errors
    /// The connection is closed or the request cannot be encoded: nothing was sent.
    pub fn send<R: Request>(&self, request: &R, version: i16) -> Result<Pending<E, R>> {
        let (answer, receiver) = oneshot::channel();
        self.enqueue(request, version, Some(answer))?;
        Ok(Pending {
            connection: self.clone(),
            answer: receiver,
            version,
            request: PhantomData,
        })
    }

    /// Sends `request`, to which the broker does not answer (Produce with acks 0).
    ///
    /// # Errors
    /// As [`Connection::send`].
    pub fn send_unanswered<R: Request>(&self, request: &R, version: i16) -> Result<()> {
        self.enqueue(request, version, None)
    }

    fn enqueue<R: Request>(
        &self,
        request: &R,
        version: i16,
        answer: Option<oneshot::Sender<Result<Bytes>>>,
    ) -> Result<()> {
        if self.is_closed() {
            return Err(closed(self.peer(), false));
        }
        // The connection's task numbers the requests: it alone knows the order in which they leave.
        let frames = encode_request(0, Some(&self.shared.client_id), request, version)?;
        let command = Command {
            frames,
            correlation_id: 0,
            answer,
        };
        let sent = self.shared.commands.send(command);
        sent.map_err(|_| closed(self.peer(), false))
    }

    /// Sends the request that `build` makes for the agreed version and waits for its answer.
    ///
    /// # Errors
    /// As [`Connection::send`] and [`Pending::answer`].
    pub async fn call<R: Request>(
        &self,
        build: impl FnOnce(i16) -> R,
        deadline: Mono,
    ) -> Result<R::Response> {
        let version = self.version::<R>(0, i16::MAX)?;
        let pending = self.send(&build(version), version)?;
        pending.answer(deadline).await
    }
}

/// Bytes received and not yet taken.
struct Input {
    buffer: BytesMut,
    frame_bytes_max: usize,
}

impl Input {
    fn new(frame_bytes_max: usize) -> Input {
        Input {
            buffer: BytesMut::new(),
            frame_bytes_max,
        }
    }

    /// The next frame without its size. May be dropped while it waits and called again.
    async fn frame(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
        loop {
            let mut missing = 4usize.saturating_sub(self.buffer.len());
            if missing == 0 {
                let size = (&self.buffer[..4]).get_i32();
                let size = usize::try_from(size).ok();
                let Some(size) = size.filter(|s| (4..=self.frame_bytes_max).contains(s)) else {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the size of a response is out of bounds",
                    ));
                };
                if self.buffer.len() >= 4 + size {
                    self.buffer.advance(4);
                    return Ok(self.buffer.split_to(size).freeze());
                }
                missing = 4 + size - self.buffer.len();
            }
            let grown = READ_RESERVE_MAX.max(self.buffer.len());
            self.buffer.reserve(missing.max(16 * 1024).min(grown));
            if reader.read_buf(&mut self.buffer).await? == 0 {
                let text = "the other side closed the connection";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
        }
    }
}

enum Handshake {
    Io(io::Error),
    Protocol(String),
}

impl From<io::Error> for Handshake {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Handshake::Protocol(error.to_string()),
            _ => Handshake::Io(error),
        }
    }
}

/// Asks for the broker's versions; a broker that does not know the version of the question answers
/// in version 0 with what it knows (KIP-511).
async fn agree(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    input: &mut Input,
    client_id: &str,
) -> std::result::Result<Versions, Handshake> {
    let mut version = API_VERSIONS_FIRST;
    loop {
        let request = ApiVersionsRequest {
            client_software_name: Str::from_static("ottla"),
            client_software_version: Str::from_static(env!("CARGO_PKG_VERSION")),
            ..ApiVersionsRequest::default()
        };
        let protocol = |e: &dyn std::fmt::Display| Handshake::Protocol(e.to_string());
        let frames = encode_request(-1, Some(client_id), &request, version)
            .map_err(|e| Handshake::Protocol(e.to_string()))?;
        write_all(writer, frames.into_iter().collect()).await?;
        let frame = input.frame(reader).await?;
        let mut r = Reader::new(frame.clone());
        let header = response_header_version(ApiKey::API_VERSIONS, version);
        decode_response_header(&mut r, header).map_err(|e| protocol(&e))?;
        let code = ErrorCode(Reader::new(r.rest()).i16().map_err(|e| protocol(&e))?);
        let refused = code == ErrorCode::UNSUPPORTED_VERSION;
        let body_version = if refused { 0 } else { version };
        let response =
            ApiVersionsResponse::decode(&mut r, body_version).map_err(|e| protocol(&e))?;
        let versions = Versions::new(&response);
        if !refused {
            if !code.is_none() {
                return Err(Handshake::Protocol(format!("ApiVersions failed: {code}")));
            }
            return Ok(versions);
        }
        let theirs = versions.range(ApiKey::API_VERSIONS).map_or(0, |r| r.1);
        if version == 0 || theirs >= version || theirs < 0 {
            return Err(Handshake::Protocol(format!(
                "ApiVersions {version} was refused, {theirs} offered"
            )));
        }
        version = theirs;
    }
}

/// The task that owns the socket.
async fn run<R, W>(
    mut reader: R,
    mut writer: W,
    mut input: Input,
    mut inbox: mpsc::UnboundedReceiver<Command>,
    mut given_up: watch::Receiver<bool>,
    peer: String,
) where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let (queue, mut waiting) = mpsc::unbounded_channel();
    let ended = {
        let write = write_loop(&mut writer, &mut inbox, queue);
        let read = read_loop(&mut reader, &mut input, &mut waiting);
        let stop = async {
            if given_up.wait_for(|stop| *stop).await.is_err() {
                // Every handle is gone: the write loop ends when it has written what is left.
                std::future::pending::<()>().await;
            }
        };
        match race3(write, read, stop).await {
            env::Either3::First(result) => result,
            env::Either3::Second(error) => Err(error),
            env::Either3::Third(()) => Ok(()),
        }
    };
    if let Err(error) = &ended {
        tracing::debug!(peer, %error, "client connection ended");
    }
    inbox.close();
    let fail = |sent| match &ended {
        Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
            if e.kind() == io::ErrorKind::InvalidData {
                Error::protocol(&peer, e.to_string())
            } else {
                Error::io(format!("the connection to {peer} broke"), e, sent)
            }
        }
        _ => closed(&peer, sent),
    };
    while let Ok(Waiting { answer, .. }) = waiting.try_recv() {
        // A receiver that is gone has stopped waiting.
        let _ = answer.send(Err(fail(true)));
    }
    while let Ok(command) = inbox.try_recv() {
        if let Some(answer) = command.answer {
            let _ = answer.send(Err(closed(&peer, false)));
        }
    }
}

/// Writes requests in their order. Ends when all handles are gone.
async fn write_loop(
    writer: &mut (impl AsyncWrite + Unpin),
    inbox: &mut mpsc::UnboundedReceiver<Command>,
    queue: mpsc::UnboundedSender<Waiting>,
) -> io::Result<()> {
    let mut next_correlation_id = 0i32;
    while let Some(first) = inbox.recv().await {
        let mut chunks = std::collections::VecDeque::new();
        let mut bytes = 0;
        let mut command = Some(first);
        while let Some(mut taken) = command {
            taken.correlation_id = next_correlation_id;
            next_correlation_id = next_correlation_id.wrapping_add(1) & i32::MAX;
            set_correlation_id(&mut taken.frames, taken.correlation_id);
            if let Some(answer) = taken.answer {
                let correlation_id = taken.correlation_id;
                // From here on the request counts as sent. The receiver lives as long as this loop.
                let _ = queue.send(Waiting {
                    correlation_id,
                    answer,
                });
            }
            bytes += taken.frames.iter().map(Bytes::len).sum::<usize>();
            chunks.extend(taken.frames);
            command = if bytes < WRITE_BYTES_MAX {
                inbox.try_recv().ok()
            } else {
                None
            };
        }
        write_all(writer, chunks).await?;
    }
    Ok(())
}

/// Puts the correlation id into an encoded request: size i32, api key i16, version i16, id i32.
fn set_correlation_id(frames: &mut [Bytes], id: i32) {
    let first = frames.first_mut().expect("a request has a first chunk");
    let mut head = BytesMut::from(std::mem::take(first));
    head[8..12].copy_from_slice(&id.to_be_bytes());
    *first = head.freeze();
}

async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    mut chunks: std::collections::VecDeque<Bytes>,
) -> io::Result<()> {
    while !chunks.is_empty() {
        let mut written = {
            let slices: Vec<IoSlice<'_>> =
                chunks.iter().take(64).map(|c| IoSlice::new(c)).collect();
            writer.write_vectored(&slices).await?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(chunk) = chunks.front_mut() {
            if chunk.len() > written {
                chunk.advance(written);
                break;
            }
            written -= chunk.len();
            chunks.pop_front();
        }
    }
    writer.flush().await
}

/// Hands out answers in the order of the requests. Ends with the connection.
async fn read_loop(
    reader: &mut (impl AsyncRead + Unpin),
    input: &mut Input,
    waiting: &mut mpsc::UnboundedReceiver<Waiting>,
) -> io::Error {
    loop {
        let frame = match input.frame(reader).await {
            Ok(frame) => frame,
            Err(error) => return error,
        };
        let Ok(next) = waiting.try_recv() else {
            return io::Error::new(io::ErrorKind::InvalidData, "an answer to no request");
        };
        // A frame has at least the four bytes of its correlation id: `Input::frame` saw to it.
        let id = (&frame[..4]).get_i32();
        let answer = if id == next.correlation_id {
            Ok(frame)
        } else {
            let text = format!("answer {id} came instead of {}", next.correlation_id);
            let _ = next.answer.send(Err(Error::protocol("the broker", &text)));
            return io::Error::new(io::ErrorKind::InvalidData, text);
        };
        // A receiver that is gone has stopped waiting.
        let _ = next.answer.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll_now<F: Future>(future: F) -> Option<F::Output> {
        use std::task::{Context, Poll, Waker};
        let mut future = std::pin::pin!(future);
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn frames_are_cut_out_however_they_come() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut input = Input::new(100);
        poll_now(far.write_all(b"\x00\x00\x00\x05hel"))
            .unwrap()
            .unwrap();
        assert!(poll_now(input.frame(&mut near)).is_none());
        poll_now(far.write_all(b"lo\x00\x00\x00\x04four\x00\x00"))
            .unwrap()
            .unwrap();
        assert_eq!(poll_now(input.frame(&mut near)).unwrap().unwrap(), "hello");
        assert_eq!(poll_now(input.frame(&mut near)).unwrap().unwrap(), "four");
        drop(far);
        let error = poll_now(input.frame(&mut near)).unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn sizes_are_bounded_before_anything_is_read() {
        for size in [101i32, 3, 0, -1, i32::MAX, i32::MIN] {
            let mut bytes: &[u8] = &size.to_be_bytes();
            let error = poll_now(Input::new(100).frame(&mut bytes))
                .unwrap()
                .unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{size}");
        }
    }

    #[test]
    fn the_common_version_is_the_highest_of_both() {
        let api = |api_key, min_version, max_version| ApiVersion {
            api_key,
            min_version,
            max_version,
        };
        let response = ApiVersionsResponse {
            api_keys: vec![api(3, 0, 9), api(0, 50, 60), api(22, 0, 6)],
            ..ApiVersionsResponse::default()
        };
        let versions = Versions::new(&response);
        assert_eq!(
            versions.common::<protocol::MetadataRequest>(i16::MAX),
            Some(9)
        );
        assert_eq!(versions.common::<protocol::MetadataRequest>(4), Some(4));
        assert_eq!(versions.common::<protocol::ProduceRequest>(i16::MAX), None);
        assert_eq!(versions.common::<protocol::FetchRequest>(i16::MAX), None);
        // Version 6 may still change and is not spoken even if it is offered.
        assert_eq!(
            versions.common::<protocol::InitProducerIdRequest>(i16::MAX),
            Some(5)
        );
    }
}

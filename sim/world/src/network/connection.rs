//! Connections as their two processes see them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use env::Connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::executor::Due;
use crate::network::pipe::Pipe;
use crate::network::{Arrival, ConnectionKey, End, Link, Phase, ip_of};
use crate::seed::Draw;
use crate::shared::{Core, Handle, NOBODY};
use crate::trace::Event;

/// A connection that is being made.
pub(crate) struct Opening {
    handle: Handle,
    connection: Option<ConnectionKey>,
}

impl Opening {
    pub(crate) fn start(handle: &Handle, host: &str, port: u16) -> io::Result<Opening> {
        let mut core = handle.shared.lock();
        let core = &mut *core;
        if !core.is_alive(handle.node, handle.incarnation) {
            return Err(io::Error::other("the process is dead"));
        }
        let (server, ip) = core.resolve(handle.node, host)?;
        let local_port = core.free_port(handle.node)?;
        let local_ip = if ip.is_loopback() {
            ip
        } else {
            IpAddr::from(ip_of(handle.node))
        };
        let ip = if ip.is_unspecified() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            ip
        };
        let end = |node, incarnation, addr, open| End {
            node,
            incarnation,
            addr,
            reader_open: open,
            writer_open: open,
            gone: false,
            broken: None,
            reader: None,
            writer: None,
        };
        let (rng, profile) = (&mut core.network.rng, &core.network.profile);
        let link = Link {
            pipes: [Pipe::new(rng, profile), Pipe::new(rng, profile)],
            ends: [
                end(
                    handle.node,
                    handle.incarnation,
                    SocketAddr::new(local_ip, local_port),
                    true,
                ),
                end(server, 0, SocketAddr::new(ip, port), false),
            ],
            phase: Phase::Connecting,
            connecting: None,
        };
        let connection = core.network.insert(link);
        let event = Event::Connect {
            connection: connection.slot,
            to: server,
            port,
        };
        core.trace(handle.node, event);
        core.send_syn(connection, 0);
        Ok(Opening {
            handle: handle.clone(),
            connection: Some(connection),
        })
    }
}

impl Future for Opening {
    type Output = io::Result<SimConnection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let connection = this.connection.expect("polled after completion");
        let mut core = this.handle.shared.lock();
        let core = &mut *core;
        let Some(link) = core.network.link(connection) else {
            return Poll::Ready(Err(io::Error::other("the process is dead")));
        };
        match link.phase {
            Phase::Connecting => {
                link.connecting = Some(cx.waker().clone());
                Poll::Pending
            }
            Phase::Established => {
                this.connection = None;
                Poll::Ready(SimConnection::of(&this.handle, core, connection, 0))
            }
            Phase::Failed(kind) => {
                this.connection = None;
                core.release(connection, 0, true, true);
                Poll::Ready(Err(kind.into()))
            }
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(connection) = self.connection {
            self.handle.lock().release(connection, 0, true, true);
        }
    }
}

/// One end of a connection.
pub struct SimConnection {
    reader: SimReader,
    writer: SimWriter,
    local: SocketAddr,
    peer: SocketAddr,
}

impl SimConnection {
    pub(crate) fn of(
        handle: &Handle,
        core: &mut Core,
        connection: ConnectionKey,
        end: u8,
    ) -> io::Result<SimConnection> {
        let link = core
            .network
            .link(connection)
            .ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        let half = || Half {
            handle: handle.clone(),
            connection,
            end,
        };
        Ok(SimConnection {
            reader: SimReader(half()),
            writer: SimWriter(half()),
            local: link.ends[end as usize].addr,
            peer: link.ends[1 - end as usize].addr,
        })
    }
}

impl Connection for SimConnection {
    type Reader = SimReader;
    type Writer = SimWriter;

    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn split(self) -> (SimReader, SimWriter) {
        (self.reader, self.writer)
    }
}

struct Half {
    handle: Handle,
    connection: ConnectionKey,
    end: u8,
}

/// The receiving half of an end.
pub struct SimReader(Half);

/// The sending half of an end.
pub struct SimWriter(Half);

impl Drop for SimReader {
    fn drop(&mut self) {
        self.0
            .handle
            .lock()
            .release(self.0.connection, self.0.end, true, false);
    }
}

impl Drop for SimWriter {
    fn drop(&mut self) {
        self.0
            .handle
            .lock()
            .release(self.0.connection, self.0.end, false, true);
    }
}

impl AsyncRead for SimReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let half = &self.0;
        let end = half.end as usize;
        let mut core = half.handle.shared.lock();
        let network = &mut core.network;
        let short = network.rng.chance(network.profile.short_read_ppm);
        let draw = if short { network.rng.word() } else { 0 };
        let Some(link) = network.link(half.connection) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let pipe = &mut link.pipes[1 - end];
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let unread = pipe.unread();
        if unread > 0 {
            let max = unread.min(buf.remaining());
            let part = if short {
                1 + (draw % max as u64) as usize
            } else {
                max
            };
            let had_room = pipe.room() > 0;
            pipe.read(part, |part| buf.put_slice(part));
            if !had_room && let Some(waker) = link.ends[1 - end].writer.take() {
                waker.wake();
            }
            if part < max {
                network.strikes.hit("net-short-read");
            }
            return Poll::Ready(Ok(()));
        }
        if pipe.finished {
            return Poll::Ready(Ok(()));
        }
        if let Some(kind) = link.ends[end].broken {
            return Poll::Ready(Err(kind.into()));
        }
        link.ends[end].reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl SimWriter {
    fn write(&self, cx: &Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let half = &self.0;
        let end = half.end as usize;
        let mut core = half.handle.shared.lock();
        let core = &mut *core;
        let network = &mut core.network;
        let (connection, wanted) = (
            half.connection,
            buffers.iter().map(|b| b.len()).sum::<usize>(),
        );
        let short = network.rng.chance(network.profile.short_write_ppm);
        let draw = if short { network.rng.word() } else { 0 };
        let Some(link) = network.link(connection) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if let Some(kind) = link.ends[end].broken {
            let kind = if link.pipes[end].sent > 0 {
                kind
            } else {
                io::ErrorKind::BrokenPipe
            };
            return Poll::Ready(Err(kind.into()));
        }
        if link.pipes[end].finishing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let room = link.pipes[end].room();
        if room == 0 {
            link.ends[end].writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let most = wanted.min(room);
        let taken = if short {
            1 + (draw % most as u64) as usize
        } else {
            most
        };
        if taken < most {
            network.strikes.hit("net-short-write");
        }
        let data = gather(buffers, taken);
        let event = Event::Sent {
            connection: connection.slot,
            end: half.end,
            bytes: taken as u32,
            digest: crate::seed::digest(&data),
        };
        core.trace(half.handle.node, event);
        core.send(connection, half.end, data);
        Poll::Ready(Ok(taken))
    }
}

fn gather(buffers: &[io::IoSlice<'_>], len: usize) -> Bytes {
    if let Some(first) = buffers.first().filter(|first| first.len() >= len) {
        return Bytes::copy_from_slice(&first[..len]);
    }
    let mut out = Vec::with_capacity(len);
    for buffer in buffers {
        let part = buffer.len().min(len - out.len());
        out.extend_from_slice(&buffer[..part]);
    }
    out.into()
}

impl AsyncWrite for SimWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0
            .handle
            .lock()
            .finish_sending(self.0.connection, self.0.end);
        Poll::Ready(Ok(()))
    }
}

impl Core {
    /// A port for a client, or for a listener that does not mind which.
    pub(crate) fn free_port(&mut self, node: u32) -> io::Result<u16> {
        for _ in 0..=u16::MAX - FIRST_PORT {
            let state = &mut self.nodes[node as usize];
            let port = state.next_port;
            state.next_port = if port == u16::MAX {
                FIRST_PORT
            } else {
                port + 1
            };
            if !self.network.listeners.contains_key(&(node, port)) {
                return Ok(port);
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Sends the first packet of a connection, or sends it again.
    pub(crate) fn send_syn(&mut self, connection: ConnectionKey, attempt: u32) {
        let Some(link) = self.network.link(connection) else {
            return;
        };
        let (from, to) = (link.ends[0].node, link.ends[1].node);
        if to == NOBODY {
            let after = self.network.profile.connect_timeout_ns;
            let arrival = Arrival::NoConnection {
                connection,
                refused: false,
            };
            self.plan(after, Due::Network(arrival));
            return;
        }
        let after = self.network.delay(from, to);
        self.plan(
            after,
            Due::Network(Arrival::Syn {
                connection,
                attempt,
            }),
        );
    }
}

/// Ephemeral ports begin here.
pub(crate) const FIRST_PORT: u16 = 49152;

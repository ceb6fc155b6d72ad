//! TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use env::{Connection, Listener, Network};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel completes before somebody accepts them.
const BACKLOG: i32 = 1024;

/// How long a listener rests when the process is out of descriptors or memory: without it, a full
/// process would spin on the connection that it cannot take.
const REST: Duration = Duration::from_millis(100);

/// The machine's network.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioNetwork {}

impl TokioNetwork {
    /// The network.
    #[must_use]
    pub fn new() -> TokioNetwork {
        TokioNetwork {}
    }
}

impl Network for TokioNetwork {
    type Connection = TokioConnection;
    type Listener = TokioListener;

    /// As the trait says. An empty host, `*` or `::` listens on IPv6 and IPv4 alike (on IPv4 alone where
    /// the machine has no IPv6). A name that has several addresses is tried in their order.
    async fn listen(&self, host: &str, port: u16) -> io::Result<TokioListener> {
        let host = bare(host);
        if matches!(host, "" | "*" | "::") {
            let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            return match bind(everywhere) {
                Err(error) if no_ipv6(&error) => {
                    bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
                }
                bound => bound,
            };
        }
        let mut last = None;
        for address in resolve(host, port).await? {
            match bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| no_address(host)))
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<TokioConnection> {
        let host = bare(host);
        let mut last = None;
        for address in resolve(host, port).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return TokioConnection::new(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| no_address(host)))
    }
}

/// An IPv6 address may be written in brackets, as in a URL.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

fn no_address(host: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("the name {host:?} has no address"),
    )
}

fn no_ipv6(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
    )
}

fn bind(address: SocketAddr) -> io::Result<TokioListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let local_addr = listener.local_addr()?;
    Ok(TokioListener {
        listener,
        local_addr,
    })
}

/// A listening socket.
#[derive(Debug)]
pub struct TokioListener {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Listener for TokioListener {
    type Connection = TokioConnection;

    async fn accept(&mut self) -> io::Result<TokioConnection> {
        match self.listener.accept().await {
            Ok((stream, _)) => TokioConnection::new(stream),
            Err(error) => {
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
                ) {
                    tokio::time::sleep(REST).await;
                }
                Err(error)
            }
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// A TCP connection, which sends at once (`TCP_NODELAY`) and notices a dead peer in the end
/// (`SO_KEEPALIVE`, as Kafka's does).
#[derive(Debug)]
pub struct TokioConnection {
    stream: TcpStream,
    peer_addr: SocketAddr,
    local_addr: SocketAddr,
}

impl TokioConnection {
    fn new(stream: TcpStream) -> io::Result<TokioConnection> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_keepalive(true)?;
        Ok(TokioConnection {
            peer_addr: canonical(stream.peer_addr()?),
            local_addr: canonical(stream.local_addr()?),
            stream,
        })
    }
}

/// An IPv4 peer of a socket for both families is an IPv4 peer.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Connection for TokioConnection {
    type Reader = OwnedReadHalf;
    /// Shuts down its direction when it is dropped.
    type Writer = OwnedWriteHalf;

    fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.stream.into_split()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_listener_for_every_address_takes_both_families() {
        let network = TokioNetwork::new();
        let mut listener = network.listen("", 0).await.unwrap();
        let port = listener.local_addr().port();
        let mut hosts = vec!["127.0.0.1", "localhost"];
        if listener.local_addr().is_ipv6() {
            hosts.push("[::1]");
        }
        for host in hosts {
            let client = network.connect(host, port).await.unwrap();
            let server = listener.accept().await.unwrap();
            assert_eq!(client.local_addr(), server.peer_addr());
            assert_eq!(client.peer_addr(), server.local_addr());
        }
    }

    #[tokio::test]
    async fn dropping_the_writer_ends_one_direction_and_leaves_the_other() {
        let network = TokioNetwork::new();
        let mut listener = network.listen("127.0.0.1", 0).await.unwrap();
        let client = network
            .connect("127.0.0.1", listener.local_addr().port())
            .await
            .unwrap();
        let (mut client_reads, mut client_writes) = client.split();
        let (mut server_reads, mut server_writes) = listener.accept().await.unwrap().split();
        assert!(client_writes.is_write_vectored());
        client_writes.write_all(b"last words").await.unwrap();
        drop(client_writes);
        let mut heard = Vec::new();
        server_reads.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"last words");
        server_writes.write_all(b"heard").await.unwrap();
        drop((server_reads, server_writes));
        let mut answer = Vec::new();
        client_reads.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"heard");
    }

    #[tokio::test]
    async fn says_who_is_to_blame() {
        let network = TokioNetwork::new();
        let listener = network.listen("127.0.0.1", 0).await.unwrap();
        let port = listener.local_addr().port();
        let taken = network.listen("127.0.0.1", port).await.err().unwrap();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let refused = network.connect("127.0.0.1", port).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(network.listen("no.such.host.invalid", 0).await.is_err());
    }
}

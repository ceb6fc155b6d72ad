//! Byte-stream connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

/// Where a node listens and whom it reaches.
///
/// Contract: a connection delivers bytes in order, without loss or repetition, until it ends; how the
/// writes of one side are cut into reads of the other is up to the network. Loss shows as silence and
/// then a reset. A completed write means that the bytes left this process, and nothing more.
pub trait Network: Clone + Send + Sync + 'static {
    /// A connection.
    type Connection: Connection;
    /// A socket that accepts connections.
    type Listener: Listener<Connection = Self::Connection>;

    /// Listens on `host:port`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be resolved or is in use.
    fn listen(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Connects to `host:port`.
    ///
    /// # Errors
    /// The name cannot be resolved, nobody listens there, or the network gives up.
    fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// Accepts connections.
pub trait Listener: Send + 'static {
    /// A connection.
    type Connection: Connection;

    /// The next connection.
    ///
    /// # Errors
    /// The one connection could not be had (too many open files, reset in the backlog): the listener
    /// goes on, after a pause if the cause is want of resources.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// The address this listener is bound to.
    fn local_addr(&self) -> SocketAddr;
}

/// A connection, which is used by its two halves.
///
/// Dropping the writer half-closes the connection; dropping both closes it.
pub trait Connection: Send + 'static {
    /// The receiving half. End of stream is a read of zero bytes.
    type Reader: AsyncRead + Unpin + Send + 'static;
    /// The sending half; vectored writes are worth using (`is_write_vectored`).
    type Writer: AsyncWrite + Unpin + Send + 'static;

    /// The address of the other side.
    fn peer_addr(&self) -> SocketAddr;

    /// The address of this side, as the other side reached it.
    fn local_addr(&self) -> SocketAddr;

    /// The two halves.
    fn split(self) -> (Self::Reader, Self::Writer);
}

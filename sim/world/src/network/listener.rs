//! Listening sockets.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Poll, Waker};

use env::Listener;

use crate::network::{ConnectionKey, SimConnection};
use crate::seed::Draw;
use crate::shared::Handle;

/// The world's side of a listener.
#[derive(Debug)]
pub(crate) struct Listening {
    pub(crate) id: u64,
    pub(crate) ip: IpAddr,
    pub(crate) backlog: VecDeque<ConnectionKey>,
    pub(crate) limit: usize,
    pub(crate) waker: Option<Waker>,
}

/// Accepts connections.
pub struct SimListener {
    handle: Handle,
    addr: SocketAddr,
    id: u64,
}

impl SimListener {
    pub(crate) fn bind(handle: &Handle, host: &str, port: u16) -> io::Result<SimListener> {
        let mut core = handle.shared.lock();
        let core = &mut *core;
        if !core.is_alive(handle.node, handle.incarnation) {
            return Err(io::Error::other("the process is dead"));
        }
        let (node, ip) = core.resolve(handle.node, host)?;
        if node != handle.node {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let port = if port == 0 {
            core.free_port(node)?
        } else {
            port
        };
        if core.network.listeners.contains_key(&(node, port)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let id = core.network.next_listener();
        let limit = core.network.profile.backlog;
        let listening = Listening {
            id,
            ip,
            backlog: VecDeque::new(),
            limit,
            waker: None,
        };
        core.network.listeners.insert((node, port), listening);
        Ok(SimListener {
            handle: handle.clone(),
            addr: SocketAddr::new(ip, port),
            id,
        })
    }
}

impl Listener for SimListener {
    type Connection = SimConnection;

    async fn accept(&mut self) -> io::Result<SimConnection> {
        std::future::poll_fn(|cx| {
            let mut core = self.handle.shared.lock();
            let core = &mut *core;
            let key = (self.handle.node, self.addr.port());
            let Some(listening) = core
                .network
                .listeners
                .get_mut(&key)
                .filter(|known| known.id == self.id)
            else {
                return Poll::Ready(Err(io::Error::other("the process is dead")));
            };
            if listening.backlog.is_empty() {
                listening.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            if core
                .network
                .rng
                .chance(core.network.profile.accept_error_ppm)
            {
                // Too many open files, this time.
                core.network.strikes.hit("net-accept-error");
                return Poll::Ready(Err(io::Error::from_raw_os_error(libc::EMFILE)));
            }
            let connection = listening.backlog.pop_front().expect("not empty");
            Poll::Ready(SimConnection::of(&self.handle, core, connection, 1))
        })
        .await
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut core = self.handle.shared.lock();
        let key = (self.handle.node, self.addr.port());
        if core
            .network
            .listeners
            .get(&key)
            .is_some_and(|known| known.id == self.id)
        {
            core.close_listener(key);
        }
    }
}

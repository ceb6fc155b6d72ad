//! Byte-stream connections between nodes.
//!
//! A connection delivers bytes in order, without loss or repetition, until it ends. Everything else is
//! the seed's choice: where writes are cut and glued, how long each piece takes, whether the connection
//! stalls, breaks at some byte, or goes silent. A window bounds what is under way, so that a reader that
//! does not read holds up the writer.
//!
//! Below this there are packets, retransmissions and time-outs; of them only what can be seen from above
//! is modelled: loss shows as a delay, and in the end as a reset.

pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod pipe;
pub(crate) mod wire;

pub use connection::{SimConnection, SimReader, SimWriter};
pub use listener::SimListener;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Waker;

use env::Network;

use crate::network::listener::Listening;
use crate::network::pipe::Pipe;
use crate::profile::NetworkProfile;
use crate::seed::{ChaCha8Rng, Draw};
use crate::shared::{Core, Handle};
use crate::strikes::Strikes;

/// One second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A connection, and the generation of the slot that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionKey {
    pub(crate) slot: u32,
    generation: u32,
}

/// Something reaches a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// The first packet of a connection, at the `attempt`-th try, at the server.
    Syn {
        connection: ConnectionKey,
        attempt: u32,
    },
    /// The server's answer, at the client.
    SynAck { connection: ConnectionKey },
    /// The server's refusal, at the client; or the end of the client's patience.
    NoConnection {
        connection: ConnectionKey,
        refused: bool,
    },
    /// What is next in a pipe.
    Bytes { connection: ConnectionKey, from: u8 },
    /// The news that the connection is broken, at one end.
    Reset {
        connection: ConnectionKey,
        end: u8,
        timed_out: bool,
    },
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: u32,
    pub(crate) incarnation: u32,
    pub(crate) addr: SocketAddr,
    pub(crate) reader_open: bool,
    pub(crate) writer_open: bool,
    /// The machine has forgotten this end: a packet for it is answered with a reset.
    pub(crate) gone: bool,
    pub(crate) broken: Option<io::ErrorKind>,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

impl End {
    pub(crate) fn is_released(&self) -> bool {
        !self.reader_open && !self.writer_open
    }

    pub(crate) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    /// In the listener's backlog, or taken from it.
    Established,
    Failed(io::ErrorKind),
}

#[derive(Debug)]
pub(crate) struct Link {
    /// The client's end, then the server's.
    pub(crate) ends: [End; 2],
    /// What each end sends.
    pub(crate) pipes: [Pipe; 2],
    pub(crate) phase: Phase,
    pub(crate) connecting: Option<Waker>,
}

struct Slot {
    generation: u32,
    link: Option<Box<Link>>,
}

pub(crate) struct NetworkState {
    pub(crate) rng: ChaCha8Rng,
    pub(crate) profile: NetworkProfile,
    slots: Vec<Slot>,
    vacant: Vec<u32>,
    pub(crate) listeners: BTreeMap<(u32, u16), Listening>,
    next_listener: u64,
    /// Base delay per ordered pair of nodes, drawn at first use.
    delays: BTreeMap<(u32, u32), u64>,
    /// Ordered pairs of nodes between which nothing passes, and the ends from which something waits.
    cut: BTreeMap<(u32, u32), BTreeSet<(ConnectionKey, u8)>>,
    /// What struck.
    pub(crate) strikes: Strikes,
}

impl NetworkState {
    pub(crate) fn new(profile: NetworkProfile, rng: ChaCha8Rng) -> NetworkState {
        NetworkState {
            rng,
            profile,
            slots: Vec::new(),
            vacant: Vec::new(),
            listeners: BTreeMap::new(),
            next_listener: 0,
            delays: BTreeMap::new(),
            cut: BTreeMap::new(),
            strikes: Strikes::default(),
        }
    }

    pub(crate) fn insert(&mut self, link: Link) -> ConnectionKey {
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                link: None,
            });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 connections at a time")
        });
        let entry = &mut self.slots[slot as usize];
        entry.link = Some(Box::new(link));
        ConnectionKey {
            slot,
            generation: entry.generation,
        }
    }

    pub(crate) fn link(&mut self, key: ConnectionKey) -> Option<&mut Link> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation {
            slot.link.as_deref_mut()
        } else {
            None
        }
    }

    /// Forgets a connection that neither end has a hold of.
    pub(crate) fn reap(&mut self, key: ConnectionKey) {
        let Some(link) = self.link(key) else { return };
        if link.ends.iter().all(|end| end.is_released() || end.gone)
            && link.ends.iter().all(End::is_released)
        {
            let slot = &mut self.slots[key.slot as usize];
            slot.generation += 1;
            slot.link = None;
            self.vacant.push(key.slot);
        }
    }

    /// All connections that there are.
    pub(crate) fn keys(&self) -> Vec<ConnectionKey> {
        let key = |(slot, entry): (usize, &Slot)| {
            entry.link.is_some().then_some(ConnectionKey {
                slot: slot as u32,
                generation: entry.generation,
            })
        };
        self.slots.iter().enumerate().filter_map(key).collect()
    }

    /// How long a piece takes from one node to another this time.
    pub(crate) fn delay(&mut self, from: u32, to: u32) -> u64 {
        let (profile, rng) = (&self.profile, &mut self.rng);
        if from == to {
            return rng.between(2_000, 20_000);
        }
        let base = *self
            .delays
            .entry((from, to))
            .or_insert_with(|| rng.magnitude(profile.delay_ns.start, profile.delay_ns.end));
        rng.heavy_tail(base)
    }

    pub(crate) fn is_cut(&self, from: u32, to: u32) -> bool {
        self.cut.contains_key(&(from, to))
    }

    /// Something waits until the way from one node to another is free again.
    pub(crate) fn hold(&mut self, from: u32, to: u32, connection: ConnectionKey, end: u8) {
        if let Some(held) = self.cut.get_mut(&(from, to)) {
            held.insert((connection, end));
            self.strikes.hit("net-held-by-partition");
        }
    }
}

/// The address of a node.
pub(crate) fn ip_of(node: u32) -> Ipv4Addr {
    let [_, high, middle, low] = (node + 1).to_be_bytes();
    Ipv4Addr::new(10, high, middle, low)
}

impl Core {
    /// Cuts the way from one node to another: nothing passes until it is free again.
    pub(crate) fn cut(&mut self, from: u32, to: u32) {
        self.network.cut.entry((from, to)).or_default();
    }

    /// Frees the way from one node to another. What waited goes on.
    pub(crate) fn free(&mut self, from: u32, to: u32) {
        for (connection, end) in self.network.cut.remove(&(from, to)).unwrap_or_default() {
            // Retransmissions take their time to notice.
            let after = self.network.delay(from, to) + self.network.rng.below(SECOND / 2);
            self.plan(
                after,
                crate::executor::Due::Network(Arrival::Bytes {
                    connection,
                    from: end,
                }),
            );
        }
    }

    /// All ways that are cut.
    pub(crate) fn cuts(&self) -> Vec<(u32, u32)> {
        self.network.cut.keys().copied().collect()
    }

    /// The node that a name or address stands for, as seen from `node`, and that address.
    pub(crate) fn resolve(&self, node: u32, host: &str) -> io::Result<(u32, IpAddr)> {
        if let Some(found) = self.nodes.iter().position(|known| &*known.name == host) {
            return Ok((found as u32, ip_of(found as u32).into()));
        }
        let ip: IpAddr = match host {
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            _ => host.parse().map_err(|_| {
                io::Error::other(format!("failed to lookup address information: {host}"))
            })?,
        };
        if ip.is_loopback() || ip.is_unspecified() {
            return Ok((node, ip));
        }
        let found = (0..self.nodes.len() as u32).find(|other| IpAddr::from(ip_of(*other)) == ip);
        Ok((found.unwrap_or(crate::shared::NOBODY), ip))
    }
}

/// The network as a process sees it.
#[derive(Clone)]
pub struct SimNetwork(pub(crate) Handle);

impl Network for SimNetwork {
    type Connection = SimConnection;
    type Listener = SimListener;

    async fn listen(&self, host: &str, port: u16) -> io::Result<SimListener> {
        SimListener::bind(&self.0, host, port)
    }

    async fn connect(&self, host: &str, port: u16) -> io::Result<SimConnection> {
        let opening = connection::Opening::start(&self.0, host, port)?;
        opening.await
    }
}

impl NetworkState {
    pub(crate) fn next_listener(&mut self) -> u64 {
        self.next_listener += 1;
        self.next_listener
    }
}

//! What happens between two ends: pieces on their way, handshakes, resets, and machines that die.

use std::io;

use bytes::Bytes;

use crate::executor::Due;
use crate::network::pipe::Fate;
use crate::network::{Arrival, ConnectionKey, Phase, SECOND};
use crate::node::{Power, Stop};
use crate::seed::Draw;
use crate::shared::Core;
use crate::trace::Event;

impl Core {
    /// Sends bytes, in pieces or glued to what is already under way.
    pub(crate) fn send(&mut self, connection: ConnectionKey, end: u8, mut data: Bytes) {
        let now = self.now;
        let network = &mut self.network;
        let (rng, profile) = (&mut network.rng, &network.profile);
        let (cuts, glued) = if rng.chance(profile.cut_ppm) {
            (1 + rng.below(4), false)
        } else {
            (0, rng.chance(profile.glue_ppm))
        };
        let Some(link) = network.link(connection) else {
            return;
        };
        let (from, to) = (
            link.ends[end as usize].node,
            link.ends[1 - end as usize].node,
        );
        let pipe = &mut link.pipes[end as usize];
        if pipe.dead {
            // It stays in the sender's buffer for ever, so that the window fills up.
            pipe.push(u64::MAX, data);
            return;
        }
        let sent_before = pipe.sent;
        let (fate, last) = (pipe.fate, pipe.last_moment);
        let reaches = |byte: u64| sent_before + data.len() as u64 >= byte;
        let mut stalled = 0;
        let mut broken = None;
        let sticks = glued && last > now;
        match fate {
            Fate::StallAt { byte, for_ns } if reaches(byte) => stalled = for_ns,
            Fate::ResetAt(byte) | Fate::SilentAt(byte) if reaches(byte) => {
                data.truncate((byte - sent_before) as usize);
                broken = Some(matches!(fate, Fate::ResetAt(_)));
            }
            _ => {}
        }
        if stalled > 0 || broken.is_some() {
            pipe.fate = Fate::Fine;
            let kind = match broken {
                None => "net-stalled",
                Some(true) => "net-reset",
                Some(false) => "net-half-open",
            };
            self.network.strikes.hit(kind);
            self.trace(
                from,
                Event::Fault {
                    kind,
                    a: u64::from(connection.slot),
                    b: sent_before,
                },
            );
        }
        if sticks {
            self.network.strikes.hit("net-glued");
        }
        let whole = data.len();
        let mut moment = if sticks {
            last
        } else {
            last.max(now + stalled + self.network.delay(from, to))
        };
        for cut in 0..=cuts {
            let len = if cut == cuts || data.is_empty() {
                data.len()
            } else {
                // Anything from a byte to nearly all.
                self.network.rng.magnitude(1, data.len() as u64) as usize
            };
            let piece = data.split_to(len);
            if cut == 0 && len > 0 && len < whole {
                self.network.strikes.hit("net-split");
            }
            if cut > 0 {
                moment += self.network.delay(from, to);
            }
            if !piece.is_empty()
                && let Some(link) = self.network.link(connection)
            {
                link.pipes[end as usize].push(moment, piece);
            }
        }
        self.plan_arrival(connection, end);
        match broken {
            None => {}
            Some(true) => {
                // Both ends learn of it; what was sent before the byte may be read first.
                for side in [0, 1] {
                    let at = moment + self.network.rng.below(1_000_000);
                    let arrival = Arrival::Reset {
                        connection,
                        end: side,
                        timed_out: false,
                    };
                    self.timers.insert(at, Due::Network(arrival));
                }
                self.die(connection, end);
                self.die(connection, 1 - end);
            }
            Some(false) => {
                self.die(connection, end);
                self.give_up_later(connection, end);
            }
        }
    }

    /// From now on nothing that is sent in this direction arrives.
    fn die(&mut self, connection: ConnectionKey, end: u8) {
        if let Some(link) = self.network.link(connection) {
            link.pipes[end as usize].dead = true;
        }
    }

    /// The sender's machine retransmits in vain, and breaks the connection in the end.
    fn give_up_later(&mut self, connection: ConnectionKey, end: u8) {
        let patience = self.network.profile.retransmit_ns.clone();
        let after = self.network.rng.magnitude(patience.start, patience.end);
        self.plan(
            after,
            Due::Network(Arrival::Reset {
                connection,
                end,
                timed_out: true,
            }),
        );
    }

    fn plan_arrival(&mut self, connection: ConnectionKey, end: u8) {
        let now = self.now;
        let Some(link) = self.network.link(connection) else {
            return;
        };
        let pipe = &mut link.pipes[end as usize];
        if pipe.planned || !pipe.has_news() {
            return;
        }
        let moment = pipe
            .under_way
            .front()
            .map_or(pipe.last_moment, |(moment, _)| *moment);
        if moment == u64::MAX {
            return;
        }
        pipe.planned = true;
        let due = Due::Network(Arrival::Bytes {
            connection,
            from: end,
        });
        self.timers.insert(moment.max(now), due);
    }

    pub(crate) fn network_due(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Syn {
                connection,
                attempt,
            } => self.syn(connection, attempt),
            Arrival::SynAck { connection } => self.syn_ack(connection),
            Arrival::NoConnection {
                connection,
                refused,
            } => {
                let Some(link) = self.network.link(connection) else {
                    return;
                };
                if link.phase == Phase::Connecting {
                    let kind = if refused {
                        io::ErrorKind::ConnectionRefused
                    } else {
                        io::ErrorKind::TimedOut
                    };
                    link.phase = Phase::Failed(kind);
                    let (waker, node) = (link.connecting.take(), link.ends[0].node);
                    let outcome = if refused { "refused" } else { "timed out" };
                    self.trace(
                        node,
                        Event::Connected {
                            connection: connection.slot,
                            outcome,
                        },
                    );
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
            }
            Arrival::Bytes { connection, from } => self.bytes(connection, from),
            Arrival::Reset {
                connection,
                end,
                timed_out,
            } => self.reset(connection, end, timed_out),
        }
    }

    fn syn(&mut self, connection: ConnectionKey, attempt: u32) {
        let network = &mut self.network;
        let Some(link) = network.link(connection) else {
            return;
        };
        if link.phase != Phase::Connecting || link.ends[0].is_released() {
            return;
        }
        let (client, server) = (link.ends[0].node, link.ends[1].node);
        let (ip, port) = (link.ends[1].addr.ip(), link.ends[1].addr.port());
        let (rng, profile) = (&mut network.rng, &network.profile);
        let swallowed = attempt == 0 && rng.chance(profile.blackhole_ppm);
        let refused_by_chance = attempt == 0 && rng.chance(profile.refuse_ppm);
        let backlog_by_chance = rng.chance(profile.backlog_full_ppm);
        let lost = network.is_cut(client, server) || network.is_cut(server, client);
        let power = self.nodes[server as usize].power;
        if swallowed {
            self.network.strikes.hit("net-black-hole");
            let after = self.network.profile.connect_timeout_ns;
            let arrival = Arrival::NoConnection {
                connection,
                refused: false,
            };
            self.plan(after, Due::Network(arrival));
            return;
        }
        let listening = self
            .network
            .listeners
            .get_mut(&(server, port))
            .filter(|known| known.ip.is_unspecified() || known.ip == ip || client == server);
        let mut struck = None;
        let listening = match (power, lost, listening) {
            (Power::Off, _, _) => None,
            (_, true, _) => {
                struck = Some("net-held-by-partition");
                None
            }
            (_, _, Some(listening))
                if listening.backlog.len() >= listening.limit || backlog_by_chance =>
            {
                struck = Some("net-backlog-full");
                None
            }
            (Power::Running, false, Some(listening)) if !refused_by_chance => Some(listening),
            (power, _, listening) => {
                if power == Power::Running && listening.is_some() {
                    self.network.strikes.hit("net-refused");
                }
                let after = self.network.delay(server, client);
                let arrival = Arrival::NoConnection {
                    connection,
                    refused: true,
                };
                self.plan(after, Due::Network(arrival));
                return;
            }
        };
        let Some(listening) = listening else {
            if let Some(kind) = struck {
                self.network.strikes.hit(kind);
            }
            // Nobody answers: tried again after 1, 2, 4, ... s, until patience ends.
            let wait = SECOND << attempt.min(6);
            let waited = (SECOND << attempt.min(6)) - SECOND
                + u64::from(attempt.saturating_sub(6)) * (SECOND << 6);
            if waited > self.network.profile.connect_timeout_ns {
                let arrival = Arrival::NoConnection {
                    connection,
                    refused: false,
                };
                self.plan(0, Due::Network(arrival));
            } else {
                self.plan(
                    wait,
                    Due::Network(Arrival::Syn {
                        connection,
                        attempt: attempt + 1,
                    }),
                );
            }
            return;
        };
        listening.backlog.push_back(connection);
        if let Some(waker) = listening.waker.take() {
            waker.wake();
        }
        let incarnation = self.nodes[server as usize].incarnation;
        if let Some(link) = self.network.link(connection) {
            let end = &mut link.ends[1];
            (end.incarnation, end.reader_open, end.writer_open) = (incarnation, true, true);
        }
        let after = self.network.delay(server, client);
        self.plan(after, Due::Network(Arrival::SynAck { connection }));
    }

    fn syn_ack(&mut self, connection: ConnectionKey) {
        let Some(link) = self.network.link(connection) else {
            return;
        };
        if link.phase != Phase::Connecting {
            return;
        }
        let node = link.ends[0].node;
        link.phase = Phase::Established;
        if let Some(waker) = link.connecting.take() {
            waker.wake();
        }
        let abandoned = link.ends[0].is_released();
        self.trace(
            node,
            Event::Connected {
                connection: connection.slot,
                outcome: "established",
            },
        );
        if abandoned {
            self.send_reset(connection, 1);
        }
    }

    /// Tells one end, after the way there, that the connection is broken.
    fn send_reset(&mut self, connection: ConnectionKey, to: u8) {
        let Some(link) = self.network.link(connection) else {
            return;
        };
        let (here, there) = (link.ends[1 - to as usize].node, link.ends[to as usize].node);
        let after = self.network.delay(here, there);
        let arrival = Arrival::Reset {
            connection,
            end: to,
            timed_out: false,
        };
        self.plan(after, Due::Network(arrival));
    }

    fn bytes(&mut self, connection: ConnectionKey, from: u8) {
        let now = self.now;
        let Some(link) = self.network.link(connection) else {
            return;
        };
        let to = 1 - from as usize;
        let (here, there) = (link.ends[from as usize].node, link.ends[to].node);
        let pipe = &mut link.pipes[from as usize];
        pipe.planned = false;
        if !pipe.has_news() {
            return;
        }
        if self.network.is_cut(here, there) {
            self.network.hold(here, there, connection, from);
            return;
        }
        let power = self.nodes[there as usize].power;
        let Some(link) = self.network.link(connection) else {
            return;
        };
        let (end, pipe) = (&mut link.ends[to], &mut link.pipes[from as usize]);
        if power == Power::Off {
            // Retransmitted in vain, until the machine is back and knows nothing of it.
            if !pipe.dead {
                pipe.dead = true;
                self.network.strikes.hit("net-power-off-silence");
                self.give_up_later(connection, from);
            }
            return;
        }
        if end.gone || (end.is_released() && !pipe.under_way.is_empty()) {
            pipe.clear();
            pipe.finished = true;
            self.send_reset(connection, from);
            return;
        }
        let bytes = pipe.arrive(now);
        let finished = pipe.finishing && pipe.under_way.is_empty() && pipe.last_moment <= now;
        let newly_finished = finished && !pipe.finished;
        pipe.finished |= finished;
        if (bytes > 0 || newly_finished)
            && let Some(waker) = end.reader.take()
        {
            waker.wake();
        }
        if bytes > 0 {
            let event = Event::Delivered {
                connection: connection.slot,
                end: from,
                bytes: bytes as u32,
            };
            self.trace(there, event);
        }
        if newly_finished {
            self.trace(
                there,
                Event::Finished {
                    connection: connection.slot,
                    end: from,
                },
            );
        }
        self.plan_arrival(connection, from);
    }

    fn reset(&mut self, connection: ConnectionKey, end: u8, timed_out: bool) {
        let discards = self.network.rng.coin();
        let Some(link) = self.network.link(connection) else {
            return;
        };
        let side = &mut link.ends[end as usize];
        if side.broken.is_some() || side.is_released() {
            return;
        }
        let node = side.node;
        side.broken = Some(if timed_out {
            io::ErrorKind::TimedOut
        } else {
            io::ErrorKind::ConnectionReset
        });
        side.wake();
        link.pipes[end as usize].dead = true;
        link.pipes[end as usize].under_way.clear();
        let other = &mut link.pipes[1 - end as usize];
        if discards {
            // A reset may overtake what the reader has not read yet.
            other.clear();
        } else {
            other.under_way.clear();
        }
        other.dead = true;
        self.trace(
            node,
            Event::Reset {
                connection: connection.slot,
                end,
            },
        );
        if timed_out {
            self.send_reset(connection, 1 - end);
        }
    }

    /// One side will send no more.
    pub(crate) fn finish_sending(&mut self, connection: ConnectionKey, end: u8) {
        let now = self.now;
        let Some(link) = self.network.link(connection) else {
            return;
        };
        if link.phase != Phase::Established && end == 0 {
            return;
        }
        let (here, there) = (
            link.ends[end as usize].node,
            link.ends[1 - end as usize].node,
        );
        let pipe = &mut link.pipes[end as usize];
        if pipe.finishing || pipe.dead {
            return;
        }
        pipe.finishing = true;
        let moment = now + self.network.delay(here, there);
        if let Some(link) = self.network.link(connection) {
            let pipe = &mut link.pipes[end as usize];
            pipe.last_moment = pipe.last_moment.max(moment);
        }
        self.plan_arrival(connection, end);
    }

    /// A process lets go of halves of its end.
    pub(crate) fn release(
        &mut self,
        connection: ConnectionKey,
        end: u8,
        reader: bool,
        writer: bool,
    ) {
        let Some(link) = self.network.link(connection) else {
            return;
        };
        let established = link.phase == Phase::Established || end == 1;
        let side = &mut link.ends[end as usize];
        side.reader_open &= !reader;
        side.writer_open &= !writer;
        let (released, gone, broken) = (side.is_released(), side.gone, side.broken.is_some());
        if reader {
            side.reader = None;
        }
        if writer {
            side.writer = None;
        }
        let unread = link.pipes[1 - end as usize].unread() > 0;
        if !gone && !broken && established {
            if writer {
                self.finish_sending(connection, end);
            }
            if released && unread {
                // Closed with bytes unread: the other side is told at once.
                self.send_reset(connection, 1 - end);
            }
        }
        self.network.reap(connection);
    }

    pub(crate) fn close_listener(&mut self, key: (u32, u16)) {
        let Some(listening) = self.network.listeners.remove(&key) else {
            return;
        };
        for connection in listening.backlog {
            self.send_reset(connection, 0);
            if let Some(link) = self.network.link(connection) {
                let end = &mut link.ends[1];
                (end.reader_open, end.writer_open, end.gone) = (false, false, true);
            }
            self.network.reap(connection);
        }
    }

    /// What the network does when a process ends.
    pub(crate) fn network_stop(&mut self, node: u32, how: Stop) {
        let silent = how == Stop::PowerLost;
        let listeners: Vec<(u32, u16)> = self
            .network
            .listeners
            .range((node, 0)..=(node, u16::MAX))
            .map(|(key, _)| *key)
            .collect();
        for key in listeners {
            if silent {
                // Nobody is told; what waited in the backlog finds out like everybody else.
                let listening = self.network.listeners.remove(&key);
                for connection in listening
                    .into_iter()
                    .flat_map(|listening| listening.backlog)
                {
                    if let Some(link) = self.network.link(connection) {
                        let end = &mut link.ends[1];
                        (end.reader_open, end.writer_open) = (false, false);
                    }
                }
            } else {
                self.close_listener(key);
            }
        }
        for connection in self.network.keys() {
            for end in [0u8, 1] {
                let Some(link) = self.network.link(connection) else {
                    continue;
                };
                let side = &link.ends[end as usize];
                if side.node != node || side.gone {
                    continue;
                }
                let established = link.phase == Phase::Established || end == 1;
                let unread = link.pipes[1 - end as usize].unread() > 0;
                if silent {
                    // Of what the machine had taken, some has left it.
                    let left = link.pipes[end as usize].under_way.len() as u64;
                    let kept = if left == 0 {
                        0
                    } else {
                        self.network.rng.below(left + 1) as usize
                    };
                    if let Some(link) = self.network.link(connection) {
                        let pipe = &mut link.pipes[end as usize];
                        pipe.under_way.truncate(kept);
                        pipe.finishing = false;
                        pipe.dead = true;
                    }
                } else if established && unread {
                    self.send_reset(connection, 1 - end);
                    self.die(connection, end);
                } else if established {
                    self.finish_sending(connection, end);
                }
                if let Some(link) = self.network.link(connection) {
                    let side = &mut link.ends[end as usize];
                    side.gone = true;
                    (side.reader, side.writer) = (None, None);
                }
            }
        }
    }

    /// A machine that was off is on again: it answers what is retransmitted to it with resets.
    pub(crate) fn network_power_on(&mut self, node: u32) {
        for connection in self.network.keys() {
            for end in [0u8, 1] {
                let Some(link) = self.network.link(connection) else {
                    continue;
                };
                let (side, peer) = (&link.ends[end as usize], &link.ends[1 - end as usize]);
                let pipe = &link.pipes[1 - end as usize];
                if side.node == node && side.gone && !peer.gone && pipe.dead && pipe.has_news() {
                    let after = self.network.rng.magnitude(SECOND / 10, 20 * SECOND);
                    let arrival = Arrival::Reset {
                        connection,
                        end: 1 - end,
                        timed_out: false,
                    };
                    self.plan(after, Due::Network(arrival));
                }
            }
        }
    }
}

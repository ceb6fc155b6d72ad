//! Accepts connections, within limits.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use env::{Clock, Connection, Env, Listener, Mono, Network, Spawner, race};

use crate::connection;
use crate::context::Context;
use crate::rejections::Reason;

/// How long a listener rests after a connection could not be had: the first time, and at most.
const REST_MS: (i64, i64) = (50, 1_000);
/// How often it says that this goes on.
const SAY_MS: i64 = 60_000;

/// Counts the connections of each address, over all listeners; shared with the guards that uncount them.
#[derive(Clone, Default)]
pub(crate) struct PerAddress(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

struct Counted {
    counts: PerAddress,
    ip: IpAddr,
}

impl PerAddress {
    fn count(&self, ip: IpAddr, max: usize) -> Option<Counted> {
        let mut counts = self.0.lock().expect("nobody panics while counting");
        let count = counts.entry(ip).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Counted {
            counts: self.clone(),
            ip,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().expect("nobody panics while counting");
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

/// Accepts on `listener` until the task is aborted.
///
/// A connection beyond `max.connections` is accepted and then waits to be served, as in Kafka; further
/// ones stay in the kernel's backlog. Waiting for a slot first would let each listener keep one that
/// another could use.
pub(crate) async fn accept_loop<E: Env>(
    context: Arc<Context<E>>,
    mut listener: <E::Network as Network>::Listener,
    index: usize,
    per_address: PerAddress,
) {
    let limits = &context.config.limits;
    let mut trouble = Trouble::default();
    loop {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Want of descriptors or memory passes when connections end. The one that could not be
                // had waits in the backlog, and trying at once would only burn a processor.
                let clock = context.env.clock();
                let rest = trouble.again(clock.mono(), &error);
                clock.sleep_until(clock.mono().after_ms(rest)).await;
                continue;
            }
        };
        trouble.over();
        let peer = connection.peer_addr();
        let Some(counted) = per_address.count(peer.ip(), limits.connections_per_ip_max) else {
            let reason = Reason::ConnectionsPerIp;
            if context.rejections.count(reason) {
                let reason = reason.label();
                tracing::info!(%peer, reason, "refused: too many connections from this address");
            }
            continue;
        };
        let Ok(slot) = context.connection_slots.clone().acquire_owned().await else {
            return;
        };
        let id = context.next_connection_id();
        let serving = connection::serve(context.clone(), connection, id, index);
        let stopping = context.stopping.clone();
        context.env.spawner().spawn("connection", async move {
            race(stopping.wait(), serving).await;
            drop((slot, counted));
        });
    }
}

/// Connections that cannot be had: said when it begins, and each minute while it goes on. With too many open
/// files every other connection may be had, so there is no word about each end of it.
#[derive(Default)]
struct Trouble {
    failures: u64,
    rest_ms: i64,
    said: Option<Mono>,
}

impl Trouble {
    /// It failed again; gives how long to rest.
    fn again(&mut self, now: Mono, error: &std::io::Error) -> i64 {
        self.failures += 1;
        if self.said.is_none_or(|said| now >= said.after_ms(SAY_MS)) {
            let failures = std::mem::take(&mut self.failures);
            self.said = Some(now);
            tracing::warn!(%error, failures, "connections cannot be accepted");
        }
        self.rest_ms = (self.rest_ms * 2).clamp(REST_MS.0, REST_MS.1);
        self.rest_ms
    }

    fn over(&mut self) {
        self.rest_ms = 0;
    }
}

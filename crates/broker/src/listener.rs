//! Accepts connections, within limits.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use env::{Clock, Connection, Env, Listener, Network, Spawner, race};

use crate::connection;
use crate::context::Context;

/// Counts the connections of each address; shared with the guards that uncount them.
#[derive(Clone, Default)]
struct PerAddress(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

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
pub(crate) async fn accept_loop<E: Env>(
    context: Arc<Context<E>>,
    mut listener: <E::Network as Network>::Listener,
    index: usize,
) {
    let per_address = PerAddress::default();
    let limits = &context.config.limits;
    loop {
        // Waiting for a slot before accepting leaves further clients in the kernel's backlog.
        let Ok(slot) = context.connection_slots.clone().acquire_owned().await else {
            return;
        };
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                let clock = context.env.clock();
                clock.sleep_until(clock.mono().after_ms(10)).await;
                continue;
            }
        };
        let peer = connection.peer_addr();
        let Some(counted) = per_address.count(peer.ip(), limits.connections_per_ip_max) else {
            tracing::info!(%peer, "refused: too many connections from this address");
            continue;
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

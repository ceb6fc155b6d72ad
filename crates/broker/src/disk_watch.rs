//! Watches how much room the disk has, keeps some of it back, and has produce refused before there is none.
//!
//! What is kept back ([`storage::reserve`]) is for what must go on when the disk is full: retention and
//! DeleteRecords, which make room but first have to write that they do; offsets, metadata and checkpoints.

use std::sync::Arc;

use env::{Clock, Disk, Env, race3, watch};
use storage::Reserve;
use tokio::sync::Notify;

/// How often the disk is asked.
const INTERVAL_MS: i64 = 2_000;

/// Asks the disk until nobody listens any more, or at once when `ran_out` says that somebody was told there
/// is no room; tells through `low`.
pub(crate) async fn run<E: Env>(
    env: E,
    mut reserve: Reserve<E::Disk>,
    ran_out: Arc<Notify>,
    low: watch::Sender<bool>,
) {
    let clock = env.clock().clone();
    let mut told_full = false;
    loop {
        look(&mut reserve, told_full, &low).await;
        let sleep = clock.sleep_until(clock.mono().after_ms(INTERVAL_MS));
        told_full = match race3(ran_out.notified(), sleep, low.closed()).await {
            env::Either3::First(()) => true,
            env::Either3::Second(()) => false,
            env::Either3::Third(()) => return,
        };
    }
}

async fn look<D: Disk>(reserve: &mut Reserve<D>, told_full: bool, low: &watch::Sender<bool>) {
    let room = match reserve.look(told_full).await {
        Ok(room) => room,
        Err(error) => {
            tracing::warn!(%error, "the disk does not say how much room it has, or the reserve \
                could not be changed");
            return;
        }
    };
    if room.is_low == *low.borrow() {
        return;
    }
    if room.is_low {
        tracing::error!(
            free = room.free,
            reserve_given_back = !reserve.is_held(),
            "the disk is full: produce is refused, everything else goes on; make room, lower \
             retention.bytes, or delete records"
        );
    } else {
        tracing::info!(free = room.free, "the disk has room again");
    }
    low.send_replace(room.is_low);
}

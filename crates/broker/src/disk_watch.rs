//! Watches how much room the disk has, and has produce refused before there is none.
//!
//! What is left is for what must go on: offsets, metadata, and the deletions that make room again.

use std::sync::Arc;

use env::{Clock, Disk, Env};
use tokio::sync::watch;

use crate::context::Context;

/// How often the disk is asked.
const INTERVAL_MS: i64 = 2_000;

/// Asks the disk for ever, and tells through `low`.
pub(crate) async fn run<E: Env>(context: Arc<Context<E>>, low: watch::Sender<bool>) {
    let clock = context.env.clock().clone();
    let reserve = context.config.limits.disk_reserve_bytes;
    loop {
        match context.env.disk().free_bytes(&context.config.log_dir).await {
            Ok(free) => {
                let is_low = free < reserve;
                if is_low != *low.borrow() {
                    if is_low {
                        tracing::error!(
                            free,
                            reserve,
                            "the disk is nearly full: produce is refused"
                        );
                    } else {
                        tracing::info!(free, reserve, "the disk has room again");
                    }
                    low.send_replace(is_low);
                }
            }
            Err(error) => tracing::warn!(%error, "the disk does not say how much room it has"),
        }
        clock.sleep_until(clock.mono().after_ms(INTERVAL_MS)).await;
    }
}

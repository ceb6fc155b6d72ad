//! Why connections and requests were refused: counted by reason, and said without flooding the log.
//!
//! Kafka's protocol has no way to say why a connection is closed, so the broker's log is the only place
//! where a client's owner can learn it. Each refusal is a line, up to a number per minute and reason: a
//! client that is refused a thousand times a second shall not fill the disk with it. One line a minute
//! says what was counted, if anything was.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use env::{Clock, Env};

/// How often the counts are said.
const REPORT_MS: i64 = 60_000;
/// Lines of one reason between two reports.
const LINES_MAX: u64 = 20;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Why something was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// Its name in logs and metrics.
            pub fn label(self) -> &'static str {
                match self {
                    $(Reason::$name => $label,)*
                }
            }
        }
    };
}

reasons! {
    /// A frame whose size is negative, or larger than its API may send.
    FrameSize = "frame_size",
    /// TLS or HTTP where Kafka's protocol is spoken.
    OtherProtocol = "other_protocol",
    /// An API key that is not served here.
    UnknownApi = "unknown_api",
    /// A version of an API that is not served.
    UnsupportedVersion = "unsupported_version",
    /// A header or a body that does not parse.
    Malformed = "malformed",
    /// Bytes behind the body. The request is served.
    TrailingBytes = "trailing_bytes",
    /// The client left in the middle of a request.
    Incomplete = "incomplete_request",
    /// A request was sent too slowly.
    SlowRequest = "slow_request",
    /// A large request did not hurry while there was no room for others.
    RequestMemory = "request_memory",
    /// The client did not take its answers.
    SlowReader = "slow_reader",
    /// No request for `connections.max.idle.ms`.
    Idle = "idle",
    /// `max.connections.per.ip`.
    ConnectionsPerIp = "connections_per_ip",
    /// A produce that wanted no answer failed: closing is the only way to tell.
    UnansweredProduce = "unanswered_produce",
    /// Topics that would have been made on first use, and were too many.
    AutoCreate = "auto_create_limit",
    /// Our own mistake, or a node that is going down.
    Internal = "internal",
}

/// Why a connection is closed, in a word and in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    pub reason: Reason,
    pub detail: String,
}

impl Closing {
    /// For this reason.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Closing {
        Closing {
            reason,
            detail: detail.into(),
        }
    }

    /// By no fault of the client.
    pub fn internal(detail: impl ToString) -> Closing {
        Closing::new(Reason::Internal, detail.to_string())
    }
}

#[derive(Default)]
struct Counter {
    total: AtomicU64,
    /// What `total` was at the last report.
    reported: AtomicU64,
}

/// The counts of a node.
pub(crate) struct Rejections {
    counters: [Counter; Reason::ALL.len()],
}

impl Rejections {
    /// Nothing was refused yet.
    pub fn new() -> Rejections {
        Rejections {
            counters: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// Counts one; says whether it is to be logged.
    #[must_use]
    pub fn count(&self, reason: Reason) -> bool {
        let counter = &self.counters[reason as usize];
        let before = counter.total.fetch_add(1, Ordering::Relaxed);
        before.saturating_sub(counter.reported.load(Ordering::Relaxed)) < LINES_MAX
    }

    /// How many there were, by the reason's name; reasons that never occurred are left out.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        Reason::ALL
            .iter()
            .zip(&self.counters)
            .map(|(reason, counter)| (reason.label(), counter.total.load(Ordering::Relaxed)))
            .filter(|(_, total)| *total > 0)
            .collect()
    }

    /// What was counted since the last report, as text; `None` if nothing was.
    fn report(&self) -> Option<String> {
        let mut text = String::new();
        for (reason, counter) in Reason::ALL.iter().zip(&self.counters) {
            let total = counter.total.load(Ordering::Relaxed);
            let new = total - counter.reported.swap(total, Ordering::Relaxed);
            if new > 0 {
                let comma = if text.is_empty() { "" } else { ", " };
                let _ = write!(text, "{comma}{} {new} (of {total})", reason.label());
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Says once a minute what was refused, for ever.
pub(crate) async fn report<E: Env>(env: E, rejections: Arc<Rejections>) {
    let clock = env.clock().clone();
    loop {
        clock.sleep_until(clock.mono().after_ms(REPORT_MS)).await;
        if let Some(counts) = rejections.report() {
            tracing::info!(counts, "refused in the last minute");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_in_full_and_logged_in_part() {
        let rejections = Rejections::new();
        let logged = (0..1000).filter(|_| rejections.count(Reason::Idle));
        assert_eq!(logged.count() as u64, LINES_MAX);
        assert!(
            rejections.count(Reason::FrameSize),
            "another reason is heard"
        );
        assert_eq!(
            rejections.report().as_deref(),
            Some("frame_size 1 (of 1), idle 1000 (of 1000)")
        );
        assert_eq!(rejections.report(), None, "nothing changed");
        assert!(rejections.count(Reason::Idle), "heard again");
        assert_eq!(rejections.report().as_deref(), Some("idle 1 (of 1001)"));
        assert_eq!(rejections.totals(), [("frame_size", 1), ("idle", 1001)]);
    }
}

//! What really befell the nodes, counted at the moment when it did.
//!
//! A fault that was asked for, or whose chance was drawn, and that met nothing has not been exercised: a
//! sync that was to fail and was never called, a sector that nobody read again. Only what a node could
//! notice, or what the medium really suffered, counts.

use std::collections::BTreeMap;

/// Every kind of strike that a world makes by itself or on demand.
///
/// What a command does at once and for certain (a kill, a jump of a clock) is counted by whoever gives it.
pub const STRIKES: &[&str] = &[
    // Connections.
    "net-accept-error",
    "net-backlog-full",
    "net-black-hole",
    "net-glued",
    "net-half-open",
    "net-held-by-partition",
    "net-power-off-silence",
    "net-refused",
    "net-reset",
    "net-short-read",
    "net-short-write",
    "net-split",
    "net-stalled",
    // The disk reports it.
    "disk-full",
    "disk-no-space",
    "disk-read-error",
    "disk-slow",
    "disk-stalled",
    "disk-sticky-error",
    "disk-sync-failed-dirty",
    "disk-sync-failed-dropped",
    "disk-sync-failed-kept",
    "disk-sync-failed-names",
    "disk-unsynced-evicted",
    "disk-write-error",
    "disk-write-in-parts",
    // What a crash leaves.
    "crash-garbage-in-new-sector",
    "crash-length-without-bytes",
    "crash-name-lost",
    "crash-write-cut-short",
    "crash-write-lost",
    "crash-write-torn",
    // Damage.
    "damage-bit-rot",
    "damage-emptied",
    "damage-misdirected",
    "damage-sector-unreadable",
    "damage-stale-read",
    "damage-swapped",
    "damage-tail-garbage",
    // Clocks and the processor.
    "clock-off",
    "clock-rate",
    "timer-late",
    "poll-spurious",
];

/// Counts of strikes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strikes {
    counts: BTreeMap<&'static str, u64>,
    /// Since the trace last heard.
    fresh: Vec<&'static str>,
}

impl Strikes {
    /// Something struck.
    pub(crate) fn hit(&mut self, kind: &'static str) {
        debug_assert!(STRIKES.contains(&kind), "{kind} is a kind of strike");
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Something struck where the trace is out of reach: it is told later, see [`Strikes::take_fresh`].
    pub(crate) fn hit_and_tell(&mut self, kind: &'static str) {
        self.hit(kind);
        self.fresh.push(kind);
    }

    /// What the trace has not heard of yet.
    pub(crate) fn take_fresh(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.fresh)
    }

    pub(crate) fn add_to(&self, all: &mut BTreeMap<&'static str, u64>) {
        for (kind, times) in &self.counts {
            *all.entry(kind).or_default() += times;
        }
    }
}

//! Time.

use std::future::Future;

use types::{Mono, Wall};

/// A node's two clocks.
///
/// The monotonic clock never goes back within a process and decides every timeout. The wall clock may
/// jump both ways, stamps records and expires what is old, and never decides safety.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Now, on the monotonic clock.
    fn mono(&self) -> Mono;

    /// Now, on the wall clock.
    fn wall(&self) -> Wall;

    /// Completes at `at` or later; at once if `at` has passed.
    fn sleep_until(&self, at: Mono) -> impl Future<Output = ()> + Send + 'static;
}

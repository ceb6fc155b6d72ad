//! The word that the node is stopping, for everything that waits.

use env::watch;

/// Says once that the node is stopping.
pub(crate) struct Stop(watch::Sender<bool>);

/// Hears that the node is stopping.
#[derive(Clone)]
pub(crate) struct Stopping(watch::Receiver<bool>);

/// The two ends.
pub(crate) fn stop() -> (Stop, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Stop(sender), Stopping(receiver))
}

impl Stop {
    /// The node is stopping.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Completes when the node is stopping.
    pub async fn wait(mut self) {
        // An error means that the node is gone already.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

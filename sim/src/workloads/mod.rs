//! What clients do. One file each; every client runs on a machine of its own and may be killed there.

pub mod admin;
pub mod audit;
pub mod consume;
pub mod group;
pub mod hostile;
pub mod produce;
pub mod team;

use std::time::Duration;

use client::{ClientOptions, Error};
use env::entropy::ChaCha8Rng;
use env::{Clock, Entropy, Env};
use world::SimEnv;
use world::seed::Draw;

use crate::history::{History, TopicFacts};
use crate::oracles::wire;

/// Where the broker listens.
pub const BROKER: &str = "broker:9092";

/// A client of a run.
#[derive(Clone)]
pub struct Client {
    /// Its world.
    pub env: SimEnv,
    /// Its name.
    pub name: String,
    /// What oracles know.
    pub history: History,
    /// How long one operation may take, in ms.
    pub patience_ms: u64,
}

impl Client {
    /// How it reaches the broker.
    #[must_use]
    pub fn options(&self) -> ClientOptions {
        let mut options = ClientOptions::new(BROKER).expect("an address");
        options.client_id.clone_from(&self.name);
        options.timeout = Duration::from_millis(self.patience_ms);
        options.request_timeout = Duration::from_millis(self.patience_ms / 3 + 100);
        options.connect_timeout = Duration::from_millis(self.patience_ms / 4 + 100);
        options.backoff = Duration::from_millis(20);
        options.backoff_max = Duration::from_millis(400);
        options
    }

    /// Its own dice.
    #[must_use]
    pub fn dice(&self) -> ChaCha8Rng {
        self.env.entropy().stream("workload", 0)
    }

    /// Waits.
    pub async fn sleep_ms(&self, ms: u64) {
        let until = self.env.clock().mono().after(Duration::from_millis(ms));
        self.env.clock().sleep_until(until).await;
    }

    /// Waits for up to so long.
    pub async fn pause(&self, dice: &mut ChaCha8Rng, ms_max: u64) {
        self.sleep_ms(dice.below(ms_max + 1)).await;
    }

    /// Waits until a topic of the load is there.
    pub async fn topic(&self, name: &str) -> TopicFacts {
        loop {
            match self.history.topic(name) {
                Some(topic) => return topic,
                None => self.sleep_ms(20).await,
            }
        }
    }

    /// Judges an error: a broker may refuse, vanish and be slow, but not talk nonsense.
    pub fn judge(&self, error: &Error) {
        self.history.met(&self.name, error);
        let mut inner = self.history.lock();
        let result = match error {
            Error::Protocol { detail, .. } => Err(&**detail),
            _ => Ok(()),
        };
        wire::understood(result, &mut inner.judge);
    }
}

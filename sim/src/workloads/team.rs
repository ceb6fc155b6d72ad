//! A member of a group that reads with the consumer that users run: it polls, commits what it was given, leaves,
//! falls silent and comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use client::{Assignor, ConsumerOptions, Error, GroupConsumer, GroupOptions, Polled, Reset};
use env::entropy::ChaCha8Rng;
use protocol::Str;
use types::TopicPartition;
use world::SimEnv;
use world::seed::Draw;

use super::Client;
use crate::history::{TopicFacts, partition_of};
use crate::oracles::teams::Generation;
use crate::scenario;

/// In peace, so many polls in a row bring nothing before a member leaves for good.
const QUIET: u32 = 5;

struct Member {
    client: Client,
    spec: scenario::Team,
    topic: TopicFacts,
    /// What tells it from any other member, of another process or of its own past.
    name: String,
    /// Partitions whose first position was looked at.
    started: BTreeSet<TopicPartition>,
    /// The generation that it joined, if it is known which of the broker's processes formed it.
    joined: Option<Generation>,
    /// The number of that generation, and the broker's process, when it was last looked at.
    looked: (i32, u32),
}

/// Takes part until all is read.
pub async fn run(client: Client, spec: scenario::Team, number: u32, topic: String, process: u64) {
    let topic = client.topic(&topic).await;
    let mut dice = client.dice();
    let mut quiet = 0;
    for life in 0u64.. {
        let instance = spec.fixed.then(|| format!("instance-{number}"));
        let name = format!("{}.{process}.{life}", client.name);
        let mut member = Member {
            // Whoever comes back under the name of an instance is the same member.
            name: instance.clone().unwrap_or(name),
            client: client.clone(),
            spec: spec.clone(),
            topic: topic.clone(),
            started: BTreeSet::new(),
            joined: None,
            looked: (-1, client.history.last_process()),
        };
        let mut consumer = member.consumer(instance);
        let done = member.live(&mut consumer, &mut dice, &mut quiet).await;
        if let Err(error) = consumer.close().await {
            client.judge(&error);
        }
        if done {
            break;
        }
        client.pause(&mut dice, 200).await;
    }
    client.history.finish(&client.name);
}

impl Member {
    fn consumer(&self, instance: Option<String>) -> GroupConsumer<SimEnv> {
        let spec = &self.spec;
        let ms = |ms: u64| Duration::from_millis(ms);
        let reading = ConsumerOptions {
            reset: Reset::Earliest,
            poll_records_max: spec.poll_records_max,
            fetch_wait: ms(50),
            ..ConsumerOptions::default()
        };
        let belonging = GroupOptions {
            instance_id: instance.map(Str::from),
            session_timeout: ms(spec.session_ms),
            rebalance_timeout: ms(spec.rebalance_ms),
            heartbeat_interval: ms(spec.session_ms / 4),
            assignors: if spec.cooperative {
                vec![Assignor::CooperativeSticky]
            } else {
                vec![Assignor::Range]
            },
            auto_commit: Some(ms(spec.commit_ms)),
            ..GroupOptions::new(spec.id.as_str())
        };
        let options = self.client.options();
        let topics = [Str::from(self.topic.name.as_str())];
        GroupConsumer::new(&self.client.env, options, reading, belonging, topics)
            .expect("options that agree")
    }

    /// Reads until it has reasons to leave; whether for good.
    async fn live(
        &mut self,
        consumer: &mut GroupConsumer<SimEnv>,
        dice: &mut ChaCha8Rng,
        quiet: &mut u32,
    ) -> bool {
        let history = self.client.history.clone();
        loop {
            let draining = history.is_draining();
            match consumer.poll(Duration::from_millis(50)).await {
                Ok(Polled::Records(records)) => {
                    *quiet = if records.is_empty() { *quiet + 1 } else { 0 };
                    for record in &records {
                        let at = partition_of(self.topic.id, record.at.partition);
                        history.team_was_given(&self.spec.id, at, record.offset.0);
                    }
                }
                Ok(Polled::Assigned(_)) => history.exercised("team-assigned"),
                Ok(Polled::Revoked(_)) => history.exercised("team-revoked"),
                Ok(Polled::Lost(_)) => history.exercised("team-lost"),
                Err(error) => {
                    *quiet = 0;
                    if self.is_over(&error) {
                        return false;
                    }
                }
            }
            self.look(consumer);
            if draining && *quiet >= QUIET && history.team_has_all(&self.spec.id, &self.topic) {
                return true;
            }
            if !draining && dice.chance(self.spec.leave_ppm) {
                history.exercised("team-left");
                return false;
            }
            if !draining && dice.chance(self.spec.sleep_ppm) {
                history.exercised("team-slept");
                self.client.sleep_ms(self.spec.session_ms * 2).await;
            }
        }
    }

    /// Looks at what the member owns, and where it begins to read.
    fn look(&mut self, consumer: &mut GroupConsumer<SimEnv>) {
        let (history, group) = (&self.client.history, &self.spec.id);
        let looked = (consumer.generation(), history.last_process());
        let before = std::mem::replace(&mut self.looked, looked);
        let (number, process) = looked;
        if number != before.0 {
            // Between two processes nobody can tell which one answered.
            let known = number >= 0 && process == before.1;
            self.joined = known.then_some(Generation::Joined { number, process });
        }
        let shared = consumer.owned_generation();
        let shared = (shared >= 0).then_some(Generation::Shared(shared));
        let positions = consumer.positions();
        let owned: BTreeSet<TopicPartition> = consumer
            .consumer()
            .assignment()
            .map(|at| partition_of(self.topic.id, at.partition))
            .collect();
        for generation in self.joined.into_iter().chain(shared) {
            for at in &owned {
                history.team_owns(group, generation, *at, &self.name);
            }
        }
        self.started.retain(|at| owned.contains(at));
        for (at, position) in positions {
            let at = partition_of(self.topic.id, at.partition);
            if self.started.insert(at) {
                history.team_starts(group, at, position.offset.0);
            }
        }
    }

    /// Whether an error ends this life: another one took the member's place.
    fn is_over(&self, error: &Error) -> bool {
        self.client.judge(error);
        error.code() == Some(types::ErrorCode::FENCED_INSTANCE_ID)
    }
}

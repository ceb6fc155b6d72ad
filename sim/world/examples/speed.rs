//! How fast the world turns: events per second of three loads, and short seeds per second.
//!
//! `cargo run --profile sim -p ottla-world --example speed`
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "measures, and prints"
)]

use std::path::Path;
use std::time::Duration;

use env::{
    Clock, Connection, Disk, Env, File, Listener, Network, OpenOptions, Spawner, SyncKind, Task,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{Damage, Profile, SimEnv, World};

/// Seconds that this process has spent on a processor: others may be busy too.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux");
    let nanoseconds: u64 = text
        .split(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number");
    nanoseconds as f64 / 1e9
}

fn main() {
    for (name, load) in [
        ("timers", World::timers as fn(&mut World)),
        ("network", World::ping_pong),
        ("disk", World::append),
    ] {
        let mut best = 0.0f64;
        let mut line = String::new();
        for _ in 0..3 {
            let start = cpu_seconds();
            let mut world = World::new(1, Profile::calm());
            load(&mut world);
            let spent = cpu_seconds() - start;
            let (events, polls) = (world.events(), world.polls());
            let rate = events as f64 / spent;
            if rate > best {
                best = rate;
                line = format!(
                    "{name:>8}: {:.2} M events/s, {:.2} M polls/s, {events} events in {spent:.2} s, {:.2} s simulated",
                    rate / 1e6,
                    polls as f64 / spent / 1e6,
                    world.now_ns() as f64 / 1e9
                );
            }
        }
        println!("{line}");
    }
    let start = cpu_seconds();
    let (mut seeds, mut events) = (0u64, 0);
    while seeds % 64 != 0 || cpu_seconds() - start < 2.0 {
        let mut world = World::new(seeds, Profile::swarm(seeds, Damage::None));
        short(&mut world);
        events += world.events();
        seeds += 1;
    }
    let spent = cpu_seconds() - start;
    println!(
        "   short: {:.0} seeds/s of {} events each, {:.2} M events/s",
        seeds as f64 / spent,
        events / seeds,
        events as f64 / spent / 1e6
    );
}

trait Loads {
    fn timers(&mut self);
    fn ping_pong(&mut self);
    fn append(&mut self);
}

impl Loads for World {
    fn timers(&mut self) {
        self.run("node", |env| async move {
            let mut tasks = Vec::new();
            for task in 0..100u64 {
                let sleeper = env.clone();
                tasks.push(env.spawner().spawn("sleeper", async move {
                    for round in 0..10_000u64 {
                        let wait = Duration::from_nanos(1 + (task * 7919 + round * 104_729) % 1000);
                        let at = sleeper.clock().mono().after(wait);
                        sleeper.clock().sleep_until(at).await;
                    }
                }));
            }
            for task in tasks {
                task.ended().await;
            }
        })
        .expect("a clean run");
    }

    fn ping_pong(&mut self) {
        let server = self.start_node("server", |env| async move { serve(env).await });
        let client = self.start_node("client", |_| std::future::pending());
        let env = self.env(client);
        self.block_on(client, async move {
            let mut tasks = Vec::new();
            for _ in 0..16 {
                let client = env.clone();
                tasks.push(
                    env.spawner()
                        .spawn("client", async move { ask(client, 10_000).await }),
                );
            }
            for task in tasks {
                task.ended().await;
            }
        })
        .expect("a clean run");
        self.kill(server);
    }

    fn append(&mut self) {
        self.run("node", |env| async move {
            let mut tasks = Vec::new();
            for number in 0..8 {
                let writer = env.clone();
                tasks.push(env.spawner().spawn("writer", async move {
                    let path = format!("/log-{number}");
                    let path = Path::new(&path);
                    let file = writer
                        .disk()
                        .open(path, OpenOptions::CREATE)
                        .await
                        .expect("a file");
                    let mut at = 0;
                    for _ in 0..10_000 {
                        file.write_at(at, vec![vec![1u8; 700].into()])
                            .await
                            .expect("a write");
                        at += 700;
                        file.sync(SyncKind::Data).await.expect("a sync");
                        file.read_at(at - 700, 700).await.expect("a read");
                    }
                }));
            }
            for task in tasks {
                task.ended().await;
            }
        })
        .expect("a clean run");
    }
}

async fn serve(env: SimEnv) {
    let mut listener = env.network().listen("server", 9092).await.expect("a port");
    while let Ok(connection) = listener.accept().await {
        env.spawner().spawn("serve", async move {
            let (mut reader, mut writer) = connection.split();
            let mut frame = [0u8; 64];
            while reader.read_exact(&mut frame).await.is_ok() {
                if writer.write_all(&frame).await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn ask(env: SimEnv, rounds: u32) {
    let Ok(connection) = env.network().connect("server", 9092).await else {
        return;
    };
    let (mut reader, mut writer) = connection.split();
    let mut frame = [7u8; 64];
    for _ in 0..rounds {
        if writer.write_all(&frame).await.is_err() || reader.read_exact(&mut frame).await.is_err() {
            return;
        }
    }
}

/// A server and three clients that make a few dozen exchanges, and a crash in between.
fn short(world: &mut World) {
    let server = world.start_node("server", |env| async move {
        let logger = env.clone();
        env.spawner().spawn("log", async move {
            let Ok(file) = logger
                .disk()
                .open(Path::new("/log"), OpenOptions::CREATE)
                .await
            else {
                return;
            };
            for at in 0..20 {
                if file
                    .write_at(at * 100, vec![vec![1u8; 100].into()])
                    .await
                    .is_err()
                    || file.sync(SyncKind::Data).await.is_err()
                {
                    return;
                }
            }
        });
        serve(env).await;
    });
    for name in ["a", "b", "c"] {
        world.start_node(name, |env| async move { ask(env, 10).await });
    }
    world.at(5_000_000, move |world| world.lose_power(server));
    world.at(10_000_000, move |world| world.start(server));
    world.run_for(Duration::from_secs(60)).expect("a clean run");
}

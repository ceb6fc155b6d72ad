//! A small service with clients, files and crashes: something for worlds to happen to.

use std::path::Path;
use std::time::Duration;

use env::{Clock, Connection, Disk, Env, File, Listener, Network, OpenOptions, Spawner, SyncKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{SimEnv, World};

/// Echoes frames of 64 bytes, and logs each to a file before it answers.
pub async fn serve(env: SimEnv) {
    let Ok(mut listener) = env.network().listen("server", 9092).await else {
        return;
    };
    let Ok(log) = env
        .disk()
        .open(Path::new("/log"), OpenOptions::CREATE)
        .await
    else {
        return;
    };
    let mut next = 0;
    while let Ok(connection) = listener.accept().await {
        let (log, at) = (log.clone(), next);
        next += 1 << 16;
        env.spawner().spawn("serve", async move {
            let (mut reader, mut writer) = connection.split();
            let (mut frame, mut at) = ([0u8; 64], at);
            while reader.read_exact(&mut frame).await.is_ok() {
                let written = log.write_at(at, vec![frame.to_vec().into()]).await;
                at += 64;
                if written.is_err()
                    || log.sync(SyncKind::Data).await.is_err()
                    || writer.write_all(&frame).await.is_err()
                {
                    break;
                }
            }
        });
    }
}

/// Sends frames and waits for each to come back; tries again when something breaks.
pub async fn ask(env: SimEnv, rounds: u32) {
    for _ in 0..rounds {
        let retry = env.clock().mono().after(Duration::from_millis(5));
        if let Ok(connection) = env.network().connect("server", 9092).await {
            let (mut reader, mut writer) = connection.split();
            let mut frame = [7u8; 64];
            for _ in 0..3 {
                if writer.write_all(&frame).await.is_err()
                    || reader.read_exact(&mut frame).await.is_err()
                {
                    break;
                }
            }
        }
        env.clock().sleep_until(retry).await;
    }
}

/// Lets the service run for a minute, with a kill and a power loss.
pub fn service(world: &mut World) {
    let server = world.start_node("server", serve);
    for name in ["a", "b", "c"] {
        world.start_node(name, |env| async move { ask(env, 8).await });
    }
    world.at(10_000_000, move |world| world.lose_power(server));
    world.at(15_000_000, move |world| world.start(server));
    world.at(25_000_000, move |world| world.kill(server));
    world.at(26_000_000, move |world| world.start(server));
    world.run_for(Duration::from_secs(60)).expect("a clean run");
}

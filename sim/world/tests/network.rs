//! What breaks in a network, and how it looks from both ends.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use env::{Clock, Connection, Either, Env, Listener, Network, Spawner, race};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{NetworkProfile, NodeId, Profile, SimEnv, World};

fn calm(seed: u64) -> World {
    with(seed, NetworkProfile::calm())
}

fn with(seed: u64, network: NetworkProfile) -> World {
    World::new(
        seed,
        Profile {
            network,
            ..Profile::calm()
        },
    )
}

/// Reads whatever comes, by read, until the end or an error; and says how it ended.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<(Vec<Vec<u8>>, Option<Result<(), ErrorKind>>)>>);

impl Log {
    fn reads(&self) -> Vec<Vec<u8>> {
        self.0.lock().expect("not poisoned").0.clone()
    }

    fn ended(&self) -> Option<Result<(), ErrorKind>> {
        self.0.lock().expect("not poisoned").1
    }

    fn bytes(&self) -> Vec<u8> {
        self.reads().concat()
    }
}

/// A node that accepts one connection and logs what it reads.
fn reader(world: &mut World, log: &Log) -> NodeId {
    let log = log.clone();
    world.start_node("server", move |env: SimEnv| {
        let log = log.clone();
        async move {
            let mut listener = env.network().listen("server", 80).await.expect("a port");
            let (mut reader, _writer) = listener.accept().await.expect("a connection").split();
            let mut buffer = vec![0; 1 << 20];
            loop {
                let read = reader.read(&mut buffer).await;
                let mut log = log.0.lock().expect("not poisoned");
                match read {
                    Ok(0) => log.1 = Some(Ok(())),
                    Err(error) => log.1 = Some(Err(error.kind())),
                    Ok(len) => {
                        log.0.push(buffer[..len].to_vec());
                        continue;
                    }
                }
                break;
            }
            std::future::pending().await
        }
    })
}

fn idle(world: &mut World, name: &str) -> NodeId {
    world.start_node(name, |_| std::future::pending())
}

fn on<F, T>(world: &mut World, node: NodeId, body: impl FnOnce(SimEnv) -> F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let future = body(world.env(node));
    world.block_on(node, future).expect("a clean run")
}

async fn pause(env: &SimEnv, ms: u64) {
    let at = env.clock().mono().after(Duration::from_millis(ms));
    env.clock().sleep_until(at).await;
}

/// The lengths of the reads in which twenty writes of a hundred bytes arrive.
fn lengths_of_reads(cut_ppm: u32, glue_ppm: u32) -> Vec<usize> {
    let mut lengths = Vec::new();
    for seed in 0..60 {
        let network = NetworkProfile {
            cut_ppm,
            glue_ppm,
            short_read_ppm: 0,
            short_write_ppm: 0,
            ..NetworkProfile::calm()
        };
        let mut world = with(seed, network);
        let log = Log::default();
        reader(&mut world, &log);
        let client = idle(&mut world, "client");
        on(&mut world, client, |env| async move {
            let (_reader, mut writer) = env
                .network()
                .connect("server", 80)
                .await
                .expect("a server")
                .split();
            for number in 0..20u8 {
                writer.write_all(&[number; 100]).await.expect("a write");
                let soon = env.clock().mono().after(Duration::from_micros(50));
                env.clock().sleep_until(soon).await;
            }
        });
        world.run_for(Duration::from_secs(5)).expect("a clean run");
        let expected: Vec<u8> = (0..20u8).flat_map(|number| [number; 100]).collect();
        assert_eq!(
            log.bytes(),
            expected,
            "whatever happens to writes, bytes are in order"
        );
        assert_eq!(log.ended(), Some(Ok(())));
        lengths.extend(log.reads().iter().map(Vec::len));
    }
    lengths
}

#[test]
fn writes_are_cut_and_glued() {
    let cut = lengths_of_reads(300_000, 0);
    let inside = cut.iter().filter(|len| *len % 100 != 0).count();
    assert!(inside > 300, "{inside} of {}", cut.len());
    assert!(cut.contains(&1), "down to a single byte");
    let glued = lengths_of_reads(0, 600_000);
    assert!(glued.iter().all(|len| len % 100 == 0), "nothing was cut");
    let together = glued.iter().filter(|len| **len > 100).count();
    assert!(together > 100, "{together} of {}", glued.len());
    assert!(glued.iter().any(|len| *len >= 1000), "ten at once too");
}

#[test]
fn delays_have_a_heavy_tail() {
    let mut world = calm(1);
    world.start_node("server", |env: SimEnv| async move {
        let mut listener = env.network().listen("server", 80).await.expect("a port");
        let (mut reader, mut writer) = listener.accept().await.expect("a connection").split();
        let mut byte = [0];
        while reader.read_exact(&mut byte).await.is_ok() {
            writer.write_all(&byte).await.expect("a write");
        }
    });
    let client = idle(&mut world, "client");
    let mut times = on(&mut world, client, |env| async move {
        let (mut reader, mut writer) = env
            .network()
            .connect("server", 80)
            .await
            .expect("a server")
            .split();
        let mut times = Vec::new();
        for _ in 0..3000 {
            let start = env.clock().mono();
            writer.write_all(&[1]).await.expect("a write");
            reader.read_exact(&mut [0]).await.expect("a read");
            times.push(env.clock().mono().since(start));
        }
        times
    });
    times.sort();
    let (median, worst) = (times[1500], times[2999]);
    assert!(times[2250] < median * 3, "most are near the median");
    assert!(
        worst > median * 20,
        "and some are not: {median:?} {worst:?}"
    );
}

#[test]
fn a_connection_may_be_reset_at_any_byte() {
    let mut lengths = BTreeSet::new();
    let mut resets = 0;
    for seed in 0..200 {
        let network = NetworkProfile {
            reset_ppm: 500_000,
            fate_bytes_max: 4096,
            ..NetworkProfile::calm()
        };
        let mut world = with(seed, network);
        let log = Log::default();
        reader(&mut world, &log);
        let client = idle(&mut world, "client");
        on(&mut world, client, |env| async move {
            let Ok(connection) = env.network().connect("server", 80).await else {
                return;
            };
            let (_reader, mut writer) = connection.split();
            for number in 0..50u8 {
                if writer.write_all(&[number; 100]).await.is_err() {
                    break;
                }
                pause(&env, 1).await;
            }
        });
        world.run_for(Duration::from_secs(5)).expect("a clean run");
        let bytes = log.bytes();
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, (at / 100) as u8, "no byte is lost before the break");
        }
        match log.ended() {
            Some(Err(kind)) => {
                assert_eq!(kind, ErrorKind::ConnectionReset);
                resets += 1;
                lengths.insert(bytes.len());
            }
            other => assert_eq!(other, Some(Ok(()))),
        }
    }
    assert!((60..180).contains(&resets), "{resets}");
    assert!(
        lengths.iter().any(|len| len % 100 != 0),
        "in the middle of a write: {lengths:?}"
    );
}

#[test]
fn a_half_open_connection_is_silent_until_the_sender_gives_up() {
    let network = NetworkProfile {
        silent_ppm: 1_000_000,
        fate_bytes_max: 64,
        window: 1000..1001,
        ..NetworkProfile::calm()
    };
    let mut world = with(4, network);
    let log = Log::default();
    reader(&mut world, &log);
    let client = idle(&mut world, "client");
    let (held_up, error) = on(&mut world, client, |env| async move {
        let (_reader, mut writer) = env
            .network()
            .connect("server", 80)
            .await
            .expect("a server")
            .split();
        let start = env.clock().mono();
        let error = loop {
            if let Err(error) = writer.write_all(&[1; 100]).await {
                break error;
            }
        };
        (env.clock().mono().since(start), error)
    });
    assert!(held_up >= Duration::from_secs(20), "{held_up:?}");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(log.bytes().len() <= 64);
}

#[test]
fn a_dead_process_refuses_and_a_dead_machine_is_silent() {
    let mut world = calm(0);
    let server = idle(&mut world, "server");
    let client = idle(&mut world, "client");
    let connect = |env: SimEnv| async move {
        let start = env.clock().mono();
        let error = env
            .network()
            .connect("server", 80)
            .await
            .err()
            .expect("nobody there");
        (error.kind(), env.clock().mono().since(start))
    };
    let (kind, time) = on(&mut world, client, connect);
    assert_eq!(kind, ErrorKind::ConnectionRefused);
    assert!(time < Duration::from_secs(1));
    world.kill(server);
    assert_eq!(
        on(&mut world, client, connect).0,
        ErrorKind::ConnectionRefused
    );
    world.lose_power(server);
    let (kind, time) = on(&mut world, client, connect);
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(time > Duration::from_secs(60), "{time:?}");
}

#[test]
fn the_peer_of_a_killed_process_hears_of_it_after_the_bytes_that_were_sent() {
    let (mut ends, mut resets) = (0, 0);
    for seed in 0..40 {
        let mut world = calm(seed);
        let log = Log::default();
        let server = reader(&mut world, &log);
        let client = idle(&mut world, "client");
        let env = world.env(client);
        world.spawn(client, "sender", async move {
            let connection = env.network().connect("server", 80).await.expect("a server");
            let (_reader, mut writer) = connection.split();
            writer.write_all(&[5; 3000]).await.expect("a write");
            std::future::pending::<()>().await;
        });
        world.run_for(Duration::from_secs(1)).expect("a clean run");
        assert_eq!(log.bytes(), [5; 3000]);
        world.kill(client);
        world.run_for(Duration::from_secs(1)).expect("a clean run");
        match log.ended() {
            Some(Ok(())) => ends += 1,
            Some(Err(kind)) => {
                assert_eq!(kind, ErrorKind::ConnectionReset);
                resets += 1;
            }
            None => panic!("nobody told the server"),
        }
        assert!(world.is_running(server));
    }
    assert_eq!(
        (ends, resets),
        (40, 0),
        "nothing was unread: the stream simply ends"
    );
}

#[test]
fn the_peer_of_a_machine_without_power_hears_nothing_until_it_is_back() {
    let mut world = calm(2);
    let server = world.add_node("server", |env: SimEnv| async move {
        let mut listener = env.network().listen("server", 80).await.expect("a port");
        loop {
            let (mut reader, writer) = listener.accept().await.expect("a connection").split();
            env.spawner().spawn("drain", async move {
                let _writer = writer;
                while reader.read(&mut [0; 100]).await.is_ok_and(|len| len > 0) {}
            });
        }
    });
    world.start(server);
    let client = idle(&mut world, "client");
    let outcome = Arc::new(Mutex::new(None));
    let (seen, env) = (outcome.clone(), world.env(client));
    world.spawn(client, "sender", async move {
        let connection = env.network().connect("server", 80).await.expect("a server");
        let (_reader, mut writer) = connection.split();
        let error = loop {
            if let Err(error) = writer.write_all(&[1; 10]).await {
                break error.kind();
            }
            pause(&env, 100).await;
        };
        *seen.lock().expect("not poisoned") = Some(error);
    });
    world.run_for(Duration::from_secs(1)).expect("a clean run");
    world.lose_power(server);
    world.run_for(Duration::from_secs(10)).expect("a clean run");
    assert_eq!(
        *outcome.lock().expect("not poisoned"),
        None,
        "writes go into the void"
    );
    world.start(server);
    world.run_for(Duration::from_secs(25)).expect("a clean run");
    let kind = outcome.lock().expect("not poisoned").take();
    assert_eq!(kind, Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_full_backlog_makes_clients_wait() {
    let mut world = with(
        0,
        NetworkProfile {
            backlog: 2,
            ..NetworkProfile::calm()
        },
    );
    let gate = Arc::new(Mutex::new(0u32));
    let accepted = gate.clone();
    world.start_node("server", move |env: SimEnv| {
        let accepted = accepted.clone();
        async move {
            let mut listener = env.network().listen("server", 80).await.expect("a port");
            pause(&env, 500).await;
            let mut kept = Vec::new();
            loop {
                kept.push(listener.accept().await.expect("a connection"));
                *accepted.lock().expect("not poisoned") += 1;
            }
        }
    });
    let client = idle(&mut world, "client");
    let connected = Arc::new(Mutex::new(0u32));
    for _ in 0..5 {
        let (env, connected) = (world.env(client), connected.clone());
        world.spawn(client, "connect", async move {
            let _connection = env
                .network()
                .connect("server", 80)
                .await
                .expect("in the end");
            *connected.lock().expect("not poisoned") += 1;
            std::future::pending::<()>().await;
        });
    }
    world
        .run_for(Duration::from_millis(400))
        .expect("a clean run");
    assert_eq!(*connected.lock().expect("not poisoned"), 2);
    world.run_for(Duration::from_secs(5)).expect("a clean run");
    assert_eq!(*connected.lock().expect("not poisoned"), 5);
    assert_eq!(*gate.lock().expect("not poisoned"), 5);
}

#[test]
fn cut_links_hold_bytes_back_and_lose_none() {
    let mut world = calm(0);
    let log = Log::default();
    let server = reader(&mut world, &log);
    let client = idle(&mut world, "client");
    let env = world.env(client);
    world.spawn(client, "sender", async move {
        let connection = env.network().connect("server", 80).await.expect("a server");
        let (_reader, mut writer) = connection.split();
        for number in 0..10u8 {
            writer.write_all(&[number]).await.expect("a write");
            pause(&env, 100).await;
        }
    });
    world
        .run_for(Duration::from_millis(350))
        .expect("a clean run");
    world.cut_link(client, server);
    let before = log.bytes().len();
    world.run_for(Duration::from_secs(3)).expect("a clean run");
    assert_eq!(log.bytes().len(), before, "nothing passes");
    assert_eq!(log.ended(), None);
    world.free_link(client, server);
    world.run_for(Duration::from_secs(2)).expect("a clean run");
    assert_eq!(log.bytes(), (0..10).collect::<Vec<u8>>());
    assert_eq!(log.ended(), Some(Ok(())));
}

#[test]
fn one_can_wait_in_vain_for_a_connection_and_give_up() {
    let network = NetworkProfile {
        blackhole_ppm: 1_000_000,
        ..NetworkProfile::calm()
    };
    let mut world = with(0, network);
    let log = Log::default();
    reader(&mut world, &log);
    let client = idle(&mut world, "client");
    on(&mut world, client, |env| async move {
        let connecting = env.network().connect("server", 80);
        let outcome = race(connecting, pause(&env, 5_000)).await;
        assert!(matches!(outcome, Either::Second(())), "nobody answers");
        let error = env
            .network()
            .connect("server", 80)
            .await
            .err()
            .expect("in vain");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    });
    world.heal();
    on(&mut world, client, |env| async move {
        env.network()
            .connect("server", 80)
            .await
            .expect("a healed network answers");
    });
}

#[test]
fn names_stand_for_nodes_and_loopback_for_oneself() {
    let mut world = calm(0);
    let a = idle(&mut world, "a");
    let b = idle(&mut world, "b");
    on(&mut world, a, |env| async move {
        let mut listener = env.network().listen("127.0.0.1", 80).await.expect("a port");
        env.network()
            .listen("b", 80)
            .await
            .err()
            .expect("another's address");
        env.network()
            .connect("a", 80)
            .await
            .expect("oneself by name");
        listener.accept().await.expect("a connection");
        let open = env.network().listen("0.0.0.0", 81).await.expect("a port");
        env.spawner().spawn("keep", async move {
            let _open = open;
            std::future::pending::<()>().await;
        });
    });
    on(&mut world, b, |env| async move {
        let inner = env
            .network()
            .connect("a", 80)
            .await
            .err()
            .expect("not for others");
        assert_eq!(inner.kind(), ErrorKind::ConnectionRefused);
        let outer = env.network().connect("a", 81).await.expect("for everybody");
        let ip = outer.peer_addr().ip().to_string();
        assert_eq!(ip, "10.0.0.1");
        env.network()
            .connect(&ip, 81)
            .await
            .expect("by address too");
        assert_eq!(outer.local_addr().ip().to_string(), "10.0.0.2");
        let nobody = env
            .network()
            .connect("10.9.9.9", 81)
            .await
            .err()
            .expect("nobody");
        assert_eq!(nobody.kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn accept_may_fail_and_goes_on() {
    let mut world = with(
        3,
        NetworkProfile {
            accept_error_ppm: 500_000,
            ..NetworkProfile::calm()
        },
    );
    let client = idle(&mut world, "client");
    let errors = on(&mut world, client, |env| async move {
        let mut listener = env.network().listen("client", 80).await.expect("a port");
        let mut errors = 0;
        for _ in 0..20 {
            let _connection = env
                .network()
                .connect("client", 80)
                .await
                .expect("a listener");
            while listener.accept().await.is_err() {
                errors += 1;
            }
        }
        errors
    });
    assert!((5..60).contains(&errors), "{errors}");
}

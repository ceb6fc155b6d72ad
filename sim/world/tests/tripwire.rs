//! Tasks that ask the operating system are found out.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these are the calls that must be found"
)]

use world::{Failure, Profile, World};

fn trip(task: impl FnOnce() + Send + 'static) -> Option<String> {
    let mut world = World::new(0, Profile::calm());
    let outcome = world.run("node", |env| async move {
        env::Spawner::yield_now(env::Env::spawner(&env)).await;
        task();
    });
    match outcome {
        Ok(()) => None,
        Err(Failure::Tripwire { call, node, .. }) => {
            assert_eq!(node, "node");
            Some(call)
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_time_is_found() {
    let call = trip(|| {
        std::hint::black_box(std::time::Instant::now());
    });
    let call = call.expect("Instant::now trips the wire");
    assert!(call.starts_with("clock_gettime"), "{call}");
    assert!(
        call.contains("tripwire::the_time_is_found"),
        "the backtrace leads here: {call}"
    );
    trip(|| {
        std::hint::black_box(std::time::SystemTime::now());
    })
    .expect("SystemTime::now trips the wire");
}

#[test]
fn a_new_thread_is_found() {
    let call = trip(|| std::thread::spawn(|| {}).join().expect("it ends"));
    let call = call.expect("a thread trips the wire");
    assert!(call.contains("pthread_create"), "{call}");
}

#[test]
fn entropy_is_found() {
    // On a thread of its own: the standard library asks once per thread.
    let call = std::thread::spawn(|| {
        trip(|| {
            std::hint::black_box(std::collections::hash_map::RandomState::new());
        })
    })
    .join()
    .expect("it ends");
    let call = call.expect("a seeded hash map trips the wire");
    assert!(call.starts_with("getrandom"), "{call}");
}

#[test]
fn sleeping_is_found() {
    let call = trip(|| std::thread::sleep(std::time::Duration::from_nanos(1)));
    assert!(call.expect("a sleep trips the wire").contains("nanosleep"));
}

#[test]
fn outside_of_tasks_nothing_is_found_and_everything_works() {
    let before = std::time::Instant::now();
    let wall = std::time::SystemTime::now();
    assert!(
        wall.duration_since(std::time::UNIX_EPOCH)
            .expect("later")
            .as_secs()
            > 1_600_000_000
    );
    std::thread::spawn(|| std::thread::sleep(std::time::Duration::from_millis(2)))
        .join()
        .expect("it ends");
    assert!(before.elapsed() >= std::time::Duration::from_millis(2));
    assert_eq!(trip(|| {}), None);
}

//! Who runs next, what a run may do, and how processes end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use env::{Clock, Env, Seen, Spawner, Task};
use world::{Failure, Profile, Schedule, Stop, World};

fn profile(schedule: Schedule) -> Profile {
    Profile {
        schedule,
        ..Profile::calm()
    }
}

/// The order in which four tasks that are ready at once run.
fn order(seed: u64, schedule: Schedule) -> Vec<u32> {
    let mut world = World::new(seed, profile(schedule));
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = order.clone();
    world
        .run("node", |env| async move {
            let tasks: Vec<_> = (0..4)
                .map(|number| {
                    let order = order.clone();
                    env.spawner().spawn("task", async move {
                        order.lock().expect("not poisoned").push(number);
                    })
                })
                .collect();
            for task in tasks {
                task.ended().await;
            }
        })
        .expect("a clean run");
    let order = seen.lock().expect("not poisoned");
    order.clone()
}

#[test]
fn every_order_comes_up_about_as_often() {
    let mut counts = BTreeMap::<Vec<u32>, u32>::new();
    for seed in 0..2400 {
        *counts.entry(order(seed, Schedule::Uniform)).or_default() += 1;
    }
    assert_eq!(counts.len(), 24, "all orders of four");
    for (order, count) in counts {
        assert!(
            (60..150).contains(&count),
            "{order:?} came up {count} times of 100 expected"
        );
    }
}

#[test]
fn priorities_reach_every_order_too_and_fifo_one() {
    let priorities = Schedule::Priorities {
        shuffle_every: 1000,
    };
    let orders: BTreeSet<_> = (0..600).map(|seed| order(seed, priorities)).collect();
    assert_eq!(orders.len(), 24);
    let orders: BTreeSet<_> = (0..50).map(|seed| order(seed, Schedule::Fifo)).collect();
    assert_eq!(orders.len(), 1);
}

#[test]
fn no_task_starves_under_uniform_choice() {
    let mut world = World::new(9, profile(Schedule::Uniform));
    let counts: Arc<[AtomicU64; 10]> = Arc::default();
    let node = world.start_node("node", |_| std::future::pending());
    for number in 0..10 {
        let (env, counts) = (world.env(node), counts.clone());
        world.spawn(node, "busy", async move {
            loop {
                counts[number].fetch_add(1, Ordering::Relaxed);
                env.spawner().yield_now().await;
            }
        });
    }
    let outcome = world.run_until(Duration::from_secs(1), |world| world.polls() >= 100_000);
    outcome.expect("a clean run");
    for count in counts.iter() {
        let count = count.load(Ordering::Relaxed);
        assert!((9_000..11_000).contains(&count), "{count}");
    }
}

#[test]
fn spurious_polls_happen() {
    let polls = |ppm| {
        let mut world = World::new(
            1,
            Profile {
                spurious_poll_ppm: ppm,
                ..Profile::calm()
            },
        );
        let polls = Arc::new(AtomicU64::new(0));
        let counted = polls.clone();
        let node = world.start_node("node", |_| std::future::pending());
        world.spawn(
            node,
            "idle",
            std::future::poll_fn(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
                std::task::Poll::<()>::Pending
            }),
        );
        let env = world.env(node);
        world
            .block_on(node, async move {
                for _ in 0..1000 {
                    env.spawner().yield_now().await;
                }
            })
            .expect("a clean run");
        polls.load(Ordering::Relaxed)
    };
    assert_eq!(polls(0), 1);
    assert!(polls(200_000) > 20);
}

#[test]
fn a_deadlock_names_the_tasks() {
    let mut world = World::new(0, Profile::calm());
    let failure = world.run("stuck", |env| async move {
        env.spawner()
            .spawn("waits-for-ever", std::future::pending());
        std::future::pending::<()>().await;
    });
    let Err(Failure::Deadlock { report }) = failure else {
        panic!("{failure:?}")
    };
    assert!(report.contains("stuck/waits-for-ever"), "{report}");
}

#[test]
fn a_livelock_names_the_tasks() {
    let mut profile = Profile::calm();
    profile.limits.polls_at_one_moment_max = 10_000;
    let mut world = World::new(0, profile);
    let spin = |env: world::SimEnv| async move {
        loop {
            env.spawner().yield_now().await;
        }
    };
    world.start_node("dizzy", spin);
    let failure = world.run_for(Duration::from_secs(1));
    let Err(Failure::Hangs { report }) = &failure else {
        panic!("{failure:?}")
    };
    assert!(
        report.contains("the time stands still") && report.contains("dizzy/main"),
        "{report}"
    );
    assert_eq!(
        world.run_for(Duration::from_secs(1)),
        failure,
        "a failed run stays failed"
    );
}

#[test]
fn a_run_that_never_ends_is_cut_off() {
    let mut profile = Profile {
        poll_cost_ns_max: 100,
        ..Profile::calm()
    };
    profile.limits.polls_max = 10_000;
    let mut world = World::new(0, profile);
    world.start_node("busy", |env: world::SimEnv| async move {
        loop {
            env.spawner().yield_now().await;
        }
    });
    let failure = world.run_for(Duration::from_secs(1));
    let Err(Failure::Hangs { report }) = failure else {
        panic!("{failure:?}")
    };
    assert!(report.contains("too many polls"), "{report}");
}

#[test]
fn a_panic_fails_the_run() {
    let mut world = World::new(0, Profile::calm());
    let failure = world.run("node", |env| async move {
        let task = env
            .spawner()
            .spawn("careless", async { panic!("offset {} of 3", 5) });
        task.ended().await;
    });
    let expected = Failure::Panic {
        node: "node".to_owned(),
        task: "careless",
        message: "offset 5 of 3".to_owned(),
    };
    assert_eq!(failure, Err(expected));
}

struct OnDrop(Arc<AtomicU64>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn killing_a_process_drops_all_its_tasks_and_no_others() {
    let mut world = World::new(0, Profile::calm());
    let drops: Arc<AtomicU64> = Arc::default();
    let counted = drops.clone();
    let main = move |env: world::SimEnv| {
        let drops = counted.clone();
        async move {
            for _ in 0..5 {
                let (guard, sleeper) = (OnDrop(drops.clone()), env.clone());
                env.spawner().spawn("holds", async move {
                    let _guard = guard;
                    let far = sleeper.clock().mono().after(Duration::from_secs(1000));
                    sleeper.clock().sleep_until(far).await;
                });
            }
            std::future::pending().await
        }
    };
    let victim = world.start_node("victim", main.clone());
    let other = world.start_node("other", main);
    world.run_for(Duration::from_secs(1)).expect("a clean run");
    world.kill(victim);
    assert_eq!(drops.load(Ordering::Relaxed), 5);
    assert_eq!(world.last_stop(victim), Some(Stop::Killed));
    assert!(world.is_running(other) && !world.is_running(victim));
    world.start(victim);
    world.run_for(Duration::from_secs(1)).expect("a clean run");
    drop(world);
    assert_eq!(
        drops.load(Ordering::Relaxed),
        15,
        "a world that ends drops everything"
    );
}

#[test]
fn a_process_ends_with_its_main_task() {
    let mut world = World::new(0, Profile::calm());
    let drops: Arc<AtomicU64> = Arc::default();
    let guard = Arc::new(Mutex::new(Some(OnDrop(drops.clone()))));
    let node = world.start_node("brief", move |env: world::SimEnv| {
        let guard = guard.lock().expect("not poisoned").take();
        async move {
            env.spawner().spawn("left-behind", async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
        }
    });
    world.run_until_idle().expect("a clean run");
    assert_eq!(world.last_stop(node), Some(Stop::Exited));
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn observers_hear_in_order_and_may_object() {
    let mut world = World::new(0, Profile::calm());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = heard.clone();
    world.observe(move |seen: &world::SeenAt| {
        let Seen::Reached { site } = seen.seen else {
            return Ok(());
        };
        sink.lock().expect("not poisoned").push(site);
        if site == 3 {
            Err("three is too many".to_owned())
        } else {
            Ok(())
        }
    });
    let failure = world.run("node", |env| async move {
        for site in 1..9 {
            env.observe(Seen::Reached { site });
            env.spawner().yield_now().await;
        }
    });
    assert_eq!(
        failure,
        Err(Failure::Violation("three is too many".to_owned()))
    );
    assert_eq!(*heard.lock().expect("not poisoned"), [1, 2, 3]);
}

#[test]
fn actions_happen_at_their_moments() {
    let mut world = World::new(0, Profile::calm());
    let moments = Arc::new(Mutex::new(Vec::new()));
    for at in [30u64, 10, 20] {
        let moments = moments.clone();
        world.at(at, move |world| {
            moments
                .lock()
                .expect("not poisoned")
                .push((at, world.now_ns()));
        });
    }
    world
        .run_for(Duration::from_nanos(25))
        .expect("a clean run");
    assert_eq!(world.now_ns(), 25);
    assert_eq!(*moments.lock().expect("not poisoned"), [(10, 10), (20, 20)]);
    world.run_until_idle().expect("a clean run");
    assert_eq!(
        moments.lock().expect("not poisoned").last(),
        Some(&(30, 30))
    );
}

#[test]
fn a_pause_stops_the_processor_and_maybe_the_clock() {
    for clock_goes_on in [false, true] {
        let mut world = World::new(0, Profile::calm());
        let node = world.start_node("node", |_| std::future::pending());
        let ticks: Arc<AtomicU64> = Arc::default();
        let (counted, env) = (ticks.clone(), world.env(node));
        world.spawn(node, "ticker", async move {
            loop {
                let at = env.clock().mono().after(Duration::from_millis(10));
                env.clock().sleep_until(at).await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        world
            .run_for(Duration::from_millis(105))
            .expect("a clean run");
        assert_eq!(ticks.load(Ordering::Relaxed), 10);
        let before = world.mono(node);
        world.pause(node, 1_000_000_000, clock_goes_on);
        world
            .run_for(Duration::from_millis(999))
            .expect("a clean run");
        assert_eq!(ticks.load(Ordering::Relaxed), 10, "nothing runs");
        world
            .run_for(Duration::from_millis(1))
            .expect("a clean run");
        let passed = world.mono(node).since(before);
        assert_eq!(
            passed,
            if clock_goes_on {
                Duration::from_secs(1)
            } else {
                Duration::ZERO
            }
        );
        world
            .run_for(Duration::from_millis(101))
            .expect("a clean run");
        let ticks = ticks.load(Ordering::Relaxed);
        assert!((20..=21).contains(&ticks), "it goes on as before: {ticks}");
    }
}

#[test]
fn wall_clocks_jump_and_rates_differ() {
    let mut world = World::new(0, Profile::calm());
    let node = world.start_node("node", |_| std::future::pending());
    let start = world.wall_ms(node);
    world.run_for(Duration::from_secs(1)).expect("a clean run");
    assert_eq!(world.wall_ms(node), start + 1000);
    let mono = world.mono(node);
    world.jump_wall_clock(node, -3_600_000);
    assert_eq!(world.wall_ms(node), start + 1000 - 3_600_000);
    assert_eq!(world.mono(node), mono, "the monotonic clock does not jump");
    world.set_clock_rate(node, 100_000);
    world.run_for(Duration::from_secs(10)).expect("a clean run");
    assert_eq!(world.mono(node).since(mono), Duration::from_secs(11));
}

#[test]
fn buggify_is_off_in_calm_worlds_and_uneven_in_others() {
    let fires = |seed, buggify| {
        let mut world = World::new(
            seed,
            Profile {
                buggify,
                ..Profile::calm()
            },
        );
        let node = world.start_node("node", |_| std::future::pending());
        let env = world.env(node);
        (0..100u32)
            .map(|site| (0..100).filter(|_| env.buggify(site)).count())
            .collect::<Vec<_>>()
    };
    assert!(fires(1, false).iter().all(|count| *count == 0));
    let counts = fires(1, true);
    let active = counts.iter().filter(|count| **count > 0).count();
    assert!(
        (10..45).contains(&active),
        "about a quarter of the sites: {active}"
    );
    assert!(counts.iter().all(|count| *count < 60));
    assert_ne!(counts, fires(2, true));
}

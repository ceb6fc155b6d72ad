//! What must hold of clocks.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use crate::{Clock, Either, Env, Spawner, Task, race};

/// All of them.
pub async fn all<E: Env>(env: &E) {
    monotonic(env).await;
    sleeps_long_enough(env).await;
    the_past_is_now(env).await;
    sleepers_wake_in_order(env).await;
    a_dropped_sleep_is_forgotten(env).await;
    the_wall_clock_is_of_this_age(env).await;
}

/// The monotonic clock does not go back.
pub async fn monotonic<E: Env>(env: &E) {
    let mut last = env.clock().mono();
    for _ in 0..100 {
        env.spawner().yield_now().await;
        let now = env.clock().mono();
        assert!(now >= last, "{now:?} after {last:?}");
        last = now;
    }
}

/// A sleeper wakes at its time or later.
pub async fn sleeps_long_enough<E: Env>(env: &E) {
    for ms in [0, 1, 5, 20] {
        let until = env.clock().mono().after(Duration::from_millis(ms));
        env.clock().sleep_until(until).await;
        assert!(env.clock().mono() >= until);
    }
}

/// Sleeping until a moment that has passed takes no time to speak of.
pub async fn the_past_is_now<E: Env>(env: &E) {
    let start = env.clock().mono();
    env.clock()
        .sleep_until(start.after(Duration::from_millis(1)))
        .await;
    let before = env.clock().mono();
    for _ in 0..10 {
        env.clock().sleep_until(start).await;
    }
    assert!(env.clock().mono().since(before) < Duration::from_secs(1));
}

/// Sleepers wake in the order of their times, whatever the order in which they lay down.
pub async fn sleepers_wake_in_order<E: Env>(env: &E) {
    let start = env.clock().mono();
    let woken = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for place in [3u64, 1, 4, 2, 0] {
        let (sleeper, woken) = (env.clone(), woken.clone());
        tasks.push(env.spawner().spawn("sleeper", async move {
            let until = start.after(Duration::from_millis(50 + 100 * place));
            sleeper.clock().sleep_until(until).await;
            woken.lock().expect("not poisoned").push(place);
        }));
    }
    for task in tasks {
        task.ended().await;
    }
    assert_eq!(*woken.lock().expect("not poisoned"), [0, 1, 2, 3, 4]);
}

/// The loser of a race is dropped, and disturbs nobody.
pub async fn a_dropped_sleep_is_forgotten<E: Env>(env: &E) {
    let start = env.clock().mono();
    let clock = env.clock();
    for _ in 0..100 {
        let long = clock.sleep_until(start.after(Duration::from_secs(3600)));
        let first = race(long, env.spawner().yield_now()).await;
        assert_eq!(first, Either::Second(()));
    }
    assert!(clock.mono().since(start) < Duration::from_secs(60));
}

/// The wall clock shows milliseconds since the epoch, and these years.
pub async fn the_wall_clock_is_of_this_age<E: Env>(env: &E) {
    let ms = env.clock().wall().0;
    let year = 365 * 24 * 3600 * 1000;
    assert!((53 * year..200 * year).contains(&ms), "{ms}");
}

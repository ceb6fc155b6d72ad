//! What must hold of tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Clock, Env, Spawner, Task};

/// All of them.
pub async fn all<E: Env>(env: &E) {
    tasks_run_and_end(env).await;
    dropping_a_handle_lets_the_task_run(env).await;
    abort_drops_the_future(env).await;
    abort_before_the_first_poll(env).await;
    offload_gives_back_its_result(env).await;
    yielding_lets_others_run(env).await;
}

struct CountsDrops(Arc<AtomicU32>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// All tasks run, and `ended` waits for them.
pub async fn tasks_run_and_end<E: Env>(env: &E) {
    let ran = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (ran, other) = (ran.clone(), env.clone());
            env.spawner().spawn("count", async move {
                other.spawner().yield_now().await;
                ran.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    for task in tasks {
        task.ended().await;
    }
    assert_eq!(ran.load(Ordering::SeqCst), 20);
}

/// A task does not need its handle.
pub async fn dropping_a_handle_lets_the_task_run<E: Env>(env: &E) {
    let ran = Arc::new(AtomicU32::new(0));
    let (counted, other) = (ran.clone(), env.clone());
    drop(env.spawner().spawn("alone", async move {
        other.spawner().yield_now().await;
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    for _ in 0..200 {
        if ran.load(Ordering::SeqCst) == 1 {
            return;
        }
        let soon = env.clock().mono().after(Duration::from_millis(10));
        env.clock().sleep_until(soon).await;
    }
    panic!("the task did not run");
}

/// After `abort` and `ended` the future has been dropped, and went no further.
pub async fn abort_drops_the_future<E: Env>(env: &E) {
    let (drops, after) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (guard, counted) = (CountsDrops(drops.clone()), after.clone());
    let other = env.clone();
    let task = env.spawner().spawn("aborted", async move {
        let _guard = guard;
        let far = other.clock().mono().after(Duration::from_secs(3600));
        other.clock().sleep_until(far).await;
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let soon = env.clock().mono().after(Duration::from_millis(5));
    env.clock().sleep_until(soon).await;
    task.abort();
    task.abort();
    task.ended().await;
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    assert_eq!(after.load(Ordering::SeqCst), 0);
}

/// A task may be aborted before it ever ran.
pub async fn abort_before_the_first_poll<E: Env>(env: &E) {
    for _ in 0..20 {
        let drops = Arc::new(AtomicU32::new(0));
        let guard = CountsDrops(drops.clone());
        let task = env.spawner().spawn("stillborn", async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        task.abort();
        task.ended().await;
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }
}

/// Work done elsewhere comes back.
pub async fn offload_gives_back_its_result<E: Env>(env: &E) {
    let numbers: Vec<u64> = (0..1000).collect();
    let sum = env
        .spawner()
        .offload("sum", move || numbers.iter().sum::<u64>())
        .await;
    assert_eq!(sum, 499_500);
}

/// Two tasks that yield both come forward.
pub async fn yielding_lets_others_run<E: Env>(env: &E) {
    let done = Arc::new(AtomicU32::new(0));
    let (seen, other) = (done.clone(), env.clone());
    let waits = env.spawner().spawn("waits", async move {
        while seen.load(Ordering::SeqCst) == 0 {
            other.spawner().yield_now().await;
        }
    });
    let other = env.clone();
    let works = env.spawner().spawn("works", async move {
        for _ in 0..10 {
            other.spawner().yield_now().await;
        }
        done.fetch_add(1, Ordering::SeqCst);
    });
    works.ended().await;
    waits.ended().await;
}

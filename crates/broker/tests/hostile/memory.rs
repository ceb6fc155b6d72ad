//! Memory for requests: taken by what has come, and never locked up by half requests.

use broker::Limits;
use protocol::metadata_request::MetadataRequestTopic;
use protocol::{ApiKey, ApiVersionsRequest, MetadataRequest, Str};

use crate::site::{Heard, Site, Wire, announce, await_a_record, frame, head, limits, make, pause};

const KIB: usize = 1024;

/// A request of some 200 KiB that is answered at once.
fn large() -> MetadataRequest {
    MetadataRequest {
        topics: Some(
            (0..1000)
                .map(|number| MetadataRequestTopic {
                    name: Some(Str::from(format!("{number:0>200}"))),
                    ..Default::default()
                })
                .collect(),
        ),
        allow_auto_topic_creation: false,
        ..Default::default()
    }
}

/// A client that has half a produce request in the broker's memory and sends more of it for as long as the
/// broker takes it.
async fn drip(env: world::SimEnv, at_once: usize, bytes_per_second: usize) {
    let mut wire = Wire::connect(&env).await;
    wire.send(&head(900 * KIB as u32, ApiKey::PRODUCE.0, 7))
        .await;
    let mut more = vec![0; at_once];
    while wire.send(&more).await {
        more = vec![0; bytes_per_second];
        wire.pause(1000).await;
    }
}

#[test]
fn eight_bytes_hold_eight_bytes() {
    let mut site = Site::new(limits(), &[]);
    let answered = site.client(|env| async move {
        let mut attackers = Vec::new();
        for more in 0..20 {
            let mut wire = Wire::connect(&env).await;
            wire.send(&announce(100 << 20, ApiKey::PRODUCE.0, 13)).await;
            wire.send(&vec![0; more]).await;
            attackers.push(wire);
        }
        pause(&env, 100).await;
        let mut honest = Wire::connect(&env).await;
        let small = honest.ask(&ApiVersionsRequest::default(), 0, 1000).await;
        let large = honest.ask(&large(), 12, 1000).await;
        (small.is_some(), large.map(|answer| answer.topics.len()))
    });
    assert_eq!(answered, (true, Some(1000)));
}

#[test]
fn half_requests_that_hold_everything_make_room_in_time() {
    let mut site = Site::new(
        Limits {
            queued_request_bytes_max: 1 << 20,
            request_bytes_max: 1 << 20,
            ..limits()
        },
        &[],
    );
    let (small, large_after) = site.client(|env| async move {
        use env::{Clock, Env, Spawner};
        for _ in 0..6 {
            env.spawner()
                .spawn("drip", drip(env.clone(), 300 * KIB, 20 * KIB));
        }
        pause(&env, 2000).await;
        let mut honest = Wire::connect(&env).await;
        let small = honest.ask(&ApiVersionsRequest::default(), 0, 100).await;
        let start = env.clock().mono();
        let large = honest.ask(&large(), 12, 600_000).await;
        assert_eq!(large.expect("an answer").topics.len(), 1000);
        (small.is_some(), env.clock().mono().since(start).as_secs())
    });
    assert!(small, "small requests have room of their own");
    assert!(large_after < 60, "{large_after} s");
    assert!(
        site.refused("request_memory") > 0,
        "who does not hurry is closed"
    );
}

#[test]
fn whoever_fills_the_memory_and_hurries_is_served() {
    let mut site = Site::new(
        Limits {
            queued_request_bytes_max: 256 * KIB,
            request_bytes_max: 1 << 20,
            ..limits()
        },
        &[],
    );
    // Each is nearly as large as all the room there is for large ones: they are served one by one.
    let answered = site.client(|env| async move {
        use env::{Env, Spawner, Task};
        let answered = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..12 {
            let (env, answered) = (env.clone(), answered.clone());
            tasks.push(env.clone().spawner().spawn("honest", async move {
                let mut wire = Wire::connect(&env).await;
                let answer = wire.ask(&large(), 12, 60_000).await.expect("an answer");
                assert_eq!(answer.topics.len(), 1000);
                answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }));
        }
        for task in tasks {
            task.ended().await;
        }
        answered.load(std::sync::atomic::Ordering::Relaxed)
    });
    assert_eq!(answered, 12);
    assert_eq!(site.refused("request_memory"), 0);
}

fn small_site() -> Site {
    let limits = Limits {
        queued_request_bytes_max: 8 << 20,
        ..limits()
    };
    Site::new(limits, &[])
}

/// The same request, followed by bytes that belong to nothing.
fn longer(mut frame: Vec<u8>, bytes: usize) -> Vec<u8> {
    frame.resize(frame.len() + bytes, 0);
    let size = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}

async fn is_served_at_once(env: &world::SimEnv) -> bool {
    let mut honest = Wire::connect(env).await;
    honest.ask(&large(), 12, 1000).await.is_some()
}

#[test]
fn the_requests_of_one_connection_cannot_have_all_of_it() {
    let served = small_site().client(|env| async move {
        use env::{Env, Spawner};
        let mut greedy = Wire::connect(&env).await;
        let orders = Str::from("orders");
        let made = greedy.ask(&make(&orders), 12, 1000).await;
        made.expect("an answer");
        pause(&env, 1000).await;
        // Each waits for records, and is large.
        let wait = await_a_record(&orders, 300_000);
        env.spawner().spawn("greedy", async move {
            let request = longer(frame(&wait, 12), 300 * KIB);
            while greedy.send(&request).await {}
        });
        pause(&env, 5000).await;
        is_served_at_once(&env).await
    });
    assert!(served);
}

#[test]
fn nor_can_those_whose_answers_nobody_takes() {
    let served = small_site().client(|env| async move {
        use env::{Env, Spawner};
        let mut greedy = Wire::connect(&env).await;
        env.spawner().spawn("greedy", async move {
            let request = frame(&large(), 12);
            while greedy.send(&request).await {}
        });
        pause(&env, 5000).await;
        is_served_at_once(&env).await
    });
    assert!(served);
}

#[test]
fn many_requests_at_once_are_answered_in_their_order() {
    let mut site = Site::new(limits(), &[]);
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let one = frame(&ApiVersionsRequest::default(), 0);
        wire.send(&one.repeat(500)).await;
        for number in 0..500 {
            let heard = wire.hear(1000).await;
            assert!(
                matches!(heard, Heard::Frame(_)),
                "answer {number}: {heard:?}"
            );
        }
    });
}

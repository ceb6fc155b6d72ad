//! Clients that are slow, or silent, or do not listen.

use protocol::{ApiKey, ApiVersionsRequest, MetadataRequest, Str};

use crate::site::{Heard, Site, Wire, announce, await_a_record, frame, head, limits, make};

const KIB: usize = 1024;

/// Milliseconds that a network may add.
const SLACK: i64 = 100;

fn around(took: Option<i64>, ms: i64) {
    let took = took.expect("it is closed");
    assert!((ms..=ms + SLACK).contains(&took), "{took} ms, not {ms}");
}

#[test]
fn who_says_nothing_for_ten_minutes_is_closed() {
    let mut site = Site::new(limits(), &[]);
    let took = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        wire.pause(300_000).await;
        let answer = wire.ask(&ApiVersionsRequest::default(), 0, 100).await;
        assert!(answer.is_some());
        wire.closed_after(3_600_000).await
    });
    around(took, 600_000 - SLACK);
    site.refused_only("idle", 1);
}

#[test]
fn a_request_that_has_begun_comes_with_its_head_within_five_seconds() {
    let begun = head(100, ApiKey::METADATA.0, 1);
    for sent in [1, 4, 8, 13] {
        let mut site = Site::new(limits(), &[]);
        let begun = begun[..sent].to_vec();
        let took = site.client(|env| async move {
            let mut wire = Wire::connect(&env).await;
            // Silence before the first byte is no fault.
            wire.pause(60_000).await;
            wire.send(&begun).await;
            wire.closed_after(3_600_000).await
        });
        around(took, 5_000 - SLACK);
        site.refused_only("slow_request", 1);
    }
}

#[test]
fn who_trickles_the_head_is_closed_as_well() {
    let mut site = Site::new(limits(), &[]);
    let taken = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let mut taken = 0;
        for byte in head(100, ApiKey::METADATA.0, 1) {
            if !wire.send(&[byte]).await {
                break;
            }
            taken += 1;
            wire.pause(1000).await;
        }
        taken
    });
    assert!((5..=7).contains(&taken), "{taken}");
    site.refused_only("slow_request", 1);
}

/// Sends `at_once`, and then so many bytes each second; gives after how many seconds it was closed.
fn body_at(at_once: usize, bytes_per_second: usize) -> (Site, u64) {
    let mut site = Site::new(limits(), &[]);
    let seconds = site.client(move |env| async move {
        let mut wire = Wire::connect(&env).await;
        let size = 1024 * KIB;
        wire.send(&head(size as u32, ApiKey::PRODUCE.0, 7)).await;
        wire.send(&vec![0xff; at_once]).await;
        let mut sent = at_once + 10;
        for second in 0.. {
            let next = bytes_per_second.min(size - sent);
            if next > 0 {
                wire.send(&vec![0xff; next]).await;
                sent += next;
            }
            if wire.closed_after(1000).await.is_some() {
                return second;
            }
        }
        unreachable!("it is closed at some time")
    });
    (site, seconds)
}

#[test]
fn a_request_comes_at_ten_kib_a_second_or_more() {
    let (site, seconds) = body_at(0, 5 * KIB);
    assert!((10..=20).contains(&seconds), "{seconds} s");
    site.refused_only("slow_request", 1);

    // Enough, all the time: it is complete at last, and nonsense.
    let (site, seconds) = body_at(0, 12 * KIB);
    assert!((80..=90).contains(&seconds), "{seconds} s");
    site.refused_only("malformed", 1);
}

#[test]
fn a_fast_beginning_buys_no_time() {
    let (site, seconds) = body_at(900 * KIB, 1);
    assert!((10..=20).contains(&seconds), "{seconds} s");
    site.refused_only("slow_request", 1);
}

#[test]
fn a_client_without_a_body_is_closed_in_seconds_and_not_in_hours() {
    let mut site = Site::new(limits(), &[]);
    let took = site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        let mut begun = announce(100 << 20, ApiKey::PRODUCE.0, 13);
        begun.extend_from_slice(&[0; 8]);
        wire.send(&begun).await;
        wire.closed_after(24 * 3_600_000).await
    });
    around(took, 20_000 - SLACK);
}

#[test]
fn who_takes_no_answers_is_closed_after_a_minute() {
    let mut site = Site::new(limits(), &[]);
    let took_ms = site.client(|env| async move {
        use env::{Clock, Env};
        let mut wire = Wire::connect(&env).await;
        let start = env.clock().mono();
        let requests = frame(&MetadataRequest::default(), 12).repeat(1000);
        while wire.send(&requests).await {}
        env.clock().mono().since(start).as_millis() as i64
    });
    assert!((60_000..70_000).contains(&took_ms), "{took_ms} ms");
    site.refused_only("slow_reader", 1);
}

/// A byte now and then is no progress: it would keep answers in memory for years.
#[test]
fn who_takes_answers_byte_by_byte_is_closed_as_well() {
    let mut site = Site::new(limits(), &[]);
    let took_s = site.client(|env| async move {
        use env::{Clock, Env, Spawner};
        let start = env.clock().mono();
        let (mut reader, mut writer) = Wire::connect(&env).await.split();
        let patient = env.clone();
        env.spawner().spawn("trickle", async move {
            while reader.takes(16).await {
                crate::site::pause(&patient, 5_000).await;
            }
        });
        let requests = frame(&MetadataRequest::default(), 12).repeat(1000);
        while writer.send(&requests).await {}
        env.clock().mono().since(start).as_secs()
    });
    assert!((60..200).contains(&took_s), "{took_s} s");
    site.refused_only("slow_reader", 1);
}

/// Whoever leaves while a long answer is awaited leaves nothing behind.
#[test]
fn who_leaves_while_an_answer_is_awaited_is_not_waited_for() {
    let mut site = Site::new(
        broker::Limits {
            connections_max: 1,
            ..limits()
        },
        &[],
    );
    site.client(|env| async move {
        let orders = Str::from("orders");
        let wait = await_a_record(&orders, i32::MAX);
        let mut wire = Wire::connect(&env).await;
        let made = wire.ask(&make(&orders), 12, 1000).await;
        made.expect("an answer");
        wire.pause(1000).await;
        wire.send(&frame(&wait, 12)).await;
        assert_eq!(wire.hear(10_000).await, Heard::Nothing, "it waits");
        drop(wire);
        let mut next = Wire::connect(&env).await;
        let answer = next.ask(&ApiVersionsRequest::default(), 0, 61_000).await;
        assert!(answer.is_some(), "its place is free");
    });
}

#[test]
fn who_takes_answers_slowly_is_served() {
    let mut site = Site::new(limits(), &[]);
    site.client(|env| async move {
        let mut wire = Wire::connect(&env).await;
        for _ in 0..3 {
            wire.send(&frame(&MetadataRequest::default(), 12).repeat(20))
                .await;
            wire.pause(50_000).await;
            for _ in 0..20 {
                let answer = wire.answer::<MetadataRequest>(12, 1000).await;
                assert!(answer.is_some());
            }
        }
    });
    assert_eq!(site.refused("slow_reader"), 0);
}

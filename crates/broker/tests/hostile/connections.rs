//! How many connections there may be, and what happens to the others.

use broker::Limits;
use protocol::ApiVersionsRequest;
use world::{NetworkProfile, Profile};

use crate::site::{Heard, OTHER_PORT, PORT, Site, Wire, limits, pause};

async fn is_served(wire: &mut Wire) -> bool {
    let answer = wire.ask(&ApiVersionsRequest::default(), 0, 1000).await;
    answer.is_some()
}

#[test]
fn connections_of_one_address_are_counted_over_all_listeners() {
    let mut site = Site::new(
        Limits {
            connections_per_ip_max: 3,
            ..limits()
        },
        &[],
    );
    site.client(|env| async move {
        let mut served = Vec::new();
        for port in [PORT, OTHER_PORT, PORT] {
            let mut wire = Wire::to(&env, port).await;
            assert!(is_served(&mut wire).await);
            served.push(wire);
        }
        for port in [PORT, OTHER_PORT] {
            // Accepted, and closed without a byte.
            let mut wire = Wire::to(&env, port).await;
            assert_eq!(wire.hear(1000).await, Heard::Closed);
        }
        drop(served.pop());
        pause(&env, 100).await;
        let mut wire = Wire::to(&env, OTHER_PORT).await;
        assert!(is_served(&mut wire).await, "there is room again");
    });
    site.refused_only("connections_per_ip", 2);
}

#[test]
fn connections_beyond_the_limit_wait_for_one_to_end() {
    let mut site = Site::new(
        Limits {
            connections_max: 2,
            ..limits()
        },
        &[],
    );
    site.client(|env| async move {
        // Both through one listener: the other one keeps none for itself.
        let mut served = Vec::new();
        for _ in 0..2 {
            let mut wire = Wire::to(&env, PORT).await;
            assert!(is_served(&mut wire).await);
            served.push(wire);
        }
        let mut waiting = Wire::to(&env, OTHER_PORT).await;
        assert!(!is_served(&mut waiting).await);
        served.pop();
        let heard = waiting.hear(1000).await;
        assert!(matches!(heard, Heard::Frame(_)), "{heard:?}");
    });
    assert_eq!(site.refused("internal"), 0);
}

#[test]
fn listeners_outlive_connections_that_cannot_be_had() {
    let mut site = Site::with(
        Profile {
            network: NetworkProfile {
                accept_error_ppm: 700_000,
                ..NetworkProfile::calm()
            },
            ..Profile::calm()
        },
        limits(),
        &[],
    );
    site.client(|env| async move {
        for _ in 0..20 {
            let mut wire = Wire::connect(&env).await;
            let answer = wire.ask(&ApiVersionsRequest::default(), 0, 60_000).await;
            assert!(answer.is_some());
        }
    });
}

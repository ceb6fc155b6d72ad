//! Members that offer more protocols than anybody has.

mod world;

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_group::{GroupConfig, Request, Response};
use protocol::join_group_request::JoinGroupRequestProtocol;
use protocol::{JoinGroupRequest, Str};
use types::ErrorCode;
use world::World;

fn join(world: &mut World, names: impl Iterator<Item = String>) -> (ErrorCode, usize) {
    let request = JoinGroupRequest {
        group_id: Str::from("g"),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: Str::from("consumer"),
        protocols: names
            .map(|name| JoinGroupRequestProtocol {
                name: Str::from(name),
                metadata: Bytes::new(),
            })
            .collect(),
        ..Default::default()
    };
    let asked = world.ask(Request::JoinGroup {
        version: 3,
        client_id: Str::from("c"),
        client_host: Str::from("/1.2.3.4"),
        request,
    });
    world.advance(0);
    let Some(Response::JoinGroup(answer)) = world.reply_to(asked) else {
        panic!("an answer to a join")
    };
    (ErrorCode(answer.error_code), answer.members.len())
}

#[test]
fn a_thousand_may_join_and_a_million_may_not() {
    let config = GroupConfig {
        initial_rebalance_delay_ms: 0,
        ..GroupConfig::default()
    };
    let mut world = World::new(config.clone());
    let refused = join(&mut world, (0..1_000_000).map(|number| number.to_string()));
    assert_eq!(refused, (ErrorCode::INVALID_REQUEST, 0));
    let refused = join(&mut world, (0..1_001).map(|number| number.to_string()));
    assert_eq!(refused, (ErrorCode::INVALID_REQUEST, 0));
    let mut world = World::new(config);
    // A name that comes twice counts once.
    let names = (0..1_000).map(|number| (number / 2).to_string());
    assert_eq!(names.clone().collect::<BTreeSet<_>>().len(), 500);
    assert_eq!(join(&mut world, names), (ErrorCode::NONE, 1));
}

//! The historic bugs planted in this crate, each caught by the promise it breaks.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![cfg(feature = "mutants")]

mod common;

use std::collections::BTreeSet;

use common::Host;
use ottla_controller::{Request, Response};
use protocol::AllocateProducerIdsRequest;
use types::BrokerId;
use types::mutants::activate;

/// C10: blocks of producer ids are disjoint for ever.
fn blocks_are_disjoint() -> bool {
    let mut host = Host::new(&[]);
    let broker_epoch = host.controller.image().broker(BrokerId(1)).unwrap().epoch;
    let mut starts = BTreeSet::new();
    (0..3).all(|_| {
        let request = AllocateProducerIdsRequest {
            broker_id: 1,
            broker_epoch,
        };
        match host.ask(Request::AllocateProducerIds(request)).0 {
            Response::AllocateProducerIds(response) => starts.insert(response.producer_id_start),
            other => panic!("{other:?}"),
        }
    })
}

#[test]
fn ctl_11_gives_the_same_block_twice() {
    assert!(blocks_are_disjoint());
    activate(Some("CTL-11"));
    let caught = !blocks_are_disjoint();
    activate(None);
    assert!(caught);
}

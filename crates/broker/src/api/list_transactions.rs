//! ListTransactions (key 66): there is no transaction coordinator yet, so the list is empty.

use env::Env;
use protocol::{ListTransactionsRequest, ListTransactionsResponse, Str};

use super::Call;
use crate::answer::Reply;

/// The states that a filter may name.
const STATES: &[&str] = &[
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: ListTransactionsRequest) -> Reply {
    let unknown_state_filters: Vec<Str> = request
        .state_filters
        .into_iter()
        .filter(|state| !STATES.contains(&&**state))
        .collect();
    call.to.now(&ListTransactionsResponse {
        unknown_state_filters,
        ..Default::default()
    })
}

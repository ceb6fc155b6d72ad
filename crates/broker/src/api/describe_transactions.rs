//! DescribeTransactions (key 65): there is no transaction coordinator yet, so no transaction to describe.

use env::Env;
use protocol::describe_transactions_response::TransactionState;
use protocol::{DescribeTransactionsRequest, DescribeTransactionsResponse};
use types::ErrorCode;

use super::Call;
use super::repeats::Repeats;
use crate::answer::Reply;

pub(crate) async fn handle<E: Env>(
    call: Call<'_, E>,
    request: DescribeTransactionsRequest,
) -> Reply {
    let state = |transactional_id: protocol::Str| TransactionState {
        error_code: if transactional_id.is_empty() {
            ErrorCode::INVALID_REQUEST.0
        } else {
            ErrorCode::TRANSACTIONAL_ID_NOT_FOUND.0
        },
        transactional_id,
        ..Default::default()
    };
    let mut named = Repeats::new();
    let ids = request.transactional_ids.into_iter();
    let ids = ids.filter(|id| named.admit(id.clone()));
    let response = DescribeTransactionsResponse {
        transaction_states: ids.map(state).collect(),
        ..Default::default()
    };
    call.to.now(&response)
}

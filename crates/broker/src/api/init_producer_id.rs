//! InitProducerId (key 22): an id for an idempotent producer.

use env::Env;
use protocol::{InitProducerIdRequest, InitProducerIdResponse};
use types::ErrorCode;

use super::Call;
use crate::answer::Reply;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: InitProducerIdRequest) -> Reply {
    let refused = |error: ErrorCode| InitProducerIdResponse {
        error_code: error.0,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    if let Some(id) = &request.transactional_id {
        // Transactions have no coordinator yet. The code is one that every client takes as final and
        // shows to its user, where "coordinator not available" would be retried for ever.
        let error = if id.is_empty() {
            ErrorCode::INVALID_REQUEST
        } else {
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        };
        return call.to.now(&refused(error));
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return call.to.now(&refused(ErrorCode::INVALID_REQUEST));
    }
    // A producer without a transactional id that asks again simply gets a new id.
    let response = match call.context.producer_ids.next().await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id: producer_id.0,
            producer_epoch: 0,
            ..Default::default()
        },
        Err(error) => refused(error),
    };
    call.to.now(&response)
}

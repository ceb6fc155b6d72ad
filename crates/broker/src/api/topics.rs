//! CreateTopics, DeleteTopics, CreatePartitions (keys 19, 20, 37): decided by the controller.

use env::Env;
use protocol::{
    CreatePartitionsRequest, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
};

use types::ErrorCode;

use super::Call;
use crate::answer::{Outcome, Reply};
use crate::rejections::Closing;

pub(crate) async fn create<E: Env>(call: Call<'_, E>, request: CreateTopicsRequest) -> Reply {
    let (to, controller) = (call.to, call.context.controller.clone());
    Reply::Later(Box::pin(async move {
        match controller.create_topics(request).await {
            Ok(response) => to.frame::<CreateTopicsResponse>(&response),
            Err(error) => Outcome::Close(Closing::internal(error)),
        }
    }))
}

pub(crate) async fn delete<E: Env>(call: Call<'_, E>, request: DeleteTopicsRequest) -> Reply {
    let (to, controller) = (call.to, call.context.controller.clone());
    Reply::Later(Box::pin(async move {
        match controller.delete_topics(request).await {
            Ok(mut response) => {
                if to.version < 3 {
                    // The error that says why came with version 3.
                    let disabled = ErrorCode::TOPIC_DELETION_DISABLED.0;
                    let refused = response
                        .responses
                        .iter_mut()
                        .filter(|r| r.error_code == disabled);
                    refused.for_each(|r| r.error_code = ErrorCode::INVALID_REQUEST.0);
                }
                to.frame(&response)
            }
            Err(error) => Outcome::Close(Closing::internal(error)),
        }
    }))
}

pub(crate) async fn create_partitions<E: Env>(
    call: Call<'_, E>,
    request: CreatePartitionsRequest,
) -> Reply {
    let (to, controller) = (call.to, call.context.controller.clone());
    Reply::Later(Box::pin(async move {
        match controller.create_partitions(request).await {
            Ok(response) => to.frame(&response),
            Err(error) => Outcome::Close(Closing::internal(error)),
        }
    }))
}

//! CreateTopics, DeleteTopics, CreatePartitions (keys 19, 20, 37): decided by the controller.

use env::Env;
use protocol::{
    CreatePartitionsRequest, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
};

use super::Call;
use crate::answer::{Outcome, Reply};

pub(crate) async fn create<E: Env>(call: Call<'_, E>, request: CreateTopicsRequest) -> Reply {
    let (to, controller) = (call.to, call.context.controller.clone());
    Reply::Later(Box::pin(async move {
        match controller.create_topics(request).await {
            Ok(response) => to.frame::<CreateTopicsResponse>(&response),
            Err(error) => Outcome::Close(error.to_string()),
        }
    }))
}

pub(crate) async fn delete<E: Env>(call: Call<'_, E>, request: DeleteTopicsRequest) -> Reply {
    let (to, controller) = (call.to, call.context.controller.clone());
    Reply::Later(Box::pin(async move {
        match controller.delete_topics(request).await {
            Ok(response) => to.frame(&response),
            Err(error) => Outcome::Close(error.to_string()),
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
            Err(error) => Outcome::Close(error.to_string()),
        }
    }))
}

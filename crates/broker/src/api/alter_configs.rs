//! IncrementalAlterConfigs and AlterConfigs (keys 44, 33): decided by the controller.

use env::Env;
use protocol::{AlterConfigsRequest, IncrementalAlterConfigsRequest};

use super::Call;
use crate::answer::{Outcome, Reply};
use crate::rejections::Closing;

pub(crate) async fn incremental<E: Env>(
    call: Call<'_, E>,
    request: IncrementalAlterConfigsRequest,
) -> Reply {
    let (to, controller) = (call.to, call.context.controller.clone());
    Reply::Later(Box::pin(async move {
        match controller.incremental_alter_configs(request).await {
            Ok(response) => to.frame(&response),
            Err(error) => Outcome::Close(Closing::internal(error)),
        }
    }))
}

pub(crate) async fn replace<E: Env>(call: Call<'_, E>, request: AlterConfigsRequest) -> Reply {
    let (to, controller) = (call.to, call.context.controller.clone());
    Reply::Later(Box::pin(async move {
        match controller.alter_configs(request).await {
            Ok(response) => to.frame(&response),
            Err(error) => Outcome::Close(Closing::internal(error)),
        }
    }))
}

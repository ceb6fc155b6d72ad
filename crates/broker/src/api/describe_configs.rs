//! DescribeConfigs (key 32): settings, where they come from, and what they stand for.

use env::Env;
use metadata::configs::describe::Describer;
use protocol::DescribeConfigsRequest;

use super::Call;
use crate::answer::Reply;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: DescribeConfigsRequest) -> Reply {
    let view = call.context.view();
    let describer = Describer {
        image: &view.image,
        broker: call.context.config.node_id,
        static_configs: &call.context.config.static_configs,
    };
    call.to.now(&describer.describe(&request))
}

//! ListConfigResources (key 74): what has settings. Version 0 knew client-metrics subscriptions only.

use env::Env;
use metadata::configs::resource::ResourceType;
use protocol::list_config_resources_response::ConfigResource;
use protocol::{ListConfigResourcesRequest, ListConfigResourcesResponse, Str};
use types::ErrorCode;

use super::Call;
use crate::answer::Reply;

/// What is listed when nothing in particular is asked for, in Kafka's order.
const ALL: &[ResourceType] = &[
    ResourceType::Group,
    ResourceType::ClientMetrics,
    ResourceType::BrokerLogger,
    ResourceType::Broker,
    ResourceType::Topic,
];

pub(crate) async fn handle<E: Env>(
    call: Call<'_, E>,
    request: ListConfigResourcesRequest,
) -> Reply {
    let view = call.context.view();
    let mut response = ListConfigResourcesResponse::default();
    let wanted: Vec<ResourceType> = if call.to.version == 0 {
        vec![ResourceType::ClientMetrics]
    } else if request.resource_types.is_empty() {
        ALL.to_vec()
    } else {
        let known: Option<Vec<_>> = request
            .resource_types
            .iter()
            .map(|n| ResourceType::from_number(*n))
            .collect();
        match known {
            Some(known) => known,
            None => {
                response.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
                return call.to.now(&response);
            }
        }
    };
    let mut listed = Vec::new();
    let me = Str::from(call.context.config.node_id.0.to_string());
    for kind in wanted {
        if listed.contains(&kind) {
            continue;
        }
        listed.push(kind);
        let names: Vec<Str> = match kind {
            ResourceType::Topic => view.topics().map(|topic| topic.name.clone()).collect(),
            ResourceType::Broker | ResourceType::BrokerLogger => vec![me.clone()],
            ResourceType::Group | ResourceType::ClientMetrics => view
                .image
                .config_resources()
                .filter(|resource| resource.resource_type == kind)
                .map(|resource| resource.name.clone())
                .collect(),
        };
        response
            .config_resources
            .extend(names.into_iter().map(|resource_name| ConfigResource {
                resource_name,
                resource_type: kind.number(),
            }));
    }
    call.to.now(&response)
}

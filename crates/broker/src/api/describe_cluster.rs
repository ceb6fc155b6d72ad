//! DescribeCluster (key 60): the cluster's id, controller and brokers.

use env::Env;
use protocol::describe_cluster_response::DescribeClusterBroker;
use protocol::{DescribeClusterRequest, DescribeClusterResponse, Str};
use types::ErrorCode;

use super::{Call, authorized_operations, operations};
use crate::answer::Reply;

/// Endpoints of brokers, as opposed to controllers.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: DescribeClusterRequest) -> Reply {
    if request.endpoint_type != BROKERS {
        let (error, message) = match request.endpoint_type {
            CONTROLLERS => (
                ErrorCode::MISMATCHED_ENDPOINT_TYPE,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".to_string(),
            ),
            other => (
                ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
                format!("Unsupported endpoint type {other}"),
            ),
        };
        let response = DescribeClusterResponse {
            error_code: error.0,
            error_message: Some(Str::from(message)),
            ..Default::default()
        };
        return call.to.now(&response);
    }
    let (host, port) = call.endpoint();
    let me = call.context.config.node_id.0;
    let response = DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: Str::from(call.context.view().image.cluster_id().as_str()),
        controller_id: me,
        brokers: vec![DescribeClusterBroker {
            broker_id: me,
            host,
            port,
            rack: call.context.config.rack.as_deref().map(Str::from),
            is_fenced: false,
        }],
        cluster_authorized_operations: authorized_operations(
            request.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..Default::default()
    };
    call.to.now(&response)
}

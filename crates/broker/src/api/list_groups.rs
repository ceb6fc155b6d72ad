//! ListGroups (key 16): the groups that this node coordinates.

use env::Env;
use futures_util::future::join_all;
use group::{Request, Response};
use protocol::{ListGroupsRequest, ListGroupsResponse};
use types::ErrorCode;

use super::Call;
use crate::answer::Reply;
use crate::coordinators;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: ListGroupsRequest) -> Reply {
    let request = Request::ListGroups {
        states: request.states_filter,
        types: request.types_filter,
    };
    let asked = coordinators::ask_all(call.context, request).await;
    call.to.later(async move {
        let mut response = ListGroupsResponse::default();
        for answer in join_all(asked.into_iter().map(coordinators::Asked::answer)).await {
            match answer {
                Response::ListGroups(Ok(groups)) => response.groups.extend(groups),
                // A list with a hole would be read as the absence of groups.
                Response::ListGroups(Err(error)) => {
                    response.error_code = error.0;
                    response.groups.clear();
                    break;
                }
                other => {
                    tracing::error!(?other, "a coordinator answered a list with something else");
                    response.error_code = ErrorCode::UNKNOWN_SERVER_ERROR.0;
                }
            }
        }
        response.groups.sort_by(|a, b| a.group_id.cmp(&b.group_id));
        response
    })
}

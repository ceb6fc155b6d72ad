//! DeleteGroups (key 42): delete empty groups with their offsets.

use env::Env;
use futures_util::future::join_all;
use group::{Request, Response};
use protocol::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::Call;
use crate::answer::Reply;
use crate::coordinators;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: DeleteGroupsRequest) -> Reply {
    let mut waiting = Vec::new();
    let mut names = request.groups_names;
    names.sort();
    names.dedup();
    for group_id in names {
        let asked = coordinators::ask(call.context, Request::DeleteGroup { group_id }).await;
        waiting.push(async move {
            let Response::DeleteGroup(result) = asked.answer().await else {
                unreachable!("a deletion is answered with a deletion")
            };
            result
        });
    }
    call.to.later(async move {
        DeleteGroupsResponse {
            results: join_all(waiting).await,
            ..Default::default()
        }
    })
}

//! DescribeGroups (key 15): members and assignments of classic groups.

use env::Env;
use futures_util::future::join_all;
use group::{Request, Response};
use protocol::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::repeats::Repeats;
use super::{Call, authorized_operations, operations};
use crate::answer::Reply;
use crate::coordinators;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: DescribeGroupsRequest) -> Reply {
    let version = call.to.version;
    let asked_operations = request.include_authorized_operations;
    let mut waiting = Vec::new();
    let mut named = Repeats::new();
    let groups = request.groups.into_iter();
    for group_id in groups.filter(|group_id| named.admit(group_id.clone())) {
        let request = Request::DescribeGroup { version, group_id };
        let asked = coordinators::ask(call.context, request).await;
        waiting.push(async move {
            let Response::DescribeGroup(mut group) = asked.answer().await else {
                unreachable!("a description is answered with a description")
            };
            group.authorized_operations = if group.error_code == 0 {
                authorized_operations(asked_operations, operations::GROUP)
            } else {
                i32::MIN
            };
            group
        });
    }
    call.to.later(async move {
        DescribeGroupsResponse {
            groups: join_all(waiting).await,
            ..Default::default()
        }
    })
}

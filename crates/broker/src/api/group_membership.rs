//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup (keys 11, 14, 12, 13): being a member of a classic group.

use env::Env;
use group::{Request, Response};
use protocol::{HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, Str, SyncGroupRequest};

use super::Call;
use crate::answer::{Outcome, Reply};
use crate::coordinators;
use crate::rejections::Closing;

pub(crate) async fn join<E: Env>(call: Call<'_, E>, request: JoinGroupRequest) -> Reply {
    let request = Request::JoinGroup {
        version: call.to.version,
        client_id: call.client_id.clone().unwrap_or_default(),
        client_host: Str::from(format!("/{}", call.peer.addr.ip())),
        request,
    };
    ask(call, request).await
}

pub(crate) async fn sync<E: Env>(call: Call<'_, E>, request: SyncGroupRequest) -> Reply {
    let version = call.to.version;
    ask(call, Request::SyncGroup { version, request }).await
}

pub(crate) async fn heartbeat<E: Env>(call: Call<'_, E>, request: HeartbeatRequest) -> Reply {
    ask(call, Request::Heartbeat { request }).await
}

pub(crate) async fn leave<E: Env>(call: Call<'_, E>, request: LeaveGroupRequest) -> Reply {
    let version = call.to.version;
    ask(call, Request::LeaveGroup { version, request }).await
}

async fn ask<E: Env>(call: Call<'_, E>, request: Request) -> Reply {
    let to = call.to;
    let asked = coordinators::ask(call.context, request).await;
    Reply::Later(Box::pin(async move {
        match asked.answer().await {
            Response::JoinGroup(response) => to.frame(&response),
            Response::SyncGroup(response) => to.frame(&response),
            Response::Heartbeat(response) => to.frame(&response),
            Response::LeaveGroup(response) => to.frame(&response),
            other => Outcome::Close(Closing::internal(format!(
                "a coordinator answered {other:?}"
            ))),
        }
    }))
}

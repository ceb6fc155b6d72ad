//! FindCoordinator (key 10): which broker coordinates a group.

use env::Env;
use protocol::find_coordinator_response::Coordinator;
use protocol::{FindCoordinatorRequest, FindCoordinatorResponse, Str};
use types::ErrorCode;

use super::Call;
use super::repeats::Repeats;
use crate::answer::Reply;
use crate::auto_create;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: FindCoordinatorRequest) -> Reply {
    let version = call.to.version;
    let keys = if version >= 4 {
        request.coordinator_keys
    } else {
        vec![request.key]
    };
    let error = match request.key_type {
        GROUP => match auto_create::offsets_topic(call.context).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(%error, "the topic of committed offsets cannot be made");
                Some((ErrorCode::COORDINATOR_NOT_AVAILABLE, None))
            }
        },
        TRANSACTION => Some((
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            Some("transactions are not supported by this version of the broker"),
        )),
        SHARE if version >= 6 => Some((
            ErrorCode::INVALID_REQUEST,
            Some("share groups are not supported by this version of the broker"),
        )),
        _ => Some((ErrorCode::INVALID_REQUEST, None)),
    };
    let (host, port) = call.endpoint();
    let me = call.context.config.node_id.0;
    let answer = |key: Str| match &error {
        None => Coordinator {
            key,
            node_id: me,
            host: host.clone(),
            port,
            error_code: 0,
            error_message: Some(Str::from(if version < 4 { "NONE" } else { "" })),
        },
        Some((code, message)) => Coordinator {
            key,
            node_id: -1,
            host: Str::default(),
            port: -1,
            error_code: code.0,
            error_message: Some(Str::from(match message {
                Some(message) => message,
                None if version < 4 => code.message(),
                None => "",
            })),
        },
    };
    let mut named = Repeats::new();
    let response = if version >= 4 {
        let keys = keys.into_iter().filter(|key| named.admit(key.clone()));
        FindCoordinatorResponse {
            coordinators: keys.map(answer).collect(),
            ..Default::default()
        }
    } else {
        let one = answer(keys.into_iter().next().unwrap_or_default());
        FindCoordinatorResponse {
            error_code: one.error_code,
            error_message: one.error_message,
            node_id: one.node_id,
            host: one.host,
            port: one.port,
            ..Default::default()
        }
    };
    call.to.now(&response)
}

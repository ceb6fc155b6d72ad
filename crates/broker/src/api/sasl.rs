//! SaslHandshake and SaslAuthenticate (keys 17 and 36) on a listener that authenticates nobody.
//!
//! Kafka offers both on every listener and answers `ILLEGAL_SASL_STATE` where there is nothing to negotiate:
//! a client that was told to authenticate learns that it is on the wrong port, instead of being hung up on.

use env::Env;
use protocol::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    Str,
};
use types::ErrorCode;

use super::Call;
use crate::answer::Reply;

pub(crate) async fn handshake<E: Env>(call: Call<'_, E>, _: SaslHandshakeRequest) -> Reply {
    call.to.now(&SaslHandshakeResponse {
        error_code: ErrorCode::ILLEGAL_SASL_STATE.0,
        ..Default::default()
    })
}

pub(crate) async fn authenticate<E: Env>(call: Call<'_, E>, _: SaslAuthenticateRequest) -> Reply {
    call.to.now(&SaslAuthenticateResponse {
        error_code: ErrorCode::ILLEGAL_SASL_STATE.0,
        error_message: Some(Str::from_static(
            "SaslAuthenticate request received after successful authentication",
        )),
        ..Default::default()
    })
}

//! ApiVersions (key 18): what this node speaks.

use std::sync::Arc;

use env::Env;
use protocol::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use protocol::{ApiVersionsRequest, ApiVersionsResponse, Str};
use types::ErrorCode;

use super::Call;
use crate::answer::{Reply, Responder};
use crate::context::Context;
use crate::dispatch::SERVED;

pub(crate) async fn handle<E: Env>(call: Call<'_, E>, request: ApiVersionsRequest) -> Reply {
    if call.to.version >= 3 {
        let software = [
            &request.client_software_name,
            &request.client_software_version,
        ];
        if software.iter().any(|name| !is_software_name(name)) {
            let response = ApiVersionsResponse {
                error_code: ErrorCode::INVALID_REQUEST.0,
                ..Default::default()
            };
            return call.to.now(&response);
        }
        tracing::debug!(
            connection = call.peer.id,
            client = &*request.client_software_name,
            version = &*request.client_software_version,
            "client software"
        );
    }
    call.to.now(&answer(call.context, call.to.version))
}

/// The answer to a version that is too new: version 0, an error, and what is spoken, so that the client
/// can try again (KIP-511).
pub(crate) fn unsupported<E: Env>(context: &Arc<Context<E>>, to: Responder) -> Reply {
    let mut response = answer(context, 0);
    response.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
    response.api_keys.retain(|api| api.api_key == to.key.0);
    Reply::Now(to.frame_at(&response, 0))
}

fn answer<E: Env>(context: &Arc<Context<E>>, version: i16) -> ApiVersionsResponse {
    let view = context.view();
    let features = view.image.features();
    ApiVersionsResponse {
        api_keys: SERVED
            .iter()
            .map(|served| ApiVersion {
                api_key: served.key.0,
                min_version: served.min,
                max_version: served.max,
            })
            .collect(),
        supported_features: metadata::features::SUPPORTED
            .iter()
            // Versions before 4 cannot say that a feature may be off (KAFKA-17011).
            .filter(|feature| version >= 4 || feature.level_min > 0)
            .map(|feature| SupportedFeatureKey {
                name: Str::from(feature.name),
                min_version: feature.level_min,
                max_version: feature.level_max,
            })
            .collect(),
        finalized_features_epoch: view.metadata_end.0 - 1,
        finalized_features: features
            .iter()
            .filter(|(_, level)| **level > 0)
            .map(|(name, level)| FinalizedFeatureKey {
                name: Str::from(&**name),
                max_version_level: *level,
                min_version_level: *level,
            })
            .collect(),
        ..Default::default()
    }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names() {
        for good in ["a", "apache-kafka-java", "librdkafka", "2.15.0", "v4"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "a_b", "\u{e9}"] {
            assert!(!is_software_name(bad), "{bad}");
        }
    }
}

//! UpdateFeatures (key 57).
//!
//! This version knows one level of each feature it has, so there is nothing to change yet: asking for what
//! is there succeeds, everything else is refused, as Kafka refuses what a controller cannot do.

use metadata::features::SUPPORTED;
use protocol::update_features_request::FeatureUpdateKey;
use protocol::update_features_response::UpdatableFeatureResult;
use protocol::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use types::ErrorCode;

use crate::Controller;
use crate::error::Refused;

/// Features of Kafka that this version does not have: their level is 0, and may be asked to be.
const NOT_YET: [&str; 6] = [
    "eligible.leader.replicas.version",
    "group.version",
    "kraft.version",
    "share.version",
    "streams.version",
    "transaction.version",
];

impl Controller {
    /// All or nothing: one feature refused refuses the request.
    pub(crate) fn update_features(
        &self,
        request: &UpdateFeaturesRequest,
    ) -> UpdateFeaturesResponse {
        let refused = request
            .feature_updates
            .iter()
            .find_map(|update| self.update(update).err());
        if let Some(refused) = refused {
            let (error_code, error_message) = refused.fields();
            return UpdateFeaturesResponse {
                error_code,
                error_message,
                ..Default::default()
            };
        }
        let results = (request.feature_updates.iter())
            .map(|update| UpdatableFeatureResult {
                feature: update.feature.clone(),
                ..Default::default()
            })
            .collect();
        UpdateFeaturesResponse {
            error_message: None,
            results,
            ..Default::default()
        }
    }

    fn update(&self, update: &FeatureUpdateKey) -> Result<(), Refused> {
        let (name, level) = (&update.feature, update.max_version_level);
        let refused = |why: String| {
            let message = format!(
                "The update failed for all features since the following feature had an error: \
                 Invalid update version {level} for feature {name}. {why}"
            );
            Err(Refused::new(ErrorCode::INVALID_UPDATE_VERSION, message))
        };
        if !(1..=3).contains(&update.upgrade_type) {
            return refused("The controller does not support the given upgrade type.".into());
        }
        if level < 0 {
            return refused("A feature version cannot be less than 0.".into());
        }
        let me = self.config.node_id;
        match SUPPORTED.iter().find(|feature| feature.name == &**name) {
            Some(f) if (f.level_min..=f.level_max).contains(&level) => Ok(()),
            Some(f) => refused(format!(
                "Local controller {me} only supports versions {}-{}",
                f.level_min, f.level_max
            )),
            None if level == 0 && NOT_YET.contains(&&**name) => Ok(()),
            None if level == 0 => refused(format!("Feature {name} not found.")),
            None => refused(format!(
                "Local controller {me} does not support this feature."
            )),
        }
    }
}

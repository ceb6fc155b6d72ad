//! The feature levels that this version knows.
//!
//! A finalised level is a promise of the whole cluster: records of that level may be in the log, and
//! clients choose their behaviour by it. So only what is really there is listed. `group.version` 1 would
//! make consumers use the newer protocol (KIP-848), `transaction.version` 2 would make producers expect
//! an epoch per transaction (KIP-890), `share.version`, `streams.version` and
//! `eligible.leader.replicas.version` likewise: each joins the list when its code does.

use types::ErrorCode;

/// The feature that says which metadata records may be in the log.
pub const METADATA_VERSION: &str = "metadata.version";

/// The metadata version at which a cluster is formatted: that of Kafka 4.3 (4.3-IV0).
pub const METADATA_VERSION_4_3: i16 = 30;

/// A feature and the levels of it that this version can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SupportedFeature {
    /// Its name.
    pub name: &'static str,
    /// The lowest level.
    pub level_min: i16,
    /// The highest level.
    pub level_max: i16,
}

/// Every feature that this version can do.
pub const SUPPORTED: &[SupportedFeature] = &[SupportedFeature {
    name: METADATA_VERSION,
    level_min: METADATA_VERSION_4_3,
    level_max: METADATA_VERSION_4_3,
}];

/// What a new cluster starts with: name and level.
pub const BOOTSTRAP: &[(&str, i16)] = &[(METADATA_VERSION, METADATA_VERSION_4_3)];

/// Whether this version can do `level` of the feature; level 0 is the feature's absence.
///
/// # Errors
/// `FEATURE_UPDATE_FAILED` and why not.
pub fn check(name: &str, level: i16) -> Result<(), (ErrorCode, String)> {
    let refused = |why: String| Err((ErrorCode::FEATURE_UPDATE_FAILED, why));
    match SUPPORTED.iter().find(|feature| feature.name == name) {
        None if level == 0 => Ok(()),
        None => refused(format!("this version does not have the feature {name}")),
        Some(f) if (f.level_min..=f.level_max).contains(&level) => Ok(()),
        Some(f) => refused(format!(
            "this version can do levels {} to {} of {name}, not {level}",
            f.level_min, f.level_max
        )),
    }
}

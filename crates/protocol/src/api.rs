//! The APIs: their numbers, names and versions, and which header goes with which version.

use std::fmt;

use crate::messages::API_TABLE;

/// The number of an API as it travels on the wire. The constants are named as Kafka names them:
/// [`ApiKey::PRODUCE`], [`ApiKey::FETCH`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

/// What is fixed about an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiInfo {
    /// Its number.
    pub key: ApiKey,
    /// Its name: `Produce`.
    pub name: &'static str,
    /// The first and the last version that exist.
    pub versions: (i16, i16),
    /// Whether the last version may still change and is not to be advertised.
    pub latest_version_unstable: bool,
    /// The first version with compact lengths and tagged fields; `i16::MAX` if there is none.
    pub flexible_from: i16,
    /// Whether brokers serve it to clients.
    pub broker: bool,
    /// Whether controllers serve it.
    pub controller: bool,
}

impl ApiInfo {
    /// The first and the last version that will not change any more.
    #[must_use]
    pub const fn stable_versions(&self) -> (i16, i16) {
        (
            self.versions.0,
            self.versions.1 - self.latest_version_unstable as i16,
        )
    }

    /// Whether `version` exists and will not change any more.
    #[must_use]
    pub const fn supports(&self, version: i16) -> bool {
        let (first, last) = self.stable_versions();
        first <= version && version <= last
    }
}

impl ApiKey {
    /// What is known about this API; `None` if it does not exist or was retired.
    #[must_use]
    pub fn info(self) -> Option<&'static ApiInfo> {
        API_TABLE
            .binary_search_by_key(&self, |info| info.key)
            .ok()
            .map(|i| &API_TABLE[i])
    }

    /// The API's name, `UNKNOWN` if there is no such API.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().map_or("UNKNOWN", |info| info.name)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The version of the header in front of a request: 2 (with tagged fields) for flexible versions,
/// else 1.
#[must_use]
pub fn request_header_version(key: ApiKey, version: i16) -> i16 {
    if is_flexible(key, version) { 2 } else { 1 }
}

/// The version of the header in front of a response: 1 (with tagged fields) for flexible versions,
/// else 0.
///
/// ApiVersions always has 0: its client does not know yet what the broker can do (KIP-511).
#[must_use]
pub fn response_header_version(key: ApiKey, version: i16) -> i16 {
    if key != ApiKey::API_VERSIONS && is_flexible(key, version) {
        1
    } else {
        0
    }
}

fn is_flexible(key: ApiKey, version: i16) -> bool {
    key.info().is_some_and(|info| version >= info.flexible_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_complete() {
        assert!(API_TABLE.windows(2).all(|pair| pair[0].key < pair[1].key));
        assert_eq!(API_TABLE.iter().filter(|info| info.broker).count(), 79);
        assert_eq!(API_TABLE.iter().filter(|info| info.controller).count(), 42);
        assert_eq!(ApiKey::PRODUCE.info().unwrap().versions, (3, 13));
        assert_eq!(ApiKey(4).info(), None);
        assert_eq!(ApiKey(4).name(), "UNKNOWN");
        assert_eq!(ApiKey(-1).info(), None);
        assert_eq!(
            format!("{:?}", ApiKey::OFFSET_FOR_LEADER_EPOCH),
            "OffsetForLeaderEpoch (23)"
        );
    }

    #[test]
    fn unstable_versions_are_not_supported() {
        let init_producer_id = ApiKey::INIT_PRODUCER_ID.info().unwrap();
        assert_eq!(init_producer_id.versions, (0, 6));
        assert_eq!(init_producer_id.stable_versions(), (0, 5));
        assert!(init_producer_id.supports(5) && !init_producer_id.supports(6));
        let others = API_TABLE
            .iter()
            .filter(|info| info.latest_version_unstable)
            .count();
        assert_eq!(others, 1);
    }

    #[test]
    fn header_versions() {
        assert_eq!(request_header_version(ApiKey::PRODUCE, 8), 1);
        assert_eq!(request_header_version(ApiKey::PRODUCE, 9), 2);
        assert_eq!(response_header_version(ApiKey::PRODUCE, 8), 0);
        assert_eq!(response_header_version(ApiKey::PRODUCE, 9), 1);
        assert_eq!(request_header_version(ApiKey::API_VERSIONS, 3), 2);
        assert_eq!(response_header_version(ApiKey::API_VERSIONS, 3), 0);
        assert_eq!(request_header_version(ApiKey::SASL_HANDSHAKE, 1), 1);
    }
}

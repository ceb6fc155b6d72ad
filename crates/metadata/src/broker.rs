//! The registration of a broker.

use protocol::register_broker_record::{BrokerEndpoint as EndpointRecord, BrokerFeature};
use protocol::{RegisterBrokerRecord, Str};
use types::{BrokerId, Uuid};

/// How a listener is secured. The numbers are Kafka's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityProtocol {
    /// Not at all.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's number.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }

    /// The protocol with Kafka's number.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<SecurityProtocol> {
        match number {
            0 => Some(SecurityProtocol::Plaintext),
            1 => Some(SecurityProtocol::Ssl),
            2 => Some(SecurityProtocol::SaslPlaintext),
            3 => Some(SecurityProtocol::SaslSsl),
            _ => None,
        }
    }
}

/// Where a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// The listener's name.
    pub name: Str,
    /// The host that clients are told.
    pub host: Str,
    /// The port that clients are told.
    pub port: u16,
    /// How it is secured.
    pub security_protocol: SecurityProtocol,
}

/// A broker as the metadata log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Its id.
    pub id: BrokerId,
    /// The offset of its registration: a new one for every life of the process.
    pub epoch: i64,
    /// Made anew by every life of the process.
    pub incarnation_id: Uuid,
    /// Where it is reached.
    pub endpoints: Vec<BrokerEndpoint>,
    /// Features it can do: name, lowest and highest level.
    pub features: Vec<(Str, i16, i16)>,
    /// Its rack.
    pub rack: Option<Str>,
    /// Whether it is fenced: registered, but no leader of anything and not told to clients.
    pub fenced: bool,
    /// Whether it is on its way out.
    pub in_controlled_shutdown: bool,
    /// Its log directories.
    pub log_dirs: Vec<Uuid>,
    /// Log directories that get no new partitions.
    pub cordoned_log_dirs: Vec<Uuid>,
}

impl BrokerRegistration {
    /// Whether it may lead partitions.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// What a record says.
    ///
    /// # Errors
    /// The record has a security protocol that does not exist.
    pub fn from_record(record: &RegisterBrokerRecord) -> Result<BrokerRegistration, String> {
        let endpoints = (record.end_points.iter())
            .map(|endpoint| {
                let number = endpoint.security_protocol;
                let security_protocol = SecurityProtocol::from_number(number)
                    .ok_or_else(|| format!("security protocol {number} does not exist"))?;
                Ok(BrokerEndpoint {
                    name: endpoint.name.detached(),
                    host: endpoint.host.detached(),
                    port: endpoint.port,
                    security_protocol,
                })
            })
            .collect::<Result<_, String>>()?;
        Ok(BrokerRegistration {
            id: BrokerId(record.broker_id),
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints,
            features: (record.features.iter())
                .map(|f| {
                    (
                        f.name.detached(),
                        f.min_supported_version,
                        f.max_supported_version,
                    )
                })
                .collect(),
            rack: record.rack.as_ref().map(Str::detached),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone().unwrap_or_default(),
        })
    }

    /// As a record that makes it.
    #[must_use]
    pub fn to_record(&self) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.id.0,
            is_migrating_zk_broker: false,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch,
            end_points: (self.endpoints.iter())
                .map(|endpoint| EndpointRecord {
                    name: endpoint.name.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                    security_protocol: endpoint.security_protocol.number(),
                })
                .collect(),
            features: (self.features.iter())
                .map(|(name, min, max)| BrokerFeature {
                    name: name.clone(),
                    min_supported_version: *min,
                    max_supported_version: *max,
                })
                .collect(),
            rack: self.rack.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.log_dirs.clone(),
            cordoned_log_dirs: (!self.cordoned_log_dirs.is_empty())
                .then(|| self.cordoned_log_dirs.clone()),
        }
    }
}

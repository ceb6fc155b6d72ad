//! BrokerRegistration (key 62): a broker's process says that it is there.
//!
//! Each life of the process is an incarnation with an epoch of its own, and starts fenced. What the life
//! before it led has no leader from here on: that one is gone, clean or not.
//!
//! Otherwise than Kafka 4.3.1: there are no sessions of brokers yet, so another incarnation is taken at
//! once. With one node it can only be the same node started again.

use std::collections::BTreeSet;

use metadata::{BrokerEndpoint, BrokerRegistration, SecurityProtocol, topic};
use protocol::{BrokerRegistrationRequest, BrokerRegistrationResponse, MetadataRecord};
use types::{BrokerId, ErrorCode};

use crate::Controller;

impl Controller {
    pub(crate) fn register_broker(
        &self,
        request: &BrokerRegistrationRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> BrokerRegistrationResponse {
        match self.registration_of(request) {
            Err(code) => BrokerRegistrationResponse {
                error_code: code.0,
                broker_epoch: -1,
                ..Default::default()
            },
            Ok(registration) => {
                let old = self.image.broker(registration.id);
                if old.is_some_and(|old| old.incarnation_id != registration.incarnation_id) {
                    records.extend(self.without_broker(registration.id));
                }
                records.push(registration.to_record().into());
                BrokerRegistrationResponse {
                    broker_epoch: registration.epoch,
                    ..Default::default()
                }
            }
        }
    }

    fn registration_of(
        &self,
        request: &BrokerRegistrationRequest,
    ) -> Result<BrokerRegistration, ErrorCode> {
        if *request.cluster_id != *self.config.cluster_id.as_str() {
            return Err(ErrorCode::INCONSISTENT_CLUSTER_ID);
        }
        if request.broker_id < 0 || request.is_migrating_zk_broker {
            return Err(ErrorCode::BROKER_ID_NOT_REGISTERED);
        }
        let id = BrokerId(request.broker_id);
        self.check_directories(id, request)?;
        self.check_features(request)?;
        let endpoints = (request.listeners.iter())
            .map(|listener| {
                let security_protocol = SecurityProtocol::from_number(listener.security_protocol)
                    .ok_or(ErrorCode::INVALID_REGISTRATION)?;
                Ok(BrokerEndpoint {
                    name: listener.name.detached(),
                    host: listener.host.detached(),
                    port: listener.port,
                    security_protocol,
                })
            })
            .collect::<Result<_, ErrorCode>>()?;
        let old = self.image.broker(id);
        let same = old.filter(|old| old.incarnation_id == request.incarnation_id);
        Ok(BrokerRegistration {
            id,
            epoch: same.map_or_else(|| self.next_broker_epoch(), |same| same.epoch),
            incarnation_id: request.incarnation_id,
            endpoints,
            features: (request.features.iter())
                .map(|f| {
                    (
                        f.name.detached(),
                        f.min_supported_version,
                        f.max_supported_version,
                    )
                })
                .collect(),
            rack: request.rack.as_ref().map(protocol::Str::detached),
            fenced: same.is_none_or(|same| same.fenced),
            in_controlled_shutdown: same.is_some_and(|same| same.in_controlled_shutdown),
            log_dirs: request.log_dirs.clone(),
            cordoned_log_dirs: Vec::new(),
        })
    }

    /// An epoch that no registration has had. It grows with the log, as Kafka's, which is the record's
    /// offset, does.
    fn next_broker_epoch(&self) -> i64 {
        let last = self
            .image
            .brokers()
            .map(|broker| broker.epoch)
            .max()
            .unwrap_or(-1);
        i64::try_from(self.replayed)
            .unwrap_or(i64::MAX)
            .max(last.saturating_add(1))
    }

    fn check_directories(
        &self,
        id: BrokerId,
        request: &BrokerRegistrationRequest,
    ) -> Result<(), ErrorCode> {
        let given: BTreeSet<_> = request.log_dirs.iter().collect();
        let of_others = (self.image.brokers())
            .filter(|broker| broker.id != id)
            .any(|broker| broker.log_dirs.iter().any(|dir| given.contains(dir)));
        if given.is_empty()
            || given.len() != request.log_dirs.len()
            || given.iter().any(|dir| topic::is_reserved_directory(**dir))
            || of_others
        {
            return Err(ErrorCode::INVALID_REGISTRATION);
        }
        Ok(())
    }

    /// A broker must be able to do every feature that is finalised.
    fn check_features(&self, request: &BrokerRegistrationRequest) -> Result<(), ErrorCode> {
        let able = |(name, level): (&protocol::Str, &i16)| {
            (request.features.iter()).any(|f| {
                f.name == *name
                    && (f.min_supported_version..=f.max_supported_version).contains(level)
            })
        };
        if self.image.features().iter().all(able) {
            Ok(())
        } else {
            Err(ErrorCode::UNSUPPORTED_VERSION)
        }
    }
}

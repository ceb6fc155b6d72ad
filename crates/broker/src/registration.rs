//! The broker registers with the controller and asks to be let in.

use std::collections::BTreeMap;
use std::sync::Arc;

use controller::{Controller, ControllerConfig, Request, Response};
use env::Clock;
use env::watch;
use group::GroupConfig;
use protocol::broker_registration_request::{Feature, Listener};
use protocol::{BrokerHeartbeatRequest, BrokerRegistrationRequest, Str};
use rand_core::Rng;
use types::{BrokerId, ClusterId, ErrorCode, Uuid};

use crate::config::BrokerConfig;
use crate::controller_host::{ControllerError, ControllerHandle};
use crate::node::StartError;

/// How often the controller is asked while it is not ready.
const RETRY_MS: i64 = 2;

/// A controller over an empty log.
pub(crate) fn controller(
    cluster_id: ClusterId,
    node_id: BrokerId,
    static_configs: &BTreeMap<String, String>,
    random: &mut impl Rng,
) -> Controller {
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    let static_configs = static_configs.clone();
    Controller::new(ControllerConfig {
        cluster_id,
        node_id,
        static_configs,
        seed,
    })
}

/// What group coordinators are told.
pub(crate) fn group_config(config: &metadata::BrokerConfig) -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms,
        session_timeout_ms_min: config.group_min_session_timeout_ms,
        session_timeout_ms_max: config.group_max_session_timeout_ms,
        size_max: usize::try_from(config.group_max_size).unwrap_or(usize::MAX),
        offset_metadata_bytes_max: usize::try_from(config.offset_metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: config.offsets_retention_ms,
        offsets_retention_check_interval_ms: config.offsets_retention_check_interval_ms,
        batch_bytes_max: usize::try_from(config.message_max_bytes).unwrap_or(0),
        ..GroupConfig::default()
    }
}

/// Registers this broker and has it unfenced; gives its epoch. Waits for the controller to lead.
pub(crate) async fn register<C: Clock>(
    clock: &C,
    handle: &ControllerHandle,
    config: &BrokerConfig,
    ports: &[u16],
    incarnation_id: Uuid,
    directory_id: Uuid,
    cluster_id: ClusterId,
    ended: watch::Receiver<Option<Result<(), Arc<ControllerError>>>>,
) -> Result<i64, StartError> {
    let listeners = config.listeners.iter().zip(ports).map(|(listener, port)| {
        let (host, port) = match &listener.advertised {
            Some((host, port)) => (host.clone(), *port),
            None => (listener.host.clone(), *port),
        };
        Listener {
            name: Str::from(listener.name.as_str()),
            host: Str::from(host),
            port,
            security_protocol: 0,
        }
    });
    let features = metadata::features::SUPPORTED.iter().map(|feature| Feature {
        name: Str::from(feature.name),
        min_supported_version: feature.level_min,
        max_supported_version: feature.level_max,
    });
    let registration = BrokerRegistrationRequest {
        broker_id: config.node_id.0,
        cluster_id: Str::from(cluster_id.as_str()),
        incarnation_id,
        listeners: listeners.collect(),
        features: features.collect(),
        rack: config.rack.as_deref().map(Str::from),
        log_dirs: vec![directory_id],
        ..Default::default()
    };
    let broker_epoch = loop {
        match handle
            .ask(Request::RegisterBroker(registration.clone()))
            .await
        {
            Ok(Response::RegisterBroker(response)) if response.error_code == 0 => {
                break response.broker_epoch;
            }
            Ok(Response::RegisterBroker(response)) => {
                return Err(StartError::Registration(ErrorCode(response.error_code)));
            }
            Ok(other) => unreachable!("a registration was answered with {other:?}"),
            Err(_) => {
                if let Some(Err(error)) = &*ended.borrow() {
                    return Err(StartError::Stopped(error.clone()));
                }
                clock.sleep_until(clock.mono().after_ms(RETRY_MS)).await;
            }
        }
    };
    let heartbeat = BrokerHeartbeatRequest {
        broker_id: config.node_id.0,
        broker_epoch,
        current_metadata_offset: i64::MAX,
        want_fence: false,
        want_shut_down: false,
        ..Default::default()
    };
    match handle.ask(Request::BrokerHeartbeat(heartbeat)).await {
        Ok(Response::BrokerHeartbeat(response)) if response.error_code == 0 => Ok(broker_epoch),
        Ok(Response::BrokerHeartbeat(response)) => {
            Err(StartError::Registration(ErrorCode(response.error_code)))
        }
        Ok(other) => unreachable!("a heartbeat was answered with {other:?}"),
        Err(error) => Err(StartError::Registration(error)),
    }
}

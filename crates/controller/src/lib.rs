//! The decisions that change the cluster's image.
//!
//! [`Controller`] is a replayed core (see `state-machine`): a request is decided against the image, the
//! decision is metadata records and an answer, and the records, replayed, are the next image. One file per
//! API. The answers, codes and words are those of Apache Kafka 4.3.1, held against answers recorded from
//! it in `tests/kafka_answers.rs`; where Ottla answers otherwise on purpose, the file says so.
//!
//! What it deliberately does not do: keep the log, know offsets, wait, or authorise. The room before is
//! the host in `broker`; the rooms after are `raft` and `metadata`.
//!
//! Invariants:
//! * a request's records are written together or not at all; within a request each topic or resource
//!   stands for itself: one that is refused leaves the others alone
//! * a topic's id was never used before: ids are drawn from a seed that every life of a controller has
//!   for itself, at a place that moves with every record replayed
//! * no record is decided that the image would refuse to apply
//! * a fenced broker leads nothing (C3); broker epochs only grow (C2); producer-id blocks are disjoint (C10)
//!
//! Fencing, as far as one node needs it:
//! ```text
//! registered (fenced) -- heartbeat --> active -- heartbeat with want_fence or want_shut_down --> fenced
//!       ^                                 |                                                       |
//!       +---------- registration of another incarnation, from any of them -----------------------+
//! ```

pub mod record;

mod allocate_producer_ids;
mod alter_configs;
mod broker_heartbeat;
mod broker_registration;
mod create_partitions;
mod create_topics;
mod decided;
mod delete_topics;
mod error;
mod ids;
mod leadership;
mod placement;
mod update_features;

use std::collections::BTreeMap;

use metadata::configs::describe::Describer;
use metadata::configs::resolve::Layers;
use metadata::{BrokerConfig, Image, ImageError, features};
use protocol::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterConfigsRequest,
    AlterConfigsResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationRequest, BrokerRegistrationResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, FeatureLevelRecord, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, MetadataRecord, Str, UpdateFeaturesRequest,
    UpdateFeaturesResponse,
};
use state_machine::{Decision, StateMachine, Ticket};
use types::{BrokerId, ClusterId, Mono, Now};

pub use record::Record;

/// What a controller is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// CreateTopics (key 19).
    CreateTopics(CreateTopicsRequest),
    /// DeleteTopics (key 20).
    DeleteTopics(DeleteTopicsRequest),
    /// CreatePartitions (key 37).
    CreatePartitions(CreatePartitionsRequest),
    /// IncrementalAlterConfigs (key 44).
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    /// AlterConfigs (key 33).
    AlterConfigs(AlterConfigsRequest),
    /// UpdateFeatures (key 57).
    UpdateFeatures(UpdateFeaturesRequest),
    /// BrokerRegistration (key 62).
    RegisterBroker(BrokerRegistrationRequest),
    /// BrokerHeartbeat (key 63).
    BrokerHeartbeat(BrokerHeartbeatRequest),
    /// AllocateProducerIds (key 67).
    AllocateProducerIds(AllocateProducerIdsRequest),
}

/// What it answers: to each request its own kind of response.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "each is the response to the request of the same name"
)]
pub enum Response {
    CreateTopics(CreateTopicsResponse),
    DeleteTopics(DeleteTopicsResponse),
    CreatePartitions(CreatePartitionsResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    AlterConfigs(AlterConfigsResponse),
    UpdateFeatures(UpdateFeaturesResponse),
    RegisterBroker(BrokerRegistrationResponse),
    BrokerHeartbeat(BrokerHeartbeatResponse),
    AllocateProducerIds(AllocateProducerIdsResponse),
}

/// What a controller is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// The cluster's id.
    pub cluster_id: ClusterId,
    /// The node it runs on; settings may be made for this broker only.
    pub node_id: BrokerId,
    /// That node's `server.properties`.
    pub static_configs: BTreeMap<String, String>,
    /// What topic ids are drawn from. Drawn anew for every controller made, or ids would come again.
    pub seed: [u8; 32],
}

/// The controller: the replay of the metadata log, and the decisions upon it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    config: ControllerConfig,
    image: Image,
    /// How many records have been replayed.
    replayed: u64,
    failure: Option<ImageError>,
}

impl Controller {
    /// A controller over an empty log.
    #[must_use]
    pub fn new(config: ControllerConfig) -> Controller {
        Controller {
            image: Image::new(config.cluster_id),
            config,
            replayed: 0,
            failure: None,
        }
    }

    /// The image, with everything that was decided, committed or not.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The record that could not be replayed, if there was one. Such a controller decides nothing any
    /// more: its log says something that it does not understand. The host must stop it.
    #[must_use]
    pub fn failure(&self) -> Option<&ImageError> {
        self.failure.as_ref()
    }

    fn layers(&self) -> Layers<'_> {
        Layers::new(
            &self.image,
            self.config.node_id,
            &self.config.static_configs,
        )
    }

    fn broker_config(&self) -> BrokerConfig {
        BrokerConfig::resolve(&self.layers())
    }

    fn describer(&self) -> Describer<'_> {
        Describer {
            image: &self.image,
            broker: self.config.node_id,
            static_configs: &self.config.static_configs,
        }
    }

    fn decide(&self, request: Request, records: &mut Vec<MetadataRecord>) -> Response {
        match request {
            Request::CreateTopics(r) => Response::CreateTopics(self.create_topics(&r, records)),
            Request::DeleteTopics(r) => Response::DeleteTopics(self.delete_topics(&r, records)),
            Request::CreatePartitions(r) => {
                Response::CreatePartitions(self.create_partitions(&r, records))
            }
            Request::IncrementalAlterConfigs(r) => {
                Response::IncrementalAlterConfigs(self.incremental_alter_configs(&r, records))
            }
            Request::AlterConfigs(r) => Response::AlterConfigs(self.alter_configs(&r, records)),
            Request::UpdateFeatures(r) => Response::UpdateFeatures(self.update_features(&r)),
            Request::RegisterBroker(r) => {
                Response::RegisterBroker(self.register_broker(&r, records))
            }
            Request::BrokerHeartbeat(r) => {
                Response::BrokerHeartbeat(self.broker_heartbeat(&r, records))
            }
            Request::AllocateProducerIds(r) => {
                Response::AllocateProducerIds(self.allocate_producer_ids(&r, records))
            }
        }
    }
}

impl StateMachine for Controller {
    type Request = Request;
    type Response = Response;
    type Record = Record;
    type Soft = ();

    fn handle(
        &self,
        _soft: &mut (),
        _now: Now,
        ticket: Ticket,
        request: Request,
        out: &mut Decision<Record, Response>,
    ) {
        assert!(
            self.failure.is_none(),
            "a controller that lost its way was asked: {self:?}"
        );
        let mut records = Vec::new();
        let response = self.decide(request, &mut records);
        out.records.extend(records.into_iter().map(Record::new));
        out.reply(ticket, response);
    }

    fn tick(&self, _soft: &mut (), _now: Now, _out: &mut Decision<Record, Response>) {}

    fn deadline(&self, _soft: &()) -> Option<Mono> {
        None
    }

    /// A new cluster starts with its features.
    fn activate(&self, _soft: &mut (), _now: Now, out: &mut Decision<Record, Response>) {
        if self.image.features().is_empty() {
            for (name, level) in features::BOOTSTRAP {
                let name = Str::from_static(name);
                let record = FeatureLevelRecord {
                    name,
                    feature_level: *level,
                };
                out.record(Record::new(record.into()));
            }
        }
    }

    fn replay(&mut self, record: &Record) {
        self.replayed += 1;
        if self.failure.is_none()
            && let Err(error) = self.image.apply(record.metadata())
        {
            self.failure = Some(error);
        }
    }
}

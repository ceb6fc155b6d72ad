//! A controller with one broker, for tests.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(dead_code, reason = "no test file uses all of it")]

use std::collections::BTreeMap;

use ottla_controller::{Controller, ControllerConfig, Record, Request, Response};
use protocol::broker_registration_request::{Feature, Listener};
use protocol::{BrokerHeartbeatRequest, BrokerRegistrationRequest, Str};
use state_machine::{Decision, LogRecord, StateMachine, Ticket};
use types::{BrokerId, Now, Uuid};

pub const CLUSTER: Uuid = Uuid([7; 16]);

/// A controller and its log.
pub struct Host {
    pub controller: Controller,
    pub log: Vec<Record>,
    seed: u8,
}

impl Host {
    /// A controller that was activated and has no broker.
    pub fn empty(static_configs: &[(&str, &str)]) -> Host {
        let static_configs: BTreeMap<String, String> = static_configs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let mut host = Host {
            controller: controller(&static_configs, 1),
            log: Vec::new(),
            seed: 1,
        };
        host.activate();
        host
    }

    /// A controller with broker 1, active.
    pub fn new(static_configs: &[(&str, &str)]) -> Host {
        let mut host = Host::empty(static_configs);
        let epoch = host.register(1, Uuid([1; 16]));
        host.unfence(1, epoch);
        host
    }

    fn activate(&mut self) {
        let mut out = Decision::default();
        self.controller.activate(&mut (), Now::default(), &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Decision<Record, Response>) -> Vec<Record> {
        for record in &out.records {
            // What is decided is what comes back from the log.
            let read = Record::decode(&record.encode()).unwrap().unwrap();
            assert_eq!(read, *record);
            self.controller.replay(&read);
        }
        assert_eq!(self.controller.failure(), None, "{:?}", out.records);
        self.log.extend(out.records.clone());
        out.records
    }

    /// Asks, and gives the answer and what was written.
    pub fn ask(&mut self, request: Request) -> (Response, Vec<Record>) {
        let mut out = Decision::default();
        self.controller
            .handle(&mut (), Now::default(), Ticket(9), request, &mut out);
        let [(Ticket(9), response)] = &out.replies[..] else {
            panic!("{:?}", out.replies)
        };
        let response = response.clone();
        (response, self.take(out))
    }

    pub fn register(&mut self, id: i32, incarnation_id: Uuid) -> i64 {
        match self
            .ask(Request::RegisterBroker(registration(id, incarnation_id)))
            .0
        {
            Response::RegisterBroker(response) => {
                assert_eq!(response.error_code, 0);
                response.broker_epoch
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn unfence(&mut self, broker_id: i32, broker_epoch: i64) {
        let request = BrokerHeartbeatRequest {
            broker_id,
            broker_epoch,
            ..Default::default()
        };
        match self.ask(Request::BrokerHeartbeat(request)).0 {
            Response::BrokerHeartbeat(response) => assert_eq!(response.error_code, 0),
            other => panic!("{other:?}"),
        }
    }

    /// The controller that another life of the node makes out of the log.
    pub fn restart(&mut self, static_configs: &BTreeMap<String, String>) {
        self.seed += 1;
        self.controller = controller(static_configs, self.seed);
        for record in &self.log {
            self.controller.replay(record);
        }
        assert_eq!(self.controller.failure(), None);
        self.activate();
    }
}

fn controller(static_configs: &BTreeMap<String, String>, seed: u8) -> Controller {
    Controller::new(ControllerConfig {
        cluster_id: CLUSTER.into(),
        node_id: BrokerId(1),
        static_configs: static_configs.clone(),
        seed: [seed; 32],
    })
}

pub fn registration(id: i32, incarnation_id: Uuid) -> BrokerRegistrationRequest {
    let mut log_dir = [id as u8; 16];
    log_dir[0] = 200;
    BrokerRegistrationRequest {
        broker_id: id,
        cluster_id: Str::from(CLUSTER.to_string()),
        incarnation_id,
        listeners: vec![Listener {
            name: "PLAINTEXT".into(),
            host: "localhost".into(),
            port: 9092,
            security_protocol: 0,
        }],
        features: vec![Feature {
            name: "metadata.version".into(),
            min_supported_version: 30,
            max_supported_version: 30,
        }],
        log_dirs: vec![Uuid(log_dir)],
        ..Default::default()
    }
}

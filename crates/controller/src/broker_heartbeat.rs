//! BrokerHeartbeat (key 63): a broker says that it lives, and whether it wants to serve.

use protocol::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationChangeRecord, MetadataRecord,
};
use types::{BrokerId, ErrorCode};

use crate::Controller;

impl Controller {
    pub(crate) fn broker_heartbeat(
        &self,
        request: &BrokerHeartbeatRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> BrokerHeartbeatResponse {
        let id = BrokerId(request.broker_id);
        if let Err(code) = self.check_broker_epoch(id, request.broker_epoch) {
            return BrokerHeartbeatResponse {
                error_code: code.0,
                ..Default::default()
            };
        }
        let is_fenced = self.image.broker(id).is_some_and(|broker| broker.fenced);
        let wants_fence = request.want_fence || request.want_shut_down;
        let mut set_fenced = |fenced: i8| {
            let record = BrokerRegistrationChangeRecord {
                broker_id: request.broker_id,
                broker_epoch: request.broker_epoch,
                fenced,
                ..Default::default()
            };
            records.push(record.into());
        };
        if wants_fence && !is_fenced {
            set_fenced(1);
            records.extend(self.without_broker(id));
        } else if !wants_fence && is_fenced {
            set_fenced(-1);
            records.extend(self.with_broker(id));
        }
        BrokerHeartbeatResponse {
            throttle_time_ms: 0,
            error_code: 0,
            is_caught_up: true,
            is_fenced: wants_fence,
            should_shut_down: request.want_shut_down,
        }
    }

    /// Whether this is the broker's present life.
    pub(crate) fn check_broker_epoch(&self, id: BrokerId, epoch: i64) -> Result<(), ErrorCode> {
        match self.image.broker(id) {
            Some(broker) if broker.epoch == epoch => Ok(()),
            _ => Err(ErrorCode::STALE_BROKER_EPOCH),
        }
    }
}

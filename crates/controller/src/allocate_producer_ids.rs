//! AllocateProducerIds (key 67): a block of ids that no producer has had.

use protocol::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, MetadataRecord, ProducerIdsRecord,
};
use types::{BrokerId, ErrorCode};

use crate::Controller;

/// Ids in a block.
pub(crate) const BLOCK_LEN: i32 = 1000;

impl Controller {
    pub(crate) fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
        records: &mut Vec<MetadataRecord>,
    ) -> AllocateProducerIdsResponse {
        let failed = |code: ErrorCode| AllocateProducerIdsResponse {
            error_code: code.0,
            ..Default::default()
        };
        let id = BrokerId(request.broker_id);
        if let Err(code) = self.check_broker_epoch(id, request.broker_epoch) {
            return failed(code);
        }
        let start = if types::mutant!("CTL-11") {
            0
        } else {
            self.image.next_producer_id()
        };
        let Some(next) = start.checked_add(i64::from(BLOCK_LEN)) else {
            return failed(ErrorCode::UNKNOWN_SERVER_ERROR);
        };
        let record = ProducerIdsRecord {
            broker_id: request.broker_id,
            broker_epoch: request.broker_epoch,
            next_producer_id: next,
        };
        records.push(record.into());
        AllocateProducerIdsResponse {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id_start: start,
            producer_id_len: BLOCK_LEN,
        }
    }
}

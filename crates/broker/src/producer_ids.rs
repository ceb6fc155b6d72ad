//! Hands out producer ids from blocks that the controller allots to this node.
//!
//! A block is recorded in the metadata log before an id of it is given out, so no id is given twice, not
//! even across restarts: what is left of a block is forgotten with the process.

use std::sync::Arc;

use tokio::sync::Mutex;
use types::{BrokerId, ErrorCode, ProducerId};

use crate::controller_host::ControllerHandle;

/// The node's supply of producer ids.
#[derive(Clone)]
pub(crate) struct ProducerIds {
    controller: ControllerHandle,
    me: BrokerId,
    broker_epoch: i64,
    // An async mutex: one asks the controller, the others wait for the new block.
    block: Arc<Mutex<std::ops::Range<i64>>>,
}

impl ProducerIds {
    /// A supply that is empty until first asked.
    pub fn new(controller: ControllerHandle, me: BrokerId, broker_epoch: i64) -> ProducerIds {
        ProducerIds {
            controller,
            me,
            broker_epoch,
            block: Arc::new(Mutex::new(0..0)),
        }
    }

    /// An id that nobody has had.
    ///
    /// # Errors
    /// The controller's, when it has no block to give.
    pub async fn next(&self) -> Result<ProducerId, ErrorCode> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = self
                .controller
                .allocate_producer_ids(self.me, self.broker_epoch)
                .await?;
        }
        block
            .next()
            .map(ProducerId)
            .ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)
    }
}

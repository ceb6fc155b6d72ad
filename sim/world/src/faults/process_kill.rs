//! What a process leaves behind when it is killed: everything that calls saw, and of the calls under way
//! some, or parts of them.

use crate::disk::DiskState;
use crate::disk::calls::Request;
use crate::executor::TimerId;
use crate::seed::Draw;

impl DiskState {
    /// Ends the calls of a process that has died; gives back their timers, to be cancelled.
    pub(crate) fn kill(&mut self, now: u64) -> Vec<TimerId> {
        let calls = self.calls.take_all();
        let mut timers = Vec::new();
        for mut call in calls {
            timers.extend(call.timers.into_iter().flatten());
            if call.result.is_some() || !call.request.changes() {
                continue;
            }
            match self.rng.below(3) {
                0 => {}
                1 => {
                    if let Request::Write { buffers, .. } = &mut call.request {
                        // The kernel had taken some pages, in order.
                        let total: usize = buffers.iter().map(bytes::Bytes::len).sum();
                        let mut kept = self.rng.index(total + 1) & !4095;
                        for buffer in buffers.iter_mut() {
                            buffer.truncate(kept.min(buffer.len()));
                            kept -= buffer.len();
                        }
                        self.faults.strikes.hit_and_tell("crash-write-cut-short");
                        let _ = self.execute(now, &call.request);
                    }
                }
                _ => {
                    let _ = self.execute(now, &call.request);
                }
            }
        }
        self.process_died();
        timers
    }
}

//! A clean stop: everything is made durable, the preallocated rest is cut off, and a marker says so, which
//! spares the next start the scan.

use bytes::Bytes;
use env::{Disk, File, OpenOptions, SyncKind};
use types::mutant;

use crate::closed_segments::write_index_files;
use crate::error::StorageError;
use crate::files;
use crate::job::JobError;
use crate::log::{Health, Log};
use crate::names::{self, segment_file};
use crate::state::CleanMarker;

impl<D: Disk> Log<D> {
    /// Stops the log in order. The marker is written last, and only if all before it went well.
    ///
    /// # Errors
    /// The disk's. The log is closed all the same: the next start recovers it.
    ///
    /// # Panics
    /// If a job or a sync is under way.
    pub async fn close(mut self) -> Result<(), StorageError> {
        assert!(
            self.sync_running.is_none(),
            "a log is closed when nothing is under way"
        );
        // Each job takes as much as one job may.
        while let Some(job) = self.start_job(true) {
            let done = job.await;
            let outcome = self.finish_job(done);
            if let Some(error) = outcome.error {
                let kind = match error {
                    JobError::Full(_) => std::io::ErrorKind::StorageFull,
                    JobError::Failed { kind, .. } => kind,
                };
                return Err(StorageError::io(&self.dir)(kind.into()));
            }
        }
        let sound = self.health() == Health::Online && self.durable == self.tail.mark();
        if !sound && !mutant!("STO-07") {
            let kind = std::io::ErrorKind::Other;
            return Err(StorageError::io(&self.dir)(kind.into()));
        }
        if self.clean_marker {
            // Nothing was written since the last clean stop.
            return Ok(());
        }
        let end = self.tail.place();
        let mark = end.mark;
        let path = self.dir.join(segment_file(mark.segment, names::LOG));
        let options = OpenOptions {
            write: true,
            ..OpenOptions::READ
        };
        match self.disk.open(&path, options).await {
            Ok(file) => {
                let io = || StorageError::io(&path);
                file.set_len(u64::from(mark.position)).await.map_err(io())?;
                file.sync(SyncKind::All).await.map_err(io())?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && mark.position == 0 => {}
            Err(error) => return Err(StorageError::io(&path)(error)),
        }
        let index = self.active.builder.snapshot();
        write_index_files(&self.disk, &self.dir, mark.segment, &index, self.seed).await?;
        self.write_state().await?;
        let marker = CleanMarker {
            end,
            first_timestamp: self.active.first_timestamp,
            created: self.active.created.0,
            claims: self.next_claim - 1,
            open: self.transactions.open(),
        };
        let path = self.dir.join(names::CLEAN);
        let bytes = Bytes::from(marker.encode());
        files::replace_durably(&self.disk, &path, bytes)
            .await
            .map_err(StorageError::io(&path))
    }
}

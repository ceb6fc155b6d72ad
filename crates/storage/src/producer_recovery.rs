//! The producers' state after a start: the newest snapshot that is whole and not of the future, and the
//! headers of the batches behind it.

use env::Disk;
use records::BatchHeader;
use records::layout::HEADER_SIZE;
use types::{NextOffset, Offset, mutant};

use crate::error::StorageError;
use crate::files;
use crate::log::Log;
use crate::names::{self, segment_file};
use crate::producer_snapshot::{self, ProducerEntry};
use crate::recovery::{Listing, ReplayedBatch};
use crate::transactions::{OpenTransaction, end_at};

impl<D: Disk> Log<D> {
    /// The newest producer snapshot that is whole and not of the future.
    pub(crate) async fn load_snapshot(
        &mut self,
        listing: &Listing,
    ) -> Result<(Vec<ProducerEntry>, NextOffset), StorageError> {
        let end = self.log_end_offset();
        let mut found = None;
        for at in listing.snapshots.iter().rev() {
            let path = self.dir.join(segment_file(*at, names::SNAPSHOT));
            if found.is_none() && (NextOffset(*at) <= end || mutant!("STO-14")) {
                let bytes = files::read_whole(&self.disk, &path).await;
                let bytes = bytes.map_err(StorageError::io(&path))?.unwrap_or_default();
                if let Some(entries) = producer_snapshot::decode(&bytes) {
                    found = Some((entries, NextOffset(*at)));
                    self.snapshots_kept.push(NextOffset(*at));
                    continue;
                }
            }
            if found.is_some() && self.snapshots_kept.len() < 2 {
                self.snapshots_kept.push(NextOffset(*at));
                continue;
            }
            // Damaged, of the future, or older than those that are kept.
            files::remove(&self.disk, &path)
                .await
                .map_err(StorageError::io(&path))?;
        }
        self.snapshots_kept.sort_unstable();
        Ok(found.unwrap_or_else(|| (Vec::new(), self.log_start.end_before())))
    }

    /// The transactions that Kafka's snapshot as of `base` says were open: they began in segments that
    /// are gone.
    pub(crate) async fn open_by_snapshot(
        &self,
        base: i64,
    ) -> Result<Vec<OpenTransaction>, StorageError> {
        let path = self.dir.join(segment_file(base, names::SNAPSHOT));
        let bytes = files::read_whole(&self.disk, &path).await;
        let bytes = bytes.map_err(StorageError::io(&path))?.unwrap_or_default();
        let rows = producer_snapshot::decode(&bytes).unwrap_or_default();
        let open = rows.iter().filter(|row| {
            let first = row.current_txn_first_offset.0;
            (0..base).contains(&first)
        });
        Ok(open
            .map(|row| (row.producer_id, row.current_txn_first_offset))
            .collect())
    }

    /// The producers' batches from `from` to the end.
    pub(crate) async fn replay_from(
        &self,
        from: NextOffset,
    ) -> Result<Vec<ReplayedBatch>, StorageError> {
        let mut out = Vec::new();
        if from >= self.log_end_offset() {
            return Ok(out);
        }
        let closed = self
            .sealed
            .iter()
            .map(|segment| (segment.row.base, segment.row.next, segment.row.size));
        let end = self.tail.mark();
        let all = closed.chain(std::iter::once((end.segment, end.offset.0, end.position)));
        for (base, next, size) in all.filter(|(_, next, _)| NextOffset(*next) > from) {
            let path = self.dir.join(segment_file(base, names::LOG));
            let mut source = self.source(base).await?;
            let mut at = 0u64;
            let mut expected = Offset(base);
            while at < u64::from(size) {
                let head = source.bytes(at, HEADER_SIZE).await;
                let header = head.ok().and_then(|head| BatchHeader::parse(&head).ok());
                let in_place = header.filter(|header| {
                    header.base_offset >= expected && header.next_offset().0 <= next
                });
                let Some(header) = in_place else {
                    // Behind a damaged range.
                    match source.find_batch(at + 1, expected).await {
                        Some((position, header)) if header.next_offset().0 <= next => {
                            at = position;
                            expected = header.base_offset;
                            continue;
                        }
                        _ => break,
                    }
                };
                if header.has_producer_id() && header.next_offset() > from {
                    // One that cannot be read, or is damaged, ends nothing.
                    let end = end_at(&mut source, at, &header).await.unwrap_or_default();
                    out.push(ReplayedBatch { header, end });
                }
                at += header.total_size() as u64;
                expected = header.next_offset().position();
            }
            tracing::debug!(path = %path.display(), batches = out.len(), "replayed producers");
        }
        Ok(out)
    }
}

//! One partition's log: batches get their place here, in memory, and jobs take them to the disk.
//!
//! Three ends, in this order: *durable* <= *written* <= *log end*. Appending moves the log end and does no
//! I/O; a job ([`Log::start_job`], [`Log::finish_job`]) moves the other two. Who acknowledges what at
//! which end is not decided here.
//!
//! The log is owned by one task. What a read or a job needs is copied into a value that runs elsewhere, so
//! nothing is shared and nothing is locked.
//!
//! Room before: `partition` (which decides what is appended). Rooms after: [`crate::tail`], then
//! [`crate::job`].

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, OpenMode, Wall};
use records::BatchHeader;
use records::layout::{self, HEADER_SIZE};
use types::{LeaderEpoch, NextOffset, Offset, TimestampMs, mutant};

use crate::claims::{Claim, ENDS_MAX, SECTOR, Unsynced};
use crate::config::{LogConfig, LogIdentity};
use crate::epochs::EpochCache;
use crate::error::AppendError;
use crate::index::{IndexBuilder, SegmentIndex, TxnEntry};
use crate::job::{self, Failure, JobDone, JobError, JobOutcome, Plan, Seal, Step, Writer, is_full};
use crate::log_start;
use crate::names::{self, segment_file};
use crate::producer_snapshot::{self, ProducerEntry};
use crate::segment::{FileCell, IndexCell, Segment};
use crate::state::{FaultyRange, LogState, Mark, SegmentRow};
use crate::tail::{Chunk, JOB_BYTES_MAX, Place, Tail};
use crate::transactions::{self, OpenTransaction, Transactions, unstable};

/// The segment that is appended to.
pub(crate) struct Active<D: Disk> {
    pub(crate) base: i64,
    pub(crate) builder: IndexBuilder,
    /// What the segment's age is counted from: the timestamp of its first batch, or -1.
    pub(crate) first_timestamp: i64,
    /// When it was made, for batches without timestamps.
    pub(crate) created: Wall,
    pub(crate) file: FileCell<D>,
    /// The transactions that were open where it starts.
    pub(crate) open: Arc<[OpenTransaction]>,
}

/// Whether appends are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// All is well.
    Online,
    /// The disk has no room: reads are served, appends refused until a job finds room.
    Full,
    /// The disk failed: nothing is served or claimed until the log has been opened anew.
    Offline,
}

pub(crate) struct PendingSeal {
    pub(crate) row: SegmentRow,
    pub(crate) next: Place,
}

/// One partition's log.
pub struct Log<D: Disk> {
    pub(crate) disk: D,
    pub(crate) dir: PathBuf,
    pub(crate) identity: LogIdentity,
    pub(crate) seed: u32,
    pub(crate) config: LogConfig,
    pub(crate) log_start: Offset,
    /// Where it is to start: moved there once that is durable. Until then all of it is served.
    pub(crate) log_start_wanted: Offset,
    pub(crate) sealed: Vec<Segment<D>>,
    pub(crate) active: Active<D>,
    pub(crate) tail: Tail,
    pub(crate) epochs: EpochCache,
    /// Those that are open at the end.
    pub(crate) transactions: Transactions,
    pub(crate) written: Place,
    /// The bytes of the block that `written` lies in.
    pub(crate) written_carry: Bytes,
    pub(crate) durable: Mark,
    pub(crate) next_claim: u64,
    /// Where writes ended since the durable mark, if not there.
    pub(crate) unsynced_ends: Vec<u32>,
    pub(crate) faulty: Vec<FaultyRange>,
    pub(crate) health: Health,
    /// Digests of what was written since the durable mark.
    pub(crate) unsynced: Unsynced,
    pub(crate) job_running: bool,
    /// Whether the job under way does more than write.
    pub(crate) job_alone: bool,
    /// What the sync under way makes durable.
    pub(crate) sync_running: Option<Mark>,
    /// A job waits for the sync under way, because it works alone: no other sync goes before it.
    pub(crate) alone_wanted: bool,
    pub(crate) pending_seals: Vec<PendingSeal>,
    pub(crate) state_dirty: bool,
    pub(crate) epochs_dirty: bool,
    pub(crate) clean_marker: bool,
    pub(crate) dir_dirty: bool,
    pub(crate) cut: Option<Mark>,
    pub(crate) probe_wanted: bool,
    pub(crate) writer: Option<Writer<D>>,
    pub(crate) claims_file: Option<D::File>,
    pub(crate) snapshots: Vec<(NextOffset, PathBuf, Bytes)>,
    pub(crate) snapshots_kept: Vec<NextOffset>,
    pub(crate) removals: Vec<PathBuf>,
    /// About how much a job of late wrote at once.
    pub(crate) job_bytes: usize,
}

/// Where a batch was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its first offset.
    pub base_offset: Offset,
    /// The offset after it: the log's new end.
    pub next_offset: NextOffset,
    /// The largest timestamp of its records, as stored.
    pub max_timestamp: TimestampMs,
    /// Its CRC, as stored.
    pub crc: u32,
    /// Whether a new segment was begun with it: a good moment for a producer snapshot.
    pub rolled: bool,
}

/// How many producer snapshots are kept: the last may be damaged.
const SNAPSHOTS_KEPT: usize = 2;

impl<D: Disk> Log<D> {
    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whose log it is.
    #[must_use]
    pub fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    /// How it rolls and what it keeps.
    #[must_use]
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Changes how it rolls and what it keeps. A new way to the disk holds from the next segment on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// First offset kept.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start
    }

    /// The log's end: where the next batch is placed.
    #[must_use]
    pub fn log_end_offset(&self) -> NextOffset {
        self.tail.mark().offset
    }

    /// The end of what is written to the files.
    #[must_use]
    pub fn written_end(&self) -> NextOffset {
        self.written.mark.offset
    }

    /// The end of what survives a loss of power.
    #[must_use]
    pub fn durable_end(&self) -> NextOffset {
        self.durable.offset
    }

    /// Bytes of batches in the log.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let sealed: u64 = self
            .sealed
            .iter()
            .map(|segment| u64::from(segment.row.size))
            .sum();
        sealed + u64::from(self.tail.mark().position)
    }

    /// Bytes that wait for the disk.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.tail.pending_bytes()
    }

    /// Bytes of memory that buffers and loaded indexes take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let loaded = self.sealed.iter().filter_map(|segment| segment.index.get());
        let index = |index: &SegmentIndex| {
            index.offsets.len() * 12 + index.txns.len() * size_of::<TxnEntry>()
        };
        self.tail.memory()
            + self.written_carry.len()
            + loaded.map(|loaded| index(loaded)).sum::<usize>()
            + index(self.active.builder.index())
            + self.sealed.len() * size_of::<Segment<D>>()
    }

    /// Number of segments.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.sealed.len() + 1
    }

    /// Whether appends are taken.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// What is damaged.
    #[must_use]
    pub fn faulty(&self) -> &[FaultyRange] {
        &self.faulty
    }

    /// The latest leader epoch; [`LeaderEpoch::NONE`] before the first batch.
    #[must_use]
    pub fn latest_epoch(&self) -> LeaderEpoch {
        self.epochs.latest()
    }

    /// Where each leader epoch starts.
    #[must_use]
    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// Gives a batch its place at the end of the log, in memory: it is copied once, offset and leader epoch
    /// are written into the copy, and its index entries are made. No I/O.
    ///
    /// `base_offset` is what the caller takes for the log's end: the append is conditional on it.
    ///
    /// # Errors
    /// The log is as before after each of them.
    ///
    /// # Panics
    /// If `header` is not the header of `batch`.
    pub fn append(
        &mut self,
        batch: &Bytes,
        header: &BatchHeader,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
        now: Wall,
    ) -> Result<Appended, AppendError> {
        let size = batch.len();
        assert_eq!(size, header.total_size(), "the header is that of the batch");
        self.check_append(size, base_offset, leader_epoch)?;
        let mut head = [0u8; HEADER_SIZE];
        head.copy_from_slice(&batch[..HEADER_SIZE]);
        let rest = &batch[HEADER_SIZE..];
        layout::set_base_offset(&mut head, base_offset);
        layout::set_leader_epoch(&mut head, leader_epoch);
        let placed = BatchHeader {
            base_offset,
            leader_epoch,
            ..*header
        };
        let rolled = self.must_roll(&placed, now);
        if rolled {
            self.roll(now);
        }
        let before = self.tail.mark();
        if self.epochs.assign(leader_epoch, base_offset) {
            self.epochs_dirty = true;
        }
        if before.position == 0 {
            self.active.first_timestamp = placed.max_timestamp.0;
            self.active.created = now;
        }
        self.active.builder.note(&placed, before.position);
        let end = transactions::end_of(batch, header);
        if let Some(aborted) = self.transactions.note(&placed, end) {
            self.active.builder.note_aborted(aborted);
        }
        let mark = Mark {
            offset: placed.next_offset(),
            segment: before.segment,
            position: before.position + size as u32,
            chain: self.active.builder.chain(),
        };
        self.tail.append(
            &head,
            rest,
            Place {
                mark,
                index: self.active.builder.mark(),
            },
        );
        Ok(Appended {
            base_offset,
            next_offset: mark.offset,
            max_timestamp: placed.max_timestamp,
            crc: placed.crc,
            rolled,
        })
    }

    fn check_append(
        &mut self,
        size: usize,
        base_offset: Offset,
        leader_epoch: LeaderEpoch,
    ) -> Result<(), AppendError> {
        match self.health {
            Health::Online => {}
            Health::Offline if mutant!("STO-13") => {}
            Health::Offline => return Err(AppendError::Offline),
            Health::Full => {
                self.probe_wanted = true;
                return Err(AppendError::Full);
            }
        }
        // How large a topic lets a batch be is for its validation to say: here it only must fit.
        let max = self.config.segment_bytes as usize;
        if size > max {
            return Err(AppendError::TooLarge { size, max });
        }
        let pending = self.tail.pending_bytes();
        if pending > 0 && pending + size > self.config.pending_bytes_max {
            return Err(AppendError::Busy);
        }
        let expected = self.log_end_offset();
        if base_offset != expected.position() && !mutant!("STO-20") {
            return Err(AppendError::OutOfOrder {
                expected,
                got: base_offset,
            });
        }
        let latest = self.latest_epoch();
        if leader_epoch < latest {
            return Err(AppendError::StaleEpoch {
                latest,
                got: leader_epoch,
            });
        }
        Ok(())
    }

    /// Whether the active segment must be closed before this batch: it would grow too large, its index is
    /// full, it is too old, or the batch's offset is too far from its base.
    fn must_roll(&self, batch: &BatchHeader, now: Wall) -> bool {
        let mark = self.tail.mark();
        if mark.position == 0 {
            return false;
        }
        let size = u64::from(mark.position) + batch.total_size() as u64;
        let waited = if self.active.first_timestamp >= 0 && batch.max_timestamp.0 >= 0 {
            batch
                .max_timestamp
                .0
                .saturating_sub(self.active.first_timestamp)
        } else {
            now.0.saturating_sub(self.active.created.0)
        };
        size > u64::from(self.config.segment_bytes)
            || waited > self.config.segment_ms
            || self.active.builder.index_bytes() + 8 > self.config.index_max_bytes as usize
            || batch.last_offset().0 - self.active.base > i64::from(i32::MAX)
    }

    /// Closes the active segment, in memory; the next job does it on the disk.
    pub(crate) fn roll(&mut self, now: Wall) {
        let mark = self.tail.mark();
        assert!(
            mark.position > 0,
            "an empty segment is not rolled: the next would have its name"
        );
        let next = mark.offset.0;
        let builder = IndexBuilder::new(next, self.seed, self.config.index_interval_bytes);
        let fresh = Active {
            base: next,
            builder,
            first_timestamp: -1,
            created: now,
            file: FileCell::<D>::default(),
            open: self.transactions.open().into(),
        };
        let old = std::mem::replace(&mut self.active, fresh);
        let row = SegmentRow {
            base: old.base,
            next,
            size: mark.position,
            chain: mark.chain,
            max_timestamp: old.builder.max_timestamp(),
            max_timestamp_offset: old.builder.max_timestamp_offset(),
            unstable: unstable(&old.open, old.base),
            closed: closed_at(&old.builder, now),
        };
        let index = IndexCell::default();
        let _ = index.set(Arc::new(old.builder.finish()));
        let first_timestamp = old.first_timestamp;
        self.sealed.push(Segment {
            row,
            first_timestamp,
            file: old.file,
            index,
            open: old.open,
        });
        let place = self.segment_start(next);
        self.pending_seals.push(PendingSeal { row, next: place });
        self.tail.roll(place);
    }

    /// The first place of a segment.
    pub(crate) fn segment_start(&self, base: i64) -> Place {
        let index = IndexBuilder::new(base, self.seed, self.config.index_interval_bytes).mark();
        let offset = NextOffset(base);
        Place {
            mark: Mark {
                offset,
                segment: base,
                position: 0,
                chain: index.chain,
            },
            index,
        }
    }

    /// `log-state` as of `recovery`.
    pub(crate) fn state_at(&self, recovery: Mark) -> LogState {
        let closed = self
            .sealed
            .iter()
            .filter(|segment| segment.row.base < recovery.segment)
            .filter(|segment| !self.is_given_up(&segment.row));
        let mut epochs = self.epochs.clone();
        epochs.truncate_from_start(self.log_start_wanted);
        LogState {
            identity: self.identity.clone(),
            log_start: self.log_start_wanted,
            recovery,
            claims_floor: self.next_claim - 1,
            segments: closed.map(|segment| segment.row).collect(),
            epochs: epochs.up_to(recovery.offset, self.log_start_wanted),
            faulty: self.faulty.clone(),
            open: self.open_where_starts(recovery.segment).to_vec(),
        }
    }

    /// The transactions that were open where this segment starts: the active one, or one that waits to be
    /// closed.
    fn open_where_starts(&self, base: i64) -> &[OpenTransaction] {
        if base == self.active.base {
            return &self.active.open;
        }
        let waits = |segment: &&Segment<D>| segment.row.base == base;
        let segment = self.sealed.iter().rev().find(waits);
        &segment.expect("what is durable ends in a segment").open
    }

    /// After a job that found no room: the next one asks again.
    pub fn look_for_room(&mut self) {
        self.probe_wanted = true;
    }

    /// Takes what waits into a job: everything pending is written and, with `sync`, made durable.
    /// `None` if there is nothing to do, or nothing that can be done beside the sync under way.
    ///
    /// # Panics
    /// If a job is under way.
    pub fn start_job(
        &mut self,
        sync: bool,
    ) -> Option<impl Future<Output = JobDone<D>> + Send + 'static + use<D>> {
        assert!(!self.job_running, "one job of a log at a time");
        let alone = self.works_alone();
        if self.sync_running.is_some() && (alone || !self.may_write_beside_sync()) {
            self.alone_wanted = alone;
            return None;
        }
        self.alone_wanted = false;
        let sync = sync && self.sync_running.is_none();
        let probe = std::mem::take(&mut self.probe_wanted) && self.health == Health::Full;
        if self.health == Health::Offline || self.health == Health::Full && !probe {
            return None;
        }
        // A log never starts, durably, beyond what it durably has.
        let starts_beyond = self.state_dirty && self.log_start_wanted.0 > self.durable.offset.0;
        let sync = sync || starts_beyond || self.unsynced_ends.len() >= ENDS_MAX - 1;
        let alone = alone || sync;
        let chunks = if self.health == Health::Full {
            Vec::new()
        } else {
            self.tail.take()
        };
        let (steps, target, confirmed) = self.steps(&chunks);
        let sealed = steps.iter().any(|step| matches!(step, Step::Seal(_)));
        let needs_sync = sync && (target.mark != confirmed || self.dir_dirty);
        let state = self.state_dirty && !sealed;
        // None before the batches that it stands for.
        let due = |(at, _, _): &&(NextOffset, PathBuf, Bytes)| *at <= target.mark.offset;
        let snapshots: Vec<(PathBuf, Bytes)> = self
            .snapshots
            .iter()
            .take_while(due)
            .map(|(_, path, bytes)| (path.clone(), bytes.clone()))
            .collect();
        let housekeeping = state || !self.removals.is_empty() || !snapshots.is_empty();
        if steps.is_empty() && !needs_sync && !housekeeping && !probe {
            return None;
        }
        let claim = (needs_sync && target.mark != confirmed)
            .then(|| self.claim(confirmed, target.mark, &chunks));
        self.state_dirty = false;
        self.job_running = true;
        self.job_alone = alone;
        Some(job::run(Plan {
            disk: self.disk.clone(),
            dir: self.dir.clone(),
            seed: self.seed,
            mode: self.mode_for(&chunks),
            preallocate: self.config.preallocate,
            segment_bytes: self.config.segment_bytes,
            writer: self.writer.clone(),
            claims_file: self.claims_file.clone(),
            remove_clean_marker: self.clean_marker,
            cut: self.cut,
            start: self.written,
            dir_dirty: self.dir_dirty,
            sync: needs_sync,
            claim,
            state: state.then(|| Bytes::from(self.state_at(self.durable).encode())),
            log_start: self.log_start_wanted,
            start_copy: (self.log_start_wanted > self.log_start)
                .then(|| log_start::encode(self.log_start_wanted)),
            epochs: std::mem::take(&mut self.epochs_dirty)
                .then(|| Bytes::from(self.epochs.encode())),
            snapshots,
            removals: self.removals.clone(),
            probe,
            steps,
        }))
    }

    /// Whether the next job does more than write to the file that is open: what it changes besides, a sync
    /// must not run beside.
    #[must_use]
    pub fn works_alone(&self) -> bool {
        let segment = self.written.mark.segment;
        let is_open = self
            .writer
            .as_ref()
            .is_some_and(|writer| writer.segment == segment && writer.mode == self.next_mode());
        !is_open
            || self.health != Health::Online
            || self.clean_marker
            || self.cut.is_some()
            || self.state_dirty
            || self.epochs_dirty
            || !self.pending_seals.is_empty()
            || !self.snapshots.is_empty()
            || !self.removals.is_empty()
    }

    /// The way to the disk for the next job.
    fn next_mode(&self) -> OpenMode {
        self.mode_of(self.tail.pending_bytes().min(JOB_BYTES_MAX))
    }

    /// Past the page cache only where that pays.
    fn mode_of(&self, bytes: usize) -> OpenMode {
        let bytes = if bytes > 0 {
            bytes.max(self.job_bytes / 8 * 7)
        } else {
            self.job_bytes
        };
        match self.config.mode {
            OpenMode::Direct if bytes >= self.config.direct_bytes_min => OpenMode::Direct,
            _ => OpenMode::Buffered,
        }
    }

    /// The way to the disk for a job of `chunks`, which is remembered.
    fn mode_for(&mut self, chunks: &[Chunk]) -> OpenMode {
        let bytes: usize = chunks
            .iter()
            .map(|chunk| (chunk.end - chunk.start) as usize)
            .sum();
        let beside = self.sync_running.is_some();
        let mode = match &self.writer {
            // A file is not opened anew beside its sync.
            Some(writer) if beside => writer.mode,
            _ => self.mode_of(bytes),
        };
        if bytes > 0 {
            self.job_bytes = bytes.max(self.job_bytes / 8 * 7);
        }
        mode
    }

    /// Writes and closings in order; where they end; and up to where all is durable before the claim.
    fn steps(&self, chunks: &[Chunk]) -> (Vec<Step>, Place, Mark) {
        let (mut target, mut confirmed) = (self.written, self.durable);
        let mut steps = Vec::new();
        let mut rest = chunks;
        for seal in &self.pending_seals {
            write_step(&mut steps, &mut rest, &mut target, seal.row.base);
            if target.mark.segment != seal.row.base || target.mark.position != seal.row.size {
                break;
            }
            let sealed = self
                .sealed
                .iter()
                .find(|segment| segment.row.base == seal.row.base);
            let index = sealed.and_then(|segment| segment.index.get()).cloned();
            steps.push(Step::Seal(Seal {
                row: seal.row,
                index: index.expect("a segment that waits to be closed keeps its indexes"),
                next: seal.next,
                state: Bytes::from(self.state_at(seal.next.mark).encode()),
            }));
            target = seal.next;
            confirmed = seal.next.mark;
        }
        let segment = target.mark.segment;
        write_step(&mut steps, &mut rest, &mut target, segment);
        assert!(
            rest.is_empty(),
            "chunks come in the order of their segments"
        );
        (steps, target, confirmed)
    }

    /// The claim of a sync, of what is written and the chunks that will be by then.
    pub(crate) fn claim(&self, confirmed: Mark, intended: Mark, chunks: &[Chunk]) -> Claim {
        assert_eq!(
            confirmed.segment, intended.segment,
            "closed segments need no claim"
        );
        let since_durable = confirmed == self.durable;
        let mut unsynced = Unsynced::default();
        if since_durable {
            unsynced = self.unsynced.clone();
        }
        for chunk in chunks {
            if chunk.segment == intended.segment {
                chunk.note(&mut unsynced);
            }
        }
        let (digests_from, digests) = unsynced.up_to(intended.position);
        Claim {
            number: self.next_claim,
            confirmed,
            intended,
            digests_from: if digests.is_empty() {
                intended.position / SECTOR as u32 * SECTOR as u32
            } else {
                digests_from
            },
            digests,
            ends: if since_durable {
                self.unsynced_ends.clone()
            } else {
                Vec::new()
            },
        }
    }

    /// Takes back what a job did.
    ///
    /// # Panics
    /// If no job is under way.
    pub fn finish_job(&mut self, done: JobDone<D>) -> JobOutcome {
        assert!(self.job_running, "a job was started");
        self.job_running = false;
        self.writer = done.writer;
        if self.job_alone {
            self.claims_file = done.claims_file;
            self.dir_dirty = done.dir_dirty;
        }
        self.clean_marker &= !done.clean_marker_removed;
        if done.cut_done {
            self.cut = None;
        }
        self.pending_seals.drain(..done.seals);
        if done.written != self.written {
            assert!(
                done.written.mark.offset >= self.written.mark.offset,
                "what is written stays"
            );
            self.written = done.written;
            self.written_carry = match done.written.mark.position {
                0 => Bytes::new(),
                _ => self
                    .tail
                    .block_before(done.written.mark)
                    .expect("what was just written"),
            };
        }
        if done.seals > 0 {
            self.unsynced_ends.clear();
            self.unsynced = Unsynced::default();
        }
        for chunk in self.tail.waiting().take(done.chunks) {
            if chunk.segment == self.written.mark.segment {
                chunk.note(&mut self.unsynced);
            }
        }
        self.transactions.keep_before(self.written.mark.offset);
        self.tail.written(done.chunks, self.config.tail_cache_bytes);
        self.unsynced_ends.extend(done.written_to);
        if mutant!("STO-35") {
            self.durable = self.written.mark;
        }
        if let Some(mark) = done.durable {
            assert!(
                (self.durable.segment, self.durable.position) <= (mark.segment, mark.position),
                "what is durable stays"
            );
            self.durable = mark;
            if done.synced {
                self.settled(mark);
            }
        }
        if let Some(number) = done.claim {
            self.next_claim = number + 1;
        }
        if let Some(log_start) = done.log_start {
            self.move_start(log_start);
        }
        for (at, _, _) in self.snapshots.drain(..done.snapshots) {
            self.snapshots_kept.push(at);
        }
        self.removals.drain(..done.removals);
        self.forget_snapshots();
        let mut rolled_back = None;
        let error = match done.failure {
            None => {
                if done.probe && self.health == Health::Full {
                    self.health = Health::Online;
                }
                None
            }
            Some(failure) if failure.fence && !(mutant!("STO-13/b")) => {
                Some(self.go_offline(&failure))
            }
            Some(failure) => {
                rolled_back = self.run_out_of_room(&failure);
                Some(JobError::Full(failure.what))
            }
        };
        self.outcome(rolled_back, error)
    }

    pub(crate) fn outcome(
        &self,
        rolled_back: Option<NextOffset>,
        error: Option<JobError>,
    ) -> JobOutcome {
        JobOutcome {
            written: self.written.mark.offset,
            durable: self.durable.offset,
            log_start: self.log_start,
            rolled_back,
            error,
        }
    }

    pub(crate) fn go_offline(&mut self, failure: &Failure) -> JobError {
        tracing::error!(dir = %self.dir.display(), what = failure.what, error = %failure.error,
            "the disk failed: log offline");
        self.health = Health::Offline;
        JobError::Failed {
            what: failure.what,
            kind: failure.error.kind(),
        }
    }

    /// Refuses appends until there is room, and takes back those that are not written.
    pub(crate) fn run_out_of_room(&mut self, failure: &Failure) -> Option<NextOffset> {
        tracing::warn!(dir = %self.dir.display(), what = failure.what, error = %failure.error,
            full = is_full(&failure.error), "no room, or too many open files: appends are refused");
        if self.health != Health::Offline {
            self.health = Health::Full;
        }
        self.state_dirty = true;
        self.epochs_dirty = true;
        self.roll_back()
    }

    /// Takes back every append that is not written. Returns the log's end if there were any.
    fn roll_back(&mut self) -> Option<NextOffset> {
        let target = self.written;
        if target == self.tail.place() && !self.tail.has_pending() {
            return None;
        }
        let changed = target.mark.offset != self.tail.mark().offset;
        if self.active.base != target.mark.segment {
            let old = loop {
                let segment = self
                    .sealed
                    .pop()
                    .expect("the segment being written is in memory");
                if segment.row.base == target.mark.segment {
                    break segment;
                }
            };
            let index = old
                .index
                .get()
                .expect("a segment that waits to be closed keeps its indexes");
            let builder = IndexBuilder::resume(
                old.row.base,
                self.seed,
                self.config.index_interval_bytes,
                index.as_ref().clone(),
                target.index,
            );
            self.active = Active {
                base: old.row.base,
                builder: builder.expect("indexes only grow"),
                first_timestamp: old.first_timestamp,
                created: self.active.created,
                file: old.file,
                open: old.open,
            };
        } else if !mutant!("STO-15") {
            self.active.builder.restore(target.index);
        }
        self.pending_seals.clear();
        self.epochs.truncate_from_end(target.mark.offset);
        self.transactions.roll_back(target.mark.offset);
        self.tail.roll_back(target, self.written_carry.clone());
        self.cut = Some(target.mark);
        if !mutant!("STO-11") {
            self.snapshots
                .retain(|(at, _, _)| *at <= target.mark.offset);
        }
        changed.then_some(target.mark.offset)
    }

    /// Marks records as damaged, after a read has found them so. Reads of them fail from now on; the
    /// log's end stays where it is.
    pub fn mark_faulty(&mut self, from: Offset, to: NextOffset) {
        let to = to.min(self.log_end_offset());
        self.state_dirty |= self.add_faulty(FaultyRange { from, to });
    }

    /// Stores the producers' state as of `at`, with the next job. The newest two are kept.
    ///
    /// # Panics
    /// If `at` lies beyond the log's end.
    pub fn put_producer_snapshot(&mut self, at: NextOffset, producers: &[ProducerEntry]) {
        assert!(
            at <= self.log_end_offset(),
            "a snapshot never holds the future"
        );
        let path = self.dir.join(segment_file(at.0, names::SNAPSHOT));
        let bytes = producer_snapshot::encode(producers);
        self.snapshots.push((at, path, bytes));
    }

    fn forget_snapshots(&mut self) {
        self.snapshots_kept.sort_unstable();
        self.snapshots_kept.dedup();
        while self.snapshots_kept.len() > SNAPSHOTS_KEPT {
            let old = self.snapshots_kept.remove(0);
            self.removals
                .push(self.dir.join(segment_file(old.0, names::SNAPSHOT)));
        }
    }

    /// Gives back memory and file handles that only speed up what nobody is doing.
    pub fn release_idle(&mut self) {
        if self.job_running || self.sync_running.is_some() {
            return;
        }
        self.tail.evict(0);
        for segment in &mut self.sealed {
            segment.file = FileCell::<D>::default();
            let waits = |seal: &PendingSeal| seal.row.base == segment.row.base;
            if !self.pending_seals.iter().any(waits) {
                segment.index = IndexCell::default();
            }
        }
        self.active.file = FileCell::<D>::default();
        if self.durable == self.written.mark {
            self.writer = None;
            self.claims_file = None;
        }
    }
}

/// What a segment that is closed now says of that; see [`SegmentRow::closed`].
pub(crate) fn closed_at(builder: &IndexBuilder, now: Wall) -> i64 {
    if builder.max_timestamp() >= 0 {
        -1
    } else {
        now.0
    }
}

/// The chunks of `segment` at the front of `rest`, as one step.
fn write_step(steps: &mut Vec<Step>, rest: &mut &[Chunk], target: &mut Place, segment: i64) {
    let count = rest
        .iter()
        .take_while(|chunk| chunk.segment == segment)
        .count();
    let (run, others) = rest.split_at(count);
    if let Some(last) = run.last() {
        *target = last.place;
        steps.push(Step::Write(run.to_vec()));
    }
    *rest = others;
}

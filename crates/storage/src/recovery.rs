//! Making a log's directory, and opening one: in order after a clean stop, by the decision table after
//! any other.
//!
//! After a clean stop nothing is scanned: the marker and `log-state` say all there is to know, and the last
//! batch is looked at. In every other case the active segment is read from its start and judged
//! ([`crate::scan`]); closed segments were durable before the active one existed, so only their lengths are
//! looked at. Then, in this order: what is torn is cut off and the rest synced; the claims are written
//! anew; `log-state` is replaced. A crash anywhere in between leads to the same judgement again.
//!
//! A directory without `log-state` is one that Kafka wrote (or whose state was lost): all of it is read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, EntryKind, File, OpenMode, OpenOptions, SyncKind, Wall};
use records::layout;
use records::{BatchHeader, EndTransactionMarker};
use types::{NextOffset, Offset, Uuid, mutant};

use crate::claims::{Claim, Claims, Unsynced};
use crate::closed_segments::load_index;
use crate::config::{LogConfig, LogIdentity};
use crate::epochs::EpochCache;
use crate::error::StorageError;
use crate::expectation::Expectation;
use crate::files;
use crate::index::{IndexBuilder, SegmentIndex};
use crate::job::is_starved;
use crate::log::{Active, Health, Log, closed_at};
use crate::names::{self, parse_segment_file, segment_file};
use crate::producer_snapshot::ProducerEntry;
use crate::scan::{Scanned, damage, scan};
use crate::segment::{FileCell, Segment};
use crate::source::Source;
use crate::state::{CleanMarker, FaultyRange, LogState, Mark, SegmentRow};
use crate::tail::{BLOCK, Place, Tail};
use crate::transactions::{Transactions, unstable};

/// What opening a log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Whether the last stop was clean.
    pub clean: bool,
    /// First offset kept.
    pub log_start: Offset,
    /// End of the log, all of it durable.
    pub log_end: NextOffset,
    /// Bytes that were cut off the end because they were torn.
    pub torn_bytes: u64,
    /// What is damaged.
    pub faulty: Vec<FaultyRange>,
    /// The producers as of `producers_at`, from a snapshot.
    pub producers: Vec<ProducerEntry>,
    /// What the snapshot is as of; the start of the log if there is none.
    pub producers_at: NextOffset,
    /// The producers' batches from there to the end, to be applied in this order.
    pub replay: Vec<ReplayedBatch>,
    /// What an operator should hear of.
    pub alarms: Vec<String>,
}

/// What a producer's batch says, without its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedBatch {
    /// Its header.
    pub header: BatchHeader,
    /// Of a control batch: how it ends the producer's transaction.
    pub end: Option<EndTransactionMarker>,
}

/// The files of a directory, by what they are.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) segments: Vec<i64>,
    pub(crate) snapshots: Vec<i64>,
    pub(crate) temporary: Vec<String>,
    pub(crate) clean: bool,
    pub(crate) claims: bool,
    pub(crate) state: bool,
    pub(crate) side_files: Vec<(i64, String)>,
}

impl<D: Disk> Log<D> {
    /// Makes the log of a partition in `dir`. Durable when it returns.
    ///
    /// # Errors
    /// The disk's; [`StorageError::Damaged`] if `dir` holds a log already.
    pub async fn create(
        disk: D,
        dir: PathBuf,
        identity: LogIdentity,
        config: LogConfig,
        now: Wall,
    ) -> Result<Log<D>, StorageError> {
        Self::create_at(disk, dir, identity, config, Offset(0), now).await
    }

    /// Makes a log that starts at `start`.
    ///
    /// # Errors
    /// As for [`Log::create`].
    pub async fn create_at(
        disk: D,
        dir: PathBuf,
        identity: LogIdentity,
        config: LogConfig,
        start: Offset,
        now: Wall,
    ) -> Result<Log<D>, StorageError> {
        disk.create_dir_all(&dir)
            .await
            .map_err(StorageError::io(&dir))?;
        let listing = list(&disk, &dir).await?;
        if !listing.segments.is_empty() {
            return Err(StorageError::damaged(&dir, "holds a log already"));
        }
        let seed = identity.seed();
        let mut log = Log::empty(disk, dir, identity, config, seed, start, now);
        log.write_metadata().await?;
        log.write_start().await?;
        log.reset_claims(0, log.durable).await?;
        log.write_state().await?;
        if let Some(parent) = log.dir.parent() {
            log.disk
                .sync_dir(parent)
                .await
                .map_err(StorageError::io(parent))?;
        }
        Ok(log)
    }

    /// Opens the log of a partition.
    ///
    /// # Errors
    /// The disk's; [`StorageError::Identity`] if the directory is another topic's. Nothing was lost by
    /// that: the call may be repeated.
    pub async fn open(
        disk: D,
        dir: PathBuf,
        identity: LogIdentity,
        config: LogConfig,
        now: Wall,
    ) -> Result<(Log<D>, Recovered), StorageError> {
        let seed = identity.seed();
        let listing = list(&disk, &dir).await?;
        let found_id = read_metadata(&disk, &dir).await;
        let mut log = Log::empty(disk, dir, identity, config, seed, Offset(0), now);
        let mut alarms = Vec::new();
        let state = log.read_state(&mut alarms).await?;
        let expected = log.identity.topic_id;
        // It has no checksum, as Kafka has none there; the state has one, and outvotes it.
        let is_ours = (state.as_ref()).is_some_and(|state| state.identity.topic_id == expected);
        let found_id = match found_id {
            Ok(Some(id)) if id != expected && is_ours => {
                alarms.push(format!(
                    "partition.metadata is damaged (names {id}): written anew"
                ));
                None
            }
            Err(StorageError::Damaged { reason, .. }) if is_ours => {
                alarms.push(format!(
                    "partition.metadata is damaged ({reason}): written anew"
                ));
                None
            }
            found => found?,
        };
        check_identity(&log.dir, found_id, expected)?;
        for name in &listing.temporary {
            let path = log.dir.join(name);
            files::remove(&log.disk, &path)
                .await
                .map_err(StorageError::io(&path))?;
        }
        if let Some(state) = &state {
            check_identity(
                &log.dir,
                Some(state.identity.topic_id),
                log.identity.topic_id,
            )?;
        }
        if found_id.is_none() {
            log.write_metadata().await?;
        }
        let floor = state.as_ref().map_or(0, |state| state.claims_floor);
        let claims = log.read_claims(&listing, floor, &mut alarms).await?;
        let clean = match &state {
            Some(state) => log.open_clean(&listing, state, &claims).await,
            None => false,
        };
        let mut torn_bytes = 0;
        if !clean {
            // Whoever made the directory may have died, or failed, before its name was durable.
            if let Some(parent) = log.dir.parent() {
                log.disk
                    .sync_dir(parent)
                    .await
                    .map_err(StorageError::io(parent))?;
            }
            torn_bytes = match &state {
                Some(state) => {
                    log.open_unclean(&listing, state, &claims, floor, now, &mut alarms)
                        .await?
                }
                None => log.import(&listing, floor, now, &mut alarms).await?,
            };
        }
        log.clean_marker = clean;
        // What was found before, and was not looked at again just now.
        for range in state.iter().flat_map(|state| &state.faulty) {
            let alarm = damage(range, "found by an earlier start or read");
            let about = |alarm: &str| alarm.split_once(" (").map(|(about, _)| about.to_owned());
            if log.faulty.contains(range) && !alarms.iter().any(|told| about(told) == about(&alarm))
            {
                alarms.push(alarm);
            }
        }
        let (producers, producers_at) = log.load_snapshot(&listing).await?;
        let replay = log.replay_from(producers_at).await?;
        let recovered = Recovered {
            clean,
            log_start: log.log_start,
            log_end: log.log_end_offset(),
            torn_bytes,
            faulty: log.faulty.clone(),
            producers,
            producers_at,
            replay,
            alarms,
        };
        for alarm in &recovered.alarms {
            tracing::error!(dir = %log.dir.display(), "{alarm}");
        }
        Ok((log, recovered))
    }

    /// A log without a record, of which nothing is on the disk.
    fn empty(
        disk: D,
        dir: PathBuf,
        identity: LogIdentity,
        config: LogConfig,
        seed: u32,
        start: Offset,
        now: Wall,
    ) -> Log<D> {
        let builder = IndexBuilder::new(start.0, seed, config.index_interval_bytes);
        let mark = Mark {
            offset: start.end_before(),
            segment: start.0,
            position: 0,
            chain: builder.chain(),
        };
        let place = Place {
            mark,
            index: builder.mark(),
        };
        Log {
            disk,
            dir,
            identity,
            seed,
            config,
            log_start: start,
            log_start_wanted: start,
            sealed: Vec::new(),
            active: Active {
                base: start.0,
                builder,
                first_timestamp: -1,
                created: now,
                file: FileCell::<D>::default(),
                open: Arc::default(),
            },
            tail: Tail::new(place, Bytes::new()),
            epochs: EpochCache::default(),
            transactions: Transactions::default(),
            written: place,
            written_carry: Bytes::new(),
            durable: mark,
            next_claim: 1,
            unsynced_ends: Vec::new(),
            faulty: Vec::new(),
            health: Health::Online,
            unsynced: Unsynced::default(),
            job_running: false,
            job_alone: false,
            sync_running: None,
            alone_wanted: false,
            pending_seals: Vec::new(),
            state_dirty: false,
            epochs_dirty: false,
            clean_marker: false,
            dir_dirty: false,
            cut: None,
            probe_wanted: false,
            writer: None,
            claims_file: None,
            snapshots: Vec::new(),
            snapshots_kept: Vec::new(),
            removals: Vec::new(),
            job_bytes: 0,
        }
    }

    async fn write_metadata(&self) -> Result<(), StorageError> {
        let path = self.dir.join(names::PARTITION_METADATA);
        let text = format!("version: 0\ntopic_id: {}", self.identity.topic_id);
        files::replace(&self.disk, &path, Bytes::from(text))
            .await
            .map_err(StorageError::io(&path))
    }

    async fn read_state(&self, alarms: &mut Vec<String>) -> Result<Option<LogState>, StorageError> {
        let path = self.dir.join(names::STATE);
        let bytes = files::read_whole(&self.disk, &path)
            .await
            .map_err(StorageError::io(&path))?;
        let Some(bytes) = bytes else { return Ok(None) };
        match LogState::decode(&bytes) {
            Ok(state) => Ok(Some(state)),
            Err(_) if mutant!("STO-05") => {
                let log = Log::empty(
                    self.disk.clone(),
                    self.dir.clone(),
                    self.identity.clone(),
                    self.config.clone(),
                    self.seed,
                    Offset(0),
                    Wall(0),
                );
                Ok(Some(log.state_at(log.durable)))
            }
            Err(reason) => {
                alarms.push(format!(
                    "log-state is damaged ({reason}): the whole log is read"
                ));
                Ok(None)
            }
        }
    }

    async fn read_claims(
        &self,
        listing: &Listing,
        floor: u64,
        alarms: &mut Vec<String>,
    ) -> Result<Claims, StorageError> {
        let path = self.dir.join(names::CLAIMS);
        let bytes = match files::read_whole(&self.disk, &path).await {
            Ok(bytes) => bytes,
            // It says nothing about what is there, and nothing may be concluded from it.
            Err(error) if is_starved(&error) => return Err(StorageError::io(&path)(error)),
            Err(error) => {
                alarms.push(format!("the claims cannot be read: {error}"));
                None
            }
        };
        let claims = Claims::decode(bytes.as_deref(), self.seed, floor);
        if claims == Claims::Damaged && listing.claims {
            alarms.push("the claims are damaged: nothing is taken for torn".to_owned());
        }
        Ok(claims)
    }

    /// Writes both slots of the claims anew: all is durable up to `mark`. Numbers start after `last`.
    async fn reset_claims(&mut self, last: u64, mark: Mark) -> Result<(), StorageError> {
        let path = self.dir.join(names::CLAIMS);
        let io = || StorageError::io(&path);
        let file = self
            .disk
            .open(&path, OpenOptions::CREATE)
            .await
            .map_err(io())?;
        for number in [last + 1, last + 2] {
            let claim = Claim {
                number,
                confirmed: mark,
                intended: mark,
                digests_from: 0,
                digests: Vec::new(),
                ends: Vec::new(),
            };
            file.write_at(claim.slot_offset(), vec![claim.encode(self.seed)])
                .await
                .map_err(io())?;
        }
        file.sync(SyncKind::All).await.map_err(io())?;
        self.next_claim = last + 3;
        self.claims_file = Some(file);
        Ok(())
    }

    /// Replaces `log-state`, durably.
    pub(crate) async fn write_state(&mut self) -> Result<(), StorageError> {
        let path = self.dir.join(names::STATE);
        let state = Bytes::from(self.state_at(self.durable).encode());
        files::replace_durably(&self.disk, &path, state)
            .await
            .map_err(StorageError::io(&path))?;
        self.dir_dirty = false;
        Ok(())
    }

    /// Takes over what the state says of closed segments.
    fn adopt(&mut self, state: &LogState) {
        self.log_start = state.log_start;
        self.log_start_wanted = state.log_start;
        self.sealed = state
            .segments
            .iter()
            .map(|row| Segment::new(*row))
            .collect();
        self.epochs = EpochCache::new(&state.epochs);
        self.faulty.clone_from(&state.faulty);
    }

    /// Opens without a scan if everything fits the clean marker. Returns whether it does.
    async fn open_clean(&mut self, listing: &Listing, state: &LogState, claims: &Claims) -> bool {
        let path = self.dir.join(names::CLEAN);
        if listing.clean == mutant!("STO-45") {
            return false;
        }
        let Ok(Some(bytes)) = files::read_whole(&self.disk, &path).await else {
            return false;
        };
        let Some(marker) = CleanMarker::decode(&bytes) else {
            return false;
        };
        self.try_clean(listing, state, claims, marker)
            .await
            .is_some()
    }

    async fn try_clean(
        &mut self,
        listing: &Listing,
        state: &LogState,
        claims: &Claims,
        marker: CleanMarker,
    ) -> Option<()> {
        let mark = marker.end.mark;
        let no_later_claim = match claims {
            Claims::Intact(claim) => claim
                .as_ref()
                .is_none_or(|last| last.number <= marker.claims),
            Claims::Damaged => false,
        };
        let all_there = state
            .segments
            .iter()
            .all(|row| listing.segments.contains(&row.base));
        if state.recovery != mark || !no_later_claim || !all_there {
            return None;
        }
        let index = load_index(
            &self.disk,
            &self.dir,
            mark.segment,
            self.seed,
            mark.position,
        )
        .await;
        let index = match (mark.position, index) {
            (0, _) => SegmentIndex::default(),
            (_, index) => index.ok()??,
        };
        let mut carry = Bytes::new();
        if mark.position > 0 {
            let path = self.dir.join(segment_file(mark.segment, names::LOG));
            let file = self.disk.open(&path, OpenOptions::READ).await.ok()?;
            if file.len().await.ok()? != u64::from(mark.position) {
                return None;
            }
            let len = mark.position.checked_sub(marker.end.index.last_batch)? as usize;
            let batch = file
                .read_at(u64::from(marker.end.index.last_batch), len)
                .await
                .ok()?;
            let header = BatchHeader::parse(&batch).ok()?;
            let whole = batch.len() == header.total_size() && layout::verify_crc(&batch).is_ok();
            if !whole || header.next_offset() != mark.offset {
                return None;
            }
            carry = read_carry(&file, mark.position).await.ok()?;
        }
        let builder = IndexBuilder::resume(
            mark.segment,
            self.seed,
            self.config.index_interval_bytes,
            index,
            marker.end.index,
        )?;
        self.adopt(state);
        self.active = Active {
            base: mark.segment,
            builder,
            first_timestamp: marker.first_timestamp,
            created: Wall(marker.created),
            file: FileCell::<D>::default(),
            open: state.open.as_slice().into(),
        };
        self.transactions = Transactions::new(&marker.open);
        self.start_at(marker.end, carry);
        self.next_claim = marker.claims + 1;
        Some(())
    }

    /// The log goes on at `place`, durable up to there.
    fn start_at(&mut self, place: Place, carry: Bytes) {
        self.tail = Tail::new(place, carry.clone());
        self.written = place;
        self.written_carry = carry;
        self.durable = place.mark;
    }

    /// Opens by the decision table. Returns how many bytes were torn.
    async fn open_unclean(
        &mut self,
        listing: &Listing,
        state: &LogState,
        claims: &Claims,
        floor: u64,
        now: Wall,
        alarms: &mut Vec<String>,
    ) -> Result<u64, StorageError> {
        self.adopt(state);
        let base = state.recovery.segment;
        self.check_sealed(listing, base, alarms).await?;
        for stray in listing.segments.iter().filter(|segment| **segment > base) {
            // No segment is made before the state that names it. This one is not ours to judge.
            let from = self.dir.join(segment_file(*stray, names::LOG));
            let to = self.dir.join(format!(
                "{}{}",
                segment_file(*stray, names::LOG),
                names::STRAY_SUFFIX
            ));
            self.disk
                .rename(&from, &to)
                .await
                .map_err(StorageError::io(&from))?;
            alarms.push(format!("segment {stray} is not of this log: set aside"));
        }
        let expected = Expectation {
            base,
            seed: self.seed,
            interval: self.config.index_interval_bytes,
            claims,
            recovery: state.recovery,
            epoch: self.epochs.epoch_for(Offset(base - 1)),
            dense: true,
            next_base: None,
            open: &state.open,
            faulty: &state.faulty,
        };
        let mut source = self.source(base).await?;
        let scanned = scan(&mut source, &expected).await;
        let path = self.dir.join(segment_file(base, names::LOG));
        let scanned = scanned.map_err(StorageError::io(&path))?;
        alarms.extend(scanned.alarms(&path));
        let torn = if scanned.torn {
            source.len() - u64::from(scanned.position)
        } else {
            0
        };
        self.settle(base, &scanned).await?;
        self.take_over(base, scanned, now).await?;
        let last = match claims {
            Claims::Intact(Some(claim)) => claim.number.max(floor),
            _ => floor,
        };
        self.finish_recovery(last).await?;
        Ok(torn)
    }

    /// Takes over a directory without a state. Returns how many bytes were torn: never any.
    async fn import(
        &mut self,
        listing: &Listing,
        floor: u64,
        now: Wall,
        alarms: &mut Vec<String>,
    ) -> Result<u64, StorageError> {
        let first = listing.segments.first().copied().unwrap_or(0);
        let is_ours = listing.claims || listing.state;
        let log_start = self.start_without_state(first, is_ours, alarms).await?;
        // Without a segment the log is empty and ends where it starts.
        let start = listing.segments.first().copied().unwrap_or(log_start.0);
        self.log_start = Offset(start);
        self.log_start_wanted = Offset(start);
        self.start_at(self.segment_start(start), Bytes::new());
        self.active.base = start;
        self.active.builder = IndexBuilder::new(start, self.seed, self.config.index_interval_bytes);
        for (i, base) in listing.segments.iter().copied().enumerate() {
            if NextOffset(base) < self.log_end_offset() {
                let path = self.dir.join(segment_file(base, names::LOG));
                return Err(StorageError::damaged(
                    &path,
                    "overlaps the segment before it",
                ));
            }
            let start = self.segment_start(base);
            let open = match i {
                0 => self.open_by_snapshot(base).await?,
                _ => self.transactions.open(),
            };
            let expected = Expectation {
                base,
                seed: self.seed,
                interval: self.config.index_interval_bytes,
                claims: &Claims::Damaged,
                recovery: start.mark,
                epoch: self.epochs.latest(),
                // Kafka's logs may have been compacted, ours are not.
                dense: is_ours,
                next_base: listing.segments.get(i + 1).copied(),
                open: &open,
                faulty: &[],
            };
            let mut source = self.source(base).await?;
            let scanned = scan(&mut source, &expected).await;
            let path = self.dir.join(segment_file(base, names::LOG));
            let scanned = scanned.map_err(StorageError::io(&path))?;
            alarms.extend(scanned.alarms(&path));
            self.settle(base, &scanned).await?;
            let last = i + 1 == listing.segments.len();
            if last {
                // Nothing is given out twice, even if the log ends before its start.
                (self.log_start, self.log_start_wanted) = (log_start, log_start);
            }
            self.take_over(base, scanned, now).await?;
            let next = listing.segments.get(i + 1).map(|base| NextOffset(*base));
            let end = self.log_end_offset();
            if let Some(next) = next.filter(|next| is_ours && end < *next) {
                let (from, to) = (end.position(), next);
                let range = FaultyRange { from, to };
                alarms.push(damage(&range, &format!("{} ends early", path.display())));
                self.add_faulty(range);
            }
            if !last && self.tail.mark().position > 0 {
                self.roll(now);
                let seal = self.pending_seals.pop().expect("just rolled");
                let path = self.dir.join(segment_file(base, names::LOG));
                self.trim(&path, seal.row.size).await?;
                self.write_index(seal.row.base).await?;
            }
        }
        // What lies before it goes with the first job.
        self.log_start = Offset(start);
        self.move_start(log_start);
        if !listing.segments.is_empty() {
            tracing::info!(dir = %self.dir.display(), segments = listing.segments.len(),
                log_start = log_start.0, "took a log over that has no state");
        }
        self.finish_recovery(floor).await?;
        Ok(0)
    }

    /// A reader of a segment's file, past the page cache where that is possible: what the cache holds
    /// after a failed sync is not what the disk holds.
    pub(crate) async fn source(&self, base: i64) -> Result<Source<D>, StorageError> {
        let path = self.dir.join(segment_file(base, names::LOG));
        let mut opened = self
            .disk
            .open(&path, OpenOptions::READ.mode(OpenMode::Direct))
            .await;
        if let Err(error) = &opened
            && error.kind() != io::ErrorKind::NotFound
        {
            opened = self.disk.open(&path, OpenOptions::READ).await;
        }
        match opened {
            Ok(file) => {
                let len = file.len().await.map_err(StorageError::io(&path))?;
                Ok(Source::new(Some(file), len))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Source::new(None, 0)),
            Err(error) => Err(StorageError::io(&path)(error)),
        }
    }

    /// Cuts off what is torn, and makes durable what is kept.
    async fn settle(&mut self, base: i64, scanned: &Scanned) -> Result<(), StorageError> {
        let path = self.dir.join(segment_file(base, names::LOG));
        let options = OpenOptions {
            write: true,
            ..OpenOptions::READ
        };
        let file = match self.disk.open(&path, options).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StorageError::io(&path)(error)),
        };
        if scanned.torn {
            file.set_len(u64::from(scanned.position))
                .await
                .map_err(StorageError::io(&path))?;
        }
        file.sync(SyncKind::All)
            .await
            .map_err(StorageError::io(&path))
    }

    async fn trim(&self, path: &Path, size: u32) -> Result<(), StorageError> {
        let options = OpenOptions {
            write: true,
            ..OpenOptions::READ
        };
        let file = self
            .disk
            .open(path, options)
            .await
            .map_err(StorageError::io(path))?;
        file.set_len(u64::from(size))
            .await
            .map_err(StorageError::io(path))?;
        file.sync(SyncKind::All)
            .await
            .map_err(StorageError::io(path))
    }

    /// The scanned segment becomes the active one; behind a hole at its end, a new one does.
    async fn take_over(
        &mut self,
        base: i64,
        scanned: Scanned,
        now: Wall,
    ) -> Result<(), StorageError> {
        for range in &scanned.faulty {
            let from = range.from.max(self.log_start);
            self.add_faulty(FaultyRange { from, to: range.to });
        }
        for (epoch, start) in &scanned.epochs {
            self.epochs.assign(*epoch, *start);
        }
        self.epochs.truncate_from_start(self.log_start);
        let mark = Mark {
            offset: scanned.end,
            segment: base,
            position: scanned.position,
            chain: scanned.builder.chain(),
        };
        let index = scanned.builder.mark();
        let mut carry = Bytes::new();
        if !mark.position.is_multiple_of(BLOCK) {
            let path = self.dir.join(segment_file(base, names::LOG));
            let file = self.disk.open(&path, OpenOptions::READ).await;
            let file = file.map_err(StorageError::io(&path))?;
            carry = read_carry(&file, mark.position)
                .await
                .map_err(StorageError::io(&path))?;
        }
        self.active = Active {
            base,
            builder: scanned.builder,
            first_timestamp: scanned.first_timestamp,
            created: now,
            file: FileCell::<D>::default(),
            open: scanned.open,
        };
        self.transactions = scanned.transactions;
        self.start_at(Place { mark, index }, carry);
        // Below the log's start nothing is missed, but no offset is given out twice.
        let end = scanned.end.max(self.log_start.end_before());
        // The offset after the last good batch is one that was given out before.
        let lost = scanned.faulty.last().map(|range| range.from.end_before());
        let end = lost.filter(|_| mutant!("STO-28")).unwrap_or(end);
        if scanned.hole_at_end || end > scanned.end {
            // The segment stays as it is, evidence included; appends go to a new one.
            let row = SegmentRow {
                base,
                next: end.0,
                size: mark.position,
                chain: mark.chain,
                max_timestamp: self.active.builder.max_timestamp(),
                max_timestamp_offset: self.active.builder.max_timestamp_offset(),
                unstable: unstable(&self.active.open, base),
                closed: closed_at(&self.active.builder, now),
            };
            let start = self.segment_start(end.0);
            let fresh = Active {
                base: end.0,
                builder: IndexBuilder::new(end.0, self.seed, self.config.index_interval_bytes),
                first_timestamp: -1,
                created: now,
                file: FileCell::<D>::default(),
                open: self.transactions.open().into(),
            };
            let old = std::mem::replace(&mut self.active, fresh);
            let segment = Segment::new(row);
            let _ = segment.index.set(Arc::new(old.builder.finish()));
            self.sealed.push(segment);
            self.write_index(base).await?;
            self.start_at(start, Bytes::new());
        }
        Ok(())
    }

    /// Writes claims, state and epochs anew: all that is in the log is durable and checked.
    async fn finish_recovery(&mut self, last_claim: u64) -> Result<(), StorageError> {
        // The files by their names, too: a log that was only written to may never have synced them.
        self.disk
            .sync_dir(&self.dir)
            .await
            .map_err(StorageError::io(&self.dir))?;
        self.reset_claims(last_claim, self.durable).await?;
        let clean = self.dir.join(names::CLEAN);
        files::remove(&self.disk, &clean)
            .await
            .map_err(StorageError::io(&clean))?;
        let path = self.dir.join(names::EPOCH_CHECKPOINT);
        let epochs = Bytes::from(self.epochs.encode());
        files::replace(&self.disk, &path, epochs)
            .await
            .map_err(StorageError::io(&path))?;
        self.write_state().await?;
        self.write_start().await
    }
}

/// Compares topic ids; a directory that names none yet belongs to whoever expects it.
fn check_identity(dir: &Path, found: Option<Uuid>, expected: Uuid) -> Result<(), StorageError> {
    match found {
        Some(found) if found != expected && !mutant!("STO-22") => Err(StorageError::Identity {
            dir: dir.to_path_buf(),
            found,
            expected,
        }),
        _ => Ok(()),
    }
}

/// The topic id in `partition.metadata`.
pub(crate) async fn read_metadata<D: Disk>(
    disk: &D,
    dir: &Path,
) -> Result<Option<Uuid>, StorageError> {
    let path = dir.join(names::PARTITION_METADATA);
    let bytes = files::read_whole(disk, &path)
        .await
        .map_err(StorageError::io(&path))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).ok();
    let id = text.and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("topic_id:"));
        line.and_then(|id| id.trim().parse().ok())
    });
    id.map(Some)
        .ok_or_else(|| StorageError::damaged(&path, "names no topic id"))
}

async fn list<D: Disk>(disk: &D, dir: &Path) -> Result<Listing, StorageError> {
    let mut listing = Listing::default();
    let mut bases: BTreeMap<i64, ()> = BTreeMap::new();
    for entry in disk.list(dir).await.map_err(StorageError::io(dir))? {
        if entry.kind != EntryKind::File {
            continue;
        }
        let name = entry.name;
        match name.as_str() {
            names::CLEAN => listing.clean = true,
            names::CLAIMS => listing.claims = true,
            names::STATE => listing.state = true,
            _ if name.ends_with(&format!(".{}", names::TEMPORARY)) => listing.temporary.push(name),
            _ => match parse_segment_file(&name) {
                Some((base, names::SNAPSHOT)) => listing.snapshots.push(base),
                Some((base, suffix)) => {
                    if suffix == names::LOG {
                        bases.insert(base, ());
                    }
                    listing.side_files.push((base, name));
                }
                None => {}
            },
        }
    }
    listing.segments = bases.into_keys().collect();
    listing.snapshots.sort_unstable();
    Ok(listing)
}

/// The bytes of the block that `position` lies in, before it.
async fn read_carry<F: File>(file: &F, position: u32) -> io::Result<Bytes> {
    let len = position % BLOCK;
    if len == 0 {
        return Ok(Bytes::new());
    }
    let bytes = file
        .read_at(u64::from(position - len), len as usize)
        .await?;
    if bytes.len() < len as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Bytes::copy_from_slice(&bytes))
}

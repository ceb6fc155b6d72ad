//! One turn of a log at the disk: what waits is written, and made durable if asked.
//!
//! At most one job of a log is under way; appends go on meanwhile and are served by the next one, which is
//! what makes a commit a group commit. A job owns all that it needs, so it runs wherever its owner likes.
//! A job that only writes may have a sync of what was written before beside it ([`crate::sync`]); one that
//! does more works alone.
//!
//! The order of its steps is what recovery relies on:
//!
//! 1. The clean marker is removed and the directory synced before anything else is touched.
//! 2. What a failed write left behind the log's end is cut off, and that is synced, before anything is
//!    written there again.
//! 3. A segment is closed (cut to its length, synced, its indexes written, `log-state` replaced) before the
//!    next one is created. So only the last segment can be torn.
//! 4. The claim is written after the data, and both are synced together; a directory that has new entries
//!    is synced with them.
//! 5. Files are removed after the state that does without them is durable.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use env::{Allocation, Disk, File, OpenMode, OpenOptions, SyncKind};
use futures_util::future;
use types::{NextOffset, Offset};

use crate::claims::Claim;
use crate::files;
use crate::index::SegmentIndex;
use crate::names::{self, segment_file};
use crate::state::{Mark, SegmentRow};
use crate::tail::{BLOCK, Chunk, Place};

/// The active segment's file, as the writer has it.
#[derive(Clone)]
pub(crate) struct Writer<D: Disk> {
    pub(crate) segment: i64,
    pub(crate) file: D::File,
    /// The file has room up to here.
    pub(crate) allocated: u64,
    /// Whether room can be reserved at all on this file system.
    pub(crate) can_allocate: bool,
    /// The way that was asked for; what the file system gave may be the other one.
    pub(crate) mode: OpenMode,
}

/// A segment that is to be closed, once its chunks are written.
pub(crate) struct Seal {
    pub(crate) row: SegmentRow,
    pub(crate) index: Arc<SegmentIndex>,
    /// Where the next segment starts.
    pub(crate) next: Place,
    /// `log-state` with this segment closed.
    pub(crate) state: Bytes,
}

pub(crate) enum Step {
    Write(Vec<Chunk>),
    Seal(Seal),
}

/// What a job is made of.
pub(crate) struct Plan<D: Disk> {
    pub(crate) disk: D,
    pub(crate) dir: PathBuf,
    pub(crate) seed: u32,
    pub(crate) mode: OpenMode,
    pub(crate) preallocate: bool,
    pub(crate) segment_bytes: u32,
    pub(crate) writer: Option<Writer<D>>,
    pub(crate) claims_file: Option<D::File>,
    pub(crate) remove_clean_marker: bool,
    /// Leftovers of a failed write lie behind this mark.
    pub(crate) cut: Option<Mark>,
    pub(crate) steps: Vec<Step>,
    /// Where the log ends once the steps are done, and up to where it was durable before.
    pub(crate) start: Place,
    pub(crate) dir_dirty: bool,
    pub(crate) sync: bool,
    pub(crate) claim: Option<Claim>,
    pub(crate) state: Option<Bytes>,
    pub(crate) log_start: Offset,
    /// The second copy of it, if it moves.
    pub(crate) start_copy: Option<Bytes>,
    pub(crate) epochs: Option<Bytes>,
    pub(crate) snapshots: Vec<(PathBuf, Bytes)>,
    pub(crate) removals: Vec<PathBuf>,
    /// Asked only whether there is room again.
    pub(crate) probe: bool,
}

/// Why a job stopped.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Whether claims made through this log can no longer be trusted.
    pub(crate) fence: bool,
    pub(crate) error: io::Error,
    pub(crate) what: &'static str,
}

/// What a job did. Given back to [`crate::Log::finish_job`].
pub struct JobDone<D: Disk> {
    pub(crate) writer: Option<Writer<D>>,
    pub(crate) claims_file: Option<D::File>,
    pub(crate) clean_marker_removed: bool,
    pub(crate) cut_done: bool,
    pub(crate) chunks: usize,
    pub(crate) seals: usize,
    /// The end of what is written.
    pub(crate) written: Place,
    /// Where the last write ended, which may be within a batch.
    pub(crate) written_to: Option<u32>,
    /// The end of what is durable, if that moved.
    pub(crate) durable: Option<Mark>,
    pub(crate) claim: Option<u64>,
    pub(crate) synced: bool,
    pub(crate) dir_dirty: bool,
    pub(crate) log_start: Option<Offset>,
    pub(crate) snapshots: usize,
    pub(crate) removals: usize,
    pub(crate) probe: bool,
    pub(crate) failure: Option<Failure>,
}

impl<D: Disk> JobDone<D> {
    /// Whether it ran out of room: whoever keeps some back for this case should give it up now.
    #[must_use]
    pub fn ran_out_of_room(&self) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|failure| is_full(&failure.error))
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOutcome {
    /// The end of what is written: visible to readers of the files, durable nowhere.
    pub written: NextOffset,
    /// The end of what is durable.
    pub durable: NextOffset,
    /// The start of the log is durably here.
    pub log_start: Offset,
    /// Appends from here on were taken back: the log ends here. Whoever waits for them fails.
    pub rolled_back: Option<NextOffset>,
    /// What went wrong.
    pub error: Option<JobError>,
}

/// Why a job did not do all that it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// No room, or no descriptors. The log serves reads, refuses appends, and comes back when there is room
    /// again.
    #[error("no room on the disk, or too many open files, while {0}")]
    Full(&'static str),
    /// The disk failed. The log is offline: nothing more is claimed until it has been opened anew.
    #[error("the disk failed while {what}: {kind}")]
    Failed {
        /// What was being done.
        what: &'static str,
        /// What the disk said.
        kind: io::ErrorKind,
    },
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether no file could be opened because too many are (`ENFILE`, `EMFILE`): no disk has been asked.
fn lacks_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

/// Whether it is the process, or the machine, that ran out of something: the disk was not asked, and trying
/// again later helps.
pub(crate) fn is_starved(error: &io::Error) -> bool {
    lacks_descriptors(error) || error.kind() == io::ErrorKind::OutOfMemory
}

/// An error of a step that changed nothing which was claimed: a full disk and a starved process are survived.
fn step(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure {
        fence: !is_full(&error) && !is_starved(&error),
        error,
        what,
    }
}

/// An error of a sync: whatever it was, what was written may be gone; unless what was to be synced could
/// not even be opened.
fn sync(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure {
        fence: !lacks_descriptors(&error),
        error,
        what,
    }
}

/// Runs a job to its end. Never fails: what went wrong is in the result.
pub(crate) async fn run<D: Disk>(plan: Plan<D>) -> JobDone<D> {
    let mut done = JobDone {
        writer: plan.writer.clone(),
        claims_file: plan.claims_file.clone(),
        clean_marker_removed: false,
        cut_done: false,
        chunks: 0,
        seals: 0,
        written: plan.start,
        written_to: None,
        durable: None,
        claim: None,
        synced: false,
        dir_dirty: plan.dir_dirty,
        log_start: None,
        snapshots: 0,
        removals: 0,
        probe: plan.probe,
        failure: None,
    };
    if let Err(failure) = execute(plan, &mut done).await {
        done.failure = Some(failure);
    }
    done
}

async fn execute<D: Disk>(plan: Plan<D>, done: &mut JobDone<D>) -> Result<(), Failure> {
    let (disk, dir) = (&plan.disk, &plan.dir);
    if plan.remove_clean_marker && !types::mutant!("STO-06") {
        files::remove(disk, &dir.join(names::CLEAN))
            .await
            .map_err(step("removing the marker"))?;
        disk.sync_dir(dir)
            .await
            .map_err(sync("syncing the directory"))?;
    }
    done.clean_marker_removed = true;
    if let Some(mark) = plan.cut
        && !types::mutant!("STO-40")
    {
        cut(&plan, mark).await?;
        done.writer = None;
    }
    done.cut_done = true;
    for step in &plan.steps {
        match step {
            Step::Write(chunks) => write(&plan, done, chunks).await?,
            Step::Seal(seal) => close_segment(&plan, done, seal).await?,
        }
    }
    if plan.sync {
        make_durable(&plan, done).await?;
    }
    // Before the state, which may give up the batches that they stand for: without room for a snapshot the
    // batches stay.
    for (path, bytes) in &plan.snapshots {
        files::replace(disk, path, bytes.clone())
            .await
            .map_err(step("writing a snapshot"))?;
        done.snapshots += 1;
    }
    if let Some(state) = &plan.state {
        replace(&plan, names::STATE, state).await?;
        disk.sync_dir(dir)
            .await
            .map_err(sync("syncing the directory"))?;
        done.dir_dirty = false;
    }
    if let Some(start) = &plan.start_copy {
        replace(&plan, names::START, start).await?;
        disk.sync_dir(dir)
            .await
            .map_err(sync("syncing the directory"))?;
        done.dir_dirty = false;
    }
    done.log_start = Some(plan.log_start);
    if let Some(epochs) = &plan.epochs {
        replace(&plan, names::EPOCH_CHECKPOINT, epochs).await?;
    }
    for path in &plan.removals {
        files::remove(disk, path)
            .await
            .map_err(step("removing a file"))?;
        done.removals += 1;
    }
    if plan.probe {
        probe(&plan, done).await?;
    }
    Ok(())
}

async fn replace<D: Disk>(plan: &Plan<D>, name: &str, bytes: &Bytes) -> Result<(), Failure> {
    let path = plan.dir.join(name);
    files::replace(&plan.disk, &path, bytes.clone())
        .await
        .map_err(step("replacing a checkpoint"))
}

/// Cuts off what a failed write left behind `mark`. The leftovers may be whole batches: found by a
/// recovery, they would be appends that were refused and came back.
async fn cut<D: Disk>(plan: &Plan<D>, mark: Mark) -> Result<(), Failure> {
    let path = plan.dir.join(segment_file(mark.segment, names::LOG));
    let options = OpenOptions {
        write: true,
        ..OpenOptions::READ
    };
    let file = match plan.disk.open(&path, options).await {
        Ok(file) => file,
        // The write failed before the file was made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(step("opening a segment")(error)),
    };
    let len = file.len().await.map_err(step("looking at a segment"))?;
    if len > u64::from(mark.position) {
        file.set_len(u64::from(mark.position))
            .await
            .map_err(step("cutting a segment"))?;
    }
    file.sync(SyncKind::All)
        .await
        .map_err(sync("syncing a segment"))
}

/// The writer of `segment`, opened (or the file made) if it is not the current one.
async fn writer<D: Disk>(
    plan: &Plan<D>,
    done: &mut JobDone<D>,
    segment: i64,
) -> Result<(), Failure> {
    if done
        .writer
        .as_ref()
        .is_some_and(|writer| writer.segment == segment && writer.mode == plan.mode)
    {
        return Ok(());
    }
    let path = plan.dir.join(segment_file(segment, names::LOG));
    let options = OpenOptions::CREATE.mode(plan.mode);
    let known = done
        .writer
        .take()
        .filter(|writer| writer.segment == segment);
    match &known {
        // The way changes. An error of earlier writes is told to the file they went through.
        Some(known) => known
            .file
            .sync(SyncKind::Data)
            .await
            .map_err(sync("syncing batches"))?,
        None => done.dir_dirty = true,
    }
    let opened = plan.disk.open(&path, options).await;
    let file = match opened {
        Err(error)
            if plan.mode == OpenMode::Direct
                && matches!(
                    error.kind(),
                    io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
                ) =>
        {
            plan.disk.open(&path, OpenOptions::CREATE).await
        }
        opened => opened,
    };
    let file = file.map_err(step("making a segment"))?;
    let allocated = match &known {
        Some(known) => known.allocated,
        None => file.len().await.map_err(step("looking at a segment"))?,
    };
    done.writer = Some(Writer {
        segment,
        file,
        allocated,
        can_allocate: known.map_or(plan.preallocate, |known| known.can_allocate),
        mode: plan.mode,
    });
    Ok(())
}

/// The least and the most by which a file's room grows at once.
const ROOM_MIN: u64 = 64 << 10;
const ROOM_STEP: u64 = 64 << 20;

/// Reserves room up to `end`, and some more: twice what there was, so that a small log stays small. On a
/// disk that has no room for that, just what is needed.
async fn reserve<D: Disk>(plan: &Plan<D>, writer: &mut Writer<D>, end: u64) -> Result<(), Failure> {
    if end <= writer.allocated || !writer.can_allocate {
        return Ok(());
    }
    let block = u64::from(BLOCK);
    let whole = u64::from(plan.segment_bytes).next_multiple_of(block);
    let more = writer.allocated.clamp(ROOM_MIN, ROOM_STEP);
    let least = end.next_multiple_of(block);
    let mut target = (writer.allocated + more)
        .min(whole)
        .max(end)
        .next_multiple_of(block);
    // On a disk that was full, the room that was kept back must do for everybody.
    if plan.probe {
        target = least;
    }
    let from = writer.allocated;
    let allocate = |to: u64| writer.file.allocate(from, to - from, Allocation::Extend);
    let mut allocated = allocate(target).await;
    if target > least && allocated.as_ref().is_err_and(is_full) {
        target = least;
        allocated = allocate(target).await;
    }
    match allocated {
        Ok(()) => writer.allocated = target,
        Err(error) if error.kind() == io::ErrorKind::Unsupported => writer.can_allocate = false,
        Err(error) => return Err(step("reserving room")(error)),
    }
    Ok(())
}

async fn write<D: Disk>(
    plan: &Plan<D>,
    done: &mut JobDone<D>,
    chunks: &[Chunk],
) -> Result<(), Failure> {
    let Some(segment) = chunks.first().map(|chunk| chunk.segment) else {
        return Ok(());
    };
    writer(plan, done, segment).await?;
    let mut rest = chunks;
    while let Some(first) = rest.first() {
        // As many chunks as lie one behind the other in the file go out in one call.
        let mut end = first.aligned_start;
        let count = rest
            .iter()
            .take_while(|chunk| {
                let adjacent = chunk.aligned_start == end;
                end = if adjacent {
                    chunk.end.next_multiple_of(BLOCK)
                } else {
                    end
                };
                adjacent
            })
            .count();
        let (run, others) = rest.split_at(count);
        let writer = done.writer.as_mut().expect("opened above");
        reserve(plan, writer, u64::from(end)).await?;
        let buffers = run.iter().map(Chunk::blocks).collect();
        let file = writer.file.clone();
        file.write_at(u64::from(first.aligned_start), buffers)
            .await
            .map_err(step("writing batches"))?;
        done.chunks += count;
        done.written = run[count - 1].place;
        done.written_to = Some(run[count - 1].end);
        rest = others;
    }
    Ok(())
}

async fn close_segment<D: Disk>(
    plan: &Plan<D>,
    done: &mut JobDone<D>,
    seal: &Seal,
) -> Result<(), Failure> {
    let row = &seal.row;
    writer(plan, done, row.base).await?;
    let file = done.writer.as_ref().expect("opened above").file.clone();
    if types::mutant!("STO-33") {
        replace(plan, names::STATE, &seal.state).await?;
    }
    file.set_len(u64::from(row.size))
        .await
        .map_err(step("cutting a segment"))?;
    file.sync(SyncKind::All)
        .await
        .map_err(sync("syncing a segment"))?;
    let dir = &plan.dir;
    // The indexes need no sync: they are checked when they are read, and rebuilt.
    for (suffix, bytes) in seal.index.files(plan.seed) {
        let path = dir.join(segment_file(row.base, suffix));
        write_side_file(&plan.disk, &path, bytes)
            .await
            .map_err(step("writing an index"))?;
    }
    if done.dir_dirty {
        // The state names the segment: a crash must not find the one without the other.
        plan.disk
            .sync_dir(dir)
            .await
            .map_err(sync("syncing the directory"))?;
        done.dir_dirty = false;
    }
    replace(plan, names::STATE, &seal.state).await?;
    plan.disk
        .sync_dir(dir)
        .await
        .map_err(sync("syncing the directory"))?;
    done.dir_dirty = false;
    done.writer = None;
    done.seals += 1;
    done.written = seal.next;
    done.written_to = None;
    done.durable = Some(seal.next.mark);
    Ok(())
}

/// Writes a file that can be rebuilt: no sync, no rename.
pub(crate) async fn write_side_file<D: Disk>(
    disk: &D,
    path: &std::path::Path,
    bytes: Bytes,
) -> io::Result<()> {
    let file = disk.open(path, OpenOptions::CREATE).await?;
    let len = bytes.len() as u64;
    file.write_at(0, vec![bytes]).await?;
    file.set_len(len).await
}

async fn make_durable<D: Disk>(plan: &Plan<D>, done: &mut JobDone<D>) -> Result<(), Failure> {
    let mark = done.written.mark;
    if plan.claim.is_some() {
        writer(plan, done, mark.segment).await?;
    }
    let mut syncing = Syncing {
        disk: plan.disk.clone(),
        dir: plan.dir.clone(),
        seed: plan.seed,
        data: done.writer.as_ref().map(|writer| writer.file.clone()),
        claims_file: done.claims_file.take(),
        claim: plan.claim.clone(),
        dir_dirty: done.dir_dirty,
    };
    let synced = syncing.run().await;
    done.claims_file = syncing.claims_file;
    synced?;
    // Only now is the number used: a failed attempt is written over, so that the slot of the last
    // good claim is never the one at risk.
    done.claim = syncing.claim.map(|claim| claim.number);
    done.dir_dirty = false;
    done.durable = Some(mark);
    done.synced = true;
    Ok(())
}

/// What is made durable together: the batches, the claim that says so, and the names of new files.
pub(crate) struct Syncing<D: Disk> {
    pub(crate) disk: D,
    pub(crate) dir: PathBuf,
    pub(crate) seed: u32,
    /// The file that the claim is about.
    pub(crate) data: Option<D::File>,
    pub(crate) claims_file: Option<D::File>,
    pub(crate) claim: Option<Claim>,
    pub(crate) dir_dirty: bool,
}

impl<D: Disk> Syncing<D> {
    pub(crate) async fn run(&mut self) -> Result<(), Failure> {
        if let Some(claim) = &self.claim {
            if self.claims_file.is_none() {
                let path = self.dir.join(names::CLAIMS);
                let file = self.disk.open(&path, OpenOptions::CREATE).await;
                self.claims_file = Some(file.map_err(step("opening the claims"))?);
            }
            let claims = self.claims_file.clone().expect("opened above");
            claims
                .write_at(claim.slot_offset(), vec![claim.encode(self.seed)])
                .await
                .map_err(step("writing a claim"))?;
            let data = self.data.clone().expect("a claim is about a file");
            if !types::mutant!("STO-08") {
                let (data, claims) =
                    future::join(data.sync(SyncKind::Data), claims.sync(SyncKind::Data)).await;
                data.map_err(sync("syncing batches"))?;
                claims.map_err(sync("syncing a claim"))?;
            }
        }
        if self.dir_dirty && !types::mutant!("STO-48") {
            self.disk
                .sync_dir(&self.dir)
                .await
                .map_err(sync("syncing the directory"))?;
        }
        Ok(())
    }
}

/// Whether there is room again: reserves the next piece of the active segment.
async fn probe<D: Disk>(plan: &Plan<D>, done: &mut JobDone<D>) -> Result<(), Failure> {
    let segment = done.written.mark.segment;
    writer(plan, done, segment).await?;
    let writer = done.writer.as_mut().expect("opened above");
    let end = writer.allocated.max(u64::from(done.written.mark.position)) + 1;
    reserve(plan, writer, end).await?;
    let free = plan
        .disk
        .free_bytes(&plan.dir)
        .await
        .map_err(step("asking for room"))?;
    if free == 0 {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        return Err(Failure {
            fence: false,
            error,
            what: "asking for room",
        });
    }
    Ok(())
}

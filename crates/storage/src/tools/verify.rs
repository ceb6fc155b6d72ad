//! Whether a log's directory is sound: read only, nothing is opened for writing.

use std::fmt;
use std::path::Path;

use env::{Disk, EntryKind, File, OpenOptions};
use records::BatchHeader;
use records::layout::{self, HEADER_SIZE};
use types::{LeaderEpoch, Offset};

use crate::claims::Claims;
use crate::error::StorageError;
use crate::files;
use crate::index::{IndexBuilder, decode_offsets, decode_times, decode_txns};
use crate::names::{self, parse_segment_file, segment_file};
use crate::producer_snapshot;
use crate::recovery::read_metadata;
use crate::source::Source;
use crate::state::{CleanMarker, LogState};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it may be after a crash; the next start deals with it.
    Note,
    /// A file that can be rebuilt is wrong.
    Rebuildable,
    /// Records are damaged or missing.
    Damage,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Rebuildable => "rebuildable",
            Severity::Damage => "DAMAGE",
        };
        write!(f, "{severity}: {}: {}", self.file, self.what)
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Segments read.
    pub segments: usize,
    /// Batches read.
    pub batches: u64,
    /// Bytes of batches read.
    pub bytes: u64,
    /// First offset kept.
    pub log_start: i64,
    /// End of the log.
    pub log_end: i64,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
}

impl Verified {
    fn add(&mut self, severity: Severity, file: &str, what: impl Into<String>) {
        self.findings.push(Finding {
            severity,
            file: file.to_owned(),
            what: what.into(),
        });
    }

    /// Whether no record is damaged or missing.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity != Severity::Damage)
    }
}

/// Reads every batch of the log in `dir` and compares every side file with what it should say.
///
/// # Errors
/// The directory cannot be listed. Everything else is a finding.
pub async fn verify<D: Disk>(disk: &D, dir: &Path) -> Result<Verified, StorageError> {
    let mut out = Verified::default();
    let mut segments = Vec::new();
    let mut snapshots = Vec::new();
    for entry in disk.list(dir).await.map_err(StorageError::io(dir))? {
        if entry.kind != EntryKind::File {
            continue;
        }
        match parse_segment_file(&entry.name) {
            Some((base, names::LOG)) => segments.push(base),
            Some((_, names::SNAPSHOT)) => snapshots.push(entry.name.clone()),
            _ => {}
        }
        if entry.name.ends_with(names::TEMPORARY) {
            out.add(
                Severity::Note,
                &entry.name,
                "left over from a write that was cut short",
            );
        }
    }
    segments.sort_unstable();
    match read_metadata(disk, dir).await {
        Ok(Some(_)) => {}
        Ok(None) => out.add(
            Severity::Rebuildable,
            names::PARTITION_METADATA,
            "is missing",
        ),
        Err(error) => out.add(
            Severity::Rebuildable,
            names::PARTITION_METADATA,
            error.to_string(),
        ),
    }
    let state = read_state(disk, dir, &mut out).await;
    if let Some(state) = &state {
        verify_claims(disk, dir, state, &mut out).await;
        for row in &state.segments {
            if row.next > state.log_start.0 && !segments.contains(&row.base) {
                let what = format!("segment is missing: offsets {} to {}", row.base, row.next);
                out.add(Severity::Damage, &segment_file(row.base, names::LOG), what);
            }
        }
        for range in &state.faulty {
            let what = format!(
                "offsets {} to {} are known to be damaged",
                range.from, range.to
            );
            out.add(Severity::Damage, names::STATE, what);
        }
    }
    out.log_start = state
        .as_ref()
        .map_or(segments.first().copied().unwrap_or(0), |state| {
            state.log_start.0
        });
    out.log_end = out.log_start;
    let mut epoch = LeaderEpoch::NONE;
    for (i, base) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        verify_segment(disk, dir, *base, last, state.as_ref(), &mut epoch, &mut out).await;
    }
    for name in snapshots {
        let bytes = files::read_whole(disk, &dir.join(&name)).await;
        let whole = bytes
            .ok()
            .flatten()
            .is_some_and(|bytes| producer_snapshot::decode(&bytes).is_some());
        if !whole {
            out.add(Severity::Rebuildable, &name, "fails its checksum");
        }
    }
    Ok(out)
}

async fn read_state<D: Disk>(disk: &D, dir: &Path, out: &mut Verified) -> Option<LogState> {
    match files::read_whole(disk, &dir.join(names::STATE)).await {
        Ok(Some(bytes)) => match LogState::decode(&bytes) {
            Ok(state) => return Some(state),
            Err(reason) => out.add(Severity::Rebuildable, names::STATE, reason),
        },
        Ok(None) => out.add(
            Severity::Note,
            names::STATE,
            "is missing: not yet a log of ours",
        ),
        Err(error) => out.add(Severity::Damage, names::STATE, error.to_string()),
    }
    None
}

async fn verify_claims<D: Disk>(disk: &D, dir: &Path, state: &LogState, out: &mut Verified) {
    let seed = state.identity.seed();
    let bytes = files::read_whole(disk, &dir.join(names::CLAIMS))
        .await
        .ok()
        .flatten();
    let claims = Claims::decode(bytes.as_deref(), seed, state.claims_floor);
    if claims == Claims::Damaged {
        let what = "damaged: a torn tail could not be told from damage";
        out.add(Severity::Rebuildable, names::CLAIMS, what);
    }
    let clean = files::read_whole(disk, &dir.join(names::CLEAN))
        .await
        .ok()
        .flatten();
    match clean {
        Some(bytes) if CleanMarker::decode(&bytes).is_none() => {
            out.add(Severity::Rebuildable, names::CLEAN, "fails its checksum");
        }
        Some(_) => {}
        None => out.add(
            Severity::Note,
            names::CLEAN,
            "the log was not closed in order",
        ),
    }
}

async fn verify_segment<D: Disk>(
    disk: &D,
    dir: &Path,
    base: i64,
    last: bool,
    state: Option<&LogState>,
    epoch: &mut LeaderEpoch,
    out: &mut Verified,
) {
    let name = segment_file(base, names::LOG);
    let path = dir.join(&name);
    let file = match disk.open(&path, OpenOptions::READ).await {
        Ok(file) => file,
        Err(error) => return out.add(Severity::Damage, &name, error.to_string()),
    };
    let len = match file.len().await {
        Ok(len) => len,
        Err(error) => return out.add(Severity::Damage, &name, error.to_string()),
    };
    let row = state.and_then(|state| state.segments.iter().find(|row| row.base == base));
    let dense = state.is_some();
    if out.segments > 0 && base != out.log_end {
        let severity = if dense {
            Severity::Damage
        } else {
            Severity::Note
        };
        let what = format!(
            "starts at {base}, the segment before ends at {}",
            out.log_end
        );
        out.add(severity, &name, what);
    }
    out.segments += 1;
    out.log_end = out.log_end.max(base);
    let seed = state.map_or(0, |state| state.identity.seed());
    let mut builder = IndexBuilder::new(base, seed, u32::MAX);
    let mut positions = Vec::new();
    let mut source = Source::<D>::new(Some(file), len);
    let size = row.map_or(len, |row| u64::from(row.size).min(len));
    let mut at = 0u64;
    let mut expected = Offset(base);
    let mut broken = false;
    while at < size {
        let head = source.bytes(at, HEADER_SIZE).await;
        let header = head.ok().and_then(|head| BatchHeader::parse(&head).ok());
        let whole = match header {
            Some(header) if at + header.total_size() as u64 <= size => {
                let bytes = source.bytes(at, header.total_size()).await;
                bytes.is_ok_and(|bytes| layout::verify_crc(&bytes).is_ok())
            }
            _ => false,
        };
        let in_place = |header: &BatchHeader| {
            header.leader_epoch >= *epoch
                && if dense && !broken {
                    header.base_offset == expected
                } else {
                    header.base_offset >= expected
                }
        };
        if let Some(header) = header.filter(|header| whole && in_place(header)) {
            positions.push((at as u32, header.last_offset().0, header.max_timestamp.0));
            builder.note(&header, at as u32);
            *epoch = header.leader_epoch;
            out.batches += 1;
            out.bytes += header.total_size() as u64;
            at += header.total_size() as u64;
            expected = header.next_offset().position();
            broken = false;
            continue;
        }
        if source.is_zero(at, size).await.unwrap_or(false) {
            if !last {
                out.add(
                    Severity::Damage,
                    &name,
                    format!("zeros from position {at} on"),
                );
            }
            break;
        }
        if let Some(header) = header.filter(in_place) {
            // Its indexes may point here all the same.
            positions.push((at as u32, header.last_offset().0, header.max_timestamp.0));
        }
        let next = source.find_batch(at + 1, Offset(expected.0 - 1)).await;
        let next = next.filter(|(position, _)| *position < size);
        let what = match (&header, whole) {
            (Some(header), true) => {
                format!("a batch of another place: offset {}", header.base_offset)
            }
            (Some(_), false) => "a batch that fails its checksum".to_owned(),
            (None, _) => "bytes that are not a batch".to_owned(),
        };
        match next {
            Some((position, header)) => {
                let what = format!(
                    "{what} at position {at}, offsets {expected} to {}",
                    header.base_offset
                );
                out.add(Severity::Damage, &name, what);
                at = position;
                expected = header.base_offset;
                broken = true;
            }
            None => {
                let tail = last && row.is_none();
                let severity = if tail {
                    Severity::Note
                } else {
                    Severity::Damage
                };
                let what = format!("{what} at position {at}, up to the end");
                out.add(severity, &name, what);
                break;
            }
        }
    }
    out.log_end = out.log_end.max(expected.0);
    if let Some(row) = row {
        if len < u64::from(row.size) {
            out.add(
                Severity::Damage,
                &name,
                format!("{len} of {} bytes are there", row.size),
            );
        } else if builder.chain() != row.chain {
            out.add(
                Severity::Damage,
                &name,
                "the batches are not those that were written",
            );
        }
    }
    verify_indexes(disk, dir, base, &positions, out).await;
}

/// Every entry of the indexes must be true, whatever the interval they were made with.
async fn verify_indexes<D: Disk>(
    disk: &D,
    dir: &Path,
    base: i64,
    batches: &[(u32, i64, i64)],
    out: &mut Verified,
) {
    let name = segment_file(base, names::INDEX);
    match files::read_whole(disk, &dir.join(&name)).await {
        Ok(Some(bytes)) => match decode_offsets(&bytes) {
            None => out.add(Severity::Rebuildable, &name, "not whole entries"),
            Some(entries) => {
                let wrong = entries.iter().filter(|entry| {
                    let at = batches.binary_search_by_key(&entry.position, |batch| batch.0);
                    at.map(|at| batches[at].1) != Ok(base + i64::from(entry.relative_offset))
                });
                let wrong = wrong.count();
                if wrong > 0 {
                    out.add(
                        Severity::Rebuildable,
                        &name,
                        format!("{wrong} entries are wrong"),
                    );
                }
            }
        },
        Ok(None) => {}
        Err(error) => out.add(Severity::Rebuildable, &name, error.to_string()),
    }
    let name = segment_file(base, names::TIME_INDEX);
    match files::read_whole(disk, &dir.join(&name)).await {
        Ok(Some(bytes)) => match decode_times(&bytes) {
            None => out.add(Severity::Rebuildable, &name, "not whole entries"),
            Some(entries) => {
                let wrong = entries.iter().filter(|entry| {
                    let offset = base + i64::from(entry.relative_offset);
                    let at = batches.binary_search_by_key(&offset, |batch| batch.1);
                    at.map(|at| batches[at].2) != Ok(entry.timestamp)
                });
                let wrong = wrong.count();
                if wrong > 0 {
                    out.add(
                        Severity::Rebuildable,
                        &name,
                        format!("{wrong} entries are wrong"),
                    );
                }
            }
        },
        Ok(None) => {}
        Err(error) => out.add(Severity::Rebuildable, &name, error.to_string()),
    }
    let name = segment_file(base, names::TXN_INDEX);
    match files::read_whole(disk, &dir.join(&name)).await {
        Ok(Some(bytes)) => match decode_txns(&bytes) {
            None => out.add(Severity::Rebuildable, &name, "not whole entries"),
            Some(entries) => {
                let in_order =
                    (entries.windows(2)).all(|pair| pair[0].last_offset < pair[1].last_offset);
                let wrong = entries.iter().filter(|entry| {
                    let at = batches.binary_search_by_key(&entry.last_offset, |batch| batch.1);
                    at.is_err() || entry.first_offset >= entry.last_offset
                });
                let wrong = wrong.count();
                if wrong > 0 || !in_order {
                    let what = format!("{wrong} entries are wrong, or they are out of order");
                    out.add(Severity::Rebuildable, &name, what);
                }
            }
        },
        Ok(None) => {}
        Err(error) => out.add(Severity::Rebuildable, &name, error.to_string()),
    }
}

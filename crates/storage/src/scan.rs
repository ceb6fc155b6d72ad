//! Reading a segment's file from its start, batch by batch, and judging what is found.
//!
//! Used by recovery, which acts on the judgement, and by the tools, which only report it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use env::{Disk, File, OpenMode};
use records::BatchHeader;
use records::layout::{self, HEADER_SIZE, MAGIC_AT};
use types::{LeaderEpoch, NextOffset, Offset, mutant};

use crate::claims::{Claim, Claims, SECTOR, SectorState};
use crate::index::{BuilderMark, IndexBuilder};
use crate::state::{FaultyRange, Mark};
use crate::torn_tail::{Claimed, Found, Verdict, verdict};
use crate::transactions::{OpenTransaction, Transactions, end_at};

const WINDOW: usize = 1 << 20;
const BLOCK: u64 = OpenMode::ALIGNMENT as u64;

/// A file that is read forward, a window at a time.
pub(crate) struct Source<D: Disk> {
    file: Option<D::File>,
    len: u64,
    window: Bytes,
    start: u64,
}

impl<D: Disk> Source<D> {
    /// Reads `file`, which has `len` bytes; without a file there are none.
    pub(crate) fn new(file: Option<D::File>, len: u64) -> Source<D> {
        let len = if file.is_some() { len } else { 0 };
        Source {
            file,
            len,
            window: Bytes::new(),
            start: 0,
        }
    }

    /// The file's length.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes at `from`, fewer than `len` only at the end of the file.
    ///
    /// # Errors
    /// The disk refused exactly these bytes, or their block.
    pub(crate) async fn bytes(&mut self, from: u64, len: usize) -> io::Result<Bytes> {
        let end = (from + len as u64).min(self.len);
        if from >= end {
            return Ok(Bytes::new());
        }
        let Some(file) = &self.file else {
            return Ok(Bytes::new());
        };
        let window_end = self.start + self.window.len() as u64;
        if from < self.start || end > window_end {
            let start = from - from % BLOCK;
            let want = (end - start).max(WINDOW as u64).next_multiple_of(BLOCK);
            let read = file.read_at(start, want as usize).await;
            self.window = match read {
                Ok(bytes) => bytes,
                // Somewhere in the window; ask for what is needed, block by block.
                Err(_) => {
                    let mut bytes = BytesMut::new();
                    let mut at = start;
                    while at < end {
                        bytes.extend_from_slice(&file.read_at(at, BLOCK as usize).await?);
                        at += BLOCK;
                    }
                    bytes.freeze()
                }
            };
            self.start = start;
        }
        let at = (from - self.start) as usize;
        let to = ((end - self.start) as usize).min(self.window.len());
        Ok(self.window.slice(at.min(to)..to))
    }

    /// Whether all is zero from `from` to `end`.
    pub(crate) async fn is_zero(&mut self, from: u64, end: u64) -> io::Result<bool> {
        let mut at = from;
        while at < end.min(self.len) {
            let len = (end.min(self.len) - at).min(WINDOW as u64 / 2) as usize;
            let bytes = self.bytes(at, len).await?;
            if bytes.is_empty() {
                break;
            }
            if !is_zero(&bytes) {
                return Ok(false);
            }
            at += bytes.len() as u64;
        }
        Ok(true)
    }

    /// The next whole batch at or after `from` whose base offset lies beyond `after`.
    pub(crate) async fn find_batch(
        &mut self,
        from: u64,
        after: Offset,
    ) -> Option<(u64, BatchHeader)> {
        let mut at = from;
        while at + HEADER_SIZE as u64 <= self.len {
            let Ok(bytes) = self.bytes(at, WINDOW / 2).await else {
                at = (at + 1).next_multiple_of(BLOCK);
                continue;
            };
            if bytes.len() < HEADER_SIZE {
                return None;
            }
            for i in 0..=bytes.len() - HEADER_SIZE {
                if bytes[i + MAGIC_AT] != 2 {
                    continue;
                }
                let Ok(header) = BatchHeader::parse(&bytes[i..i + HEADER_SIZE]) else {
                    continue;
                };
                let distance = header.base_offset.0.checked_sub(after.0);
                if distance.is_some_and(|distance| (1..=i64::from(i32::MAX)).contains(&distance))
                    && at + (i + header.total_size()) as u64 <= self.len
                    && self.is_whole(at + i as u64, &header).await
                {
                    return Some((at + i as u64, header));
                }
            }
            at += (bytes.len() - HEADER_SIZE + 1) as u64;
        }
        None
    }

    async fn is_whole(&mut self, at: u64, header: &BatchHeader) -> bool {
        let batch = self.bytes(at, header.total_size()).await;
        batch.is_ok_and(|batch| {
            batch.len() == header.total_size() && layout::verify_crc(&batch).is_ok()
        })
    }
}

/// Whether all bytes are zero: compared in pieces, which is a memory compare and not a loop.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|piece| *piece == ZEROS[..piece.len()])
}

/// What recovery knows about a segment before it looks.
pub(crate) struct Expectation<'a> {
    pub(crate) base: i64,
    pub(crate) seed: u32,
    pub(crate) interval: u32,
    pub(crate) claims: &'a Claims,
    /// Up to here all was durable and checked when the state was written.
    pub(crate) recovery: Mark,
    /// The latest epoch before the segment.
    pub(crate) epoch: LeaderEpoch,
    /// Whether offsets must follow each other without a gap.
    pub(crate) dense: bool,
    /// Where the next segment starts, if there is one.
    pub(crate) next_base: Option<i64>,
    /// The transactions that are open where it starts.
    pub(crate) open: &'a [OpenTransaction],
    /// What was found before.
    pub(crate) faulty: &'a [FaultyRange],
}

/// What was found in a segment.
pub(crate) struct Scanned {
    pub(crate) builder: IndexBuilder,
    /// The end of the log, as far as this segment goes.
    pub(crate) end: NextOffset,
    /// The end of the batches in the file.
    pub(crate) position: u32,
    pub(crate) first_timestamp: i64,
    pub(crate) faulty: Vec<FaultyRange>,
    /// For each of them, in this order, where it begins in the file and what is wrong there.
    pub(crate) reasons: Vec<(u32, &'static str)>,
    /// What lies behind `position` is torn.
    pub(crate) torn: bool,
    /// Records before `end` are missing behind `position`.
    pub(crate) hole_at_end: bool,
    /// The first batch of each epoch.
    pub(crate) epochs: Vec<(LeaderEpoch, Offset)>,
    /// Those that were open where it starts, and those that are at its end.
    pub(crate) open: Arc<[OpenTransaction]>,
    pub(crate) transactions: Transactions,
}

/// Reads a segment and judges it by the decision table.
///
/// # Errors
/// The disk refused to read a place of which nothing is known.
pub(crate) async fn scan<D: Disk>(
    source: &mut Source<D>,
    expected: &Expectation<'_>,
) -> io::Result<Scanned> {
    let mut out = Scanned {
        builder: IndexBuilder::new(expected.base, expected.seed, expected.interval),
        end: NextOffset(expected.base),
        position: 0,
        first_timestamp: -1,
        faulty: Vec::new(),
        reasons: Vec::new(),
        torn: false,
        hole_at_end: false,
        epochs: Vec::new(),
        open: expected.open.into(),
        transactions: Transactions::new(expected.open),
    };
    let mut epoch = expected.epoch;
    let mut marks = expected.chain_marks();
    // The last batch, as long as nothing but its checksum vouches for it.
    let mut unproven: Option<Unproven> = None;
    loop {
        if check_chain(&mut out, &mut marks) {
            unproven = None;
        }
        let at = u64::from(out.position);
        let claimed = expected.claimed(out.end);
        let (found, header) = examine(source, expected, at, out.end, epoch, claimed).await;
        let mut later = match found {
            Found::Valid | Found::Nothing => None,
            _ => next_of_this_log(source, expected, at + 1, out.end.position()).await,
        };
        match verdict(claimed, found, later.is_some()) {
            Verdict::Keep => {
                let header = header.expect("a valid batch has a header");
                unproven = Some(Unproven {
                    base: header.base_offset,
                    position: out.position,
                    builder: out.builder.mark(),
                    epoch,
                    epochs: out.epochs.len(),
                });
                if header.leader_epoch > epoch {
                    epoch = header.leader_epoch;
                    out.epochs.push((epoch, header.base_offset));
                }
                if at == 0 {
                    out.first_timestamp = header.max_timestamp.0;
                }
                out.builder.note(&header, out.position);
                let end = end_at(source, at, &header).await?;
                if let Some(aborted) = out.transactions.note(&header, end) {
                    out.builder.note_aborted(aborted);
                }
                out.transactions
                    .keep_before(header.base_offset.end_before());
                out.position += header.total_size() as u32;
                out.end = header.next_offset();
            }
            Verdict::End => return Ok(out),
            Verdict::Faulty if mutant!("STO-03") => {
                out.torn = true;
                return Ok(out);
            }
            Verdict::Truncate => {
                out.torn = true;
                return Ok(out);
            }
            Verdict::Faulty => {
                marks.clear();
                let known = expected.known(out.end);
                let mut accused = match (known, found) {
                    (Some(_), Found::Foreign) => (out.position, "they were damaged before"),
                    _ => (out.position, reason(found)),
                };
                let unproven = unproven.take();
                if let Some(range) = known {
                    // The marks that told where it ends may be gone since.
                    let last = Offset(range.to.0 - 1);
                    later = next_of_this_log(source, expected, at + 1, last).await;
                } else if let Some(batch) = unproven
                    && let Some(next) = displaced(source, expected, &batch, at, out.end).await
                {
                    accused = (batch.position, reason(Found::Foreign));
                    later = Some(next);
                    epoch = batch.epoch;
                    out.take_back(&batch);
                }
                out.reasons.push(accused);
                let from = out.end.position();
                if let Some((position, header)) = later {
                    let to = header.base_offset.end_before();
                    out.faulty.push(FaultyRange { from, to });
                    out.builder.break_interval();
                    out.end = to;
                    out.position = position as u32;
                } else {
                    let to = expected.claimed_end(out.end, header);
                    let to = known.map_or(to, |range| to.max(range.to));
                    out.faulty.push(FaultyRange { from, to });
                    out.end = to;
                    out.hole_at_end = true;
                    return Ok(out);
                }
            }
            Verdict::Refuse => {
                return Err(io::Error::other(format!(
                    "the disk refuses to read at byte {at}, and nothing tells whether records are there: the log \
                     stays closed and its files as they are. To give up what may be there, stop the node, put a \
                     copy in the file's place that has zeros where nothing can be read, and start again"
                )));
            }
        }
    }
}

/// The batch that the log goes on with behind `batch`, if it lies at or after `at` and its offsets are among those
/// that `batch` takes: then that is not the batch which was written there. It has fewer bytes, or more offsets, or an
/// epoch that no checksum covers and that its neighbours do not have.
async fn displaced<D: Disk>(
    source: &mut Source<D>,
    expected: &Expectation<'_>,
    batch: &Unproven,
    at: u64,
    end: NextOffset,
) -> Option<(u64, BatchHeader)> {
    if !expected.dense {
        return None;
    }
    let next = next_of_this_log(source, expected, at, batch.base).await;
    next.filter(|(_, next)| {
        next.base_offset.end_before() <= end && next.leader_epoch >= batch.epoch
    })
}

/// The last batch that was kept, and what was before it.
struct Unproven {
    base: Offset,
    position: u32,
    builder: BuilderMark,
    epoch: LeaderEpoch,
    epochs: usize,
}

impl Scanned {
    fn take_back(&mut self, batch: &Unproven) {
        self.builder.restore(batch.builder);
        self.epochs.truncate(batch.epochs);
        self.end = batch.base.end_before();
        self.transactions.roll_back(self.end);
        self.position = batch.position;
        if self.position == 0 {
            self.first_timestamp = -1;
        }
    }
}

impl Expectation<'_> {
    fn claim(&self) -> Option<&Claim> {
        match self.claims {
            Claims::Intact(claim) => claim.as_ref(),
            Claims::Damaged => None,
        }
    }

    /// The known damage that the record at `offset` is part of.
    fn known(&self, offset: NextOffset) -> Option<&FaultyRange> {
        let holds = |range: &&FaultyRange| range.from.end_before() <= offset && offset < range.to;
        self.faulty.iter().find(holds)
    }

    /// What the claims say about the record at `offset`.
    fn claimed(&self, offset: NextOffset) -> Claimed {
        let confirmed = self
            .claim()
            .map_or(NextOffset(0), |claim| claim.confirmed.offset);
        if offset < self.recovery.offset.max(confirmed) {
            return match self.claims {
                Claims::Damaged => Claimed::ConfirmedLast,
                Claims::Intact(_) => Claimed::Confirmed,
            };
        }
        match self.claims {
            Claims::Damaged => Claimed::Unknown,
            Claims::Intact(Some(claim)) if offset < claim.intended.offset => Claimed::Intended,
            Claims::Intact(_) => Claimed::Absent,
        }
    }

    /// Where the log ends at least, when damage begins at `from` and nothing whole follows.
    fn claimed_end(&self, from: NextOffset, header: Option<BatchHeader>) -> NextOffset {
        let claimed = self
            .claim()
            .map_or(NextOffset(0), |claim| claim.intended.offset);
        let claimed = claimed.max(self.recovery.offset);
        if from < claimed {
            return claimed;
        }
        // The claims are damaged too. A header that looks right is the best guess.
        match header {
            _ if self.next_base.is_some() => NextOffset(self.next_base.unwrap_or_default()),
            Some(header) if header.base_offset == from.position() => header.next_offset(),
            _ => from.position().next(),
        }
    }

    /// Whether a batch may lie there: it is on the same side of every mark by its offsets as by its place, at the
    /// mark by both or by neither, and ends before the next segment. Nothing but that binds a batch behind damage to this log, since the chain is
    /// broken; and a batch that claims more offsets than it has would give them to the records behind it.
    fn fits(&self, position: u64, header: &BatchHeader) -> bool {
        let within = self
            .next_base
            .is_none_or(|next| header.next_offset().0 <= next);
        let claim = self.claim();
        let marks = [
            Some(self.recovery),
            claim.map(|claim| claim.confirmed),
            claim.map(|claim| claim.intended),
        ];
        let end = position + header.total_size() as u64;
        let on_one_side = (marks.into_iter().flatten())
            .filter(|mark| mark.segment == self.base)
            .all(|mark| {
                let marked = u64::from(mark.position);
                let (base, next) = (header.base_offset.end_before(), header.next_offset());
                // Compaction, which our own logs do not know, leaves gaps at a mark.
                let at_mark =
                    |place, offset| !self.dense || (place == marked) == (offset == mark.offset);
                if end <= marked {
                    next <= mark.offset && at_mark(end, next)
                } else {
                    position >= marked && base >= mark.offset && at_mark(position, base)
                }
            });
        within && on_one_side
    }

    /// Marks at which the chain is known, and the first offset that a wrong one accuses.
    fn chain_marks(&self) -> Vec<(Mark, Offset)> {
        let mut marks = vec![(self.recovery, Offset(self.base))];
        if let Some(claim) = self.claim() {
            marks.push((claim.confirmed, self.recovery.offset.position()));
            marks.push((claim.intended, claim.confirmed.offset.position()));
        }
        marks.retain(|(mark, _)| mark.segment == self.base && mark.position > 0);
        marks
    }
}

/// The next whole batch at or after `from` that lies beyond `after` and may be this log's. A write that went
/// astray brings whole batches of other logs.
async fn next_of_this_log<D: Disk>(
    source: &mut Source<D>,
    expected: &Expectation<'_>,
    mut from: u64,
    after: Offset,
) -> Option<(u64, BatchHeader)> {
    loop {
        let (position, header) = source.find_batch(from, after).await?;
        if expected.fits(position, &header) {
            return Some((position, header));
        }
        from = position + 1;
    }
}

/// Compares the chain with the one that was written down at this place. Whole batches with another chain
/// are batches of another place or another time. Whether it is the one: then all that lies before was written.
fn check_chain(out: &mut Scanned, marks: &mut Vec<(Mark, Offset)>) -> bool {
    let mut here =
        (marks.iter()).filter(|(mark, _)| mark.position == out.position && mark.offset == out.end);
    let wrong = here
        .clone()
        .find(|(mark, _)| mark.chain != out.builder.chain());
    if let Some((mark, from)) = wrong {
        out.faulty.push(FaultyRange {
            from: (*from).max(Offset(0)),
            to: mark.offset,
        });
        out.reasons.push((mark.position, OTHER_BATCHES));
        out.builder.break_interval();
        marks.clear();
        return false;
    }
    here.next().is_some()
}

const OTHER_BATCHES: &str = "whole batches lie there that are not the ones which were written: the disk \
     lost or misplaced a write and cannot be trusted";

/// What is told of a place that counts as damaged.
fn reason(found: Found) -> &'static str {
    match found {
        Found::Foreign => {
            "a whole batch of another place lies there: the disk misplaced a write, or kept an old one, \
             and cannot be trusted"
        }
        Found::Nothing => "nothing lies there",
        Found::Invalid { .. } => "the bytes there fail their checksum",
        Found::Unreadable => "the disk refuses to read there",
        Found::Valid => unreachable!("a valid batch is kept"),
    }
}

impl Scanned {
    /// What an operator is told of the damage found, a line for each range.
    pub(crate) fn alarms(&self, path: &Path) -> impl Iterator<Item = String> {
        let ranges = self.faulty.iter().zip(&self.reasons);
        ranges.map(|(range, (position, reason))| {
            let place = format!("{} at byte {position}: {reason}", path.display());
            damage(range, &place)
        })
    }
}

/// One range of damaged records: what and where, what it means, and what to do.
pub(crate) fn damage(range: &FaultyRange, place: &str) -> String {
    let (from, to) = (range.from, range.to);
    format!(
        "records {from} up to {to} (exclusive) were acknowledged and are damaged ({place}). Fetches of \
         them get CORRUPT_MESSAGE, all others are served. To get them back, stop the node, put a good copy \
         of the file in its place and run `ottla log repair --reread`; to give them up, let consumers go on at \
         {to}, or delete records up to there. `ottla log verify` looks for more"
    )
}

async fn examine<D: Disk>(
    source: &mut Source<D>,
    expected: &Expectation<'_>,
    at: u64,
    next: NextOffset,
    epoch: LeaderEpoch,
    claimed: Claimed,
) -> (Found, Option<BatchHeader>) {
    let unreadable = (Found::Unreadable, None);
    let Ok(head) = source.bytes(at, HEADER_SIZE).await else {
        return if mutant!("STO-31") {
            (Found::Nothing, None)
        } else {
            unreadable
        };
    };
    if is_zero(&head) {
        match source.is_zero(at, source.len()).await {
            Ok(true) => return (Found::Nothing, None),
            Ok(false) => {}
            Err(_) => return unreadable,
        }
    }
    let header = BatchHeader::parse(&head).ok();
    let whole = match header {
        Some(header) if at + header.total_size() as u64 <= source.len() => {
            match source.bytes(at, header.total_size()).await {
                Ok(batch) => layout::verify_crc(&batch).is_ok() || mutant!("STO-01"),
                Err(_) if mutant!("STO-31") => return (Found::Nothing, None),
                Err(_) => return (Found::Unreadable, Some(header)),
            }
        }
        _ => false,
    };
    let Some(header) = header.filter(|_| whole) else {
        let sectors_missing = match expected.claim() {
            Some(claim) if claimed == Claimed::Intended => {
                match sectors_missing(source, claim).await {
                    Ok(missing) => missing,
                    Err(_) => return (Found::Unreadable, header),
                }
            }
            _ => false,
        };
        return (Found::Invalid { sectors_missing }, header);
    };
    let in_place = if expected.dense {
        header.base_offset == next.position()
    } else {
        header.base_offset >= next.position()
    };
    // A segment is rolled before an offset leaves 31 bits, so a batch further off is of another place:
    // base offsets are outside the checksum, and one flipped bit is enough.
    let distance = header.base_offset.0.checked_sub(expected.base);
    let furthest = i64::from(i32::MAX) - i64::from(header.last_offset_delta.max(0));
    let in_reach = distance.is_some_and(|distance| (0..=furthest).contains(&distance));
    let fits = in_place && in_reach && expected.fits(at, &header);
    // What showed that it is another log's may be gone since.
    let is_known =
        expected.known(next).is_some() && !matches!(claimed, Claimed::Absent | Claimed::Unknown);
    let valid = fits && header.leader_epoch >= epoch && !is_known;
    (
        if valid { Found::Valid } else { Found::Foreign },
        Some(header),
    )
}

/// Whether the claim's job never finished: a sector of what it intended was never written. Then what is not
/// whole is torn, whatever the torn sectors hold. (Garbage alone may as well be damage done afterwards.)
async fn sectors_missing<D: Disk>(source: &mut Source<D>, claim: &Claim) -> io::Result<bool> {
    if mutant!("STO-01/b") {
        return Ok(true);
    }
    let sector = SECTOR as u64;
    let mut position = u64::from(claim.confirmed.position) / sector * sector;
    while position < u64::from(claim.intended.position) {
        let bytes = source.bytes(position, SECTOR).await?;
        if claim.judge(position as u32, &bytes) == SectorState::Missing {
            return Ok(true);
        }
        position += sector;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_of_other_logs_do_not_fit_between_the_marks() {
        let mark = |offset, position| Mark {
            offset: NextOffset(offset),
            segment: 0,
            position,
            chain: 0,
        };
        let claims = Claims::Intact(Some(Claim {
            number: 1,
            confirmed: mark(10, 1_000),
            intended: mark(20, 2_000),
            digests_from: 0,
            digests: Vec::new(),
            ends: Vec::new(),
        }));
        let expected = Expectation {
            base: 0,
            seed: 0,
            interval: 4096,
            claims: &claims,
            recovery: mark(5, 500),
            epoch: LeaderEpoch(0),
            dense: true,
            next_base: None,
            open: &[],
            faulty: &[],
        };
        // A batch of two records, from its place on for a hundred bytes.
        let fits = |offset: i64, position: u64| {
            let mut bytes = [0u8; HEADER_SIZE];
            bytes[..8].copy_from_slice(&offset.to_be_bytes());
            bytes[8..12].copy_from_slice(&(100i32 - 12).to_be_bytes());
            bytes[MAGIC_AT] = 2;
            bytes[23..27].copy_from_slice(&1i32.to_be_bytes());
            let header = BatchHeader::parse(&bytes).expect("a header");
            assert_eq!(
                (header.total_size(), header.next_offset().0),
                (100, offset + 2)
            );
            expected.fits(position, &header)
        };
        assert!(fits(3, 400), "it ends at a mark");
        assert!(fits(5, 500), "it begins at a mark");
        assert!(fits(7, 700));
        assert!(fits(30, 3_000), "beyond all marks nothing is known");
        assert!(!fits(54, 700), "too late for its place");
        assert!(
            !fits(12, 700),
            "beyond what is confirmed, and before the mark of it"
        );
        assert!(!fits(3, 700), "too early for its place");
        assert!(!fits(9, 950), "across a mark");
        assert!(
            !fits(3, 380),
            "its offsets end at a mark, and its bytes do not"
        );
        assert!(
            !fits(2, 400),
            "its bytes end at a mark, and its offsets do not"
        );
        assert!(!fits(5, 510), "its offsets begin at a mark alone");
        assert!(!fits(6, 500), "its bytes do");
        assert!(!fits(15, 3_000), "what was intended ends before");
    }
}

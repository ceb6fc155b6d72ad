//! Reading a segment's file from its start, batch by batch, and judging what is found by the decision table
//! ([`crate::torn_tail`]).

use std::io;
use std::path::Path;
use std::sync::Arc;

use env::Disk;
use records::BatchHeader;
use records::layout::{self, HEADER_SIZE};
use types::{LeaderEpoch, NextOffset, Offset, mutant};

use crate::claims::{Claim, SECTOR, SectorState};
use crate::expectation::Expectation;
use crate::index::{BuilderMark, IndexBuilder};
use crate::source::{Source, is_zero};
use crate::state::{FaultyRange, Mark};
use crate::torn_tail::{Claimed, Found, Verdict, verdict};
use crate::transactions::{OpenTransaction, Transactions, end_at};

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
    let out = Scanned {
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
    let scan = Scan {
        source,
        expected,
        epoch: expected.epoch,
        marks: expected.chain_marks(),
        unproven: None,
        out,
    };
    scan.run().await
}

/// A scan under way.
struct Scan<'a, D: Disk> {
    source: &'a mut Source<D>,
    expected: &'a Expectation<'a>,
    /// The latest so far.
    epoch: LeaderEpoch,
    /// Those of [`Expectation::chain_marks`], as long as the chain is not broken.
    marks: Vec<(Mark, Offset)>,
    /// The last batch, as long as nothing but its checksum vouches for it.
    unproven: Option<Unproven>,
    out: Scanned,
}

/// The last batch that was kept, and what was before it.
struct Unproven {
    base: Offset,
    position: u32,
    builder: BuilderMark,
    epoch: LeaderEpoch,
    epochs: usize,
}

impl<D: Disk> Scan<'_, D> {
    async fn run(mut self) -> io::Result<Scanned> {
        loop {
            self.check_chain();
            let at = u64::from(self.out.position);
            let claimed = self.expected.claimed(self.out.end);
            let (found, header) = self.examine(at, claimed).await;
            let later = match found {
                Found::Valid | Found::Nothing => None,
                _ => self.next_of_this_log(at + 1, self.out.end.position()).await,
            };
            match verdict(claimed, found, later.is_some()) {
                Verdict::Keep => {
                    let header = header.expect("a valid batch has a header");
                    self.keep(at, &header).await?;
                }
                Verdict::End => return Ok(self.out),
                Verdict::Faulty if mutant!("STO-03") => {
                    self.out.torn = true;
                    return Ok(self.out);
                }
                Verdict::Truncate => {
                    self.out.torn = true;
                    return Ok(self.out);
                }
                Verdict::Faulty => {
                    let later = self.accuse(at, found, later).await;
                    if !self.pass_over(header, later) {
                        return Ok(self.out);
                    }
                }
                Verdict::Refuse => {
                    return Err(io::Error::other(format!(
                        "the disk refuses to read at byte {at}, and nothing tells whether records are there: the \
                         log stays closed and its files as they are. To give up what may be there, stop the node, \
                         put a copy in the file's place that has zeros where nothing can be read, and start again"
                    )));
                }
            }
        }
    }

    /// The batch at `at` is the log's.
    async fn keep(&mut self, at: u64, header: &BatchHeader) -> io::Result<()> {
        let out = &mut self.out;
        self.unproven = Some(Unproven {
            base: header.base_offset,
            position: out.position,
            builder: out.builder.mark(),
            epoch: self.epoch,
            epochs: out.epochs.len(),
        });
        if header.leader_epoch > self.epoch {
            self.epoch = header.leader_epoch;
            out.epochs.push((self.epoch, header.base_offset));
        }
        if at == 0 {
            out.first_timestamp = header.max_timestamp.0;
        }
        out.builder.note(header, out.position);
        let end = end_at(self.source, at, header).await?;
        if let Some(aborted) = out.transactions.note(header, end) {
            out.builder.note_aborted(aborted);
        }
        let base = header.base_offset.end_before();
        out.transactions.keep_before(base);
        out.position += header.total_size() as u32;
        out.end = header.next_offset();
        Ok(())
    }

    /// There is damage at `at`: says what is damaged, which may be the batch before, and gives what the log goes on
    /// with. `later` is the next whole batch behind.
    async fn accuse(&mut self, at: u64, found: Found, later: Later) -> Later {
        self.marks.clear();
        let unproven = self.unproven.take();
        if let Some(known) = self.expected.known(self.out.end) {
            let why = match found {
                Found::Foreign => "they were damaged before",
                _ => reason(found),
            };
            self.out.reasons.push((self.out.position, why));
            // The marks that told where it ends may be gone since.
            let last = Offset(known.to.0 - 1);
            return self.next_of_this_log(at + 1, last).await;
        }
        if let Some(batch) = unproven
            && let Some(next) = self.displaced(&batch, at).await
        {
            self.out
                .reasons
                .push((batch.position, reason(Found::Foreign)));
            self.epoch = batch.epoch;
            self.out.take_back(&batch);
            return Some(next);
        }
        self.out.reasons.push((self.out.position, reason(found)));
        later
    }

    /// Goes on at `later`, behind a damaged range. Returns whether there is anything to go on with; if not, `header`
    /// is what can be seen of the batch that is damaged.
    fn pass_over(&mut self, header: Option<BatchHeader>, later: Later) -> bool {
        let out = &mut self.out;
        let from = out.end.position();
        match later {
            Some((position, header)) => {
                out.end = header.base_offset.end_before();
                out.position = position as u32;
                out.builder.break_interval();
            }
            None => {
                let known = self.expected.known(out.end);
                let to = self.expected.claimed_end(out.end, header);
                out.end = known.map_or(to, |range| to.max(range.to));
                out.hole_at_end = true;
            }
        }
        out.faulty.push(FaultyRange { from, to: out.end });
        later.is_some()
    }

    /// The batch that the log goes on with behind `batch`, if it lies at or after `at` and its offsets are among
    /// those that `batch` takes: then that is not the batch which was written there. It has fewer bytes, or more
    /// offsets, or an epoch that no checksum covers and that its neighbours do not have.
    async fn displaced(&mut self, batch: &Unproven, at: u64) -> Later {
        if !self.expected.dense {
            return None;
        }
        let (position, next) = self.next_of_this_log(at, batch.base).await?;
        let is_taken = next.base_offset.end_before() <= self.out.end;
        (is_taken && next.leader_epoch >= batch.epoch).then_some((position, next))
    }

    /// The next whole batch at or after `from` that lies beyond `after` and may be this log's. A write that went
    /// astray brings whole batches of other logs.
    async fn next_of_this_log(&mut self, mut from: u64, after: Offset) -> Later {
        loop {
            let (position, header) = self.source.find_batch(from, after).await?;
            if self.expected.fits(position, &header) {
                return Some((position, header));
            }
            from = position + 1;
        }
    }

    /// Compares the chain with the one that was written down at this place. Whole batches with another chain
    /// are batches of another place or another time; with the same one, all that lies before was written.
    fn check_chain(&mut self) {
        let out = &mut self.out;
        let (position, end, chain) = (out.position, out.end, out.builder.chain());
        let here = |mark: &Mark| mark.position == position && mark.offset == end;
        let mut marks = self.marks.iter().filter(|(mark, _)| here(mark));
        let wrong = marks.clone().find(|(mark, _)| mark.chain != chain);
        if let Some((mark, from)) = wrong {
            out.faulty.push(FaultyRange {
                from: (*from).max(Offset(0)),
                to: mark.offset,
            });
            out.reasons.push((mark.position, OTHER_BATCHES));
            out.builder.break_interval();
            self.marks.clear();
        } else if marks.next().is_some() {
            self.unproven = None;
        }
    }

    /// What lies at `at`, and its header, if it has one.
    async fn examine(&mut self, at: u64, claimed: Claimed) -> (Found, Option<BatchHeader>) {
        let (expected, next) = (self.expected, self.out.end);
        let source = &mut *self.source;
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
        let fits = in_place && in_reach && (expected.fits(at, &header) || mutant!("STO-22/c"));
        // What showed that it is another log's may be gone since.
        let is_known = expected.known(next).is_some()
            && !matches!(claimed, Claimed::Absent | Claimed::Unknown);
        let valid = fits && header.leader_epoch >= self.epoch && !is_known;
        (
            if valid { Found::Valid } else { Found::Foreign },
            Some(header),
        )
    }
}

/// The next whole batch of the log, with its place.
type Later = Option<(u64, BatchHeader)>;

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

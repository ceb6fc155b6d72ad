//! The engine of the crash enumerator: every crash point of a recorded history times every disk that it can
//! leave, and the judge.

use env::Disk;
use storage::{Log, LogConfig};
use types::{NextOffset, Offset};

use super::{Crash, MemDisk, append, batch, create, flush, now, open, read_all, storage};

/// What a workload says about itself while it runs.
#[derive(Default)]
pub struct Story {
    /// Every batch ever appended: first offset, end, bytes.
    pub appended: Vec<(Offset, NextOffset, Vec<u8>)>,
    /// From this operation on, the log is durable up to here.
    pub durable: Vec<(usize, NextOffset)>,
    /// From this operation on, the log may start here; and from that one on it must.
    pub starts: Vec<(usize, usize, Offset)>,
}

/// A workload under way.
pub struct Run {
    pub disk: MemDisk,
    pub config: LogConfig,
    pub log: Log<MemDisk>,
    pub story: Story,
    /// The first crash point to judge.
    pub from: usize,
    seed: u64,
}

impl Run {
    pub fn new(config: LogConfig) -> Run {
        let disk = MemDisk::default();
        let log = create(&disk, &config);
        let from = disk.op_count();
        Run {
            disk,
            config,
            log,
            story: Story::default(),
            from,
            seed: 1,
        }
    }

    pub fn append(&mut self, records: usize, size: usize, epoch: i32) {
        self.seed += 1;
        let bytes = batch(self.seed, records, size, 100);
        self.story
            .appended
            .push(append(&mut self.log, &bytes, epoch));
    }

    pub fn flush(&mut self, sync: bool) {
        if let Some(outcome) = flush(&mut self.log, sync) {
            assert_eq!(outcome.error, None);
            self.story
                .durable
                .push((self.disk.op_count(), outcome.durable));
        }
    }

    /// Starts a sync of what is written, appends and writes one more batch beside it, and ends the sync.
    pub fn write_beside_sync(&mut self, size: usize) {
        let written = self.log.written_end();
        let sync = self.log.start_sync().expect("something is not durable");
        self.append(1, size, 0);
        let outcome = flush(&mut self.log, true).expect("there is something to write");
        assert_eq!(outcome.written, self.log.log_end_offset());
        assert!(outcome.durable < written, "a job beside a sync only writes");
        let outcome = self.log.finish_sync(now(sync));
        assert_eq!((outcome.error, outcome.durable), (None, written));
        self.story.durable.push((self.disk.op_count(), written));
    }

    pub fn delete_before(&mut self, offset: i64) {
        let from = self.disk.op_count();
        assert!(self.log.delete_records_before(Offset(offset)));
        let outcome = flush(&mut self.log, true).expect("there is something to do");
        assert_eq!(outcome.log_start, Offset(offset));
        self.story
            .starts
            .push((from, self.disk.op_count(), Offset(offset)));
    }

    pub fn restart(&mut self) {
        let config = self.config.clone();
        let spare = MemDisk::default();
        let log = std::mem::replace(&mut self.log, create(&spare, &config));
        now(log.close()).unwrap();
        let (log, recovered) = open(&self.disk, &self.config).unwrap();
        assert!(recovered.clean);
        self.log = log;
    }

    pub fn kill(&mut self) {
        let (log, recovered) = open(&self.disk, &self.config).unwrap();
        assert!(!recovered.clean);
        self.log = log;
    }
}

/// The most parts of one file, and the most outcomes of one crash, that are tried completely.
const PARTS_MAX: usize = 14;
const OUTCOMES_MAX: usize = 2048;
/// Without telling outcomes apart, all subsets are tried of so many parts.
const ALL_SUBSETS_UP_TO: usize = 10;
const SAMPLES: u64 = 24;

/// The subsets of `atoms` parts to try, as predicates over their numbers.
pub fn subsets(atoms: usize, salt: u64) -> Vec<Box<dyn Fn(usize) -> bool>> {
    let mut out: Vec<Box<dyn Fn(usize) -> bool>> = Vec::new();
    if atoms <= ALL_SUBSETS_UP_TO {
        for mask in 0..1u64 << atoms {
            out.push(Box::new(move |i| mask >> i & 1 == 1));
        }
        return out;
    }
    out.push(Box::new(|_| false));
    out.push(Box::new(|_| true));
    for one in [0, atoms / 3, atoms / 2, atoms - 2, atoms - 1] {
        out.push(Box::new(move |i| i == one));
        out.push(Box::new(move |i| i != one));
        out.push(Box::new(move |i| i < one));
        out.push(Box::new(move |i| i >= one));
    }
    for sample in 0..SAMPLES {
        let salt = salt.wrapping_mul(31).wrapping_add(sample);
        out.push(Box::new(move |i| {
            let mut x = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt << 17;
            x ^= x >> 29;
            x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x >> 40 & 1 == 1
        }));
    }
    out
}

/// Judges the log on `disk`, which a crash after `ops` operations left.
pub fn judge(disk: &MemDisk, config: &LogConfig, story: &Story, ops: usize) -> Result<(), String> {
    let (log, recovered) = open(disk, config).map_err(|error| format!("cannot open: {error}"))?;
    if !recovered.faulty.is_empty() {
        return Err(format!(
            "a plain crash was taken for damage: {:?}",
            recovered.faulty
        ));
    }
    let durable = story
        .durable
        .iter()
        .filter(|(at, _)| *at <= ops)
        .map(|(_, end)| *end)
        .max();
    let durable = durable.unwrap_or_default();
    if log.log_end_offset() < durable {
        let end = log.log_end_offset();
        return Err(format!(
            "{durable} was claimed durable, the log ends at {end}"
        ));
    }
    let start = log.log_start_offset();
    let allowed = story
        .starts
        .iter()
        .filter(|(from, _, _)| *from <= ops)
        .map(|(_, _, at)| *at);
    let demanded = story
        .starts
        .iter()
        .filter(|(_, by, _)| *by <= ops)
        .map(|(_, _, at)| *at)
        .max();
    if start != Offset(0) && !allowed.into_iter().any(|at| at == start)
        || start < demanded.unwrap_or_default()
    {
        return Err(format!("the log starts at {start}"));
    }
    // The batch that holds the start is given out whole.
    let first = story
        .appended
        .iter()
        .find(|(_, next, _)| start.is_before(*next));
    let first = first.map_or(start, |(base, _, _)| *base);
    let from = start;
    let bytes = read_all(&log, from, 700).map_err(|error| format!("cannot read: {error}"))?;
    let mut at = first;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let known = story
            .appended
            .iter()
            .rev()
            .find(|(base, _, stored)| *base == at && rest.starts_with(stored));
        let Some((_, next, stored)) = known else {
            return Err(format!("what is served at {at} was never appended there"));
        };
        rest = &rest[stored.len()..];
        at = next.position();
    }
    if at.end_before() != log.log_end_offset() && from.is_before(log.log_end_offset()) {
        return Err(format!(
            "served up to {at}, the log ends at {}",
            log.log_end_offset()
        ));
    }
    for entry in log.epochs().entries() {
        if !entry.start.is_before(log.log_end_offset()) {
            return Err(format!("epoch {:?} begins beyond the end", entry));
        }
    }
    // A second recovery, before and after one more batch, finds the same.
    let end = log.log_end_offset();
    let (mut again, second) =
        open(&disk.copy(), config).map_err(|error| format!("second time: {error}"))?;
    if second.torn_bytes > 0 || again.log_end_offset() != end || !second.faulty.is_empty() {
        return Err(format!("a second recovery found {second:?}"));
    }
    append(&mut again, &batch(999, 1, 100, 100), 9);
    let outcome = flush(&mut again, true).expect("there is something to write");
    if outcome.error.is_some() || outcome.durable <= end {
        return Err(format!("cannot go on: {outcome:?}"));
    }
    Ok(())
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// Crash points.
    pub points: u64,
    /// Of these, the ones of which every disk that they can leave was judged.
    pub complete: u64,
    /// Disks judged.
    pub cases: u64,
    /// The most unsynced parts at one crash point.
    pub parts_max: usize,
}

/// Judges every crash of a run.
pub fn enumerate(name: &str, run: Run) -> Result<Tried, String> {
    drop(run.log);
    let ops = run.disk.ops();
    let mut tried = Tried::default();
    for crash_at in run.from..=ops.len() {
        let crash = Crash::new(&empty(), &ops[..crash_at]);
        let parts = crash.atoms.len();
        tried.points += 1;
        tried.parts_max = tried.parts_max.max(parts);
        let mut case = |disk: MemDisk, number: usize| {
            tried.cases += 1;
            judge(&disk, &run.config, &run.story, crash_at).map_err(|error| {
                let of = ops.len();
                format!("{name}: crash after {crash_at} of {of} operations, case {number} of {parts} parts: {error}")
            })
        };
        if let Some(outcomes) = crash.outcomes(PARTS_MAX, OUTCOMES_MAX) {
            for (number, kept) in outcomes.iter().enumerate() {
                case(crash.rebuild(|atom| kept[atom]), number)?;
            }
            tried.complete += 1;
            continue;
        }
        for (number, kept) in subsets(parts, crash_at as u64).into_iter().enumerate() {
            case(crash.rebuild(kept), number)?;
        }
    }
    Ok(tried)
}

/// The disk before the log was made: its directory is there.
pub fn empty() -> MemDisk {
    let disk = MemDisk::default();
    now(disk.create_dir_all(&super::dir())).unwrap();
    disk
}

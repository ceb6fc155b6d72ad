//! The file `log-state`: what is known of a log up to its recovery point.
//!
//! A text, so that a person can read it, closed by a line with its CRC-32C. It is only ever replaced as a
//! whole (temporary file, sync, rename, sync of the directory), so a crash leaves the old or the new one
//! and a failing checksum means a damaged disk.
//!
//! Everything it says is durable at the time it is written: the closed segments, the active segment up to
//! `recovery`, and the leader epochs up to there. Recovery reads the log from `recovery` on and nothing
//! before it. The segment that `recovery` names is created only after this file is durable: so only the
//! last segment can be torn.

use std::fmt::Write as _;

use types::{LeaderEpoch, NextOffset, Offset, PartitionIndex, ProducerId, Uuid};

use crate::config::LogIdentity;
use crate::epochs::EpochEntry;
use crate::index::BuilderMark;
use crate::tail::Place;
use crate::transactions::OpenTransaction;

/// A place in the log: between two batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The offset of the record that comes next.
    pub offset: NextOffset,
    /// The base offset of the segment.
    pub segment: i64,
    /// The position in the segment's file.
    pub position: u32,
    /// The chain over all batches of the segment up to here (see [`crate::index::chain`]).
    pub chain: u32,
}

/// A closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// Offset of its first record.
    pub base: i64,
    /// Offset after its last record.
    pub next: i64,
    /// Bytes of batches.
    pub size: u32,
    /// The chain over all its batches.
    pub chain: u32,
    /// The largest timestamp of its records; -1 if it has none.
    pub max_timestamp: i64,
    /// The last offset of the first batch that has it.
    pub max_timestamp_offset: i64,
    /// The first record that was in an open transaction where the segment starts; `base` if there was none.
    pub unstable: i64,
    /// When it was closed, in milliseconds, if its records have no timestamp; else -1.
    pub closed: i64,
}

impl SegmentRow {
    /// The time that its age is counted from, in milliseconds.
    pub(crate) fn latest(&self) -> i64 {
        self.max_timestamp.max(self.closed)
    }
}

/// Records that were written once and cannot be read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultyRange {
    /// First damaged offset.
    pub from: Offset,
    /// End of the range.
    pub to: NextOffset,
}

impl FaultyRange {
    /// Whether a record of the closed segment is damaged.
    pub(crate) fn meets(&self, row: &SegmentRow) -> bool {
        self.from.0 < row.next && row.base < self.to.0
    }
}

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Whose log it is.
    pub identity: LogIdentity,
    /// First offset kept.
    pub log_start: Offset,
    /// Up to here all is durable and checked; the active segment is the one it names.
    pub recovery: Mark,
    /// Claims with a number up to this one are older than this file.
    pub claims_floor: u64,
    /// Closed segments, oldest first.
    pub segments: Vec<SegmentRow>,
    /// Where each leader epoch starts, up to the recovery point.
    pub epochs: Vec<EpochEntry>,
    /// What is damaged.
    pub faulty: Vec<FaultyRange>,
    /// The transactions that are open where the active segment starts.
    pub open: Vec<OpenTransaction>,
}

const MAGIC: &str = "ottla-log-state 1";

impl LogState {
    /// The file's contents.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let identity = &self.identity;
        let cluster = identity
            .cluster_id
            .map_or_else(|| "-".to_owned(), |id| id.to_string());
        let recovery = &self.recovery;
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{MAGIC}");
        let _ = writeln!(out, "cluster {cluster}");
        let _ = writeln!(out, "topic {} {}", identity.topic_id, identity.topic);
        let _ = writeln!(out, "partition {}", identity.partition.0);
        let _ = writeln!(out, "log-start {}", self.log_start);
        let _ = writeln!(
            out,
            "recovery {} {} {} {:08x}",
            recovery.offset, recovery.segment, recovery.position, recovery.chain
        );
        let _ = writeln!(out, "claims-floor {}", self.claims_floor);
        for row in &self.segments {
            let _ = write!(
                out,
                "segment {} {} {} {:08x} {} {}",
                row.base,
                row.next,
                row.size,
                row.chain,
                row.max_timestamp,
                row.max_timestamp_offset
            );
            // What most segments do not have goes without saying.
            if row.unstable != row.base || row.closed != -1 {
                let _ = write!(out, " {}", row.unstable);
            }
            if row.closed != -1 {
                let _ = write!(out, " {}", row.closed);
            }
            out.push('\n');
        }
        for entry in &self.epochs {
            let _ = writeln!(out, "epoch {} {}", entry.epoch.0, entry.start);
        }
        for range in &self.faulty {
            let _ = writeln!(out, "faulty {} {}", range.from, range.to);
        }
        for (producer, first) in &self.open {
            let _ = writeln!(out, "open {} {first}", producer.0);
        }
        let crc = crc_fast::crc32_iscsi(out.as_bytes());
        let _ = writeln!(out, "crc {crc:08x}");
        out
    }

    /// Reads the file's contents.
    ///
    /// # Errors
    /// What is wrong with it. Never a default value: a state that cannot be read is not an empty log.
    pub fn decode(bytes: &[u8]) -> Result<LogState, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not a text".to_owned())?;
        let body_len = text.rfind("crc ").ok_or("no checksum")?;
        let (body, last) = text.split_at(body_len);
        let stored = last
            .strip_prefix("crc ")
            .and_then(|hex| hex.strip_suffix('\n'));
        let stored = stored
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .ok_or("no checksum")?;
        if stored != crc_fast::crc32_iscsi(body.as_bytes()) {
            return Err("checksum mismatch".to_owned());
        }
        let mut lines = body.lines();
        if lines.next() != Some(MAGIC) {
            return Err("not a log-state of this version".to_owned());
        }
        let mut state = LogState {
            identity: LogIdentity {
                cluster_id: None,
                topic_id: Uuid::ZERO,
                topic: String::new(),
                partition: PartitionIndex(-1),
            },
            log_start: Offset(0),
            recovery: Mark::default(),
            claims_floor: 0,
            segments: Vec::new(),
            epochs: Vec::new(),
            faulty: Vec::new(),
            open: Vec::new(),
        };
        for line in lines {
            state
                .decode_line(line)
                .ok_or_else(|| format!("bad line: {line}"))?;
        }
        Ok(state)
    }

    fn decode_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        match words.next()? {
            "cluster" => {
                let id = words.next()?;
                self.identity.cluster_id = if id == "-" {
                    None
                } else {
                    Some(id.parse().ok()?)
                };
            }
            "topic" => {
                self.identity.topic_id = words.next()?.parse().ok()?;
                words.next()?.clone_into(&mut self.identity.topic);
            }
            "partition" => self.identity.partition = PartitionIndex(number(&mut words)?),
            "log-start" => self.log_start = Offset(number(&mut words)?),
            "recovery" => {
                self.recovery = Mark {
                    offset: NextOffset(number(&mut words)?),
                    segment: number(&mut words)?,
                    position: number(&mut words)?,
                    chain: u32::from_str_radix(words.next()?, 16).ok()?,
                };
            }
            "claims-floor" => self.claims_floor = number(&mut words)?,
            "segment" => {
                let base = number(&mut words)?;
                self.segments.push(SegmentRow {
                    base,
                    next: number(&mut words)?,
                    size: number(&mut words)?,
                    chain: u32::from_str_radix(words.next()?, 16).ok()?,
                    max_timestamp: number(&mut words)?,
                    max_timestamp_offset: number(&mut words)?,
                    unstable: match words.next() {
                        Some(word) => word.parse().ok()?,
                        None => base,
                    },
                    closed: match words.next() {
                        Some(word) => word.parse().ok()?,
                        None => -1,
                    },
                });
            }
            "epoch" => self.epochs.push(EpochEntry {
                epoch: LeaderEpoch(number(&mut words)?),
                start: Offset(number(&mut words)?),
            }),
            "faulty" => self.faulty.push(FaultyRange {
                from: Offset(number(&mut words)?),
                to: NextOffset(number(&mut words)?),
            }),
            "open" => self
                .open
                .push((ProducerId(number(&mut words)?), Offset(number(&mut words)?))),
            _ => return None,
        }
        words.next().is_none().then_some(())
    }
}

fn number<T: std::str::FromStr>(words: &mut std::str::Split<'_, char>) -> Option<T> {
    words.next()?.parse().ok()
}

/// The file `clean-shutdown`: the log was closed in order, and ends here. It spares the scan of the log and
/// not the look at its last batch. Removed, and the directory
/// synced, before the first write after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanMarker {
    /// The end of the log.
    pub end: Place,
    /// The timestamp that the age of the active segment is counted from, or -1.
    pub first_timestamp: i64,
    /// When the active segment was made.
    pub created: i64,
    /// The number of the last claim.
    pub claims: u64,
    /// The transactions that are open at the end.
    pub open: Vec<OpenTransaction>,
}

impl CleanMarker {
    /// The file's contents.
    #[must_use]
    pub fn encode(&self) -> String {
        let (mark, index) = (&self.end.mark, &self.end.index);
        let mut body = format!(
            "ottla-clean 2 end {} {} {} {:08x} index {} {} {} {} {:08x} {} {} active {} {} {} claims {}",
            mark.offset,
            mark.segment,
            mark.position,
            mark.chain,
            index.offsets,
            index.times,
            index.txns,
            index.since_entry,
            index.tag,
            index.max_timestamp,
            index.max_timestamp_offset,
            index.last_batch,
            self.first_timestamp,
            self.created,
            self.claims
        );
        for (producer, first) in &self.open {
            // Writing to a String cannot fail.
            let _ = write!(body, " open {} {first}", producer.0);
        }
        format!(
            "{body} crc {:08x}\n",
            crc_fast::crc32_iscsi(body.as_bytes())
        )
    }

    /// Reads the file's contents; `None` if they are not what [`CleanMarker::encode`] wrote: then the
    /// log is treated as one that was not closed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<CleanMarker> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let (body, crc) = text.rsplit_once(" crc ")?;
        if u32::from_str_radix(crc, 16).ok()? != crc_fast::crc32_iscsi(body.as_bytes()) {
            return None;
        }
        let mut words = body.strip_prefix("ottla-clean 2 end ")?.split(' ');
        let words = &mut words;
        let mark = Mark {
            offset: NextOffset(number(words)?),
            segment: number(words)?,
            position: number(words)?,
            chain: u32::from_str_radix(words.next()?, 16).ok()?,
        };
        let _index = words.next()?;
        let mut index = BuilderMark {
            offsets: number(words)?,
            times: number(words)?,
            txns: number(words)?,
            since_entry: number(words)?,
            tag: u32::from_str_radix(words.next()?, 16).ok()?,
            chain: mark.chain,
            max_timestamp: number(words)?,
            max_timestamp_offset: number(words)?,
            last_batch: 0,
        };
        let _active = words.next()?;
        index.last_batch = number(words)?;
        let (first_timestamp, created) = (number(words)?, number(words)?);
        let _claims = words.next()?;
        let claims = number(words)?;
        let mut open = Vec::new();
        while let Some(word) = words.next() {
            if word != "open" {
                return None;
            }
            open.push((ProducerId(number(words)?), Offset(number(words)?)));
        }
        let end = Place { mark, index };
        Some(CleanMarker {
            end,
            first_timestamp,
            created,
            claims,
            open,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> LogState {
        LogState {
            identity: LogIdentity {
                cluster_id: Some(Uuid([7; 16])),
                topic_id: Uuid([9; 16]),
                topic: "orders".to_owned(),
                partition: PartitionIndex(3),
            },
            log_start: Offset(5),
            recovery: Mark {
                offset: NextOffset(20),
                segment: 10,
                position: 300,
                chain: 0xab,
            },
            claims_floor: 4,
            segments: [(0, -1), (4, -1), (0, 77), (4, 77)]
                .map(|(base, closed)| SegmentRow {
                    base,
                    next: 10,
                    size: 900,
                    chain: 0xcd,
                    max_timestamp: -1,
                    max_timestamp_offset: -1,
                    unstable: 0,
                    closed,
                })
                .to_vec(),
            epochs: vec![EpochEntry {
                epoch: LeaderEpoch(0),
                start: Offset(0),
            }],
            faulty: vec![FaultyRange {
                from: Offset(6),
                to: NextOffset(8),
            }],
            open: vec![(ProducerId(7), Offset(2)), (ProducerId(8), Offset(9))],
        }
    }

    #[test]
    fn state_round_trips_and_every_flipped_bit_is_noticed() {
        let state = sample();
        let text = state.encode();
        assert_eq!(LogState::decode(text.as_bytes()), Ok(state));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // A flip in the checksum's own hex digits may only change their case.
            if !bytes.eq_ignore_ascii_case(text.as_bytes()) {
                assert!(LogState::decode(&bytes).is_err(), "bit {bit}");
            }
        }
        for cut in 0..text.len() {
            assert!(
                LogState::decode(&text.as_bytes()[..cut]).is_err(),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn clean_marker_round_trips() {
        let mark = sample().recovery;
        let index = BuilderMark {
            offsets: 1,
            times: 2,
            txns: 1,
            since_entry: 3,
            tag: 4,
            chain: mark.chain,
            max_timestamp: 5,
            max_timestamp_offset: 6,
            last_batch: 100,
        };
        let end = Place { mark, index };
        let marker = CleanMarker {
            end,
            first_timestamp: -1,
            created: 9,
            claims: 12,
            open: sample().open,
        };
        let text = marker.encode();
        assert_eq!(CleanMarker::decode(text.as_bytes()), Some(marker));
        for cut in 0..text.len() {
            assert_eq!(CleanMarker::decode(&text.as_bytes()[..cut]), None);
        }
    }
}

//! Which records: the grammar of `-o` and of `--to`, rpk's.

use std::collections::BTreeMap;

use anyhow::Result;
use client::{Admin, FoundOffset, Isolation, OffsetSpec, TopicPartition};
use env_tokio::TokioEnv;
use jiff::Timestamp;
use types::{Offset, TimestampMs};

use crate::exit::{Failure, Tally};
use crate::when;

/// A command's time is this many times what it waits for a partition that is not what it is about.
const PARTS: u32 = 5;

/// What the help says of it.
pub(crate) const HELP: &str = "\
Ranges (-o), from the first up to but without the second:
  start  end        the first record that is kept, the end at this moment
  100               the offset 100
  +10  -10          10 after the start, 10 before the end
  100:200  :end     from 100 up to 199; all that is there now
  @2026-01-31       the first record of that time or later
  @-1h:@-30m        from an hour ago to half an hour ago
Times: RFC 3339, 2026-01-31 (UTC), -48h, now, seconds or milliseconds since 1970.";

/// A place in every partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The first record that is kept.
    Start,
    /// The end at this moment.
    End,
    /// An offset.
    At(i64),
    /// So many after the start.
    AfterStart(i64),
    /// So many before the end.
    BeforeEnd(i64),
    /// The first record of this time, in milliseconds, or later.
    Time(i64),
}

impl Point {
    /// Reads a place.
    pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Point, String> {
        let bad =
            || format!("`{text}` is no place: write start, end, 100, +10, -10 or @2026-01-31");
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<i64>().ok().filter(|_| digits).ok_or_else(bad)
        };
        Ok(match text {
            "start" | "earliest" | "oldest" => Point::Start,
            "end" | "latest" | "newest" => Point::End,
            _ => {
                if let Some(time) = text.strip_prefix('@') {
                    Point::Time(when::timestamp_ms(time, now)?)
                } else if let Some(text) = text.strip_prefix('+') {
                    Point::AfterStart(number(text)?)
                } else if let Some(text) = text.strip_prefix('-') {
                    Point::BeforeEnd(number(text)?)
                } else {
                    Point::At(number(text)?)
                }
            }
        })
    }
}

/// From one place up to, but without, another; without an end it never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// Where it starts.
    pub from: Point,
    /// Where it ends.
    pub until: Option<Point>,
}

impl Range {
    /// Reads a range.
    pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Range, String> {
        let whole = match Point::parse(text, now) {
            Ok(from) => return Ok(Range { from, until: None }),
            Err(error) => error,
        };
        // Times have colons too: the first that leaves something that can be read on both sides parts them.
        for (at, _) in text.match_indices(':') {
            let (from, until) = (&text[..at], &text[at + 1..]);
            let from = match from {
                "" => Ok(Point::Start),
                from => Point::parse(from, now),
            };
            let until = match until {
                "" => Ok(None),
                // `@-1h:-30m`: the second time may go without its sign.
                until if matches!(from, Ok(Point::Time(_))) && !until.starts_with('@') => {
                    Point::parse(&format!("@{until}"), now)
                        .map(Some)
                        .or_else(|_| Point::parse(until, now).map(Some))
                }
                until => Point::parse(until, now).map(Some),
            };
            if let (Ok(from), Ok(until)) = (from, until) {
                let is_backwards = match (from, until) {
                    (Point::At(from), Some(Point::At(until)))
                    | (Point::Time(from), Some(Point::Time(until))) => until < from,
                    _ => false,
                };
                return match is_backwards {
                    true => Err(format!("`{text}` ends before it starts")),
                    false => Ok(Range { from, until }),
                };
            }
        }
        Err(whole)
    }
}

/// The two ends of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The first offset that is kept.
    pub start: i64,
    /// The offset of the next record.
    pub end: i64,
}

/// What was looked up in the partitions that answer, and why the others do not.
pub(crate) struct Found<T> {
    /// What was found.
    pub found: BTreeMap<TopicPartition, T>,
    /// Why nothing could be.
    pub refused: BTreeMap<TopicPartition, client::Error>,
}

impl<T> Found<T> {
    /// All, or the first refusal.
    fn all(self) -> Result<BTreeMap<TopicPartition, T>> {
        match self.refused.into_iter().next() {
            None => Ok(self.found),
            Some((at, error)) => Err(failure(&at, &error).into()),
        }
    }

    /// What was found; refusals are told, and are failures of their items.
    pub(crate) fn tell(self, tally: &mut Tally) -> BTreeMap<TopicPartition, T> {
        for (at, error) in &self.refused {
            tally.failed(&failure(at, error));
        }
        self.found
    }
}

fn failure(at: &TopicPartition, error: &client::Error) -> Failure {
    Failure::client(&format!("looking up an offset of {at}"), error)
}

/// How long partitions are waited for that may not answer for long.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// As long as the command may take: without them it is for nothing.
    Whole,
    /// A part of it, so that there is time left for what the command is about.
    Part,
}

/// Both ends of each partition. The first refusal is an error.
pub(crate) async fn ends(
    admin: &mut Admin<TokioEnv>,
    partitions: &[TopicPartition],
    isolation: Isolation,
) -> Result<BTreeMap<TopicPartition, Ends>> {
    let ends = look_up_ends(admin, partitions, isolation, Wait::Whole).await;
    ends.all()
}

/// Both ends of those partitions that answer.
pub(crate) async fn ends_of_each(
    admin: &mut Admin<TokioEnv>,
    partitions: &[TopicPartition],
    isolation: Isolation,
) -> Found<Ends> {
    look_up_ends(admin, partitions, isolation, Wait::Part).await
}

async fn look_up_ends(
    admin: &mut Admin<TokioEnv>,
    partitions: &[TopicPartition],
    isolation: Isolation,
    wait: Wait,
) -> Found<Ends> {
    let starts = look_up(admin, partitions, OffsetSpec::Earliest, isolation, wait).await;
    // Who has just not answered is not waited for once more.
    let answered: Vec<TopicPartition> = starts.found.keys().cloned().collect();
    let ends = look_up(admin, &answered, OffsetSpec::Latest, isolation, wait).await;
    let mut refused = starts.refused;
    refused.extend(ends.refused);
    let offset = |found: FoundOffset| found.offset.map_or(0, |offset: Offset| offset.0);
    let both = |(at, end): (TopicPartition, FoundOffset)| {
        let start = starts.found.get(&at).copied().map_or(0, offset);
        let end = offset(end);
        (at, Ends { start, end })
    };
    Found {
        found: ends.found.into_iter().map(both).collect(),
        refused,
    }
}

/// One place of each partition.
async fn look_up(
    admin: &mut Admin<TokioEnv>,
    partitions: &[TopicPartition],
    place: OffsetSpec,
    isolation: Isolation,
    wait: Wait,
) -> Found<FoundOffset> {
    let cluster = admin.cluster();
    let deadline = match wait {
        Wait::Whole => cluster.deadline(),
        Wait::Part => cluster.now().after(cluster.options().timeout / PARTS),
    };
    let places = partitions.iter().map(|at| (at.clone(), place)).collect();
    let (mut found, mut refused) = (BTreeMap::new(), BTreeMap::new());
    for (at, result) in cluster.list_offsets(places, isolation, deadline).await {
        match result {
            Ok(offset) => drop(found.insert(at, offset)),
            Err(error) => drop(refused.insert(at, error)),
        }
    }
    Found { found, refused }
}

/// The largest timestamp in each partition that answers, in milliseconds, where there is one.
pub(crate) async fn newest(
    admin: &mut Admin<TokioEnv>,
    partitions: &[TopicPartition],
) -> Found<i64> {
    let place = OffsetSpec::MaxTimestamp;
    let isolation = Isolation::ReadUncommitted;
    let Found { found, refused } = look_up(admin, partitions, place, isolation, Wait::Part).await;
    let times = found.into_iter();
    Found {
        found: times
            .filter_map(|(at, found)| Some((at, found.timestamp?.0)))
            .collect(),
        refused,
    }
}

/// A place as an offset in each partition, within its ends. The first refusal is an error.
pub(crate) async fn resolve(
    admin: &mut Admin<TokioEnv>,
    ends: &BTreeMap<TopicPartition, Ends>,
    point: Point,
    isolation: Isolation,
) -> Result<BTreeMap<TopicPartition, i64>> {
    resolve_in(admin, ends, point, isolation, Wait::Whole)
        .await
        .all()
}

/// The same, of those partitions that answer.
pub(crate) async fn resolve_in_each(
    admin: &mut Admin<TokioEnv>,
    ends: &BTreeMap<TopicPartition, Ends>,
    point: Point,
    isolation: Isolation,
) -> Found<i64> {
    resolve_in(admin, ends, point, isolation, Wait::Part).await
}

async fn resolve_in(
    admin: &mut Admin<TokioEnv>,
    ends: &BTreeMap<TopicPartition, Ends>,
    point: Point,
    isolation: Isolation,
    wait: Wait,
) -> Found<i64> {
    if let Point::Time(ms) = point {
        let partitions: Vec<TopicPartition> = ends.keys().cloned().collect();
        let place = OffsetSpec::Timestamp(TimestampMs(ms.max(0)));
        let Found { found, refused } = look_up(admin, &partitions, place, isolation, wait).await;
        let offset = |(at, found): (TopicPartition, FoundOffset)| {
            // No record is that late: the end.
            let end = ends.get(&at).map_or(0, |ends| ends.end);
            (at, found.offset.map_or(end, |offset| offset.0))
        };
        return Found {
            found: found.into_iter().map(offset).collect(),
            refused,
        };
    }
    let place = |(at, ends): (&TopicPartition, &Ends)| (at.clone(), within(point, *ends));
    Found {
        found: ends.iter().map(place).collect(),
        refused: BTreeMap::new(),
    }
}

fn within(point: Point, Ends { start, end }: Ends) -> i64 {
    let offset = match point {
        Point::Start => start,
        Point::End | Point::Time(_) => end,
        Point::At(offset) => offset,
        Point::AfterStart(count) => start.saturating_add(count),
        Point::BeforeEnd(count) => end.saturating_sub(count),
    };
    offset.clamp(start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<Range, String> {
        Range::parse(text, "2026-02-03T04:05:06Z".parse().unwrap())
    }

    #[test]
    fn ranges() {
        let now = 1_770_091_506_000;
        let day = 1_770_076_800_000;
        for (text, from, until) in [
            ("start", Point::Start, None),
            ("end", Point::End, None),
            ("100", Point::At(100), None),
            ("+10", Point::AfterStart(10), None),
            ("-10", Point::BeforeEnd(10), None),
            ("100:200", Point::At(100), Some(Point::At(200))),
            (":end", Point::Start, Some(Point::End)),
            ("5:", Point::At(5), None),
            ("5:5", Point::At(5), Some(Point::At(5))),
            ("+1:-1", Point::AfterStart(1), Some(Point::BeforeEnd(1))),
            ("@2026-02-03", Point::Time(day), None),
            (
                "@2026-02-03T00:00:00Z:@now",
                Point::Time(day),
                Some(Point::Time(now)),
            ),
            (
                "@-1h:-30m",
                Point::Time(now - 3_600_000),
                Some(Point::Time(now - 1_800_000)),
            ),
            ("@-1h:end", Point::Time(now - 3_600_000), Some(Point::End)),
            (
                "@1770076800:1770091506",
                Point::Time(day),
                Some(Point::Time(now)),
            ),
        ] {
            assert_eq!(range(text), Ok(Range { from, until }), "{text}");
        }
        for bad in [
            "",
            "begin",
            "1:2:3",
            "+",
            "-",
            "--1",
            "@",
            "@then",
            "1.5",
            "end:begin",
            "2:1",
            "@-30m:@-1h",
        ] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn places_stay_within_the_partition() {
        let ends = Ends { start: 10, end: 20 };
        for (point, offset) in [
            (Point::Start, 10),
            (Point::End, 20),
            (Point::At(3), 10),
            (Point::At(15), 15),
            (Point::At(99), 20),
            (Point::AfterStart(3), 13),
            (Point::BeforeEnd(3), 17),
            (Point::BeforeEnd(i64::MAX), 10),
            (Point::AfterStart(i64::MAX), 20),
        ] {
            assert_eq!(within(point, ends), offset, "{point:?}");
        }
    }
}

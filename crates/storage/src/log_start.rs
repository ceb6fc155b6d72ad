//! The file `log-start`: a second copy of where the log starts.
//!
//! Everything else that `log-state` says can be found again by reading the whole log; where it starts cannot:
//! records before it are still in the files, and a log that forgot would give out again what DeleteRecords
//! took away. So the start is kept twice. `log-state` is the one that counts; the copy is written after it and
//! before anybody is told that the start has moved, and is read only when `log-state` is damaged or gone. A
//! log that starts where its first segment does needs no copy.

use bytes::Bytes;
use env::Disk;
use types::Offset;

use crate::error::StorageError;
use crate::files;
use crate::log::Log;
use crate::names;

const MAGIC: &str = "ottla-log-start 1";

/// The file's contents.
pub(crate) fn encode(start: Offset) -> Bytes {
    let body = format!("{MAGIC} {start}");
    let crc = crc_fast::crc32_iscsi(body.as_bytes());
    Bytes::from(format!("{body} crc {crc:08x}\n"))
}

/// Reads the file's contents; `None` if they are not what [`encode`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Option<Offset> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (body, crc) = text.rsplit_once(" crc ")?;
    if u32::from_str_radix(crc, 16).ok()? != crc_fast::crc32_iscsi(body.as_bytes()) {
        return None;
    }
    let start = body.strip_prefix(MAGIC)?.strip_prefix(' ')?.parse().ok()?;
    (start >= 0).then_some(Offset(start))
}

/// Where Kafka keeps the starts of all logs in a directory, if they are not those of their first segments.
const KAFKA_STARTS: &str = "log-start-offset-checkpoint";

/// Reads Kafka's checkpoint: a version, a count, and a line for each log.
fn kafka_start(bytes: &[u8], topic: &str, partition: i32) -> Result<Option<Offset>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not a text")?;
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err("not a checkpoint of version 0");
    }
    let count: usize = lines
        .next()
        .and_then(|line| line.parse().ok())
        .ok_or("no count")?;
    let rows: Vec<&str> = lines.collect();
    if rows.len() != count {
        return Err("not as many lines as it says");
    }
    for row in rows {
        let words: Vec<&str> = row.split(' ').collect();
        let [of, number, start] = words[..] else {
            return Err("a line that is not topic, partition and offset");
        };
        let start: i64 = start.parse().map_err(|_| "an offset that is no number")?;
        if of == topic && number.parse() == Ok(partition) {
            return Ok((start >= 0).then_some(Offset(start)));
        }
    }
    Ok(None)
}

impl<D: Disk> Log<D> {
    /// The copy; `None` if there is none.
    ///
    /// # Errors
    /// The disk's; [`StorageError::Damaged`] if it fails its check.
    pub(crate) async fn read_start(&self) -> Result<Option<Offset>, StorageError> {
        let path = self.dir.join(names::START);
        let bytes = files::read_whole(&self.disk, &path).await;
        let Some(bytes) = bytes.map_err(StorageError::io(&path))? else {
            return Ok(None);
        };
        let start = decode(&bytes).ok_or_else(|| StorageError::damaged(&path, "checksum mismatch"));
        start.map(Some)
    }

    /// Where the log starts, by the copy, when `log-state` does not say. `first` is where its first segment
    /// does.
    ///
    /// # Errors
    /// The process has too many open files, which says nothing about the copy.
    pub(crate) async fn start_without_state(
        &self,
        first: i64,
        is_ours: bool,
        alarms: &mut Vec<String>,
    ) -> Result<Offset, StorageError> {
        let found = match self.read_start().await {
            Ok(None) if !is_ours => self.start_by_kafka().await,
            other => other,
        };
        Ok(match found {
            Ok(start) => start.unwrap_or_default().max(Offset(first)),
            Err(error) if error.is_starved() => return Err(error),
            Err(error) => {
                alarms.push(format!(
                    "{error}: nothing says any more where the log starts. It is taken to start with its \
                     first segment, at {first}; if records were deleted after that, delete them again"
                ));
                Offset(first)
            }
        })
    }

    /// Where Kafka says that a log which it made starts: in a file beside all of them.
    async fn start_by_kafka(&self) -> Result<Option<Offset>, StorageError> {
        let Some(dir) = self.dir.parent() else {
            return Ok(None);
        };
        let path = dir.join(KAFKA_STARTS);
        let bytes = files::read_whole(&self.disk, &path).await;
        let Some(bytes) = bytes.map_err(StorageError::io(&path))? else {
            return Ok(None);
        };
        let (topic, partition) = (&self.identity.topic, self.identity.partition.0);
        kafka_start(&bytes, topic, partition).map_err(|reason| StorageError::damaged(&path, reason))
    }

    /// Writes the copy anew, durably, unless it is as it should be.
    pub(crate) async fn write_start(&self) -> Result<(), StorageError> {
        let copy = self.read_start().await;
        let is_fine = matches!(copy, Ok(copy) if copy.unwrap_or_default() == self.log_start);
        if is_fine {
            return Ok(());
        }
        let path = self.dir.join(names::START);
        files::replace_durably(&self.disk, &path, encode(self.log_start))
            .await
            .map_err(StorageError::io(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_checkpoint_is_understood_or_refused() {
        let good = b"0\n2\norders 0 35\nother 0 7\n";
        assert_eq!(kafka_start(good, "orders", 0), Ok(Some(Offset(35))));
        assert_eq!(kafka_start(good, "orders", 1), Ok(None));
        for bad in [
            &b""[..],
            b"1\n0\n",
            b"0\n",
            b"0\n2\norders 0 35\n",
            b"0\n1\norders 0\n",
            b"0\n1\norders 0 x\n",
            b"\xff",
        ] {
            assert!(kafka_start(bad, "orders", 0).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn it_round_trips_and_every_flipped_bit_is_noticed() {
        for start in [0, 7, i64::MAX] {
            let bytes = encode(Offset(start));
            assert_eq!(decode(&bytes), Some(Offset(start)));
            for bit in 0..bytes.len() * 8 {
                let mut wrong = bytes.to_vec();
                wrong[bit / 8] ^= 1 << (bit % 8);
                // A flip in the checksum's own hex digits may only change their case.
                if !wrong.eq_ignore_ascii_case(&bytes) {
                    assert_eq!(decode(&wrong), None, "bit {bit}");
                }
            }
            for cut in 0..bytes.len() {
                assert_eq!(decode(&bytes[..cut]), None);
            }
        }
    }
}

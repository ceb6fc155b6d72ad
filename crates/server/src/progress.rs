//! How far long work has come: a line on a terminal that is written over, else a line every ten seconds. Always
//! on stderr.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Tells of records and bytes.
#[derive(Debug)]
pub(crate) struct Progress {
    verb: &'static str,
    started: Instant,
    next: Instant,
    interval: Duration,
    overwrites: bool,
    wrote: bool,
    quiet: bool,
    records: u64,
    bytes: u64,
}

impl Progress {
    /// Work that begins now: `consumed`, `produced`. `shares_terminal` says that records go to the terminal
    /// themselves, and no other progress is needed.
    pub(crate) fn new(verb: &'static str, shares_terminal: bool) -> Progress {
        let overwrites = io::stderr().is_terminal();
        let interval = Duration::from_secs(if overwrites { 1 } else { 10 });
        let started = Instant::now();
        Progress {
            verb,
            started,
            next: started + interval,
            interval,
            overwrites,
            wrote: false,
            quiet: overwrites && shares_terminal,
            records: 0,
            bytes: 0,
        }
    }

    /// This much more is done.
    pub(crate) fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        let now = Instant::now();
        if self.quiet || now < self.next {
            return;
        }
        self.next = now + self.interval;
        let text = self.text();
        let mut err = io::stderr().lock();
        // Nobody is there to be told that nobody can be told.
        let _ = if self.overwrites {
            self.wrote = true;
            write!(err, "\r\x1b[K{text}").and_then(|()| err.flush())
        } else {
            writeln!(err, "{text}")
        };
    }

    fn text(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        format!(
            "{} {} records, {}, {:.0} records/s, {}/s",
            self.verb,
            self.records,
            bytes(self.bytes),
            self.records as f64 / seconds,
            bytes((self.bytes as f64 / seconds) as u64)
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.wrote {
            eprint!("\r\x1b[K");
        }
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_for_people() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5 << 30), "5.0 GiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
    }
}

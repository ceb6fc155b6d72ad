//! What a process has used, from `/proc`.

use anyhow::{Context as _, Result};

/// CPU time of all threads of a process, and its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Resident memory.
    pub(crate) memory_bytes: u64,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Result<Usage> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid}"))?;
        // The name, in brackets, may hold anything; what follows starts with field 3.
        let (_, fields) = stat.rsplit_once(')').context("a line of /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let field = |number: usize| -> Result<u64> {
            let text = fields
                .get(number - 3)
                .context("a field of /proc/PID/stat")?;
            Ok(text.parse()?)
        };
        let ticks = field(14)? + field(15)?;
        Ok(Usage {
            cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            memory_bytes: field(24)? * rustix::param::page_size() as u64,
        })
    }
}

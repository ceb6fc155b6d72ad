//! What this machine gives the process, and the limits that follow from it where nobody set any.
//!
//! Kafka's defaults for these are "no limit". A limit that nobody turned on protects nobody, so here they follow from
//! the descriptors and the memory that there are: [`derived`].

use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Share of the descriptors that connections may take; the others are for files of logs.
const CONNECTIONS_PERCENT: u64 = 80;
/// Fewer would shut out a cluster's own tools, more would cost gigabytes of buffers.
const CONNECTIONS: (u64, u64) = (64, 100_000);
/// Share of the memory that requests under way may take.
const REQUESTS_PERCENT: u64 = 25;
/// A request larger than this is served all the same, alone; beyond the upper end, more helps nobody.
const REQUEST_BYTES: (u64, u64) = (16 << 20, 16 << 30);

/// What a process may have here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Descriptors (`RLIMIT_NOFILE`), if there is a limit.
    pub(crate) descriptors: Option<u64>,
    /// Bytes of memory: the machine's, or what its control group leaves of it.
    pub(crate) memory: Option<u64>,
}

impl Machine {
    /// This one, with as many descriptors as the process is allowed to ask for.
    pub(crate) fn this() -> Machine {
        Machine {
            descriptors: getrlimit(Resource::Nofile).maximum,
            memory: memory(Path::new("/")),
        }
    }

    /// Asks for the descriptors that [`Machine::this`] counts: shells give 1,024 of them to programs that might use
    /// `select`, which this one does not.
    pub(crate) fn claim_descriptors() {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files stays where it is");
        }
    }
}

/// The value of a key that nobody set, where it follows from the machine, and what it follows from.
pub(crate) fn derived(key: &str, machine: Machine) -> Option<(u64, String)> {
    let (of, percent, (low, high), what) = match key {
        "max.connections" => (
            machine.descriptors?,
            CONNECTIONS_PERCENT,
            CONNECTIONS,
            "open files that this process may have",
        ),
        "queued.max.request.bytes" => (
            machine.memory?,
            REQUESTS_PERCENT,
            REQUEST_BYTES,
            "bytes of memory that it may have",
        ),
        _ => return None,
    };
    let value = (of / 100 * percent + of % 100 * percent / 100).clamp(low, high);
    Some((
        value,
        format!("derived: {percent} % of the {of} {what}, from {low} to {high}"),
    ))
}

/// The keys that [`derived`] knows.
pub(crate) const DERIVED: &[&str] = &["max.connections", "queued.max.request.bytes"];

/// The least of what the machine has and what each control group above this process allows.
fn memory(root: &Path) -> Option<u64> {
    let total = std::fs::read_to_string(root.join("proc/meminfo")).ok();
    let total = total.and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    });
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limits(root, line));
    total.into_iter().chain(limits).min()
}

/// The limits of one line of `/proc/self/cgroup`, `number:controllers:path`, of the group itself and those above.
fn limits(root: &Path, line: &str) -> Vec<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        other if other.split(',').any(|one| one == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let mount = root.join(mount);
    let own: PathBuf = mount.join(path.trim_start_matches('/'));
    own.ancestors()
        .take_while(|folder| folder.starts_with(&mount))
        .filter_map(|folder| std::fs::read_to_string(folder.join(file)).ok())
        .filter_map(|text| text.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_within_their_bounds() {
        let derived = |key: &str, of: u64| {
            let machine = Machine {
                descriptors: Some(of),
                memory: Some(of),
            };
            derived(key, machine).unwrap().0
        };
        for (of, value) in [(1024, 819), (10, 64), (u64::MAX, 100_000)] {
            assert_eq!(derived("max.connections", of), value);
        }
        for (of, value) in [(4 << 30, 1 << 30), (0, 16 << 20), (u64::MAX, 16 << 30)] {
            assert_eq!(derived("queued.max.request.bytes", of), value);
        }
    }

    #[test]
    fn no_limit_leaves_nothing_to_derive() {
        let machine = Machine {
            descriptors: None,
            memory: None,
        };
        for key in DERIVED {
            assert_eq!(derived(key, machine), None);
        }
        assert_eq!(derived("num.partitions", Machine::this()), None);
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = std::env::temp_dir().join(format!("ottla-machine-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n");
        assert_eq!(memory(&root), Some(16 << 20));
        put("proc/self/cgroup", "0::/a.slice/b.service\n");
        put("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
        assert_eq!(memory(&root), Some(16 << 20));
        put("sys/fs/cgroup/a.slice/memory.max", "8388608\n");
        assert_eq!(memory(&root), Some(8 << 20));
        // The older hierarchy, in a container: the path is the host's and does not exist here.
        put(
            "proc/self/cgroup",
            "3:cpu:/docker/1\n4:memory:/docker/1\n0::/docker/1\n",
        );
        put("sys/fs/cgroup/memory/memory.limit_in_bytes", "4194304\n");
        assert_eq!(memory(&root), Some(4 << 20));
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(Machine::this().memory.unwrap() > 1 << 20);
    }
}

//! Faults by command: what scenarios ask the world to break.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::disk::DiskState;
use crate::disk::image::{PAGE, SECTOR};
use crate::faults::{AfterFailure, Harm, HarmLog};
use crate::node::NodeId;
use crate::shared::{Core, NOBODY};
use crate::trace::Event;
use crate::world::World;

impl DiskState {
    /// Says whether this disk may be damaged at all.
    pub(crate) fn permit(&mut self, permitted: bool) {
        self.faults.permitted = permitted;
        self.faults.misdirected_write.permit(permitted);
        self.faults.stale_read.permit(permitted);
        self.faults.power_loss.permit(permitted);
    }
}

impl World {
    fn disk<T>(
        &mut self,
        node: NodeId,
        kind: &'static str,
        numbers: (u64, u64),
        act: impl FnOnce(&mut DiskState, u64) -> T,
    ) -> T {
        let mut core = self.core();
        let core: &mut Core = &mut core;
        core.trace(
            node.0,
            Event::Fault {
                kind,
                a: numbers.0,
                b: numbers.1,
            },
        );
        let now = core.now;
        let disk = core.disk_of(node.0);
        let done = act(disk, now);
        for kind in disk.faults.strikes.take_fresh() {
            core.trace(node.0, Event::Struck { kind });
        }
        done
    }

    /// Makes the next sync on a node's disk fail.
    pub fn fail_next_sync(&mut self, node: NodeId, after: AfterFailure) {
        self.disk(node, "fail-sync", (0, 0), |disk, _| {
            disk.faults.failed_sync.arm(after)
        });
    }

    /// Makes the next reads and writes on a node's disk fail.
    pub fn fail_next_calls(&mut self, node: NodeId, reads: u32, writes: u32) {
        let numbers = (u64::from(reads), u64::from(writes));
        self.disk(node, "io-error", numbers, |disk, _| {
            disk.faults.io_error.arm(reads, writes)
        });
    }

    /// Tells the next calls that need room that there is none.
    pub fn deny_space(&mut self, node: NodeId, calls: u32) {
        let numbers = (u64::from(calls), 0);
        self.disk(node, "no-space", numbers, |disk, _| {
            disk.faults.no_space.arm(calls)
        });
    }

    /// Leaves so many bytes free on a node's disk: none is a full disk, many is its recovery.
    pub fn set_free_bytes(&mut self, node: NodeId, bytes: u64) {
        self.disk(node, "free-bytes", (bytes, 0), |disk, _| {
            disk.capacity = disk.used + bytes / PAGE;
        });
    }

    /// Makes a node's disk so many times as slow for a while.
    pub fn slow_disk(&mut self, node: NodeId, factor: u64, for_ns: u64) {
        self.disk(node, "slow-disk", (factor, for_ns), |disk, now| {
            disk.faults
                .slow_disk
                .slow(now.saturating_add(for_ns), factor);
        });
    }

    /// Lets nothing complete on a node's disk for a while.
    pub fn stall_disk(&mut self, node: NodeId, for_ns: u64) {
        self.disk(node, "stall-disk", (for_ns, 0), |disk, now| {
            disk.faults.slow_disk.stall(now.saturating_add(for_ns));
        });
    }

    /// Flips a bit somewhere on a node's disk, if it may be damaged. Gives back where.
    pub fn rot_a_bit(&mut self, node: NodeId) -> Option<Harm> {
        self.disk(node, "bit-rot", (0, 0), |disk, _| {
            if !disk.faults.permitted {
                return None;
            }
            let (ino, offset) = disk.choose_victim()?;
            disk.rot(ino, offset)
        })
    }

    /// Flips a bit of a certain byte, if the disk may be damaged.
    pub fn rot_at(&mut self, node: NodeId, path: &Path, offset: u64) -> Option<Harm> {
        self.disk(node, "bit-rot", (offset, 0), |disk, _| {
            if !disk.faults.permitted {
                return None;
            }
            let ino = disk.tree.lookup(path).ok()?;
            disk.rot(ino, offset)
        })
    }

    /// Makes a sector somewhere on a node's disk unreadable until it is written again, if it may be
    /// damaged. Gives back which.
    pub fn lose_a_sector(&mut self, node: NodeId) -> Option<Harm> {
        self.disk(node, "latent-sector", (0, 0), |disk, _| {
            if !disk.faults.permitted {
                return None;
            }
            let (ino, offset) = disk.choose_victim()?;
            disk.lose_sector(ino, offset / SECTOR)
        })
    }

    /// Makes a certain sector unreadable until it is written again, if the disk may be damaged.
    pub fn lose_sector_at(&mut self, node: NodeId, path: &Path, offset: u64) -> Option<Harm> {
        self.disk(node, "latent-sector", (offset, 0), |disk, _| {
            if !disk.faults.permitted {
                return None;
            }
            let ino = disk.tree.lookup(path).ok()?;
            disk.lose_sector(ino, offset / SECTOR)
        })
    }

    /// Makes the next write on a node's disk go astray, if it may be damaged.
    pub fn misdirect_next_write(&mut self, node: NodeId) {
        self.disk(node, "misdirect", (0, 0), |disk, _| {
            disk.faults.misdirected_write.arm()
        });
    }

    /// Makes reads give, for a while, what the next write overwrites, if the disk may be damaged.
    pub fn stale_reads_after_next_write(&mut self, node: NodeId) {
        self.disk(node, "stale", (0, 0), |disk, _| {
            disk.faults.stale_read.arm()
        });
    }

    /// Puts an empty disk in place of a node's.
    ///
    /// # Panics
    /// If a process runs on the node.
    pub fn empty_disk(&mut self, node: NodeId) {
        assert!(
            !self.is_running(node),
            "disks are changed while nobody uses them"
        );
        self.disk(node, "empty-disk", (0, 0), |disk, _| disk.empty());
    }

    /// Swaps the disks of two nodes.
    ///
    /// # Panics
    /// If a process runs on either.
    pub fn swap_disks(&mut self, a: NodeId, b: NodeId) {
        let idle = !self.is_running(a) && !self.is_running(b);
        assert!(idle, "disks are changed while nobody uses them");
        let mut core = self.core();
        let (first, second) = (core.nodes[a.index()].disk, core.nodes[b.index()].disk);
        core.nodes[a.index()].disk = second;
        core.nodes[b.index()].disk = first;
        for disk in [first, second] {
            core.disks[disk as usize].swapped();
        }
        let event = Event::Fault {
            kind: "swap-disks",
            a: u64::from(a.0),
            b: u64::from(b.0),
        };
        core.trace(NOBODY, event);
    }

    /// All damage done to a node's disk so far.
    #[must_use]
    pub fn harms(&self, node: NodeId) -> Vec<Harm> {
        self.harm_log(node).after(0)
    }

    /// The record of damage done to the disk that is a node's now; it goes on with the disk.
    #[must_use]
    pub fn harm_log(&self, node: NodeId) -> HarmLog {
        self.core().disk_of(node.0).faults.harms.clone()
    }

    /// The files on a node's disk by the names that calls see, and the room that each takes up in bytes.
    #[must_use]
    pub fn files(&self, node: NodeId) -> BTreeMap<String, u64> {
        let mut core = self.core();
        let disk = core.disk_of(node.0);
        let named = disk.tree.files().filter_map(|(ino, file)| {
            let path = disk.tree.path_of(ino)?;
            Some((path, file.pages_used() * PAGE))
        });
        named.collect()
    }

    /// A file, by the name that calls see, as the medium holds it: for crash enumerators and oracles.
    /// `None` if there is none.
    #[must_use]
    pub fn durable_bytes(&self, node: NodeId, path: &Path) -> Option<Bytes> {
        let mut core = self.core();
        let disk = core.disk_of(node.0);
        let file = disk.tree.file(disk.tree.lookup(path).ok()?)?;
        Some(
            file.durable
                .read(0, usize::try_from(file.durable.len()).ok()?),
        )
    }

    /// A file as calls see it; `None` if there is none.
    #[must_use]
    pub fn visible_bytes(&self, node: NodeId, path: &Path) -> Option<Bytes> {
        let mut core = self.core();
        let disk = core.disk_of(node.0);
        let file = disk.tree.file(disk.tree.lookup(path).ok()?)?;
        Some(
            file.visible
                .read(0, usize::try_from(file.visible.len()).ok()?),
        )
    }
}

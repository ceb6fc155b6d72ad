//! Carries a fault out.

use std::collections::BTreeMap;

use world::{AfterFailure, World};

use super::supervisor::{DiskIn, Site};
use super::{AfterSync, Fault, disks};

const MS: u64 = 1_000_000;

/// Does to the nodes of a site what `fault` says. What acts at once is counted if there was a process for it
/// to act on; what lies in wait is counted by the world when it strikes.
pub fn apply(world: &mut World, site: &Site, fault: &Fault) {
    if site.is_healing() {
        return;
    }
    let broker = site.broker;
    let count = |world: &World, node| {
        if world.is_running(node) {
            site.history.exercised(fault.name());
        }
    };
    match *fault {
        Fault::Kill { down_ms } => {
            count(world, broker);
            world.kill(broker);
            site.broker_down_until(world, down_ms);
        }
        Fault::PowerLoss { down_ms } => {
            count(world, broker);
            site.history.power_lost();
            world.lose_power(broker);
            site.broker_down_until(world, down_ms);
        }
        Fault::SlowBoot {
            down_ms,
            factor,
            ms,
        } => {
            count(world, broker);
            site.history.power_lost();
            world.lose_power(broker);
            site.broker_down_until(world, down_ms);
            world.slow_disk(broker, factor, (down_ms + ms) * MS);
        }
        Fault::CrashLoop {
            times,
            up_ms,
            power,
        } => crash_loop(world, site, times, up_ms, power, false),
        Fault::CleanRestart {
            down_ms,
            patience_ms,
        } => {
            count(world, broker);
            site.stop_cleanly(world, patience_ms, down_ms);
        }
        Fault::Pause { ms, clock_goes_on } => {
            count(world, broker);
            world.pause(broker, ms * MS, clock_goes_on);
        }
        Fault::KillClient { client, down_ms } => {
            let client = site.client(client);
            count(world, client);
            world.kill(client);
            site.client_down_until(world, client, down_ms);
        }
        Fault::PauseClient { client, ms } => {
            let client = site.client(client);
            count(world, client);
            world.pause(client, ms * MS, true);
        }
        Fault::ForeignDisk { ms, .. } | Fault::EmptyDisk { ms } => {
            disks::put_in(world, site, fault, ms);
        }
        Fault::FailSync { after } => {
            site.history.disk_failed();
            let after = match after {
                AfterSync::Dropped => AfterFailure::Dropped,
                AfterSync::Kept => AfterFailure::KeptUntilEvicted,
                AfterSync::Dirty => AfterFailure::Dirty,
            };
            world.fail_next_sync(broker, after);
        }
        Fault::IoErrors { reads, writes } => {
            site.history.disk_failed();
            world.fail_next_calls(broker, reads, writes);
        }
        Fault::NoSpace { calls } => {
            site.history.disk_failed();
            world.deny_space(broker, calls);
        }
        Fault::DiskFull { ms, bytes_left } => {
            site.history.disk_failed();
            world.set_free_bytes(broker, bytes_left);
            let until = world.now_ns() + ms * MS;
            let control = site.control.clone();
            world.at(until, move |world| {
                // The disk that was full may be in another machine by now.
                for node in [Some(broker), control.spare()].into_iter().flatten() {
                    world.set_free_bytes(node, 8 << 30);
                }
            });
        }
        Fault::DiskFullForGood { bytes_left } => fill_for_good(world, site, bytes_left),
        Fault::SlowDisk { factor, ms } => world.slow_disk(broker, factor, ms * MS),
        Fault::StallDisk { ms } => world.stall_disk(broker, ms * MS),
        Fault::Partition {
            client,
            ms,
            to_broker,
            from_broker,
        } => {
            let client = site.client(client);
            if to_broker || from_broker {
                site.history.exercised(fault.name());
            }
            let mut cut = Vec::new();
            if to_broker {
                cut.push((client, broker));
            }
            if from_broker {
                cut.push((broker, client));
            }
            for (from, to) in &cut {
                world.cut_link(*from, *to);
            }
            let until = world.now_ns() + ms * MS;
            let control = site.control.clone();
            world.at(until, move |world| {
                // Whoever keeps everybody away frees the links in the end.
                if control.disk_in() == DiskIn::Empty {
                    return;
                }
                for (from, to) in cut {
                    world.free_link(from, to);
                }
            });
        }
        Fault::WallJump { by_ms } => {
            if world.is_running(broker) {
                site.history.exercised(if by_ms < 0 {
                    "wall-jump-back"
                } else {
                    "wall-jump-forward"
                });
            }
            site.jump_broker_wall(world, by_ms);
        }
        Fault::ClockRate { ppm } => world.set_clock_rate(broker, ppm),
        Fault::BitRot => {
            world.rot_a_bit(broker);
        }
        Fault::LatentSector => {
            world.lose_a_sector(broker);
        }
        Fault::Misdirect => world.misdirect_next_write(broker),
        Fault::StaleReads => world.stale_reads_after_next_write(broker),
    }
}

/// Room that must be there for the deleting before a disk is filled for good, in bytes: enough for all that is
/// kept back, and for the load to go on a while.
const DELETABLE_MIN: u64 = 1 << 20;

/// Fills the disk as soon as closed segments of the load take up enough of it.
fn fill_for_good(world: &mut World, site: &Site, bytes_left: u64) {
    let segments: BTreeMap<String, u64> = (world.files(site.broker).into_iter())
        .filter(|(path, _)| path.starts_with("/data/load-") && path.ends_with(".log"))
        .collect();
    let dir_of = |path: &str| path.rsplit_once('/').map(|(dir, _)| dir.to_owned());
    let closed = segments.iter().zip(segments.keys().skip(1));
    // The last one of a directory is being written.
    let deletable: u64 = closed
        .filter(|((path, _), next)| dir_of(path) == dir_of(next))
        .map(|((_, bytes), _)| bytes)
        .sum();
    if deletable >= DELETABLE_MIN {
        site.history.disk_failed();
        site.history.exercised("disk-full-for-good");
        world.set_free_bytes(site.broker, bytes_left);
        return;
    }
    let (site, soon) = (site.clone(), world.now_ns() + 50 * MS);
    world.at(soon, move |world| {
        if !site.is_healing() {
            fill_for_good(world, &site, bytes_left);
        }
    });
}

/// One crash now, and the others each a little after the start that follows. It is a loop, and counts, once a
/// process that came up after a crash meets the next.
fn crash_loop(world: &mut World, site: &Site, times: u32, up_ms: u64, power: bool, follows: bool) {
    if follows && world.is_running(site.broker) {
        site.history.exercised("crash-loop");
    }
    if power {
        site.history.power_lost();
        world.lose_power(site.broker);
    } else {
        world.kill(site.broker);
    }
    site.broker_down_until(world, 1);
    let (site, up) = (site.clone(), world.now_ns() + MS);
    world.at(up, move |world| {
        // Not the operator, who looks now and then: what restarts a service does so at once.
        site.start_if_due(world, site.broker);
        let crash = world.now_ns() + up_ms * MS;
        if times > 1 {
            world.at(crash, move |world| {
                if !site.is_healing() {
                    crash_loop(world, &site, times - 1, up_ms, power, true);
                }
            });
        }
    });
}

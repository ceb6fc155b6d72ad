//! Carries a fault out.

use world::{AfterFailure, World};

use super::Fault;
use super::supervisor::Site;

const MS: u64 = 1_000_000;

/// Does to the nodes of a site what `fault` says.
pub fn apply(world: &mut World, site: &Site, fault: &Fault) {
    if site.is_healing() {
        return;
    }
    site.history.exercised(fault.name());
    let broker = site.broker;
    match *fault {
        Fault::Kill { down_ms } => {
            world.kill(broker);
            site.broker_down_until(world, down_ms);
        }
        Fault::PowerLoss { down_ms } => {
            site.history.power_lost();
            world.lose_power(broker);
            site.broker_down_until(world, down_ms);
        }
        Fault::CrashLoop {
            times,
            up_ms,
            power,
        } => crash_loop(world, site, times, up_ms, power),
        Fault::CleanRestart {
            down_ms,
            patience_ms,
        } => site.stop_cleanly(world, patience_ms, down_ms),
        Fault::Pause { ms, clock_goes_on } => world.pause(broker, ms * MS, clock_goes_on),
        Fault::KillClient { client, down_ms } => {
            let client = site.client(client);
            world.kill(client);
            site.client_down_until(world, client, down_ms);
        }
        Fault::PauseClient { client, ms } => world.pause(site.client(client), ms * MS, true),
        Fault::FailSync { drops } => {
            site.history.disk_failed();
            let after = if drops {
                AfterFailure::Dropped
            } else {
                AfterFailure::KeptUntilEvicted
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
            world.at(until, move |world| world.set_free_bytes(broker, 8 << 30));
        }
        Fault::SlowDisk { factor, ms } => world.slow_disk(broker, factor, ms * MS),
        Fault::StallDisk { ms } => world.stall_disk(broker, ms * MS),
        Fault::Partition {
            client,
            ms,
            to_broker,
            from_broker,
        } => {
            let client = site.client(client);
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
            world.at(until, move |world| {
                for (from, to) in cut {
                    world.free_link(from, to);
                }
            });
        }
        Fault::WallJump { by_ms } => world.jump_wall_clock(broker, by_ms),
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

/// One crash now, and the others each a little after the start that follows.
fn crash_loop(world: &mut World, site: &Site, times: u32, up_ms: u64, power: bool) {
    if power {
        site.history.power_lost();
        world.lose_power(site.broker);
    } else {
        world.kill(site.broker);
    }
    site.broker_down_until(world, 1);
    if times > 1 {
        let (again, until) = (site.clone(), world.now_ns() + (1 + up_ms) * MS);
        world.at(until, move |world| {
            if !again.is_healing() {
                crash_loop(world, &again, times - 1, up_ms, power);
            }
        });
    }
}

//! A run drawn from a seed. Each class of fault is off in about half of all seeds, and so is each kind of
//! client: what one of them hides another seed shows.

use std::collections::BTreeMap;

use world::seed::{ChaCha8Rng, Draw, Mixer};

use crate::faults::{AfterSync, Fault, Planned, Whose};
use crate::scenario::{
    Admin, Cluster, Consumer, Ending, Group, Hostile, Producer, Scenario, Sending, Team, Topic,
    WorldFaults,
};

/// Draws a run.
#[must_use]
pub fn draw(seed: u64) -> Scenario {
    let mut rng = Mixer::new(seed).with("scenario").stream();
    let rng = &mut rng;
    // Damage makes for other verdicts, and so for runs of its own.
    let damage = rng.chance(100_000);
    let world = WorldFaults {
        network: rng.coin(),
        disk_errors: rng.chance(250_000),
        disk_slow: rng.coin(),
        clocks: rng.coin(),
        scheduling: rng.coin(),
        buggify: rng.coin(),
        damage,
    };
    let storm_ms = rng.between(1_500, 8_000);
    let topics: Vec<Topic> = (0..1 + rng.index(3))
        .map(|index| topic(rng, index))
        .collect();
    let mut producers = Vec::new();
    for _ in 0..1 + rng.index(4) {
        producers.push(producer(rng, topics.len()));
    }
    let mut consumers: Vec<Consumer> = (0..rng.index(3))
        .map(|_| consumer(rng, topics.len()))
        .collect();
    for consumer in &mut consumers {
        // Readers before version 10 are refused what zstd compressed.
        let index = consumer.topic;
        let zstd = topics[index]
            .configs
            .get("compression.type")
            .is_some_and(|c| c == "zstd");
        if zstd || producers.iter().any(|p| p.topic == index && p.codec == 4) {
            consumer.version_max = consumer.version_max.max(11);
        }
    }
    let groups = if rng.coin() {
        (0..1 + rng.index(2))
            .map(|index| group(rng, index, topics.len()))
            .collect()
    } else {
        Vec::new()
    };
    let admins = if rng.chance(400_000) {
        vec![Admin {
            operations: 5 + rng.below(30) as u32,
            pause_ms_max: rng.magnitude(5, 400),
            deletes_records: rng.coin(),
        }]
    } else {
        Vec::new()
    };
    let hostiles = if rng.chance(300_000) {
        vec![Hostile {
            operations: 5 + rng.below(30) as u32,
            pause_ms_max: rng.magnitude(5, 300),
        }]
    } else {
        Vec::new()
    };
    let members: usize = groups.iter().map(|group| group.members as usize).sum();
    // The last one is whoever makes the topics.
    let clients = producers.len() + consumers.len() + members + admins.len() + hostiles.len() + 1;
    let mut scenario = Scenario {
        seed,
        schedule: seed,
        storm_ms,
        // What is damaged may keep somebody waiting for good.
        drain_ms: if damage { 15_000 } else { 120_000 },
        ending: [
            Ending::Nothing,
            Ending::CleanRestart,
            Ending::Kill,
            Ending::PowerLoss,
        ][rng.index(4)],
        last_jump_ms: 0,
        cluster: cluster(rng),
        world,
        topics,
        producers,
        consumers,
        groups,
        teams: Vec::new(),
        admins,
        hostiles,
        faults: all_faults(seed, faults(rng, storm_ms, clients, damage), storm_ms),
    };
    expiry(seed, &mut scenario);
    later(seed, &mut scenario);
    teams(seed, clients, &mut scenario);
    scenario
}

/// In some of the runs with groups their offsets expire so soon that a jump of the clock lets them, or almost.
fn expiry(seed: u64, scenario: &mut Scenario) {
    let mut rng = Mixer::new(seed).with("scenario").with("expiry").stream();
    let rng = &mut rng;
    if scenario.groups.is_empty() || !rng.chance(400_000) {
        return;
    }
    let minutes = rng.magnitude(1, 10);
    let configs = &mut scenario.cluster.configs;
    configs.insert("offsets.retention.minutes".to_owned(), text(minutes));
    configs.insert(
        "offsets.retention.check.interval.ms".to_owned(),
        text(rng.magnitude(50, 2_000)),
    );
    for group in &mut scenario.groups {
        // Only what no member reads any more expires.
        group.leave_ppm = group.leave_ppm.max(rng.magnitude(20_000, 300_000) as u32);
    }
    for _ in 0..1 + rng.below(4) {
        let by_ms = (minutes * 60_000 * rng.between(30, 130) / 100) as i64;
        scenario.faults.push(Planned {
            at_ms: rng.below(scenario.storm_ms),
            fault: Fault::WallJump { by_ms },
        });
    }
    scenario.faults.sort_by_key(|planned| planned.at_ms);
    // No member is left by then.
    scenario.last_jump_ms = (minutes * 60_000 * rng.between(50, 120) / 100) as i64;
}

/// Draws that came later than the others, from a stream of their own.
fn later(seed: u64, scenario: &mut Scenario) {
    let mut rng = Mixer::new(seed).with("scenario").with("full").stream();
    let rng = &mut rng;
    if scenario.world.damage || !rng.chance(30_000) {
        return;
    }
    // A disk that is full until something is deleted: there must be much to delete, in small segments, and
    // nobody else may give the disk room.
    scenario.faults.retain(|planned| {
        !matches!(
            planned.fault,
            Fault::DiskFull { .. } | Fault::EmptyDisk { .. } | Fault::ForeignDisk { .. }
        )
    });
    scenario.cluster.segment_bytes_max = rng.magnitude(20_000, 60_000) as u32;
    scenario.storm_ms = scenario.storm_ms.max(5_000);
    for topic in &mut scenario.topics {
        topic.configs.remove("preallocate");
        if rng.coin() {
            topic
                .configs
                .insert("retention.bytes".to_owned(), text(100_000));
        }
    }
    for producer in &mut scenario.producers {
        producer.records = producer.records.max(rng.between(300, 600) as u32);
        producer.value_bytes_max = rng.magnitude(10_000, 40_000);
        producer.pause_ms_max = rng.magnitude(1, 10);
    }
    let at_ms = rng.below(scenario.storm_ms / 2);
    let bytes_left = rng.magnitude(1, 200_000) - 1;
    scenario.faults.push(Planned {
        at_ms,
        fault: Fault::DiskFullForGood { bytes_left },
    });
    scenario.faults.sort_by_key(|planned| planned.at_ms);
}

/// In some of the runs, a group whose members read with our own consumer. `others` is how many clients there are.
fn teams(seed: u64, others: usize, scenario: &mut Scenario) {
    let mut rng = Mixer::new(seed).with("scenario").with("teams").stream();
    let rng = &mut rng;
    // Where offsets expire, groups are forgotten, and count their generations anew.
    let expire = scenario
        .cluster
        .configs
        .contains_key("offsets.retention.minutes");
    if expire || !rng.chance(400_000) {
        return;
    }
    let team = Team {
        id: "team".to_owned(),
        topic: rng.index(scenario.topics.len()),
        members: 1 + rng.below(3) as u32,
        fixed: rng.chance(300_000),
        cooperative: rng.coin(),
        session_ms: rng.magnitude(400, 3_000),
        rebalance_ms: rng.magnitude(400, 3_000),
        commit_ms: rng.magnitude(10, 1_000),
        poll_records_max: rng.magnitude(1, 100) as usize,
        leave_ppm: rng.magnitude(1, 30_000) as u32,
        sleep_ppm: rng.magnitude(1, 10_000) as u32,
    };
    // Its members come behind all others.
    let full = |planned: &Planned| matches!(planned.fault, Fault::DiskFullForGood { .. });
    let first = others + usize::from(scenario.faults.iter().any(full));
    let storm_ms = scenario.storm_ms;
    let client = |rng: &mut ChaCha8Rng| first + rng.index(team.members as usize);
    let all = &mut scenario.faults;
    class(rng, all, storm_ms, 4, |rng| Fault::KillClient {
        client: client(rng),
        down_ms: rng.magnitude(1, 1_000),
    });
    class(rng, all, storm_ms, 2, |rng| Fault::PauseClient {
        client: client(rng),
        ms: rng.magnitude(1, 4_000),
    });
    class(rng, all, storm_ms, 3, |rng| Fault::Partition {
        client: client(rng),
        ms: rng.magnitude(10, 4_000),
        to_broker: rng.coin(),
        from_broker: rng.coin(),
    });
    all.sort_by_key(|planned| planned.at_ms);
    scenario.teams.push(team);
}

fn text(value: impl ToString) -> String {
    value.to_string()
}

fn cluster(rng: &mut ChaCha8Rng) -> Cluster {
    let mut configs = BTreeMap::new();
    let mut set = |key: &str, value: u64| configs.insert(key.to_owned(), text(value));
    set("log.retention.check.interval.ms", rng.magnitude(100, 5_000));
    set("group.initial.rebalance.delay.ms", rng.below(300));
    set("group.min.session.timeout.ms", 100);
    set("offsets.topic.num.partitions", 1 + rng.below(3));
    set("offsets.topic.replication.factor", 1);
    Cluster {
        shards: 1 + rng.index(3),
        direct: rng.coin(),
        configs,
        in_flight_max: 1 + rng.index(16),
        fetch_sessions_max: rng.index(4),
        segment_bytes_max: rng.magnitude(8_000, 200_000) as u32,
        queued_bytes_max: rng.magnitude(200_000, 10_000_000) as usize,
    }
}

fn topic(rng: &mut ChaCha8Rng, index: usize) -> Topic {
    let mut configs = BTreeMap::new();
    let mut set = |key: &str, value: String| configs.insert(key.to_owned(), value);
    set("index.interval.bytes", text(rng.magnitude(1, 8_192) - 1));
    if rng.chance(200_000) {
        set("segment.ms", text(rng.magnitude(50, 5_000)));
    }
    if rng.coin() {
        set("preallocate", text("true"));
    }
    if rng.chance(150_000) {
        set("retention.bytes", text(rng.magnitude(10_000, 100_000)));
    }
    if rng.chance(150_000) {
        let codec = ["uncompressed", "gzip", "lz4", "zstd", "snappy"][rng.index(5)];
        set("compression.type", text(codec));
    }
    if rng.chance(100_000) {
        set("message.timestamp.type", text("LogAppendTime"));
    }
    Topic {
        name: format!("load-{index}"),
        partitions: 1 + rng.below(3) as i32,
        synced: rng.chance(700_000),
        configs,
    }
}

fn producer(rng: &mut ChaCha8Rng, topics: usize) -> Producer {
    let sending = match rng.below(10) {
        0..4 => Sending::Idempotent,
        4..7 => Sending::Insistent,
        7 => Sending::All,
        8 => Sending::Leader,
        _ => Sending::None,
    };
    Producer {
        topic: rng.index(topics),
        sending,
        codec: rng.below(5) as i8,
        keyed: rng.coin(),
        records: rng.magnitude(20, 200) as u32,
        value_bytes_max: rng.magnitude(16, 3_000),
        pause_ms_max: rng.magnitude(1, 100),
        linger_ms: rng.below(20),
        in_flight: 1 + rng.index(5),
    }
}

fn consumer(rng: &mut ChaCha8Rng, topics: usize) -> Consumer {
    Consumer {
        topic: rng.index(topics),
        fetch_bytes_max: rng.magnitude(100, 1 << 20) as i32,
        wait_ms: rng.magnitude(1, 1_000) as i32 - 1,
        version_max: [4, 6, 7, 11, 12, 13, 17][rng.index(7)],
        again_ppm: rng.magnitude(1, 300_000) as u32,
        sessions: rng.coin(),
        committed: rng.coin(),
    }
}

fn group(rng: &mut ChaCha8Rng, index: usize, topics: usize) -> Group {
    Group {
        id: format!("group-{index}"),
        topic: rng.index(topics),
        members: 1 + rng.below(3) as u32,
        fixed: rng.chance(300_000),
        session_ms: rng.magnitude(300, 3_000) as i32,
        rebalance_ms: rng.magnitude(300, 3_000) as i32,
        leave_ppm: rng.magnitude(1, 100_000) as u32,
        sleep_ppm: rng.magnitude(1, 100_000) as u32,
    }
}

/// Adds a few faults of a class, or none.
fn class(
    rng: &mut ChaCha8Rng,
    all: &mut Vec<Planned>,
    storm_ms: u64,
    most: u64,
    mut one: impl FnMut(&mut ChaCha8Rng) -> Fault,
) {
    if rng.coin() {
        return;
    }
    for _ in 0..1 + rng.below(most) {
        all.push(Planned {
            at_ms: rng.below(storm_ms),
            fault: one(rng),
        });
    }
}

/// Adds faults that came later than the others, from a stream of their own: what a seed did before they were
/// there it does still.
fn all_faults(seed: u64, mut all: Vec<Planned>, storm_ms: u64) -> Vec<Planned> {
    let mut rng = Mixer::new(seed).with("scenario").with("later").stream();
    let rng = &mut rng;
    for planned in &mut all {
        if let Fault::FailSync { after } = &mut planned.fault
            && rng.below(3) == 0
        {
            *after = AfterSync::Dirty;
        }
    }
    if rng.chance(250_000) {
        class(rng, &mut all, storm_ms, 2, |rng| Fault::SlowBoot {
            down_ms: rng.magnitude(1, 500),
            factor: rng.magnitude(2, 100),
            ms: rng.magnitude(10, 3_000),
        });
    }
    // Another disk makes for a long silence, so few runs have one, and then one kind.
    if rng.chance(60_000) {
        class(rng, &mut all, storm_ms, 2, |rng| Fault::ForeignDisk {
            whose: [Whose::OtherNode, Whose::OtherCluster, Whose::Nobody][rng.index(3)],
            ms: rng.magnitude(50, 1_000),
        });
    } else if rng.chance(60_000) {
        class(rng, &mut all, storm_ms, 2, |rng| Fault::EmptyDisk {
            ms: rng.magnitude(50, 2_000),
        });
    }
    all.sort_by_key(|planned| planned.at_ms);
    all
}

fn faults(rng: &mut ChaCha8Rng, storm_ms: u64, clients: usize, damage: bool) -> Vec<Planned> {
    let mut all = Vec::new();
    let down = |rng: &mut ChaCha8Rng| rng.magnitude(1, 1_000);
    class(rng, &mut all, storm_ms, 4, |rng| Fault::Kill {
        down_ms: down(rng),
    });
    class(rng, &mut all, storm_ms, 4, |rng| Fault::PowerLoss {
        down_ms: down(rng),
    });
    // Half of a half: with fewer crashes there is more to lose in each.
    if rng.coin() {
        class(rng, &mut all, storm_ms, 2, |rng| Fault::CrashLoop {
            times: 2 + rng.below(5) as u32,
            up_ms: rng.magnitude(1, 300),
            power: rng.coin(),
        });
    }
    class(rng, &mut all, storm_ms, 3, |rng| Fault::CleanRestart {
        down_ms: down(rng),
        patience_ms: rng.magnitude(1, 5_000) as i64,
    });
    class(rng, &mut all, storm_ms, 3, |rng| Fault::Pause {
        ms: rng.magnitude(1, 3_000),
        clock_goes_on: rng.coin(),
    });
    class(rng, &mut all, storm_ms, 4, |rng| Fault::KillClient {
        client: rng.index(clients),
        down_ms: down(rng),
    });
    class(rng, &mut all, storm_ms, 3, |rng| Fault::PauseClient {
        client: rng.index(clients),
        ms: rng.magnitude(1, 4_000),
    });
    class(rng, &mut all, storm_ms, 2, |rng| Fault::FailSync {
        after: if rng.coin() {
            AfterSync::Dropped
        } else {
            AfterSync::Kept
        },
    });
    // What cannot be read counts as damaged.
    class(rng, &mut all, storm_ms, 2, |rng| Fault::IoErrors {
        reads: if damage { rng.below(3) as u32 } else { 0 },
        writes: 1 + rng.below(2) as u32,
    });
    class(rng, &mut all, storm_ms, 2, |rng| Fault::NoSpace {
        calls: 1 + rng.below(4) as u32,
    });
    class(rng, &mut all, storm_ms, 1, |rng| Fault::DiskFull {
        ms: rng.magnitude(50, 3_000),
        bytes_left: rng.magnitude(1, 100_000) - 1,
    });
    class(rng, &mut all, storm_ms, 3, |rng| Fault::SlowDisk {
        factor: rng.magnitude(2, 100),
        ms: rng.magnitude(10, 3_000),
    });
    class(rng, &mut all, storm_ms, 3, |rng| Fault::StallDisk {
        ms: rng.magnitude(10, 3_000),
    });
    class(rng, &mut all, storm_ms, 4, |rng| Fault::Partition {
        client: rng.index(clients),
        ms: rng.magnitude(10, 4_000),
        to_broker: rng.coin(),
        from_broker: rng.coin(),
    });
    class(rng, &mut all, storm_ms, 3, |rng| Fault::WallJump {
        by_ms: rng.magnitude(1, 86_400_000) as i64 * if rng.coin() { 1 } else { -1 },
    });
    class(rng, &mut all, storm_ms, 2, |rng| Fault::ClockRate {
        ppm: rng.magnitude(10, 200_000) as i64 * if rng.coin() { 1 } else { -1 },
    });
    if damage {
        class(rng, &mut all, storm_ms, 3, |_| Fault::BitRot);
        class(rng, &mut all, storm_ms, 2, |_| Fault::LatentSector);
        class(rng, &mut all, storm_ms, 2, |_| Fault::Misdirect);
        class(rng, &mut all, storm_ms, 2, |_| Fault::StaleReads);
    }
    all.sort_by_key(|planned| planned.at_ms);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn scenarios_are_data_and_differ() {
        let mut met = BTreeSet::new();
        for seed in 0..400 {
            let scenario = draw(seed);
            let again = Scenario::from_toml(&scenario.to_toml()).expect("what was written is read");
            assert_eq!(scenario, again);
            met.extend(scenario.faults.iter().map(|planned| planned.fault.name()));
        }
        let all: BTreeSet<_> = Fault::NAMES.into_iter().collect();
        assert_eq!(met, all);
    }

    #[test]
    fn every_client_may_be_hit() {
        let (mut last_is_hit, mut team_is_hit, mut expire) = (0, 0, 0);
        for seed in 0..400 {
            let scenario = draw(seed);
            let members: u32 = scenario.groups.iter().map(|group| group.members).sum();
            let clients = scenario.producers.len()
                + scenario.consumers.len()
                + members as usize
                + scenario.admins.len()
                + scenario.hostiles.len()
                + 1;
            let hit = scenario.faults.iter().filter_map(|p| match p.fault {
                Fault::KillClient { client, .. }
                | Fault::PauseClient { client, .. }
                | Fault::Partition { client, .. } => Some(client),
                _ => None,
            });
            let hit: BTreeSet<usize> = hit.collect();
            // Behind them comes whoever cleans up a full disk, and then the team.
            let full = |planned: &Planned| matches!(planned.fault, Fault::DiskFullForGood { .. });
            let first = clients + usize::from(scenario.faults.iter().any(full));
            let team: u32 = scenario.teams.iter().map(|team| team.members).sum();
            let all = first + team as usize;
            assert!(hit.iter().all(|client| *client < all), "{seed}");
            last_is_hit += u32::from(hit.contains(&(clients - 1)));
            team_is_hit += u32::from(hit.contains(&(all - 1)) && team > 0);
            expire += u32::from(scenario.last_jump_ms > 0);
        }
        assert!(last_is_hit > 50, "{last_is_hit}");
        assert!(team_is_hit > 50, "{team_is_hit}");
        assert!((40..120).contains(&expire), "{expire}");
    }

    #[test]
    fn each_class_is_off_in_about_half_of_all_seeds() {
        let with = |name: &str| {
            (0..400)
                .filter(|seed| draw(*seed).faults.iter().any(|p| p.fault.name() == name))
                .count()
        };
        for name in ["kill", "power-loss", "pause", "fail-sync", "partition"] {
            assert!((150..250).contains(&with(name)), "{name}: {}", with(name));
        }
    }
}

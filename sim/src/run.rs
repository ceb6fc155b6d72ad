//! One scenario, from the first start to the verdict: a storm, then peace in which everybody must finish,
//! then everything is read back and judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use broker::{BrokerConfig, Limits, ListenerConfig};
use env::OpenMode;
use types::BrokerId;
use world::{Damage, Failure, Fingerprint, Profile, SimEnv, TraceOptions, World};

use crate::faults::supervisor::{Control, DiskIn, Site, broker_process};
use crate::faults::{self, CLUSTER, Fault, Planned};
use crate::history::{History, Needs};
use crate::oracles::{NO_PANIC, Violation, liveness};
use crate::scenario::{Ending, Scenario};
use crate::workloads::{Client, admin, audit, consume, group, hostile, produce, team};

const MS: u64 = 1_000_000;
/// The world turns for so long between two looks at the verdict.
const SLICE_MS: u64 = 20;
/// Whoever has no excuse may take so long, whatever the scenario says.
const DRAIN_MS: u64 = 120_000;
/// How long a client waits for an answer, in ms of its own clock.
const PATIENCE_MS: u64 = 3_000;
/// The same of whoever reads everything back.
const AUDIT_PATIENCE_MS: u64 = 5_000;

/// A broken invariant, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFailure {
    /// What is broken.
    pub violation: Violation,
    /// When it was seen, in the world's time.
    pub at_ns: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is broken, if anything.
    pub failure: Option<RunFailure>,
    /// What the run is compared with another by.
    pub fingerprint: Fingerprint,
    /// How often each fault, and each thing worth counting, took place.
    pub exercised: BTreeMap<&'static str, u64>,
    /// How often each invariant was judged.
    pub evaluations: BTreeMap<&'static str, u64>,
    /// Events.
    pub events: u64,
    /// Simulated nanoseconds.
    pub simulated_ns: u64,
    /// The last events, if they were asked for.
    pub tail: Vec<String>,
}

/// Runs a scenario.
#[must_use]
pub fn run_scenario(scenario: &Scenario, trace: TraceOptions) -> (Outcome, World) {
    let mut world = World::traced(scenario.schedule, profile(scenario), trace);
    let history = History::new(!scenario.world.disk_errors);
    let end = drive(&mut world, scenario, &history);
    if let Err(failure) = end {
        judge_failure(&failure, &history);
    }
    let inner = history.lock();
    let outcome = Outcome {
        failure: inner.judge.violation.clone().map(|violation| RunFailure {
            violation,
            at_ns: world.now_ns(),
        }),
        fingerprint: world.fingerprint(),
        exercised: BTreeMap::new(),
        evaluations: inner.judge.evaluations.clone(),
        events: world.events(),
        simulated_ns: world.now_ns(),
        tail: world.with_trace(|trace| trace.tail().map(str::to_owned).collect()),
    };
    drop(inner);
    let mut exercised = history.exercises();
    exercised.extend(world.strikes());
    (
        Outcome {
            exercised,
            ..outcome
        },
        world,
    )
}

/// A world that could not go on broke an invariant, too.
fn judge_failure(failure: &Failure, history: &History) {
    let invariant = match failure {
        // The oracles know already.
        Failure::Violation(_) if history.violation().is_some() => return,
        Failure::Panic { .. } | Failure::Tripwire { .. } | Failure::Violation(_) => NO_PANIC,
        Failure::Hangs { .. }
        | Failure::Deadlock { .. }
        | Failure::TimedOut
        | Failure::Stopped(_) => "V1",
    };
    history.violated(invariant, failure.to_string());
}

/// The world's own faults, as far as the scenario lets them happen.
fn profile(scenario: &Scenario) -> Profile {
    let allowed = &scenario.world;
    let damage = if allowed.damage {
        Damage::Reported
    } else {
        Damage::None
    };
    let (calm, mut profile) = (Profile::calm(), Profile::swarm(scenario.schedule, damage));
    if allowed.network {
        // Time is short: a window of a few bytes over a slow link shows nothing that a larger one hides.
        let network = &mut profile.network;
        network.window.start = network.window.start.max(4_096);
        network.window.end = network.window.end.max(8_192);
        network.stall_ns_max = network.stall_ns_max.min(10_000 * MS);
        network.connect_timeout_ns = network.connect_timeout_ns.min(10_000 * MS);
        network.retransmit_ns = 2_000 * MS..10_000 * MS;
    } else {
        profile.network = calm.network;
    }
    if !allowed.disk_errors {
        let disk = &mut profile.disk;
        for chance in [
            &mut disk.read_error_ppm,
            &mut disk.write_error_ppm,
            &mut disk.sync_error_ppm,
            &mut disk.no_space_ppm,
        ] {
            *chance = 0;
        }
    }
    if !allowed.disk_slow {
        let disk = &mut profile.disk;
        (disk.slow_ppm, disk.stall_ppm) = (0, 0);
    }
    if !allowed.clocks {
        profile.clock_rate_ppm_max = 0;
        profile.wall_offset_ms_max = 0;
    }
    if !allowed.scheduling {
        profile.schedule = calm.schedule;
        profile.spurious_poll_ppm = 0;
        profile.poll_cost_ns_max = 0;
        profile.timer_slack_ns_max = 0;
    }
    profile.buggify = allowed.buggify;
    if allowed.damage {
        // Sectors that are rewritten are rare enough.
        profile.disk.tail_garbage_ppm = profile.disk.tail_garbage_ppm.max(300_000);
    } else {
        profile.disk.tail_garbage_ppm = 0;
        // What cannot be read counts as damaged.
        profile.disk.read_error_ppm = 0;
        profile.disk.sticky_error_ppm = 0;
    }
    profile.disk.capacity_bytes = 8 << 30;
    profile.limits.polls_max = 30_000_000;
    profile
}

/// Whether the disk will be full until records are deleted.
fn has_full_disk(scenario: &Scenario) -> bool {
    let full = |planned: &Planned| matches!(planned.fault, Fault::DiskFullForGood { .. });
    scenario.faults.iter().any(full)
}

/// Only a broker that was told its cluster can tell another's disk.
fn is_told_its_cluster(scenario: &Scenario) -> bool {
    let foreign = |planned: &Planned| matches!(planned.fault, Fault::ForeignDisk { .. });
    scenario.faults.iter().any(foreign)
}

fn broker_config(scenario: &Scenario) -> BrokerConfig {
    let cluster = &scenario.cluster;
    BrokerConfig {
        node_id: BrokerId(1),
        rack: None,
        listeners: vec![ListenerConfig {
            name: "PLAINTEXT".to_owned(),
            host: "0.0.0.0".to_owned(),
            port: 9092,
            advertised: Some(("broker".to_owned(), 9092)),
        }],
        cluster_id: is_told_its_cluster(scenario)
            .then(|| CLUSTER.parse().expect("the text of an id")),
        log_dir: "/data".into(),
        shards: cluster.shards,
        open_mode: if cluster.direct {
            OpenMode::Direct
        } else {
            OpenMode::Buffered
        },
        limits: Limits {
            in_flight_max: cluster.in_flight_max,
            fetch_sessions_max: cluster.fetch_sessions_max,
            queued_request_bytes_max: cluster.queued_bytes_max,
            request_bytes_max: cluster.queued_bytes_max,
            disk_reserve_bytes: if has_full_disk(scenario) {
                256 << 10
            } else {
                1 << 20
            },
            segment_bytes_max: cluster.segment_bytes_max,
            ..Limits::default()
        },
        static_configs: cluster.configs.clone(),
    }
}

/// Adds a machine for a client. Its process does what `body` says and then idles.
fn add_client<F>(
    world: &mut World,
    history: &History,
    name: String,
    needs: Needs,
    patience_ms: u64,
    body: impl Fn(Client, u64) -> F + Send + Sync + 'static,
) -> world::NodeId
where
    F: Future<Output = ()> + Send + 'static,
{
    let (history, processes) = (history.clone(), AtomicU64::new(0));
    history.register(&name);
    history.needs(&name, needs);
    world.add_node(&name.clone(), move |env: SimEnv| {
        let client = Client {
            env,
            name: name.clone(),
            history: history.clone(),
            patience_ms,
        };
        history.register(&name);
        let body = body(client, processes.fetch_add(1, Ordering::Relaxed));
        async move {
            body.await;
            std::future::pending::<()>().await;
        }
    })
}

/// The clients of a scenario, in the order in which it names them.
struct Clients<'a> {
    world: &'a mut World,
    history: &'a History,
    nodes: Vec<world::NodeId>,
}

impl Clients<'_> {
    fn add<F>(
        &mut self,
        name: String,
        needs: Needs,
        body: impl Fn(Client, u64) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (world, history) = (&mut *self.world, self.history);
        let node = add_client(world, history, name, needs, PATIENCE_MS, body);
        self.nodes.push(node);
    }
}

fn add_clients(world: &mut World, scenario: &Scenario, history: &History) -> Vec<world::NodeId> {
    let mut clients = Clients {
        world,
        history,
        nodes: Vec::new(),
    };
    let name_of = |index: usize| scenario.topics[index].name.clone();
    for (number, spec) in scenario.producers.iter().enumerate() {
        let (spec, topic) = (spec.clone(), name_of(spec.topic));
        let needs = Needs::Topic(topic.clone());
        clients.add(format!("producer-{number}"), needs, move |client, _| {
            produce::run(client, spec.clone(), topic.clone())
        });
    }
    for (number, spec) in scenario.consumers.iter().enumerate() {
        let (spec, topic) = (spec.clone(), name_of(spec.topic));
        let needs = Needs::Topic(topic.clone());
        clients.add(format!("consumer-{number}"), needs, move |client, _| {
            consume::run(client, spec.clone(), topic.clone())
        });
    }
    for spec in &scenario.groups {
        for number in 0..spec.members {
            let (spec, topic) = (spec.clone(), name_of(spec.topic));
            let name = format!("{}-member-{number}", spec.id);
            let needs = Needs::GroupsAnd(topic.clone());
            clients.add(name, needs, move |client, _| {
                group::run(client, spec.clone(), number, topic.clone())
            });
        }
    }
    for (number, spec) in scenario.admins.iter().enumerate() {
        let (name, spec) = (format!("admin-{number}"), spec.clone());
        clients.add(name, Needs::Everything, move |client, process| {
            admin::run(client, spec.clone(), process)
        });
    }
    for (number, spec) in scenario.hostiles.iter().enumerate() {
        let (name, spec) = (format!("hostile-{number}"), spec.clone());
        clients.add(name, Needs::Everything, move |client, _| {
            hostile::run(client, spec.clone())
        });
    }
    if has_full_disk(scenario) {
        clients.add("janitor".to_owned(), Needs::Everything, |client, _| {
            admin::clean_up(client)
        });
    }
    let topics = scenario.topics.clone();
    clients.add("preparer".to_owned(), Needs::Metadata, move |client, _| {
        admin::prepare(client, topics.clone())
    });
    for spec in &scenario.teams {
        for number in 0..spec.members {
            let (spec, topic) = (spec.clone(), name_of(spec.topic));
            let name = format!("{}-member-{number}", spec.id);
            let needs = Needs::GroupsAnd(topic.clone());
            clients.add(name, needs, move |client, process| {
                team::run(client, spec.clone(), number, topic.clone(), process)
            });
        }
    }
    clients.nodes
}

fn drive(world: &mut World, scenario: &Scenario, history: &History) -> Result<(), Failure> {
    let control = Arc::new(Control::default());
    let config = broker_config(scenario);
    if config.cluster_id.is_some() {
        control.tell_its_cluster();
    }
    let broker = world.add_node("broker", {
        let control = control.clone();
        let history = history.clone();
        move |env| broker_process(env, config.clone(), control.clone(), history.clone())
    });
    history.follow_damage(world.harm_log(broker));
    let clients = add_clients(world, scenario, history);
    let minutes = (scenario.cluster.configs.get("offsets.retention.minutes"))
        .and_then(|minutes| minutes.parse::<i64>().ok());
    if let Some(minutes) = minutes {
        history.offsets_expire_after(minutes * 60_000);
    }
    let site = Site {
        broker,
        clients: Arc::new(clients),
        history: history.clone(),
        control: control.clone(),
        spares: faults::prepare_disks(world, &scenario.faults)?,
    };
    world.observe({
        let (history, control) = (history.clone(), control.clone());
        move |seen: &world::SeenAt| {
            if let env::Seen::WentOffline { .. } = seen.seen {
                control.went_offline();
            }
            if control.disk_in() == DiskIn::Empty {
                history.seen_on_an_empty_disk(seen)
            } else {
                history.seen(seen)
            }
        }
    });
    world.start(broker);
    for client in site.clients.iter() {
        world.start(*client);
    }
    site.supervise(world);
    for planned in &scenario.faults {
        let (site, fault) = (site.clone(), planned.fault.clone());
        world.at(planned.at_ms * MS, move |world| {
            faults::apply(world, &site, &fault);
        });
    }
    turn(world, history, scenario.storm_ms, |_| false)?;
    // What is under way when the storm ends must end with it.
    site.heal(world);
    turn(world, history, 300, |_| false)?;
    if !history.lock().topics_are_there(scenario.topics.len()) {
        let all = scenario.topics.len();
        turn(world, history, scenario.drain_ms, |history| {
            history.lock().topics_are_there(all)
        })?;
    }
    history.drain();
    finish(world, scenario, history, &control)?;
    end(world, scenario, &site)?;
    let groups = scenario.groups.clone();
    let topics: Vec<String> = scenario
        .topics
        .iter()
        .map(|topic| topic.name.clone())
        .collect();
    let offsets = (scenario.cluster.configs.get("offsets.topic.num.partitions"))
        .and_then(|count| count.parse().ok());
    let auditor = add_client(
        world,
        history,
        "auditor".to_owned(),
        Needs::Everything,
        AUDIT_PATIENCE_MS,
        move |client, _| audit::run(client, groups.clone(), topics.clone(), offsets),
    );
    world.start(auditor);
    finish(world, scenario, history, &control)
}

/// What happens to the broker before everything is read back.
fn end(world: &mut World, scenario: &Scenario, site: &Site) -> Result<(), Failure> {
    if scenario.last_jump_ms != 0 {
        site.jump_broker_wall(world, scenario.last_jump_ms);
        turn(world, &site.history, 500, |_| false)?;
    }
    match scenario.ending {
        Ending::Nothing => return Ok(()),
        Ending::CleanRestart => site.stop_cleanly(world, 30_000, 10),
        Ending::Kill => {
            world.kill(site.broker);
            site.broker_down_until(world, 10);
        }
        Ending::PowerLoss => {
            site.history.power_lost();
            world.lose_power(site.broker);
            site.broker_down_until(world, 10);
        }
    }
    turn(world, &site.history, 100, |_| false)
}

/// Turns the world until `done`, or for so long, or until something is broken.
fn turn(
    world: &mut World,
    history: &History,
    ms: u64,
    done: impl Fn(&History) -> bool,
) -> Result<(), Failure> {
    let until = world.now_ns() + ms * MS;
    while world.now_ns() < until && !done(history) {
        let slice = (until - world.now_ns()).min(SLICE_MS * MS);
        world.run_for(Duration::from_nanos(slice))?;
        if let Some(violation) = history.violation() {
            return Err(Failure::Violation(violation.to_string()));
        }
    }
    Ok(())
}

/// Everybody finishes, within the bound.
fn finish(
    world: &mut World,
    scenario: &Scenario,
    history: &History,
    control: &Control,
) -> Result<(), Failure> {
    turn(world, history, scenario.drain_ms, |history| {
        history.unfinished().is_empty()
    })?;
    // Who cannot be helped need not be waited for; the others get their time.
    let more = DRAIN_MS.saturating_sub(scenario.drain_ms);
    turn(world, history, more, |history| history.late().is_empty())?;
    let unfinished = history.unfinished();
    if !unfinished.is_empty() && history.late().is_empty() {
        for client in unfinished {
            history.exercised("damage-stops-a-client");
            history.finish(&client);
        }
        return Ok(());
    }
    let because = history.unfinished_because();
    let error = control.last_start_error().filter(|_| !control.is_serving());
    let mut inner = history.lock();
    liveness::judge_finish(
        &because,
        scenario.drain_ms.max(DRAIN_MS),
        error.as_deref(),
        &mut inner.judge,
    );
    match &inner.judge.violation {
        Some(violation) => Err(Failure::Violation(violation.to_string())),
        None => Ok(()),
    }
}

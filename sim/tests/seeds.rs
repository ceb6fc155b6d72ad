//! Runs of the whole: a few dozen seeds, every seed that ever failed, and the same seed twice.

use std::path::Path;
use std::process::Command;

use ottla_sim::TraceOptions;
use ottla_sim::faults::{Fault, Planned};
use ottla_sim::run::run_scenario;
use ottla_sim::scenario::{Ending, WorldFaults};
use ottla_sim::{Scenario, run, swarm};

#[test]
fn a_few_seeds_pass() {
    let report = run(24, 0);
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    assert_eq!(report.seeds, 24);
    for (what, least) in [
        ("record-delivered", 500),
        ("records-read", 50),
        ("kill", 5),
        ("pipeline-answered", 12),
    ] {
        let times = report.exercised.get(what).copied().unwrap_or(0);
        assert!(times >= least, "{what}: {times}");
    }
    for id in ["L1", "L6", "L9", "R8", "R9", "R10", "P1", "P3", "W2", "V1"] {
        assert!(report.evaluations.contains_key(id), "{id} was never judged");
    }
}

#[test]
fn what_failed_once_passes() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let scenario = Scenario::from_toml(&text).unwrap();
        let (outcome, _) = run_scenario(&scenario, TraceOptions::default());
        assert_eq!(outcome.failure, None, "{}", file.display());
    }
}

/// A calm world with one group, and nothing but these faults.
fn with_faults(faults: Vec<Planned>) -> Scenario {
    let drawn = (0..).map(swarm::draw);
    let found = drawn.into_iter().find(|scenario| {
        let mild = !scenario.world.damage && !scenario.world.disk_errors;
        mild && scenario.groups.len() == 1
    });
    let mut scenario = found.expect("there are enough seeds");
    scenario.world = WorldFaults::default();
    scenario.ending = Ending::Nothing;
    (scenario.storm_ms, scenario.last_jump_ms) = (3_000, 0);
    scenario.faults = faults;
    scenario
}

#[test]
fn a_crash_loop_crashes_what_has_come_up() {
    let scenario = with_faults(vec![Planned {
        at_ms: 500,
        fault: Fault::CrashLoop {
            times: 5,
            up_ms: 20,
            power: true,
        },
    }]);
    let (outcome, _) = run_scenario(&scenario, TraceOptions::default());
    assert_eq!(outcome.failure, None);
    // The first crash makes no loop yet.
    assert_eq!(outcome.exercised.get("crash-loop"), Some(&4));
}

#[test]
fn offsets_expire_after_their_time_and_not_before() {
    for (last_jump_ms, expires) in [(50_000, false), (61_000, true)] {
        let mut scenario = with_faults(Vec::new());
        let configs = &mut scenario.cluster.configs;
        configs.insert("offsets.retention.minutes".to_owned(), "1".to_owned());
        configs.insert(
            "offsets.retention.check.interval.ms".to_owned(),
            "100".to_owned(),
        );
        scenario.last_jump_ms = last_jump_ms;
        let (outcome, _) = run_scenario(&scenario, TraceOptions::default());
        assert_eq!(outcome.failure, None);
        let expired = outcome.exercised.contains_key("offset-expired");
        assert_eq!(expired, expires, "{last_jump_ms}");
    }
}

#[test]
fn a_seed_is_the_same_twice() {
    let scenario = swarm::draw(3);
    let one = || {
        run_scenario(&scenario, TraceOptions::default())
            .0
            .fingerprint
    };
    assert_eq!(one(), one());
    let output = Command::new(env!("CARGO_BIN_EXE_ottla-sim"))
        .args(["meta", "--seed", "3"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("the same twice"), "{text}");
}

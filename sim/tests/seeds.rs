//! Runs of the whole: a few dozen seeds, every seed that ever failed, and the same seed twice.

use std::path::Path;
use std::process::Command;

use ottla_sim::TraceOptions;
use ottla_sim::run::run_scenario;
use ottla_sim::{Scenario, run, swarm};

#[test]
fn a_few_seeds_pass() {
    let report = run(24, 0);
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    assert_eq!(report.seeds, 24);
    for (what, least) in [("record-delivered", 500), ("records-read", 50), ("kill", 5)] {
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

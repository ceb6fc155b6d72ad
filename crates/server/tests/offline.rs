//! The program without a node: help, explanations, formatting, files.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests of the program: processes, files and pipes of the operating system"
)]

mod common;

use std::path::PathBuf;

use common::{Ran, TempDir, run, run_with};
use serde_json::Value;

/// The texts of help, in the order in which people meet the commands. A change of any word shows here.
#[test]
fn help() {
    const LEAVES: &[&str] = &[
        "serve",
        "format",
        "topic create",
        "topic list",
        "topic describe",
        "topic alter",
        "topic delete",
        "topic add-partitions",
        "topic trim",
        "topic offsets",
        "produce",
        "consume",
        "group list",
        "group describe",
        "group seek",
        "group delete",
        "group delete-offsets",
        "cluster info",
        "config get",
        "config set",
        "config unset",
        "config explain",
        "explain",
        "log dump",
        "log verify",
        "log repair",
        "sim run",
        "sim replay",
        "sim draw",
        "sim meta",
        "sim scoreboard",
        "completions",
        "man",
        "version",
    ];
    let mut text = run(&[]).expect(0);
    for leaf in LEAVES {
        let args: Vec<&str> = leaf.split(' ').chain(["--help"]).collect();
        text.push_str(&format!(
            "\n======== ottla {leaf} ========\n{}",
            run(&args).expect(0)
        ));
    }
    insta::assert_snapshot!("help", text);
}

#[test]
fn words_that_are_none_are_answered_with_the_nearest() {
    for (args, near) in [
        (&["topic", "lst"][..], "'list'"),
        (&["tpoic"], "'topic'"),
        (&["topic", "list", "--outptu", "json"], "'--output'"),
        (&["explain", "NOT_ENOUGH_REPLICA"], "NOT_ENOUGH_REPLICAS"),
        (
            &["config", "explain", "log.retention.hour"],
            "log.retention.hours",
        ),
    ] {
        let ran = run(args);
        assert!(
            ran.stderr.contains(near) && ran.stdout.is_empty(),
            "{args:?}: {}",
            ran.stderr
        );
        assert!(matches!(ran.code, 2 | 4), "{args:?}: {}", ran.code);
    }
}

#[test]
fn asked_wrongly_is_two() {
    for args in [
        &["topic"][..],
        &["topic", "create"],
        &["topic", "alter", "t"],
        &["consume", "t", "-f", "%z"],
        &["consume", "t", "-o", "whenever"],
        &["consume", "t", "-o", "2:1"],
        &["consume", "t", "-g", "g", "-o", "5"],
        &["consume", "t", "--filter", ".key =="],
        &["produce", "t", "-f", "%k%v"],
        &["produce"],
        &["topic", "list", "--timeout", "soon"],
        &["topic", "list", "-b", "host:port"],
        &["config", "get"],
        &["config", "get", "--topic", "a", "--broker", "1"],
        &["group", "seek", "g"],
        &["topic", "create", "t", "-p", "0"],
        &["topic", "create", "t", "-r", "0"],
        &["topic", "add-partitions", "t", "--to", "0"],
        &["version", "--log", "x=y=z"],
        &["sim", "run", "--seeds", "0"],
        &["sim", "replay", "f", "--tail", "5"],
        &["sim"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty());
    }
}

/// Which of the two was meant?
#[test]
fn a_setting_is_changed_once() {
    for args in [
        &["config", "set", "--topic", "t", "a=1", "a=2"][..],
        &["config", "set", "--broker", "1", "a=1", "a=1"],
        &["config", "unset", "--topic", "t", "a", "a"],
        &["topic", "alter", "t", "--set", "a=1", "--set", "a=2"],
        &["topic", "alter", "t", "--set", "a=1", "--unset", "a"],
        &["topic", "create", "t", "-c", "a=1", "-c", "a=2"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr
                .starts_with("ottla: `a` is changed twice\nnext: "),
            "{args:?}: {}",
            ran.stderr
        );
    }
}

/// A process is given whatever bytes its parent was.
#[test]
fn an_environment_that_is_no_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let not_text = OsStr::from_bytes(b"\xff\xfe");
    let dir = TempDir::new();
    let data = dir.join("data");
    let data = data.to_str().unwrap();
    let format = ["format", "--data", data];
    let explain = ["config", "explain", "num.partitions"];
    let serve = ["serve", "--data", data, "--listen", "127.0.0.1:0"];
    let with = |args: &[&str], name: &str| {
        run_with(args, b"", |command| {
            command.env(name, not_text);
        })
    };
    for args in [&format[..], &explain, &serve] {
        for name in ["KAFKA_NODE_ID", "OTTLA_NODE_ID"] {
            let ran = with(args, name);
            assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
            let text = format!("the environment variable {name} is no UTF-8");
            assert!(ran.stderr.contains(&text), "{args:?}: {}", ran.stderr);
        }
    }
    assert!(!dir.join("data").exists());
    for args in [&format[..], &explain] {
        with(args, "SOMEBODY_ELSES").expect(0);
    }
}

#[test]
fn errors_and_settings_are_explained() {
    let text = run(&["explain", "19"]).expect(0);
    assert_eq!(text, run(&["explain", "not_enough_replicas"]).expect(0));
    insta::assert_snapshot!("explain_error", text);
    let json = run(&["explain", "-1", "--output", "json"]).json();
    assert_eq!(json["name"], "UNKNOWN_SERVER_ERROR");
    insta::assert_snapshot!("explain_key", run(&["explain", "retention.ms"]).expect(0));
    assert_eq!(run(&["explain", "32000"]).code, 4);
}

#[test]
fn every_layer_of_a_setting_is_shown() {
    let dir = TempDir::new();
    let file = dir.join("server.properties");
    std::fs::write(&file, "num.partitions=3\nlog.retention.hours=2\n").unwrap();
    let file = file.to_str().unwrap();
    let args = [
        "config",
        "explain",
        "num.partitions",
        "--config",
        file,
        "-X",
        "num.partitions=9",
    ];
    let ran = run_with(&args, b"", |command| {
        command
            .env("KAFKA_NUM_PARTITIONS", "5")
            .env("OTTLA_NUM_PARTITIONS", "7");
    });
    let text = ran.expect(0).replace(file, "FILE");
    insta::assert_snapshot!("explain_layers", text);
    let json = run(&[
        "config",
        "explain",
        "retention.ms",
        "--config",
        file,
        "--output",
        "json",
    ])
    .json();
    assert_eq!(json[0]["value"], "7200000");
}

#[test]
fn a_directory_is_formatted_once() {
    let dir = TempDir::new();
    let data = dir.join("data");
    let data = data.to_str().unwrap();
    let id = run(&["format", "--random-id"]).expect(0);
    let id = id.trim();
    assert_eq!(id.len(), 22);
    assert_ne!(run(&["format", "--random-id"]).expect(0).trim(), id);
    let format = [
        "format",
        "--data",
        data,
        "--cluster-id",
        id,
        "--node-id",
        "7",
        "--output",
        "json",
    ];
    let formatted = run(&format).json();
    assert_eq!(formatted["cluster_id"], id);
    assert_eq!(
        (&formatted["node_id"], &formatted["formatted"]),
        (&Value::from(7), &Value::from(true))
    );
    let meta = std::fs::read_to_string(format!("{data}/meta.properties")).unwrap();
    assert!(
        meta.contains(&format!("cluster.id={id}")) && meta.contains("node.id=7"),
        "{meta}"
    );
    let again = run(&format);
    assert!(
        again.code == 7 && again.stderr.contains("formatted already"),
        "{}",
        again.stderr
    );
    let ignored = run(&[&format[..], &["--ignore-formatted"]].concat()).json();
    assert_eq!(ignored["formatted"], false);
    assert_eq!(ignored["directory_id"], formatted["directory_id"]);
    // Another cluster's directory stays another cluster's.
    let other = run(&[
        "format",
        "--data",
        data,
        "--node-id",
        "7",
        "-t",
        "AAAAAAAAAAAAAAAAAAAAAQ",
        "-g",
    ]);
    assert!(
        other.code == 7 && other.stderr.contains("belongs to cluster"),
        "{}",
        other.stderr
    );
    assert_eq!(
        std::fs::read_to_string(format!("{data}/meta.properties")).unwrap(),
        meta
    );
}

/// Ids that compose files have: texts, which clients are told as they were given.
#[test]
fn a_cluster_keeps_the_id_that_it_was_given() {
    for id in [
        "MkU3OEVBNTcwNTJENDM2Qk",
        "abcdefghijklmnopqrstuv",
        "my-cluster",
        "ciWo7IWazngRchmPES6q5A==",
    ] {
        let dir = TempDir::new();
        let data = dir.join("data");
        let data = data.to_str().unwrap();
        let format = ["format", "--data", data, "--output", "json"];
        let named = [&format[..], &["--cluster-id", id]].concat();
        assert_eq!(run(&named).json()["cluster_id"], id);
        let meta = std::fs::read_to_string(format!("{data}/meta.properties")).unwrap();
        assert!(meta.contains(&format!("cluster.id={id}\n")), "{meta}");
        // As the container image is told it.
        let ignored = [&format[..], &["-g"]].concat();
        let again = run_with(&ignored, b"", |command| {
            command.env("CLUSTER_ID", id);
        });
        assert_eq!(again.json()["cluster_id"], id);
        let other = run_with(&ignored, b"", |command| {
            command.env("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qg");
        });
        assert_eq!(other.code, 7, "{}", other.stderr);
    }
    let refused = run(&["format", "--cluster-id", "two words"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("1 to 64 letters"),
        "{}",
        refused.stderr
    );
}

/// Every example of a command that asks no broker does what it says.
#[test]
fn offline_examples_run() {
    let dir = TempDir::new();
    std::fs::write(dir.join("server.properties"), "log.dirs=from-file\n").unwrap();
    std::fs::create_dir(dir.join("data")).unwrap();
    for partition in ["orders-0", "orders-1"] {
        let to = dir.join("data").join(partition);
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(kafka_segments().join("t-zstd-0")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "dump.txt" {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    let mut ran = 0;
    for leaf in [
        "format",
        "config explain",
        "explain",
        "log dump",
        "log verify",
        "log repair",
        "sim draw",
        "completions",
        "man",
        "version",
    ] {
        let args: Vec<&str> = leaf.split(' ').chain(["--help"]).collect();
        let help = run(&args).expect(0);
        let (_, examples) = help.split_once("Examples:\n").unwrap();
        for line in examples.lines().map_while(|line| line.strip_prefix("  ")) {
            // What a shell would do with the output is not ours; what is said about it stands apart.
            let line = line.split("   ").next().unwrap();
            let line = line.split(['|', '>', '&']).next().unwrap();
            let line = line.replace("/var/lib/ottla", "formatted");
            let line = line.replace("/usr/local/share", "share");
            let variables = line.split(' ').take_while(|word| word.contains('='));
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            let words = &words[variables.clone().count()..];
            assert_eq!(words[0], "ottla", "{line}");
            let ran_one = run_with(&words[1..], b"", |command| {
                command.current_dir(dir.path());
                command.envs(variables.filter_map(|variable| variable.split_once('=')));
            });
            assert_eq!(ran_one.code, 0, "{line}: {}", ran_one.stderr);
            assert!(!ran_one.stdout.is_empty() || leaf == "man", "{line}");
            ran += 1;
        }
    }
    assert!(ran > 20, "{ran}");
}

fn kafka_segments() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../storage/tests/kafka-segments")
}

/// What Kafka's own tool printed of the same files.
#[test]
fn kafkas_segments_are_dumped_as_kafka_dumps_them() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let dir = kafka_segments().join(format!("t-{codec}-0"));
        let expected = std::fs::read_to_string(dir.join("dump.txt")).unwrap();
        let log = dir.join("00000000000000000000.log");
        let ours = run(&["log", "dump", log.to_str().unwrap(), "--records"]).expect(0);
        let entries = |text: &str| -> Vec<String> {
            let entry = |line: &&str| line.starts_with("baseOffset") || line.starts_with('|');
            text.lines()
                .filter(entry)
                .map(|line| line.trim_end().to_owned())
                .collect()
        };
        let (ours, expected) = (entries(&ours), entries(&expected));
        assert!(!expected.is_empty());
        assert_eq!(ours, expected, "{codec}");
    }
}

#[test]
fn a_dump_as_json_has_every_record() {
    let dir = kafka_segments().join("t-zstd-0");
    let dir = dir.to_str().unwrap();
    let rows = run(&["log", "dump", dir, "--records", "--output", "json"]).json();
    let rows = rows.as_array().unwrap();
    let offsets: Vec<i64> = rows
        .iter()
        .filter(|row| row["kind"] == "record")
        .map(|row| row["offset"].as_i64().unwrap())
        .collect();
    assert_eq!(offsets, (0..120).collect::<Vec<i64>>());
    let lines = run(&["log", "dump", dir, "--records", "--output", "jsonl"]).expect(0);
    assert_eq!(lines.lines().count(), rows.len());
    assert!(
        rows.iter()
            .filter(|row| row["kind"] == "batch")
            .all(|row| row["valid"] == true)
    );
}

/// A copy that can be broken.
fn copy_of(name: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new();
    let to = dir.join(name);
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(kafka_segments().join(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    (dir, to)
}

fn verify(dir: &std::path::Path) -> Ran {
    run(&["log", "verify", dir.to_str().unwrap(), "--output", "json"])
}

#[test]
fn damage_is_found_and_not_made_up_for() {
    let (_dir, log) = copy_of("t-none-0");
    assert_eq!(verify(&log).json()[0]["sound"], true);
    // One bit of a record in the first batch.
    let segment = log.join("00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let found = verify(&log);
    assert_eq!(found.code, 1, "{}", found.stdout);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found[0]["sound"], false);
    assert!(
        found[0]["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["severity"] == "damage")
    );
    // A repair without a yes does nothing, and one with it makes no record up.
    let dir = log.to_str().unwrap();
    assert_eq!(run(&["log", "repair", dir]).code, 7);
    run(&["log", "repair", dir, "--dry-run"]).expect(0);
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
    let repaired = run(&["log", "repair", dir, "--yes", "--output", "json"]);
    assert_eq!(repaired.code, 3, "{}{}", repaired.stdout, repaired.stderr);
    let repaired: Value = serde_json::from_str(&repaired.stdout).unwrap();
    assert_ne!(repaired[0]["damaged"], serde_json::json!([]));
    assert_eq!(verify(&log).code, 1);
}

/// What a variable sets is not what a command needs.
#[test]
fn the_usage_of_an_error_is_that_of_the_help() {
    for args in [
        &["topic", "create"][..],
        &["consume"],
        &["topic", "--timeout", "5s", "trim", "t"],
        &["sim", "draw"],
    ] {
        let ran = run_with(args, b"", |command| {
            command.env("OTTLA_BOOTSTRAP", "b:9092");
            command.env("OTTLA_LOG", "warn");
        });
        assert_eq!(ran.code, 2);
        let usage = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("Usage: "));
            line.unwrap().to_owned()
        };
        let help = run(&[args, &["--help"]].concat()).expect(0);
        assert_eq!(usage(&ran.stderr), usage(&help));
        assert!(ran.stderr.contains("Usage: ottla "), "{}", ran.stderr);
    }
    let filter = run(&["version", "--log", "x=y=z"]).stderr;
    assert_eq!(filter.matches("x=y=z").count(), 1, "{filter}");
    assert!(filter.contains("next: a level"), "{filter}");
}

/// Directories and files that only look like those of logs.
#[test]
fn what_is_no_log_is_not_called_sound() {
    let dir = TempDir::new();
    std::fs::create_dir(dir.join("polkit-1")).unwrap();
    std::fs::write(dir.join("passwd"), "root:x:0:0\n").unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for (args, code, told) in [
        (["log", "verify", &path("")], 4, "there are no logs in"),
        (
            ["log", "verify", &path("polkit-1")],
            4,
            "there are no logs in",
        ),
        (["log", "repair", &path("")], 4, "there are no logs in"),
        (["log", "verify", &path("passwd")], 2, "is no directory"),
        (["log", "dump", &path("passwd")], 2, "is no file of a log"),
        (
            ["log", "dump", &path("polkit-1")],
            4,
            "there are no segments in",
        ),
        (["log", "dump", &path("nope")], 4, "nope"),
        (["log", "verify", &path("nope")], 4, "nope"),
    ] {
        let ran = run(&args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.is_empty(), "{args:?}: {}", ran.stdout);
        assert_eq!(
            ran.stderr.matches(told).count(),
            1,
            "{args:?}: {}",
            ran.stderr
        );
    }
    // Beside a real one they are passed over.
    let (parent, _log) = copy_of("t-none-0");
    std::fs::create_dir(parent.join("polkit-1")).unwrap();
    let verified = verify(parent.path()).json();
    assert_eq!(verified.as_array().unwrap().len(), 1);
    let text = run(&["log", "dump", &format!("{}/nope", path(""))]);
    assert_eq!(text.stdout, "");
}

#[test]
fn the_simulator_is_a_command_like_others() {
    let usage = run(&["sim", "run", "--seeds", "0"]);
    assert!(
        usage.stderr.contains("--seeds <N>") && usage.stderr.contains("1.."),
        "{}",
        usage.stderr
    );
    // One result in every form, wherever it is asked for.
    let toml = run(&["sim", "draw", "--seed", "0x7"]).expect(0);
    assert!(toml.contains("seed = 7"), "{toml}");
    for args in [
        &["--output", "json", "sim", "draw", "--seed", "7"][..],
        &["sim", "draw", "--seed", "7", "--output", "jsonl"],
    ] {
        assert_eq!(run(args).json()["seed"], 7);
    }
    let yaml = run(&["sim", "--output=yaml", "draw", "--seed", "7"]).expect(0);
    assert!(yaml.starts_with("seed: 7\n"), "{yaml}");
    let schema = run(&["sim", "run", "--output", "help"]).json();
    assert_eq!(schema["properties"]["events"]["type"], "integer");
    // A run of one seed, whatever comes of it.
    let dir = TempDir::new();
    let failures = dir.join("failures");
    let one = [
        "sim",
        "run",
        "--seeds",
        "1",
        "--no-shrink",
        "--output",
        "json",
    ];
    let ran = run(&[&one[..], &["--failures", failures.to_str().unwrap()]].concat());
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["seeds"], 1);
    assert!(report["events"].as_u64().unwrap() > 0);
    let failed = report["failed"].as_array().unwrap().len();
    assert_eq!(ran.code, i32::from(failed > 0));
    // Files that are not there, or are none.
    let missing = run(&["sim", "replay", "/nowhere/at/all"]);
    assert_eq!(missing.code, 4, "{}", missing.stderr);
    std::fs::write(dir.join("x.toml"), "seed = 1\n").unwrap();
    let none = run(&["sim", "replay", dir.join("x.toml").to_str().unwrap()]);
    assert_eq!(none.code, 2, "{}", none.stderr);
    assert!(none.stderr.contains("is no scenario"), "{}", none.stderr);
    assert_eq!(run(&["sim", "scoreboard"]).code, 7);
}

#[test]
fn what_is_not_there_is_four() {
    for args in [
        &["log", "dump", "/nowhere/at/all"][..],
        &["log", "verify", "/nowhere/at/all"],
        &["serve", "--config", "/nowhere/at/all"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 4, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("/nowhere/at/all"), "{}", ran.stderr);
    }
}

#[test]
fn shells_and_manuals_are_served() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]).expect(0);
        assert!(script.contains("add-partitions"), "{shell}");
        assert!(script.contains("scoreboard"), "{shell}");
    }
    let dir = TempDir::new();
    run(&["man", dir.path().to_str().unwrap()]).expect(0);
    let page = std::fs::read_to_string(dir.join("ottla-topic-create.1")).unwrap();
    assert!(
        page.contains("Create topics") && page.contains("kafka\\-topics.sh"),
        "{page}"
    );
    assert!(dir.join("ottla.1").exists());
    let page = std::fs::read_to_string(dir.join("ottla-sim-replay.1")).unwrap();
    assert!(page.contains("scenario"), "{page}");
}

#[test]
fn the_version_has_every_form() {
    assert!(run(&["version"]).expect(0).starts_with("ottla 0."));
    assert_eq!(
        run(&["version", "--output", "json"]).json()["version"],
        env!("CARGO_PKG_VERSION")
    );
    let yaml = run(&["version", "--output", "yaml"]).expect(0);
    assert!(
        yaml.contains(&format!("version: \"{}\"\n", env!("CARGO_PKG_VERSION"))),
        "{yaml}"
    );
    assert_eq!(
        run(&["version", "--output", "wide"]).expect(0),
        run(&["version"]).expect(0)
    );
    let schema = run(&["version", "--output", "help"]).json();
    assert_eq!(schema["properties"]["version"]["type"], "string");
}

#[test]
fn what_kafka_has_no_more_is_told_as_such() {
    let ran = run(&["serve", "-X", "zookeeper.connect=localhost:2181"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("zookeeper.connect: Kafka 4 removed ZooKeeper")
            && ran.stderr.contains("--lenient"),
        "{}",
        ran.stderr
    );
    for args in [
        &["explain", "zookeeper.connect"][..],
        &["config", "explain", "zookeeper.connect"],
    ] {
        let ran = run(args);
        assert!(
            ran.code == 4 && ran.stderr.contains("Kafka 4 removed ZooKeeper"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn what_ottla_cannot_do_keeps_a_node_from_starting_and_says_why() {
    let ran = run(&[
        "serve",
        "-X",
        "ssl.keystore.location=/etc/kafka/key.jks",
        "-X",
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "-X",
        "num.partitions=none",
    ]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for part in [
        "ssl.keystore.location cannot be set to /etc/kafka/key.jks: Ottla has no TLS",
        "authorizer.class.name cannot be set to",
        "Invalid value none for configuration num.partitions",
        "(from command line)",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    // That a key is known is not the question.
    assert!(!ran.stderr.contains("--lenient"), "{}", ran.stderr);
}

#[test]
fn a_setting_that_nobody_knows_keeps_a_node_from_starting() {
    let ran = run(&["serve", "-X", "log.retention.hour=3"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("log.retention.hours"), "{}", ran.stderr);
}

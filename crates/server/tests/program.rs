//! The program against a node of its own: from the first topic to its end.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests of the program: processes, files and pipes of the operating system"
)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Node, TempDir, run};
use serde_json::Value;

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a node says of one setting of a topic.
#[track_caller]
fn setting(node: &Node, topic: &str, key: &str) -> Value {
    let args = ["config", "get", "--topic", topic, key, "--output", "json"];
    node.ask(&args).json()[0].take()
}

#[test]
fn a_topic_lives_and_dies() {
    let node = Node::start();
    assert_eq!(node.ready["event"], "ready");
    assert_eq!(node.ready["advertised"][0], Value::Null);

    // Create.
    let created = node
        .ask(&[
            "topic",
            "create",
            "orders",
            "-p",
            "3",
            "-c",
            "retention.ms=86400000",
            "--output",
            "json",
        ])
        .json();
    assert_eq!(created[0]["topic"], "orders");
    assert_eq!(created[0]["partitions"], 3);
    assert_eq!(created[0]["status"], "created");
    let again = node.ask(&["topic", "create", "orders"]);
    assert!(
        again.stderr.contains("TOPIC_ALREADY_EXISTS") && again.stderr.contains("next:"),
        "{}",
        again.stderr
    );
    assert_eq!(again.code, 1);
    node.ask(&["topic", "create", "orders", "--if-not-exists"])
        .expect(0);
    let half = node.ask(&["topic", "create", "orders", "payments", "--output", "jsonl"]);
    assert_eq!(half.code, 3, "{}", half.stderr);
    let half = lines(&half.stdout);
    let of = |topic: &str| half.iter().find(|row| row["topic"] == topic).unwrap();
    assert_eq!(half.len(), 2);
    assert_eq!(of("payments")["status"], "created");
    assert_eq!(
        (&of("orders")["status"], &of("orders")["error"]),
        (&Value::from("failed"), &Value::from("TOPIC_ALREADY_EXISTS"))
    );
    assert!(of("orders")["message"].as_str().unwrap().contains("orders"));

    // List and describe.
    let listed = lines(&node.ask(&["topic", "list", "--output", "jsonl"]).expect(0));
    let names: Vec<&str> = listed
        .iter()
        .map(|row| row["topic"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["orders", "payments"]);
    assert!(
        node.ask(&["topic", "list"])
            .expect(0)
            .starts_with("TOPIC     PARTITIONS  REPLICATION\norders    3")
    );
    let described = node
        .ask(&["topic", "describe", "orders", "--output", "json"])
        .json();
    assert_eq!(described[0]["configs"]["retention.ms"], "86400000");
    assert_eq!(described[0]["partitions"].as_array().unwrap().len(), 3);
    assert_eq!(described[0]["partitions"][0]["end"], 0);
    let missing = node.ask(&["topic", "describe", "order"]);
    assert!(
        missing.stderr.contains("did you mean `orders`?"),
        "{}",
        missing.stderr
    );
    assert_eq!(missing.code, 4);
    let wide = node.ask(&["topic", "list", "--output", "wide"]).expect(0);
    assert!(
        wide.starts_with("TOPIC     PARTITIONS  REPLICATION  ID                      INTERNAL\n"),
        "{wide}"
    );
    let wide = node.ask(&["topic", "describe", "orders", "--output", "wide"]);
    assert!(wide.expect(0).contains(" OFFLINE "));
    let yaml = node.ask(&["topic", "describe", "orders", "--output", "yaml"]);
    let yaml = yaml.expect(0);
    for part in [
        "- topic: orders\n",
        "\n    retention.ms: \"86400000\"\n",
        "\n    - partition: 2\n      leader: 1\n",
    ] {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }

    // What was perhaps meant.
    for (args, code, near) in [
        (
            &["topic", "alter", "order", "-c", "retention.ms=5"][..],
            4,
            "`orders`",
        ),
        (
            &["topic", "alter", "orders", "-c", "retention.mss=5"],
            1,
            "`retention.ms`",
        ),
        (
            &["topic", "create", "x", "-c", "retention.mss=5"],
            1,
            "`retention.ms`",
        ),
        (
            &["config", "set", "--topic", "orders", "segment.byte=5"],
            1,
            "`segment.bytes`",
        ),
        (
            &["config", "get", "--topic", "orders", "retention.mss"],
            4,
            "`retention.ms`",
        ),
        (
            &["config", "get", "--topic", "orders", "nothing.like.it"],
            4,
            "without a key",
        ),
        (
            &["config", "set", "--broker", "1", "num.partitions=5"],
            1,
            "`ottla config explain num.partitions`",
        ),
        (&["consume", "orders", "-p", "3"], 4, "it has 0 to 2"),
        (
            &["config", "get", "--broker", "9"],
            4,
            "`ottla cluster info`",
        ),
        (
            &["config", "set", "--broker", "9", "log.retention.ms=5"],
            4,
            "`ottla cluster info`",
        ),
    ] {
        let ran = node.ask(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(near), "{args:?}: {}", ran.stderr);
    }

    // Produce.
    let input: String = (0..100)
        .map(|i| format!("key-{}\tvalue {i}\n", i % 7))
        .collect();
    let format = "%k\\t%v\\n";
    let produce = [
        "produce",
        "orders",
        "-f",
        format,
        "-z",
        "zstd",
        "-H",
        "source:test",
        "--output",
        "json",
    ];
    let produced = node.ask_with(&produce, input.as_bytes()).json();
    assert_eq!(
        (&produced["records"], &produced["failed"]),
        (&Value::from(100), &Value::from(0))
    );
    let there = node
        .ask(&["topic", "offsets", "orders", "--output", "json"])
        .json();
    let sum: i64 = there
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["records"].as_i64().unwrap())
        .sum();
    assert_eq!(sum, 100);

    // Consume, by format and as JSON, all and parts.
    let consumed = node
        .ask(&[
            "consume",
            "orders",
            "--until-end",
            "-f",
            "%k\\t%v %h{%k=%v}\\n",
        ])
        .expect(0);
    let expected: BTreeSet<String> = (0..100)
        .map(|i| format!("key-{}\tvalue {i} source=test", i % 7))
        .collect();
    assert_eq!(
        consumed.lines().map(str::to_owned).collect::<BTreeSet<_>>(),
        expected
    );
    assert_eq!(consumed.lines().count(), 100);
    let all = lines(
        &node
            .ask(&["consume", "orders", "-o", ":end", "--output", "jsonl"])
            .expect(0),
    );
    assert_eq!(all.len(), 100);
    assert_eq!(all[0]["headers"][0]["key"], "source");
    let few = node
        .ask(&["consume", "orders", "-o", "start", "-n", "5"])
        .expect(0);
    assert_eq!(few.lines().count(), 5);
    let partition = all[0]["partition"].as_i64().unwrap();
    let (one, end) = (partition.to_string(), format!("{}:{}", 1, 3));
    let part = node
        .ask(&[
            "consume", "orders", "-p", &one, "-o", &end, "-f", "%p %o\\n",
        ])
        .expect(0);
    assert_eq!(part, format!("{partition} 1\n{partition} 2\n"));

    // Only some of them.
    let some = [
        "consume",
        "orders",
        "--until-end",
        "--filter",
        ".key == \"key-3\"",
        "-f",
        "%v\\n",
    ];
    let some = node.ask(&some).expect(0);
    let expected = (0..100).filter(|i| i % 7 == 3);
    let expected: BTreeSet<String> = expected.map(|i| format!("value {i}")).collect();
    assert_eq!(
        some.lines().map(str::to_owned).collect::<BTreeSet<_>>(),
        expected
    );
    let failing = [
        "consume",
        "orders",
        "--until-end",
        "--filter",
        ".value | fromjson",
    ];
    let failing = node.ask(&failing);
    assert!(
        failing.stderr.contains("the filter failed on 100 records"),
        "{}",
        failing.stderr
    );
    assert_eq!(failing.expect(0), "");

    // Beyond the end there is nothing, and that is said.
    let beyond = node.ask(&["consume", "orders", "-o", "1000", "--until-end"]);
    assert_eq!(beyond.code, 4);
    assert!(
        beyond.stderr.contains("there is no offset 1000 yet"),
        "{}",
        beyond.stderr
    );
    node.ask(&["consume", "orders", "-o", "end", "--until-end"])
        .expect(0);
    let tail = node.ask(&["tail", "orders", "-o", "-1", "-n", "1", "--output", "yaml"]);
    let tail = tail.expect(0);
    assert!(
        tail.starts_with("---\n") && tail.contains("\ntopic: orders\n"),
        "{tail}"
    );

    // What was read can be written again, as it was.
    let json = node
        .ask(&["consume", "orders", "--until-end", "--output", "jsonl"])
        .expect(0);
    let copied: String = json
        .lines()
        .map(|line| line.replace("\"orders\"", "\"payments\"") + "\n")
        .collect();
    let copied = copied
        .replace("\"partition\":1", "\"partition\":0")
        .replace("\"partition\":2", "\"partition\":0");
    node.ask_with(&["produce", "-f", "json"], copied.as_bytes())
        .expect(0);
    let copy = lines(
        &node
            .ask(&["consume", "payments", "--until-end", "--output", "jsonl"])
            .expect(0),
    );
    assert_eq!(copy.len(), 100);
    assert_eq!(copy[0]["timestamp"], lines(&json)[0]["timestamp"]);

    // A group reads, and goes on where it was.
    let first = node
        .ask(&[
            "consume", "orders", "-g", "billing", "-n", "30", "-f", "%v\\n",
        ])
        .expect(0);
    assert_eq!(first.lines().count(), 30);
    let rest = node
        .ask(&[
            "consume",
            "orders",
            "-g",
            "billing",
            "--until-end",
            "-f",
            "%v\\n",
        ])
        .expect(0);
    let both: BTreeSet<&str> = first.lines().chain(rest.lines()).collect();
    assert_eq!((both.len(), rest.lines().count()), (100, 70));
    let groups = lines(&node.ask(&["group", "list", "--output", "jsonl"]).expect(0));
    assert_eq!(groups[0]["group"], "billing");
    let group = node
        .ask(&["group", "describe", "billing", "--output", "json"])
        .json();
    assert_eq!(
        (&group[0]["state"], &group[0]["lag"]),
        (&Value::from("Empty"), &Value::from(0))
    );
    assert_eq!(group[0]["partitions"].as_array().unwrap().len(), 3);

    // It is moved: only with a yes.
    let refused = node.ask(&["group", "seek", "billing", "--to", "start"]);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(refused.code, 7);
    let dry = node
        .ask(&[
            "group",
            "seek",
            "billing",
            "--to",
            "start",
            "--dry-run",
            "--output",
            "jsonl",
        ])
        .expect(0);
    assert!(
        lines(&dry)
            .iter()
            .all(|row| row["offset"] == 0 && row["dry_run"] == true),
        "{dry}"
    );
    assert_eq!(
        node.ask(&["group", "describe", "billing", "--output", "json"])
            .json()[0]["lag"],
        0
    );
    node.ask(&["group", "seek", "billing", "--to", "start", "--yes"])
        .expect(0);
    assert_eq!(
        node.ask(&["group", "describe", "billing", "--output", "json"])
            .json()[0]["lag"],
        100
    );
    node.ask(&[
        "group",
        "seek",
        "billing",
        "--to",
        "current+1",
        "-t",
        &format!("orders:{one}"),
        "-y",
    ])
    .expect(0);
    assert_eq!(
        node.ask(&["group", "describe", "billing", "--output", "json"])
            .json()[0]["lag"],
        99
    );
    node.ask(&[
        "group",
        "delete-offsets",
        "billing",
        "--topic",
        &format!("orders:{one}"),
        "--yes",
    ])
    .expect(0);
    let group = node
        .ask(&["group", "describe", "billing", "--output", "json"])
        .json();
    assert_eq!(group[0]["partitions"].as_array().unwrap().len(), 2);
    node.ask(&["group", "delete", "billing", "--yes"]).expect(0);
    let gone = node.ask(&["group", "describe", "billing"]);
    assert_eq!(gone.code, 4, "{}", gone.stderr);

    // Settings.
    node.ask(&["config", "set", "--topic", "orders", "retention.ms=1000000"])
        .expect(0);
    let set = setting(&node, "orders", "retention.ms");
    assert_eq!(
        (&set["value"], &set["source"]),
        (&Value::from("1000000"), &Value::from("topic"))
    );
    let wrong = node.ask(&["config", "set", "--topic", "orders", "retention.ms=soon"]);
    assert!(wrong.stderr.contains("INVALID_CONFIG"), "{}", wrong.stderr);
    assert_eq!(wrong.code, 1);
    node.ask(&["config", "unset", "--topic", "orders", "retention.ms"])
        .expect(0);
    let set = setting(&node, "orders", "retention.ms");
    assert_eq!(set["source"], "default");
    node.ask(&["topic", "alter", "orders", "--set", "segment.bytes=1048576"])
        .expect(0);
    node.ask(&["topic", "add-partitions", "orders", "--to", "4"])
        .expect(0);
    let fewer = node.ask(&["topic", "add-partitions", "orders", "--to", "2"]);
    assert!(
        fewer.code == 1 && fewer.stderr.contains("INVALID_PARTITIONS"),
        "{}",
        fewer.stderr
    );

    // Trimming and deleting: only with a yes.
    assert_eq!(
        node.ask(&["topic", "trim", "orders", "--before", "end"])
            .code,
        7
    );
    let trimmed = node
        .ask(&[
            "topic", "trim", "orders", "--before", "+1", "-p", &one, "-y", "--output", "json",
        ])
        .json();
    assert_eq!(
        (&trimmed[0]["start"], &trimmed[0]["removed"]),
        (&Value::from(1), &Value::from(1))
    );
    assert_eq!(node.ask(&["topic", "delete", "orders"]).code, 7);
    let dry = node.ask(&["topic", "delete", "orders", "--dry-run", "--output", "json"]);
    assert!(
        dry.stderr.contains("4 partitions, 99 records"),
        "{}",
        dry.stderr
    );
    let dry = dry.json();
    assert_eq!(
        (&dry[0]["records"], &dry[0]["dry_run"]),
        (&Value::from(99), &Value::from(true))
    );
    assert!(dry[0]["bytes"].as_u64().unwrap() > 0);
    node.ask(&["topic", "delete", "orders", "--yes"]).expect(0);
    assert_eq!(node.ask(&["topic", "describe", "orders"]).code, 4);
    assert_eq!(node.ask(&["consume", "orders", "--until-end"]).code, 4);
    node.ask(&["topic", "delete", "orders", "--if-exists", "--yes"])
        .expect(0);

    // The cluster, and an orderly end: what is on the disk is sound.
    let info = node.ask(&["cluster", "info", "--output", "json"]).json();
    assert_eq!(info["cluster_id"], node.ready["cluster_id"]);
    let data = node.dir.join("data");
    let (code, _dir) = node.stop();
    assert_eq!(code, 0);
    let verified = run(&["log", "verify", data.to_str().unwrap(), "--output", "json"]).json();
    let logs = verified.as_array().unwrap();
    assert!(logs.iter().all(|log| log["sound"] == true), "{verified}");
    let payments = logs
        .iter()
        .find(|log| log["dir"].as_str().unwrap().ends_with("payments-0"))
        .unwrap();
    assert_eq!(payments["log_end"], 100);
}

#[test]
fn binary_records_pass_through_unharmed() {
    let node = Node::start();
    node.ask(&["topic", "create", "bytes", "-p", "1"]).expect(0);
    let values: Vec<Vec<u8>> = vec![b"a\nb".to_vec(), Vec::new(), (0..=255).collect()];
    let mut input = Vec::new();
    for value in &values {
        input.extend((value.len() as u32).to_be_bytes());
        input.extend(value);
    }
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        node.ask_with(
            &[
                "produce",
                "bytes",
                "-f",
                "%V{big32}%v",
                "-z",
                codec,
                "--acks",
                "1",
            ],
            &input,
        )
        .expect(0);
    }
    let hex = node
        .ask(&["consume", "bytes", "--until-end", "-f", "%v{hex}\\n"])
        .expect(0);
    let digits = |bytes: &Vec<u8>| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let once: Vec<String> = values.iter().map(digits).collect();
    let read: Vec<&str> = hex.lines().collect();
    assert_eq!(read.len(), 15);
    for round in read.chunks(3) {
        assert_eq!(round, once);
    }
    // Broken input: what came before it is written, and the place is told.
    let broken = node.ask_with(&["produce", "bytes", "-f", "%v{hex}\\n"], b"00\nxx\n");
    assert!(
        broken.code == 1
            && broken.stderr.contains("after record 1: ")
            && broken.stderr.contains("\nnext: "),
        "{}",
        broken.stderr
    );
    let offsets = node
        .ask(&["topic", "offsets", "bytes", "--output", "json"])
        .json();
    assert_eq!(offsets[0]["end"], 16);
    // So it is with a record that can be read and goes nowhere.
    let homeless = b"{\"topic\":\"bytes\",\"value\":\"a\"}\n{\"value\":\"b\"}\n{\"topic\":\"bytes\",\"value\":\"c\"}\n";
    let broken = node.ask_with(&["produce", "-f", "json", "--output", "json"], homeless);
    assert_eq!(broken.code, 1, "{}", broken.stderr);
    for part in ["after record 1: ", "names no topic", "\nnext: "] {
        assert!(broken.stderr.contains(part), "{part}: {}", broken.stderr);
    }
    let told: Value = serde_json::from_str(&broken.stdout).unwrap();
    assert_eq!(
        (&told["records"], &told["partitions"][0]["last_offset"]),
        (&1.into(), &16.into())
    );
    let offsets = node
        .ask(&["topic", "offsets", "bytes", "--output", "json"])
        .json();
    assert_eq!(offsets[0]["end"], 17);
}

#[test]
fn nobody_there_is_an_exit_code_of_its_own() {
    // A port that was free a moment ago, and on which nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    for args in [
        &["topic", "list"][..],
        &["group", "list"],
        &["cluster", "info"],
        &["consume", "x", "--until-end"],
    ] {
        let ran = run(&[args, &["-b", &address, "--timeout", "300ms"]].concat());
        assert_eq!(ran.code, 6, "{args:?}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("next:") && ran.stdout.is_empty(),
            "{args:?}: {}",
            ran.stderr
        );
    }
    let ran = common::run_with(
        &["produce", "x", "-b", &address, "--timeout", "300ms"],
        b"v\n",
        |_| {},
    );
    assert_eq!(ran.code, 6, "{}", ran.stderr);
}

/// What was printed when somebody pressed Ctrl-C is committed, and the member has left.
#[test]
fn an_interrupted_member_commits_what_it_printed() {
    let node = Node::start();
    node.ask(&["topic", "create", "t", "-p", "1"]).expect(0);
    node.ask_with(&["produce", "t"], b"a\nb\nc\n").expect(0);
    let mut child = common::command()
        .args(["consume", "t", "-g", "g", "-b", &node.bootstrap])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    for _ in 0..3 {
        out.read_line(&mut printed).unwrap();
    }
    assert_eq!(printed, "a\nb\nc\n");
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let ended = child.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{told}");
    assert_eq!(told, "ottla: interrupted\n");
    let group = node
        .ask(&["group", "describe", "g", "--output", "json"])
        .json();
    assert_eq!(
        (&group[0]["state"], &group[0]["lag"]),
        (&Value::from("Empty"), &Value::from(0))
    );
}

/// The id that most compose files have, which Kafka itself would write in another way.
#[test]
fn clients_are_told_the_clusters_id_as_it_was_given() {
    const ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";
    let node = Node::start_with(|command| {
        command.env("CLUSTER_ID", ID);
    });
    assert_eq!(node.ready["cluster_id"], ID);
    let info = node.ask(&["cluster", "info", "--output", "json"]).json();
    assert_eq!(info["cluster_id"], ID);
    // A log of it is found again.
    node.ask_with(&["topic", "create", "orders"], b"").expect(0);
    node.ask_with(&["produce", "orders"], b"a\n").expect(0);
    let data = node.dir.join("data");
    let (code, _dir) = node.stop();
    assert_eq!(code, 0);
    let verified = run(&["log", "verify", data.to_str().unwrap(), "--output", "json"]).json();
    let logs = verified.as_array().unwrap();
    assert!(logs.iter().all(|log| log["sound"] == true), "{verified}");
}

/// Keys that are taken and do nothing are told once each, at the start; those at their defaults are not told.
#[test]
fn what_has_no_effect_is_told_once() {
    let dir = TempDir::new();
    let mut child = common::command()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.join("data"))
        .args(["-X", "metric.reporters=com.example.Reporter"])
        .args(["-X", "ssl.keystore.type=JKS"])
        .args(["-X", "num.io.threads=16"])
        .args(["-X", "num.network.threads=3"])
        .env("KAFKA_NUM_IO_THREADS", "4")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    child.kill().unwrap();
    let told = child.wait_with_output().unwrap().stderr;
    let told = String::from_utf8(told).unwrap();
    assert!(ready.starts_with("ready: "), "{ready}{told}");
    let warnings: Vec<&str> = told.lines().filter(|line| line.contains("WARN")).collect();
    for text in [
        "metric.reporters=com.example.Reporter has no effect: Ottla loads no Java classes",
        "ssl.keystore.type=JKS has no effect: Ottla has no TLS",
        "num.io.threads=16 has no effect: Ottla runs one shard per core",
    ] {
        let count = warnings.iter().filter(|line| line.contains(text)).count();
        assert_eq!(count, 1, "{text}: {told}");
    }
    assert!(!told.contains("num.network.threads"), "{told}");
}

//! The program when something is wrong with what it works on.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests of the program: processes, files and pipes of the operating system"
)]

mod common;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use common::{Node, Ran, TempDir, run, run_with};
use serde_json::Value;

/// Runs a command that need not be waited for longer than this, retries included.
fn ask_for(node: &Node, timeout: &str, args: &[&str]) -> Ran {
    let all = [args, &["--timeout", timeout, "-b", &node.bootstrap]].concat();
    run_with(&all, b"", |_| {})
}

/// A node with the topic `t` of one partition, in which this was produced.
fn with_input(input: &[u8]) -> Node {
    let node = Node::start();
    node.ask(&["topic", "create", "t", "-p", "1"]).expect(0);
    node.ask_with(&["produce", "t"], input).expect(0);
    node
}

/// More than a pipe holds, so that whoever writes it is held up by a reader who takes the first byte only.
fn more_than_a_pipe_holds() -> Vec<u8> {
    format!("{:01000}\n", 0).repeat(1_000).into_bytes()
}

/// Takes the first byte of what a command prints.
fn take_first_byte(command: &mut Child) {
    let mut first = [0];
    let out = command.stdout.as_mut().unwrap();
    out.read_exact(&mut first).unwrap();
}

/// A node one of whose partitions, the second of `orders`, cannot be opened. The other has three records.
fn with_broken_partition() -> Node {
    let node = Node::start();
    node.ask(&["topic", "create", "orders", "-p", "2"])
        .expect(0);
    for (partition, input) in [("0", "a\nb\nc\n"), ("1", "d\n")] {
        node.ask_with(&["produce", "orders", "-p", partition], input.as_bytes())
            .expect(0);
    }
    node.ask(&["consume", "orders", "-g", "billing", "--until-end"])
        .expect(0);
    let (code, dir) = node.stop();
    assert_eq!(code, 0);
    // A file where its directory was.
    let log = dir.join("data/orders-1");
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::write(&log, "").unwrap();
    // The node tells of it; that is not what is looked at here.
    Node::start_in(dir, |command| {
        command.stderr(Stdio::null());
    })
}

#[test]
fn a_partition_that_cannot_be_used_holds_up_nothing_but_itself() {
    const WHY: &str = "KAFKA_STORAGE_ERROR";
    let node = with_broken_partition();
    let ask = |args: &[&str]| ask_for(&node, "6s", args);

    let described = ask(&["topic", "describe", "orders", "--output", "json"]).json();
    let partitions = &described[0]["partitions"];
    assert_eq!(
        (&partitions[0]["end"], &partitions[0]["error"]),
        (&Value::from(3), &Value::Null)
    );
    assert_eq!(
        (&partitions[1]["end"], &partitions[1]["error"]),
        (&Value::Null, &Value::from(WHY))
    );

    let group = ask(&["group", "describe", "billing", "--output", "json"]);
    assert_eq!(group.code, 3, "{}", group.stderr);
    assert!(
        group.stderr.contains("orders-1") && group.stderr.contains(WHY),
        "{}",
        group.stderr
    );
    let group: Value = serde_json::from_str(&group.stdout).unwrap();
    let partitions = &group[0]["partitions"];
    assert_eq!(
        (&partitions[0]["lag"], &partitions[1]["lag"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(partitions[1]["committed"], 1);

    let offsets = ask(&[
        "topic", "offsets", "orders", "--at", "@now", "--output", "json",
    ]);
    assert_eq!(offsets.code, 3, "{}", offsets.stderr);
    assert!(
        offsets.stderr.contains("orders-1") && offsets.stderr.contains(WHY),
        "{}",
        offsets.stderr
    );
    let rows: Value = serde_json::from_str(&offsets.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert_eq!((&rows[0]["end"], &rows[0]["at"]), (&3.into(), &3.into()));

    for before in ["1", "@2000-01-01"] {
        let args = [
            "topic", "trim", "orders", "--before", before, "--yes", "--output", "json",
        ];
        let trimmed = ask(&args);
        assert_eq!(trimmed.code, 3, "{}", trimmed.stderr);
        assert!(
            trimmed.stderr.contains("orders-1") && trimmed.stderr.contains(WHY),
            "{}",
            trimmed.stderr
        );
        let rows: Value = serde_json::from_str(&trimmed.stdout).unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 1);
        assert_eq!(
            (&rows[0]["partition"], &rows[0]["start"]),
            (&0.into(), &1.into())
        );
    }
    let only = ask(&[
        "topic", "trim", "orders", "-p", "1", "--before", "1", "--yes",
    ]);
    assert_eq!(only.code, 1, "{}", only.stderr);
    assert!(only.stdout.is_empty(), "{}", only.stdout);

    // What would be lost cannot be told, and is deleted all the same.
    let dry = ask(&["topic", "delete", "orders", "--dry-run", "--output", "json"]);
    for part in [
        "  orders: 2 partitions\n",
        "what is in partition 1 cannot be told: ",
        WHY,
    ] {
        assert!(dry.stderr.contains(part), "{part}: {}", dry.stderr);
    }
    let dry = dry.json();
    assert_eq!(dry[0]["partitions"], 2);
    for field in ["records", "bytes", "last_timestamp"] {
        assert_eq!(dry[0][field], Value::Null, "{field}: {dry}");
    }
    ask(&["topic", "delete", "orders", "--yes"]).expect(0);
    assert_eq!(ask(&["topic", "describe", "orders"]).code, 4);
}

/// What keeps a node from starting is told with its exit code and what to do.
#[test]
fn a_node_that_cannot_start_says_what_to_do() {
    let node = Node::start();
    let held = node.dir.join("data");
    let held = held.to_str().unwrap();
    let fresh = TempDir::new();
    let fresh_data = fresh.join("data");
    let fresh_data = fresh_data.to_str().unwrap();
    let fails = |args: &[&str], code: i32, parts: &[&str]| {
        let ran = run(args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{args:?}: {}", ran.stdout);
        for part in parts {
            let count = ran.stderr.matches(part).count();
            assert_eq!(count, 1, "{args:?}: {part}: {}", ran.stderr);
        }
    };
    let anywhere = "127.0.0.1:0";
    let in_use = ["another process has it", held, "\nnext: ", "`--data DIR`"];
    fails(&["serve", "--data", held, "--listen", anywhere], 7, &in_use);
    fails(
        &["format", "--data", held, "--ignore-formatted"],
        7,
        &in_use,
    );
    let port = ["cannot listen on", "\nnext: ", "`--listen HOST:PORT`"];
    let taken = ["serve", "--data", fresh_data, "--listen", &node.bootstrap];
    fails(&taken, 1, &port);
    // A documentation address, which no machine has.
    let nowhere = ["serve", "--data", fresh_data, "--listen", "192.0.2.1:0"];
    fails(&nowhere, 1, &port);

    let file = fresh.join("file");
    std::fs::write(&file, "").unwrap();
    let parts = ["the data directory cannot be made", "\nnext: "];
    fails(&["serve", "--data", file.to_str().unwrap()], 1, &parts);

    let (code, dir) = node.stop();
    assert_eq!(code, 0);
    let foreign = [
        "serve",
        "--data",
        held,
        "--listen",
        anywhere,
        "-X",
        "node.id=7",
    ];
    let parts = ["belongs to node 1", "\nnext: ", "`--data DIR`"];
    fails(&foreign, 7, &parts);
    drop(dir);
}

/// Records that are there already are not waited for any longer than the command may wait, whoever said where to
/// stop.
#[test]
fn a_broker_that_goes_away_in_the_middle_is_noticed() {
    const RECORDS: usize = 3_000;
    let input = format!("{:04000}\n", 0).repeat(RECORDS);
    let mut node = with_input(input.as_bytes());
    let until = format!("0:{RECORDS}");
    let ranges = [":end", &until, "start"];
    let mut readers: Vec<_> = ranges
        .iter()
        .map(|range| {
            let mut command = common::command();
            command.args(["consume", "t", "-o", range, "--timeout", "2s"]);
            if *range == "start" {
                command.arg("--until-end");
            }
            let child = command
                .args(["-b", &node.bootstrap])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            child.unwrap()
        })
        .collect();
    // Each has begun, and is held up by a pipe that nobody reads from.
    for reader in &mut readers {
        take_first_byte(reader);
    }
    node.kill();
    for (range, reader) in ranges.iter().zip(readers) {
        let watchdog = common::watchdog(&reader);
        let output = reader.wait_with_output().unwrap();
        drop(watchdog);
        let told = String::from_utf8(output.stderr).unwrap();
        let printed = output.stdout.len();
        assert!(printed < input.len() - 1, "{range}: all of it came");
        assert_eq!(output.status.code(), Some(6), "{range}: {told}");
        assert!(
            told.contains("t-0 has not reached its end") && told.contains("\nnext: "),
            "{range}: {told}"
        );
    }
}

/// Damage is told to whoever meets it, with what to do; and what to do helps.
#[test]
fn damaged_records_are_told_and_come_back_with_a_good_copy() {
    let node = with_input(b"a\n");
    for value in ["b\n", "c\n"] {
        node.ask_with(&["produce", "t"], value.as_bytes()).expect(0);
    }
    let (_, dir) = node.stop();
    let log = dir.join("data/t-0");
    let segment = log.join("00000000000000000000.log");
    let good = std::fs::read(&segment).unwrap();
    let mut bytes = good.clone();
    // In the second of three batches.
    bytes[good.len() / 2] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let quiet = |command: &mut Command| {
        command.stderr(Stdio::null());
    };
    let node = Node::start_in(dir, quiet);
    let consume = ["consume", "t", "-o", ":end", "--format", "%v\n"];
    let met = ask_for(&node, "3s", &consume);
    assert_eq!(
        (met.stdout.as_str(), met.code != 0),
        ("a\n", true),
        "{}",
        met.stderr
    );
    for part in [
        "t-0 has not reached its end",
        "CORRUPT_MESSAGE",
        "next: ",
        "ottla log verify",
    ] {
        assert!(met.stderr.contains(part), "{}", met.stderr);
    }
    let (_, dir) = node.stop();
    let path = log.to_str().unwrap();
    let found = run(&["log", "verify", path]).expect(1);
    assert!(found.contains("known to be damaged"), "{found}");
    std::fs::write(&segment, good).unwrap();
    run(&["log", "repair", path, "--reread", "--yes"]).expect(0);
    run(&["log", "verify", path]).expect(0);
    let node = Node::start_in(dir, quiet);
    assert_eq!(node.ask(&consume).expect(0), "a\nb\nc\n");
}

/// What is yet to be written is waited for.
#[test]
fn a_range_that_ends_in_the_future_is_waited_for() {
    let node = with_input(b"a\n");
    let mut reader = common::command()
        .args(["consume", "t", "-o", "0:2", "--timeout", "1s"])
        .args(["-b", &node.bootstrap])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(reader.try_wait().unwrap(), None);
    node.ask_with(&["produce", "t"], b"b\nc\n").expect(0);
    let mut printed = String::new();
    let mut out = reader.stdout.take().unwrap();
    out.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "a\nb\n");
    assert!(reader.wait().unwrap().success());
}

/// The others of a group need not wait until it has missed a member whose output nobody reads any more.
#[test]
fn a_member_whose_output_nobody_reads_leaves_its_group() {
    let node = with_input(&more_than_a_pipe_holds());
    let mut member = common::command()
        .args(["consume", "t", "-g", "g", "-b", &node.bootstrap])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    take_first_byte(&mut member);
    drop(member.stdout.take());
    let _watchdog = common::watchdog(&member);
    assert!(member.wait().unwrap().success());
    let group = node
        .ask(&["group", "describe", "g", "--output", "json"])
        .json();
    assert_eq!(group[0]["state"], "Empty");
}

/// What was read before somebody pressed Ctrl-C is written, and told.
#[test]
fn an_interrupted_producer_tells_what_it_wrote() {
    let node = Node::start();
    node.ask(&["topic", "create", "t", "-p", "1"]).expect(0);
    let mut producer = common::command()
        .args(["produce", "t", "--output", "json", "--linger-ms", "600000"])
        .args(["-b", &node.bootstrap])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = producer.stdin.take().unwrap();
    // They have been read, and wait for others, when the signal comes.
    input.write_all(b"a\nb\n").unwrap();
    while rustix::io::ioctl_fionread(&input).unwrap() > 0 {
        std::thread::yield_now();
    }
    common::interrupt(&producer);
    let _watchdog = common::watchdog(&producer);
    let output = producer.wait_with_output().unwrap();
    drop(input);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted after record 2"), "{told}");
    let produced: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&produced["records"], &produced["failed"]),
        (&2.into(), &0.into())
    );
    let offsets = ["topic", "offsets", "t", "--output", "json"];
    assert_eq!(node.ask(&offsets).json()[0]["end"], 2);
    // Nor is anything waited for at the end of the input.
    let args = ["produce", "t", "--output", "json", "--linger-ms", "600000"];
    assert_eq!(node.ask_with(&args, b"c\n").json()["records"], 1);
}

/// `ottla consume t | less`: who looks at the first page can end it.
#[test]
fn a_command_that_nobody_reads_from_hears_ctrl_c() {
    let node = with_input(&more_than_a_pipe_holds());
    let mut reader = common::command()
        .args(["consume", "t", "-o", "start", "-b", &node.bootstrap])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    take_first_byte(&mut reader);
    common::interrupt(&reader);
    let _watchdog = common::watchdog(&reader);
    let out = reader.stdout.take();
    assert_eq!(reader.wait().unwrap().code(), Some(130));
    drop(out);
}

/// That nobody reads the output hides nothing: neither that something failed, nor the node itself.
#[test]
fn an_output_that_nobody_reads() {
    let node = Node::start();
    node.ask(&["topic", "create", "t", "-p", "1"]).expect(0);
    let mut producer = common::command()
        .args(["produce", "t", "-f", "%v{hex}\\n", "-b", &node.bootstrap])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(producer.stdout.take());
    let mut input = producer.stdin.take().unwrap();
    input.write_all(b"00\nxx\n").unwrap();
    drop(input);
    assert_eq!(producer.wait().unwrap().code(), Some(1));

    let dir = TempDir::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut serving = common::command()
        .args(["serve", "--log", "warn", "--listen", &address, "--data"])
        .arg(dir.join("data"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(serving.stdout.take());
    let ran = run(&["topic", "list", "--timeout", "30s", "-b", &address]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    serving.kill().unwrap();
    serving.wait().unwrap();
}

/// Programs read a list even where there is nothing in it; people have been told why.
#[test]
fn an_empty_outcome_is_an_empty_list() {
    let node = Node::start();
    for (args, code) in [
        (&["topic", "delete", "x", "--if-exists", "--yes"][..], 0),
        (&["topic", "delete", "x", "--yes"], 4),
        (&["topic", "trim", "x", "--before", "end", "--yes"], 4),
        (&["topic", "describe", "x"], 4),
        (&["topic", "offsets", "x"], 4),
        (&["group", "describe", "x"], 4),
        (&["group", "delete", "x", "--yes"], 4),
    ] {
        for form in ["json", "yaml"] {
            let ran = node.ask(&[args, &["--output", form]].concat());
            assert_eq!(
                (ran.code, &*ran.stdout),
                (code, "[]\n"),
                "{args:?}: {}",
                ran.stderr
            );
        }
        for form in ["table", "jsonl"] {
            let ran = node.ask(&[args, &["--output", form]].concat());
            assert_eq!(
                (ran.code, &*ran.stdout),
                (code, ""),
                "{args:?}: {}",
                ran.stderr
            );
        }
    }
}

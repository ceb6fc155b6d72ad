//! The program when something is wrong with what it works on.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests of the program: processes, files and pipes of the operating system"
)]

mod common;

use common::{Node, Ran, run_with};
use serde_json::Value;

/// Runs a command that need not be waited for longer than this, retries included.
fn ask_for(node: &Node, timeout: &str, args: &[&str]) -> Ran {
    let all = [args, &["--timeout", timeout, "-b", &node.bootstrap]].concat();
    run_with(&all, b"", |_| {})
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
    let (code, dir) = node.stop();
    assert_eq!(code, 0);
    // A file where its directory was.
    let log = dir.join("data/orders-1");
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::write(&log, "").unwrap();
    // The node tells of it; that is not what is looked at here.
    Node::start_in(dir, |command| {
        command.stderr(std::process::Stdio::null());
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

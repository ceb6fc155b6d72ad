//! The program at a terminal, where it asks before it destroys.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests of the program: processes, files and pipes of the operating system"
)]

mod common;

use std::time::Duration;

use common::{AtTerminal, Node, run};

const QUESTION: &str = "go on? [y/N] ";

/// A command at the terminal, against a node.
fn at(node: &Node, args: &[&str]) -> AtTerminal {
    AtTerminal::start(&[args, &["-b", &node.bootstrap]].concat())
}

/// A command at the terminal that has asked whether to go on.
fn asking(node: &Node, args: &[&str]) -> AtTerminal {
    let mut asked = at(node, args);
    asked.await_text(QUESTION);
    asked
}

fn there(node: &Node, topic: &str) -> bool {
    match node.ask(&["topic", "describe", topic]).code {
        0 => true,
        4 => false,
        code => panic!("{code}"),
    }
}

#[test]
fn only_a_yes_is_a_yes() {
    let node = Node::start();
    node.ask(&["topic", "create", "orders", "-p", "2"])
        .expect(0);
    node.ask_with(&["produce", "orders"], b"a\nb\n").expect(0);
    // Ctrl-D is the end of the input: no answer at all.
    for keys in ["\n", "n\n", "yess\n", "\u{4}"] {
        let mut asked = asking(&node, &["topic", "delete", "orders"]);
        assert!(asked.shown.contains("orders: 2 partitions, 2 records"));
        asked.press(keys);
        let ran = asked.end();
        assert_eq!(ran.code, 7, "{keys:?}: {}", ran.stderr);
        assert!(
            ran.stderr
                .contains("\nottla: nothing was done: the answer was not yes"),
            "{keys:?}: {}",
            ran.stderr
        );
        assert!(ran.stdout.is_empty() && there(&node, "orders"));
    }
    let mut asked = asking(&node, &["topic", "delete", "orders"]);
    asked.press("Y\n");
    assert!(asked.end().expect(0).contains("orders"));
    assert!(!there(&node, "orders"));
}

/// The time of the command is for the cluster, not for whoever is asked: they would say yes to a command that then
/// tells that it took too long, and has deleted the topic.
#[test]
fn an_answer_may_take_longer_than_the_command() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let node = Node::start();
    node.ask(&["topic", "create", "orders", "-p", "1"])
        .expect(0);
    let mut asked = asking(&node, &["topic", "delete", "orders", "--timeout", "3s"]);
    std::thread::sleep(TIMEOUT + Duration::from_millis(500));
    asked.press("y\n");
    asked.end().expect(0);
    assert!(!there(&node, "orders"));
}

#[test]
fn an_interrupted_question_is_a_no() {
    let node = Node::start();
    node.ask(&["topic", "create", "orders", "-p", "1"])
        .expect(0);
    let produced = node.ask_with(&["produce", "orders"], b"a\n");
    produced.expect(0);
    node.ask(&["consume", "orders", "-g", "billing", "-n", "1"])
        .expect(0);
    let interrupted = |mut asked: AtTerminal| {
        asked.await_text(QUESTION);
        asked.interrupt();
        let ran = asked.end();
        assert_eq!(ran.code, 130, "{}", ran.stderr);
        assert!(
            ran.stderr
                .contains("\nottla: interrupted: nothing was done"),
            "{}",
            ran.stderr
        );
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    };
    for args in [
        &["topic", "delete", "orders"][..],
        &["topic", "trim", "orders", "--before", "end"],
        &["group", "seek", "billing", "--to", "start"],
        &["group", "delete", "billing"],
        &["group", "delete-offsets", "billing", "--topic", "orders"],
    ] {
        interrupted(at(&node, args));
    }
    let group = node
        .ask(&["group", "describe", "billing", "--output", "json"])
        .json();
    assert_eq!(
        (&group[0]["lag"], &group[0]["state"]),
        (&0.into(), &"Empty".into())
    );
    let ends = node
        .ask(&["topic", "offsets", "orders", "--output", "json"])
        .json();
    assert_eq!((&ends[0]["start"], &ends[0]["end"]), (&0.into(), &1.into()));

    let (code, dir) = node.stop();
    assert_eq!(code, 0);
    let data = dir.join("data").join("orders-0");
    let index = data.join("00000000000000000000.timeindex");
    std::fs::remove_file(&index).unwrap();
    let data = data.to_str().unwrap();
    interrupted(AtTerminal::start(&["log", "repair", data]));
    assert!(!index.exists());
    run(&["log", "repair", data, "--yes"]).expect(0);
    assert!(index.exists());
}

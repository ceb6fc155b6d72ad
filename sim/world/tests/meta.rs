//! The comparison of two processes: equal for a run that keeps to its world, different, with the first
//! differing event, for one that does not.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the child of the test reports on its standard output, and leaks on purpose"
)]

mod common;

use std::process::Command;
use std::time::Duration;

use env::{Clock, Env};
use world::meta::{Ask, NOISE, Verdict, compare, report};
use world::{Profile, World};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, kind, ask] = &arguments[..]
        && mode == "child"
    {
        child(kind, &ask.parse().expect("an ask"));
        return;
    }
    println!("a clean run is the same twice");
    match verdict("clean") {
        Verdict::Same { events, .. } => assert!(events > 500, "{events}"),
        other => panic!("{other:?}"),
    }
    println!("what leaks in is found, with the event");
    for kind in ["environment", "address"] {
        let Verdict::Different {
            window,
            before,
            first,
            second,
        } = verdict(kind)
        else {
            panic!("the leak of the {kind} was not found");
        };
        assert!(!window.is_empty());
        assert_ne!(first, second);
        assert_eq!(before.len(), 5, "{before:?}");
        println!("  {kind}: {first:?}\n  {second:?}");
    }
    println!("a child that fails is an error");
    let failed = compare(|_| Command::new("/bin/false"));
    assert!(failed.is_err(), "{failed:?}");
    let silent = compare(|_| Command::new("/bin/true"));
    assert!(silent.is_err(), "{silent:?}");
}

fn verdict(kind: &str) -> Verdict {
    let program = std::env::current_exe().expect("a path");
    compare(|ask| {
        let mut command = Command::new(&program);
        command.args(["child", kind, &ask.to_string()]);
        command
    })
    .expect("both report")
}

fn child(kind: &str, ask: &Ask) {
    let profile = Profile {
        spurious_poll_ppm: 10_000,
        poll_cost_ns_max: 100,
        ..Profile::calm()
    };
    let mut world = World::traced(5, profile, ask.trace_options());
    let kind = kind.to_owned();
    let leaky = world.add_node("leaky", move |env| {
        let kind = kind.clone();
        async move {
            let wait = match &*kind {
                "environment" => std::env::var(NOISE).expect("set by the parent").len() as u64,
                // Aligned and in the middle of the address space: the bits in between are random.
                "address" => (&raw const *Box::new(0u64)) as u64 >> 12 & 0xff_ffff,
                _ => 77,
            };
            let at = env.clock().mono().after(Duration::from_nanos(1000 + wait));
            env.clock().sleep_until(at).await;
        }
    });
    world.at(12_000_000, move |world| world.start(leaky));
    common::service(&mut world);
    print!("{}", report(&world, ask));
}

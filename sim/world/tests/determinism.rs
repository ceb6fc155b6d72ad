//! The same seed makes the same run; another seed, another.

mod common;

use world::{Damage, Profile, World};

fn run(seed: u64, profile: Profile) -> (u64, u64) {
    let mut world = World::new(seed, profile);
    common::service(&mut world);
    (world.trace_hash(), world.events())
}

#[test]
fn a_seed_is_a_run() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let profile = Profile::swarm(seed, Damage::Reported);
        let first = run(seed, profile.clone());
        assert_eq!(first, run(seed, profile), "seed {seed}");
        assert!(hashes.insert(first.0), "seed {seed} repeats another's run");
    }
}

#[test]
fn another_seed_of_the_same_profile_is_another_run() {
    assert_ne!(run(1, Profile::calm()).0, run(2, Profile::calm()).0);
}

#[test]
fn more_draws_of_one_consumer_change_nothing_elsewhere() {
    use env::{Entropy, Env};
    use world::seed::Draw;
    let draw = |before: u64| {
        let mut world = World::new(3, Profile::calm());
        world
            .run("node", move |env| async move {
                let mut other = env.entropy().stream("other", 0);
                for _ in 0..before {
                    other.word();
                }
                env.entropy().stream("mine", 0).word()
            })
            .expect("a clean run")
    };
    assert_eq!(draw(0), draw(1000));
}

#[test]
fn each_process_has_its_own_streams() {
    use env::{Entropy, Env};
    use world::seed::Draw;
    let mut world = World::new(3, Profile::calm());
    let mut words = std::collections::BTreeSet::new();
    for name in ["a", "b"] {
        let node = world.add_node(name, |_| std::future::pending());
        for _ in 0..2 {
            world.start(node);
            let entropy = world.env(node);
            for (label, id) in [("x", 0), ("x", 1), ("y", 0)] {
                let word = entropy.entropy().stream(label, id).word();
                let again = entropy.entropy().stream(label, id).word();
                assert_eq!(
                    word, again,
                    "the same name is the same stream within a process"
                );
                assert!(words.insert(word));
            }
            world.kill(node);
        }
    }
}

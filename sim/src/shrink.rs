//! Fewer faults and fewer clients, same failure.

use world::TraceOptions;

use crate::run::run_scenario;
use crate::scenario::Scenario;

/// Runs that shrinking may take.
const TRIES_MAX: u32 = 120;

/// Leaves out of a failing scenario what is not needed for the failure.
#[must_use]
pub fn shrink(scenario: &Scenario, invariant: &str) -> Scenario {
    let mut tries = 0;
    shrink_with(scenario, |smaller| {
        tries += 1;
        tries <= TRIES_MAX && {
            let (outcome, _) = run_scenario(smaller, TraceOptions::default());
            outcome
                .failure
                .is_some_and(|failure| failure.violation.invariant == invariant)
        }
    })
}

/// The same, for any test of whether a scenario fails.
pub fn shrink_with(scenario: &Scenario, mut fails: impl FnMut(&Scenario) -> bool) -> Scenario {
    let mut best = scenario.clone();
    // Halves, quarters, and so on down to single faults.
    let mut size = best.faults.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < best.faults.len() {
            let mut smaller = best.clone();
            smaller
                .faults
                .drain(from..(from + size).min(best.faults.len()));
            if fails(&smaller) {
                best = smaller;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    let switches: [fn(&mut Scenario); 10] = [
        |s| s.world.network = false,
        |s| s.world.disk_errors = false,
        |s| s.world.disk_slow = false,
        |s| s.world.clocks = false,
        |s| s.world.scheduling = false,
        |s| s.world.buggify = false,
        |s| s.hostiles.clear(),
        |s| s.admins.clear(),
        |s| s.groups.clear(),
        |s| s.consumers.clear(),
    ];
    for switch in switches {
        let mut smaller = best.clone();
        switch(&mut smaller);
        if smaller != best && fails(&smaller) {
            best = smaller;
        }
    }
    while best.producers.len() > 1 {
        let mut smaller = best.clone();
        smaller.producers.pop();
        if !fails(&smaller) {
            break;
        }
        best = smaller;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use crate::swarm;

    #[test]
    fn what_matters_is_left() {
        let needed = |s: &Scenario, name: &str| s.faults.iter().any(|p| p.fault.name() == name);
        let fails = |s: &Scenario| needed(s, "kill") && needed(s, "pause") && s.world.network;
        let scenario = (0..)
            .map(swarm::draw)
            .find(|s| fails(s) && s.faults.len() > 10)
            .expect("there are many");
        let small = shrink_with(&scenario, fails);
        assert_eq!(small.faults.len(), 2, "{:?}", small.faults);
        assert!(small.world.network && !small.world.buggify && small.groups.is_empty());
        let kills = |f: &Fault| matches!(f, Fault::Kill { .. });
        assert!(small.faults.iter().any(|p| kills(&p.fault)));
    }
}

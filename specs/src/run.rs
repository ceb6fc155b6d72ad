//! Running a model to its end, and a core that panics.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// The name of the property that a panic of a core breaks.
pub(crate) const CORE_CHECKS: &str = "the core's own checks hold";

/// What became of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub property: &'static str,
    /// The actions that lead to it.
    pub actions: Vec<String>,
}

/// What a run saw.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Distinct states visited.
    pub states: usize,
    /// The longest path.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Whether every state within the bounds was visited.
    pub complete: bool,
    /// Properties that must hold and do not, with a shortest way to break them.
    pub broken: Vec<Finding>,
    /// Situations that should come up and did not.
    pub never_seen: Vec<&'static str>,
}

impl Outcome {
    /// Whether everything was visited, everything holds, and everything that should come up did.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.complete && self.broken.is_empty() && self.never_seen.is_empty()
    }
}

/// Visits every state of `model`, breadth first; with `first_only`, up to the first broken property.
pub fn check<M>(model: M, first_only: bool) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Hash + PartialEq + std::fmt::Debug + Send + Sync,
    M::Action: Clone + PartialEq + std::fmt::Debug + Send + Sync,
{
    let started = Instant::now();
    let expected: BTreeMap<&'static str, Expectation> = model
        .properties()
        .into_iter()
        .map(|property| (property.name, property.expectation))
        .collect();
    let mut builder = model.checker().threads(1);
    if first_only {
        builder = builder.finish_when(HasDiscoveries::AnyFailures);
    }
    let checker = builder.spawn_bfs().join();
    let found: BTreeMap<&'static str, _> = checker.discoveries().into_iter().collect();
    let mut broken = Vec::new();
    let mut never_seen = Vec::new();
    for (property, expectation) in expected {
        match (expectation, found.get(property)) {
            (Expectation::Always | Expectation::Eventually, Some(path)) => broken.push(Finding {
                property,
                actions: path
                    .clone()
                    .into_actions()
                    .iter()
                    .map(|action| format!("{action:?}"))
                    .collect(),
            }),
            (Expectation::Sometimes, None) => never_seen.push(property),
            _ => {}
        }
    }
    broken.sort_by_key(|finding| finding.actions.len());
    Outcome {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        complete: checker.is_done() && (broken.is_empty() || !first_only),
        broken,
        never_seen,
    }
}

/// Runs one step of a core. An assertion that fails is a finding, not the end of the checker.
pub(crate) fn survives(step: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(step)).is_ok()
}

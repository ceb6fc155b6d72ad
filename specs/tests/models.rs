//! Every model within its small bounds, in every build; the board with them, where bugs are planted.

use ottla_specs::board::Subject;

fn is_clean(subject: Subject) {
    let outcome = subject.check(false, false);
    assert!(outcome.is_clean(), "{}: {outcome:#?}", subject.name());
}

// The feature `mutants` has one planted bug alive at a time in the whole process, so there the control is
// part of the one test below.
#[cfg(not(feature = "mutants"))]
mod control {
    use super::*;

    #[test]
    fn one_replica_and_its_disk() {
        is_clean(Subject::Single);
    }

    #[test]
    fn one_replica_with_a_transaction() {
        is_clean(Subject::SingleTransactional);
    }

    #[test]
    fn the_in_sync_replicas() {
        is_clean(Subject::InSync);
    }

    #[test]
    fn fewer_in_sync_replicas_than_needed() {
        is_clean(Subject::InSyncMin3);
    }

    #[test]
    fn the_only_voter() {
        is_clean(Subject::Quorum);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn every_planted_bug_is_seen_and_nothing_where_none_is() {
    use ottla_specs::board::{MUST_KILL, hunt};

    for subject in Subject::ALL {
        is_clean(subject);
    }
    let survivors: Vec<&str> = MUST_KILL
        .iter()
        .filter(|mutant| hunt(mutant).0.broken.is_empty())
        .map(|mutant| mutant.name)
        .collect();
    assert_eq!(survivors, Vec::<&str>::new());
}

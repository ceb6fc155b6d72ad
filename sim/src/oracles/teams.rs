//! Groups that read with our own consumer: each partition is one member's, and nothing is passed over.

use std::collections::{BTreeMap, BTreeSet};

use types::TopicPartition;

use super::Judge;

/// A generation of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// One whose shares were told: it is durable, and its number is never given again.
    Shared(i32),
    /// One that was joined. Until shares are told the broker's process alone knows of it: the next one may give the
    /// number again.
    Joined {
        /// Its number.
        number: i32,
        /// The broker's process that formed it.
        process: u32,
    },
}

/// What the members of a group were given, and what they own.
#[derive(Clone, Debug, Default)]
struct Team {
    given: BTreeMap<TopicPartition, BTreeSet<i64>>,
    owners: BTreeMap<(Generation, TopicPartition), String>,
}

/// All such groups.
#[derive(Clone, Debug, Default)]
pub struct Teams {
    teams: BTreeMap<String, Team>,
}

impl Teams {
    fn team(&mut self, group: &str) -> &mut Team {
        self.teams.entry(group.to_owned()).or_default()
    }

    /// A poll gave a record to a member.
    pub fn given(&mut self, group: &str, at: TopicPartition, offset: i64) {
        let given = self.team(group).given.entry(at).or_default();
        given.insert(offset);
    }

    /// A member has a partition in a generation: no other has it.
    pub fn owns(
        &mut self,
        group: &str,
        generation: Generation,
        at: TopicPartition,
        member: &str,
        judge: &mut Judge,
    ) {
        let owners = &mut self.team(group).owners;
        let owner = owners
            .entry((generation, at))
            .or_insert_with(|| member.to_owned());
        judge.check("G1", owner == member, || {
            format!("group {group} {generation:?}: {at:?} is {owner}'s and {member}'s")
        });
    }

    /// A member begins to read behind these records: somebody was given each of them.
    pub fn starts(
        &mut self,
        group: &str,
        at: TopicPartition,
        position: i64,
        before: impl Iterator<Item = i64>,
        judge: &mut Judge,
    ) {
        let given = self.team(group).given.entry(at).or_default();
        let passed_over = before.into_iter().find(|offset| !given.contains(offset));
        judge.check("W10", passed_over.is_none(), || {
            format!(
                "group {group} goes on at {position} of {at:?}, and {passed_over:?} was given to nobody"
            )
        });
    }

    /// Whether somebody was given each of these records.
    #[must_use]
    pub fn have(
        &self,
        group: &str,
        at: TopicPartition,
        mut all: impl Iterator<Item = i64>,
    ) -> bool {
        let given = (self.teams.get(group)).and_then(|team| team.given.get(&at));
        all.all(|offset| given.is_some_and(|given| given.contains(&offset)))
    }
}

#[cfg(test)]
mod tests {
    use types::{PartitionIndex, Uuid};

    use super::Generation::{Joined, Shared};
    use super::*;

    const JOINED: Generation = Joined {
        number: 1,
        process: 1,
    };
    const AT: TopicPartition = TopicPartition {
        topic_id: Uuid([7; 16]),
        partition: PartitionIndex(0),
    };

    fn verdict(tell: impl FnOnce(&mut Teams, &mut Judge)) -> Option<&'static str> {
        let (mut teams, mut judge) = (Teams::default(), Judge::default());
        for offset in 0..3 {
            teams.given("g", AT, offset);
        }
        for generation in [Shared(1), JOINED] {
            teams.owns("g", generation, AT, "a", &mut judge);
        }
        teams.starts("g", AT, 3, 0..3, &mut judge);
        assert_eq!(judge.violation, None);
        tell(&mut teams, &mut judge);
        judge.violation.map(|violation| violation.invariant)
    }

    #[test]
    fn teams_are_judged() {
        let again = Joined {
            number: 1,
            process: 2,
        };
        for (group, generation, verdict_expected) in [
            ("g", Shared(1), Some("G1")),
            ("g", JOINED, Some("G1")),
            ("g", Shared(2), None),
            ("g", again, None),
            ("h", Shared(1), None),
        ] {
            let told = verdict(|teams, judge| teams.owns(group, generation, AT, "b", judge));
            assert_eq!(told, verdict_expected, "{group} {generation:?}");
        }
        assert_eq!(
            verdict(|teams, judge| teams.starts("g", AT, 4, 0..4, judge)),
            Some("W10")
        );
        assert_eq!(
            verdict(|teams, judge| teams.starts("h", AT, 1, 0..1, judge)),
            Some("W10")
        );
    }

    #[test]
    fn what_is_missing_is_missed() {
        let mut teams = Teams::default();
        assert!(teams.have("g", AT, 0..0) && !teams.have("g", AT, 0..1));
        teams.given("g", AT, 0);
        assert!(teams.have("g", AT, 0..1) && !teams.have("g", AT, 0..2));
    }
}

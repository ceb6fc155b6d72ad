//! Groups: who may commit, what is kept of it, and how generations go on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Judge;

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was acknowledged.
    Acked,
    /// It was refused: it has no effect.
    Refused,
    /// Nobody knows.
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Commit {
    value: i64,
    generation: i32,
    began: u64,
    ended: Option<u64>,
    fate: Fate,
    /// The newest generation that had a commit acknowledged when this one began.
    newest: i32,
}

type Slot = (String, String, i32);

/// A committed offset as it was told: by which process, when, and how many commits had begun by then.
#[derive(Clone, Copy, Debug)]
struct Look {
    value: i64,
    process: u32,
    began: u64,
    commits: usize,
}

/// A commit or a fetch that is under way.
#[derive(Clone, Debug)]
pub struct Call {
    slot: Slot,
    began: u64,
    index: usize,
    process: u32,
    member: String,
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    clock: u64,
    next_value: i64,
    commits: BTreeMap<Slot, Vec<Commit>>,
    /// The newest generation of each group that was told its assignment.
    synced: BTreeMap<String, i32>,
    /// The broker's process.
    process: u32,
    /// Who had a commit acknowledged in a generation.
    owners: BTreeMap<(Slot, i32), String>,
    /// The last look at each offset.
    looks: BTreeMap<Slot, Look>,
    /// When each value was first told.
    told: BTreeMap<(Slot, i64), u64>,
    /// What leaders decided.
    decided: BTreeMap<(String, i32, String), BTreeSet<Bytes>>,
}

impl Groups {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The broker's process says something.
    pub fn process(&mut self, incarnation: u32) {
        self.process = self.process.max(incarnation);
    }

    /// A group's leader was told its members, with their instances.
    pub fn members<'a>(
        &self,
        group: &str,
        instances: impl Iterator<Item = &'a str>,
        judge: &mut Judge,
    ) {
        let mut met = BTreeSet::new();
        for instance in instances {
            judge.check("G8", met.insert(instance), || {
                format!("group {group} has two members for instance {instance}")
            });
        }
    }

    /// An offset that nobody commits twice.
    pub fn fresh_value(&mut self) -> i64 {
        self.next_value += 1;
        self.next_value
    }

    /// A commit begins.
    pub fn begin_commit(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
        generation: i32,
        value: i64,
        member: &str,
    ) -> Call {
        let slot = (group.to_owned(), topic.to_owned(), partition);
        let began = self.tick();
        let commits = self.commits.entry(slot.clone()).or_default();
        let acked = commits.iter().filter(|c| c.fate == Fate::Acked);
        let newest = acked.map(|c| c.generation).max().unwrap_or(i32::MIN);
        commits.push(Commit {
            value,
            generation,
            began,
            ended: None,
            fate: Fate::Unknown,
            newest,
        });
        let index = commits.len() - 1;
        Call {
            slot,
            began,
            index,
            process: self.process,
            member: member.to_owned(),
        }
    }

    /// A commit has ended.
    pub fn end_commit(&mut self, call: &Call, fate: Fate, judge: &mut Judge) {
        let ended = self.tick();
        let commits = self.commits.get_mut(&call.slot).expect("it began");
        let commit = &mut commits[call.index];
        commit.fate = fate;
        // One whose fate is unknown may still be under way.
        commit.ended = (fate != Fate::Unknown).then_some(ended);
        let commit = *commit;
        if fate == Fate::Acked {
            judge.check("G4", commit.generation >= commit.newest, || {
                format!(
                    "group {}: a commit of generation {} was accepted after one of {}",
                    call.slot.0, commit.generation, commit.newest
                )
            });
            let (group, topic, partition) = &call.slot;
            let slot = (call.slot.clone(), commit.generation);
            let owner = self.owners.entry(slot);
            let owner = owner.or_insert_with(|| call.member.clone());
            judge.check("G1", *owner == call.member, || {
                format!(
                    "group {group} generation {}: {topic}-{partition} is {owner}'s and {}'s",
                    commit.generation, call.member
                )
            });
        }
    }

    /// A look at a committed offset begins.
    pub fn begin_fetch(&mut self, group: &str, topic: &str, partition: i32) -> Call {
        Call {
            slot: (group.to_owned(), topic.to_owned(), partition),
            began: self.tick(),
            index: 0,
            process: self.process,
            member: String::new(),
        }
    }

    /// A committed offset was told; -1 for none.
    pub fn end_fetch(&mut self, call: &Call, value: i64, judge: &mut Judge) {
        let now = self.tick();
        let slot = (call.slot.clone(), value);
        self.told.entry(slot).or_insert(now);
        self.compare_with_the_last_look(call, value, judge);
        let none = Vec::new();
        let commits = self.commits.get(&call.slot).unwrap_or(&none);
        let (group, topic, partition) = &call.slot;
        let before = |commit: &&Commit| {
            commit.fate == Fate::Acked && commit.ended.is_some_and(|ended| ended < call.began)
        };
        let Some(found) = commits.iter().find(|commit| commit.value == value) else {
            let lost = commits.iter().rfind(before);
            let id = if value == -1 { "G7" } else { "G5" };
            judge.check(id, value == -1 && lost.is_none(), || {
                format!(
                    "group {group} has {value} for {topic}-{partition}, acknowledged was {lost:?}"
                )
            });
            return;
        };
        judge.check("G5", found.fate != Fate::Refused, || {
            format!("group {group} has {value} for {topic}-{partition}, which was refused")
        });
        // What was told once is not taken back for something older.
        let told = |other: &&Commit| {
            let slot = (call.slot.clone(), other.value);
            let told = self.told.get(&slot).is_some_and(|when| *when < call.began);
            told && found.ended.is_some_and(|ended| other.began > ended)
        };
        let newer = commits.iter().find(told);
        judge.check("G6", newer.is_none(), || {
            format!("group {group} has {value} for {topic}-{partition} after it had {newer:?}")
        });
        // Overwritten for certain: by one that began after it had ended, or by a later generation, which
        // fences it.
        let newer = commits.iter().filter(before).find(|other| {
            found.ended.is_some_and(|ended| other.began > ended)
                || other.generation > found.generation
        });
        judge.check("G5", newer.is_none(), || {
            format!(
                "group {group} has {value} (generation {}) for {topic}-{partition}, overwritten by {newer:?}",
                found.generation
            )
        });
    }

    /// Over a restart an offset stays what it was, unless a commit came between; and the first answer of a
    /// process knows all that is acknowledged.
    fn compare_with_the_last_look(&mut self, call: &Call, value: i64, judge: &mut Judge) {
        if call.process != self.process {
            // Which process gave the answer is not known.
            return;
        }
        let none = Vec::new();
        let commits = self.commits.get(&call.slot).unwrap_or(&none);
        let look = Look {
            value,
            process: self.process,
            began: call.began,
            commits: commits.len(),
        };
        let last = self.looks.insert(call.slot.clone(), look);
        let (group, topic, partition) = &call.slot;
        if last.is_none_or(|last| last.process != self.process) {
            let lost = commits.iter().find(|commit| {
                commit.fate == Fate::Acked && commit.ended.is_some_and(|at| at < call.began)
            });
            judge.check("G9", value != -1 || lost.is_none(), || {
                format!("group {group} has nothing for {topic}-{partition} yet, but {lost:?}")
            });
        }
        if let Some(last) = last
            && last.process != self.process
            && last.commits == commits.len()
        {
            let came_between = commits.iter().any(|commit| {
                commit.value == value && commit.ended.is_none_or(|at| at > last.began)
            });
            judge.check("G14", value == last.value || came_between, || {
                format!(
                    "group {group} had {} for {topic}-{partition}, and {value} after a restart",
                    last.value
                )
            });
        }
    }

    /// The newest generation that was told its assignment: a join that begins now must not get an older
    /// one.
    #[must_use]
    pub fn begin_join(&self, group: &str) -> i32 {
        self.synced.get(group).copied().unwrap_or(i32::MIN)
    }

    /// A join was answered.
    pub fn end_join(&mut self, group: &str, floor: i32, generation: i32, judge: &mut Judge) {
        judge.check("G3", generation >= floor, || {
            format!("group {group} went from generation {floor} back to {generation}")
        });
    }

    /// A leader is about to send an assignment.
    pub fn decides(&mut self, group: &str, generation: i32, member: &str, assignment: Bytes) {
        let slot = (group.to_owned(), generation, member.to_owned());
        self.decided.entry(slot).or_default().insert(assignment);
    }

    /// A member was told its assignment.
    pub fn assigned(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        assignment: &Bytes,
        judge: &mut Judge,
    ) {
        let slot = (group.to_owned(), generation, member.to_owned());
        let decided = self.decided.get(&slot);
        let known = decided.is_some_and(|set| set.contains(assignment));
        judge.check("G2", known || assignment.is_empty(), || {
            format!("group {group} generation {generation}: {member} got what nobody decided")
        });
        let newest = self.synced.entry(group.to_owned()).or_insert(generation);
        *newest = (*newest).max(generation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(groups: &mut Groups, generation: i32, value: i64, fate: Fate, judge: &mut Judge) {
        let call = groups.begin_commit("g", "t", 0, generation, value, "m");
        groups.end_commit(&call, fate, judge);
    }

    fn fetched(groups: &mut Groups, value: i64) -> Option<&'static str> {
        let mut judge = Judge::default();
        let call = groups.begin_fetch("g", "t", 0);
        groups.end_fetch(&call, value, &mut judge);
        judge.violation.map(|violation| violation.invariant)
    }

    #[test]
    fn commits_are_kept_until_overwritten() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        assert_eq!(fetched(&mut groups, -1), None);
        commit(&mut groups, 1, 10, Fate::Acked, &mut judge);
        commit(&mut groups, 1, 11, Fate::Refused, &mut judge);
        assert_eq!(fetched(&mut groups.clone(), 10), None);
        assert_eq!(fetched(&mut groups.clone(), -1), Some("G7"), "lost");
        assert_eq!(fetched(&mut groups.clone(), 11), Some("G5"), "refused");
        assert_eq!(fetched(&mut groups.clone(), 12), Some("G5"), "invented");
        commit(&mut groups, 1, 13, Fate::Unknown, &mut judge);
        assert_eq!(
            fetched(&mut groups.clone(), 10),
            None,
            "the unknown one failed"
        );
        assert_eq!(
            fetched(&mut groups.clone(), 13),
            None,
            "the unknown one worked"
        );
        commit(&mut groups, 1, 14, Fate::Acked, &mut judge);
        assert_eq!(fetched(&mut groups.clone(), 10), Some("G5"), "overwritten");
        assert_eq!(
            fetched(&mut groups.clone(), 13),
            None,
            "it may have come late"
        );
        commit(&mut groups, 2, 15, Fate::Acked, &mut judge);
        assert_eq!(
            fetched(&mut groups.clone(), 13),
            Some("G5"),
            "fenced by now"
        );
        assert_eq!(judge.violation, None);
    }

    #[test]
    fn a_restart_changes_nothing() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        groups.process(1);
        commit(&mut groups, 1, 10, Fate::Acked, &mut judge);
        commit(&mut groups, 1, 11, Fate::Unknown, &mut judge);
        assert_eq!(fetched(&mut groups, 10), None);
        let mut later = groups.clone();
        later.process(2);
        assert_eq!(fetched(&mut later.clone(), 10), None);
        assert_eq!(fetched(&mut later.clone(), 11), None, "it came between");
        assert_eq!(fetched(&mut later, -1), Some("G9"));
        commit(&mut groups, 1, 12, Fate::Acked, &mut judge);
        assert_eq!(fetched(&mut groups, 12), None);
        groups.process(2);
        assert_eq!(fetched(&mut groups, 10), Some("G14"));
        assert_eq!(judge.violation, None);
    }

    #[test]
    fn what_was_told_is_not_taken_back() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        commit(&mut groups, 1, 10, Fate::Acked, &mut judge);
        commit(&mut groups, 1, 11, Fate::Unknown, &mut judge);
        assert_eq!(fetched(&mut groups, 11), None);
        assert_eq!(fetched(&mut groups, 10), Some("G6"));
    }

    #[test]
    fn a_partition_has_one_owner_and_an_instance_one_member() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        commit(&mut groups, 1, 10, Fate::Acked, &mut judge);
        let other = groups.begin_commit("g", "t", 0, 2, 11, "other");
        groups.end_commit(&other, Fate::Acked, &mut judge);
        groups.members("g", ["a", "b"].into_iter(), &mut judge);
        assert_eq!(judge.violation, None);
        let mut twice = judge.clone();
        groups.members("g", ["a", "a"].into_iter(), &mut twice);
        assert_eq!(twice.violation.map(|v| v.invariant), Some("G8"));
        commit(&mut groups, 2, 12, Fate::Acked, &mut judge);
        assert_eq!(judge.violation.map(|v| v.invariant), Some("G1"));
    }

    #[test]
    fn old_generations_are_fenced() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        let late = groups.begin_commit("g", "t", 0, 1, 1, "m");
        commit(&mut groups, 2, 2, Fate::Acked, &mut judge);
        groups.end_commit(&late, Fate::Acked, &mut judge);
        assert_eq!(judge.violation, None, "it may have been first");
        commit(&mut groups, 1, 3, Fate::Acked, &mut judge);
        assert_eq!(judge.violation.map(|v| v.invariant), Some("G4"));
    }

    #[test]
    fn generations_and_assignments() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        groups.decides("g", 3, "m", Bytes::from_static(b"x"));
        groups.assigned("g", 3, "m", &Bytes::from_static(b"x"), &mut judge);
        let floor = groups.begin_join("g");
        groups.end_join("g", floor, 3, &mut judge);
        assert_eq!(judge.violation, None);
        let mut back = judge.clone();
        groups.end_join("g", floor, 2, &mut back);
        assert_eq!(back.violation.map(|v| v.invariant), Some("G3"));
        groups.assigned("g", 3, "m", &Bytes::from_static(b"y"), &mut judge);
        assert_eq!(judge.violation.map(|v| v.invariant), Some("G2"));
    }
}

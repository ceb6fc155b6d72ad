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

/// A commit or a fetch that is under way.
#[derive(Clone, Debug)]
pub struct Call {
    slot: Slot,
    began: u64,
    index: usize,
}

/// All groups.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    clock: u64,
    next_value: i64,
    commits: BTreeMap<Slot, Vec<Commit>>,
    /// The newest generation of each group that was told its assignment.
    synced: BTreeMap<String, i32>,
    /// What leaders decided.
    decided: BTreeMap<(String, i32, String), BTreeSet<Bytes>>,
}

impl Groups {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
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
        Call { slot, began, index }
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
        }
    }

    /// A look at a committed offset begins.
    pub fn begin_fetch(&mut self, group: &str, topic: &str, partition: i32) -> Call {
        Call {
            slot: (group.to_owned(), topic.to_owned(), partition),
            began: self.tick(),
            index: 0,
        }
    }

    /// A committed offset was told; -1 for none.
    pub fn end_fetch(&mut self, call: &Call, value: i64, judge: &mut Judge) {
        let none = Vec::new();
        let commits = self.commits.get(&call.slot).unwrap_or(&none);
        let (group, topic, partition) = &call.slot;
        let before = |commit: &&Commit| {
            commit.fate == Fate::Acked && commit.ended.is_some_and(|ended| ended < call.began)
        };
        let Some(found) = commits.iter().find(|commit| commit.value == value) else {
            let lost = commits.iter().rfind(before);
            judge.check("G5", value == -1 && lost.is_none(), || {
                format!(
                    "group {group} has {value} for {topic}-{partition}, acknowledged was {lost:?}"
                )
            });
            return;
        };
        judge.check("G5", found.fate != Fate::Refused, || {
            format!("group {group} has {value} for {topic}-{partition}, which was refused")
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
        let call = groups.begin_commit("g", "t", 0, generation, value);
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
        assert_eq!(fetched(&mut groups, 10), None);
        assert_eq!(fetched(&mut groups, -1), Some("G5"), "lost");
        assert_eq!(fetched(&mut groups, 11), Some("G5"), "refused");
        assert_eq!(fetched(&mut groups, 12), Some("G5"), "invented");
        commit(&mut groups, 1, 13, Fate::Unknown, &mut judge);
        assert_eq!(fetched(&mut groups, 10), None, "the unknown one failed");
        assert_eq!(fetched(&mut groups, 13), None, "the unknown one worked");
        commit(&mut groups, 1, 14, Fate::Acked, &mut judge);
        assert_eq!(fetched(&mut groups, 10), Some("G5"), "overwritten");
        assert_eq!(fetched(&mut groups, 13), None, "it may have come late");
        commit(&mut groups, 2, 15, Fate::Acked, &mut judge);
        assert_eq!(fetched(&mut groups, 13), Some("G5"), "fenced by now");
        assert_eq!(judge.violation, None);
    }

    #[test]
    fn old_generations_are_fenced() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        let late = groups.begin_commit("g", "t", 0, 1, 1);
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

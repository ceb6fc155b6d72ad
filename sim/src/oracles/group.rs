//! Groups: who may commit, what is kept of it, and how generations go on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::Judge;
use super::expiry::Expiry;

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
}

impl Commit {
    /// Whether it was acknowledged before a moment.
    fn is_acked_before(&self, moment: u64) -> bool {
        self.fate == Fate::Acked && self.ended.is_some_and(|ended| ended < moment)
    }
}

/// A generation that a group had at a moment: it never goes back, unless the group was forgotten since.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    generation: i32,
    at: u64,
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
    /// The newest generation of each group that was told its assignment, and when.
    synced: BTreeMap<String, Floor>,
    /// When offsets may have expired.
    expiry: Expiry,
    /// When it was asked for and told last that there is nothing.
    none_told: BTreeMap<Slot, (u64, u64)>,
    /// The broker's process.
    process: u32,
    /// Who had a commit acknowledged in a generation, and when first.
    owners: BTreeMap<(Slot, i32), (String, u64)>,
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

    /// The broker's last process that said something.
    #[must_use]
    pub fn last_process(&self) -> u32 {
        self.process
    }

    /// Offsets may expire so long after they were last used.
    pub fn expire_after(&mut self, retention_ms: i64) {
        self.expiry.after(retention_ms);
    }

    /// The broker's wall clock shows this.
    pub fn wall(&mut self, wall_ms: i64) {
        if self.expiry.is_on() {
            let now = self.tick();
            self.expiry.wall(now, wall_ms);
        }
    }

    /// A member got an answer that only a member gets, to a request that it sent when it called.
    pub fn lives(&mut self, call: &Call, id: &str, generation: i32) {
        if self.expiry.is_on() {
            let now = self.tick();
            let group = &call.slot.0;
            self.expiry.lives(group, call.began, now, id, generation);
        }
    }

    /// The moment from which on a group was never forgotten: since then there has always been an offset that
    /// had not expired.
    fn kept_from(&self, group: &str) -> u64 {
        if !self.expiry.is_on() {
            return 0;
        }
        let slots = self.commits.iter().filter(|(slot, _)| slot.0 == group);
        let acked = slots
            .flat_map(|(_, commits)| commits)
            .filter(|commit| commit.fate == Fate::Acked)
            .filter(|commit| !self.expiry.may_have_come(group, commit.began));
        acked
            .filter_map(|commit| commit.ended)
            .min()
            .unwrap_or(u64::MAX)
    }

    /// A request of a member begins.
    pub fn begin_beat(&mut self, group: &str) -> Call {
        self.begin_fetch(group, "", 0)
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
        commits.push(Commit {
            value,
            generation,
            began,
            ended: None,
            fate: Fate::Unknown,
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
            let (group, topic, partition) = &call.slot;
            let kept = self.kept_from(group);
            let before = self.commits[&call.slot].iter().filter(|before| {
                before.is_acked_before(commit.began) && before.ended.is_some_and(|at| at >= kept)
            });
            let floor = before.map(|before| before.generation).max();
            let floor = floor.unwrap_or(i32::MIN);
            judge.check("G4", commit.generation >= floor, || {
                format!(
                    "group {group}: a commit of generation {} was accepted after one of {floor}",
                    commit.generation
                )
            });
            let slot = (call.slot.clone(), commit.generation);
            let owner = self.owners.get(&slot).cloned();
            let owner = owner.filter(|(_, at)| *at >= kept);
            let other = owner.as_ref().filter(|(owner, _)| *owner != call.member);
            judge.check("G1", other.is_none(), || {
                format!(
                    "group {group} generation {}: {topic}-{partition} is {other:?}'s and {}'s",
                    commit.generation, call.member
                )
            });
            if owner.is_none() {
                self.owners.insert(slot, (call.member.clone(), ended));
            }
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

    /// A committed offset was told; -1 for none. Says whether there was one that has expired.
    pub fn end_fetch(&mut self, call: &Call, value: i64, judge: &mut Judge) -> bool {
        let now = self.tick();
        let slot = (call.slot.clone(), value);
        self.told.entry(slot).or_insert(now);
        self.compare_with_the_last_look(call, value, judge);
        let none = Vec::new();
        let commits = self.commits.get(&call.slot).unwrap_or(&none);
        let (group, topic, partition) = &call.slot;
        let before = |commit: &&Commit| commit.is_acked_before(call.began);
        let Some(found) = commits.iter().find(|commit| commit.value == value) else {
            let known = commits.iter().rfind(before);
            let lost = known.filter(|lost| !self.expiry.may_have_come(group, lost.began));
            let id = if value == -1 { "G7" } else { "G5" };
            judge.check(id, value == -1 && lost.is_none(), || {
                format!(
                    "group {group} has {value} for {topic}-{partition}, acknowledged was {lost:?}"
                )
            });
            let expired = known.is_some() && lost.is_none();
            self.none_told.insert(call.slot.clone(), (call.began, now));
            return expired;
        };
        // What expired stays so.
        let gone = self.none_told.get(&call.slot).copied();
        let gone = gone.filter(|(asked, told)| {
            *told < call.began && found.ended.is_some_and(|ended| ended < *asked)
        });
        judge.check("G6", gone.is_none(), || {
            format!("group {group} has {value} for {topic}-{partition} after it had nothing")
        });
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
        let kept = self.kept_from(group);
        let newer = commits.iter().filter(before).find(|other| {
            found.ended.is_some_and(|ended| other.began > ended)
                || (other.generation > found.generation && other.ended.is_some_and(|at| at >= kept))
        });
        judge.check("G5", newer.is_none(), || {
            format!(
                "group {group} has {value} (generation {}) for {topic}-{partition}, overwritten by {newer:?}",
                found.generation
            )
        });
        false
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
                commit.is_acked_before(call.began)
                    && !self.expiry.may_have_come(group, commit.began)
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
            let expired = value == -1 && self.expiry.may_have_come(group, last.began);
            judge.check(
                "G14",
                value == last.value || came_between || expired,
                || {
                    format!(
                        "group {group} had {} for {topic}-{partition}, and {value} after a restart",
                        last.value
                    )
                },
            );
        }
    }

    /// The newest generation that was told its assignment: a join that begins now must not get an older
    /// one.
    #[must_use]
    pub fn begin_join(&self, group: &str) -> Option<Floor> {
        self.synced.get(group).copied()
    }

    /// A join was answered.
    pub fn end_join(
        &mut self,
        group: &str,
        floor: Option<Floor>,
        generation: i32,
        judge: &mut Judge,
    ) {
        let floor = floor.filter(|floor| floor.at >= self.kept_from(group));
        let floor = floor.map_or(i32::MIN, |floor| floor.generation);
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
        let at = self.tick();
        let newest = self.synced.get(group);
        let kept = self.kept_from(group);
        if newest.is_none_or(|old| old.generation < generation || old.at < kept) {
            let newest = Floor { generation, at };
            self.synced.insert(group.to_owned(), newest);
        }
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

    /// A commit of a member in its first generation, acknowledged.
    fn committed(groups: &mut Groups, value: i64, judge: &mut Judge) {
        let call = groups.begin_commit("g", "t", 0, 1, value, "m");
        groups.lives(&call, "m-id", 1);
        groups.end_commit(&call, Fate::Acked, judge);
    }

    #[test]
    fn offsets_expire_when_they_may() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        groups.expire_after(60_000);
        groups.wall(1_000);
        committed(&mut groups, 10, &mut judge);
        assert_eq!(fetched(&mut groups, 10), None);
        groups.wall(40_000);
        assert_eq!(fetched(&mut groups.clone(), -1), Some("G7"), "too early");
        let mut later = groups.clone();
        later.wall(61_000);
        assert_eq!(fetched(&mut later.clone(), 10), None, "nobody looked yet");
        assert_eq!(fetched(&mut later, -1), None);
        assert_eq!(fetched(&mut later, 10), Some("G6"), "what is gone is gone");
        // What was acknowledged while somebody looked may have come after the answer.
        let mut beside = groups.clone();
        beside.wall(61_000);
        let look = beside.begin_fetch("g", "t", 0);
        let call = beside.begin_commit("g", "t", 0, 2, 12, "m");
        beside.lives(&call, "m-again", 2);
        beside.end_commit(&call, Fate::Acked, &mut judge);
        assert!(beside.end_fetch(&look, -1, &mut judge), "one has expired");
        assert_eq!(fetched(&mut beside, 12), None);
        // A jump back and forth is as long as the part that goes forth.
        let mut jumps = groups.clone();
        jumps.wall(-10_000);
        jumps.wall(49_500);
        assert_eq!(fetched(&mut jumps, -1), None);
        // A commit begins its time anew; before that it may have expired.
        committed(&mut groups, 11, &mut judge);
        groups.wall(80_000);
        assert_eq!(fetched(&mut groups.clone(), -1), Some("G7"));
        groups.wall(101_000);
        assert_eq!(fetched(&mut groups.clone(), -1), None);
        assert_eq!(judge.violation, None);
    }

    #[test]
    fn a_group_with_a_member_keeps_its_offsets() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        groups.expire_after(60_000);
        groups.wall(0);
        committed(&mut groups, 10, &mut judge);
        assert_eq!(fetched(&mut groups, 10), None);
        groups.wall(100_000);
        let (mut same, mut other) = (groups.clone(), groups.clone());
        let beat = same.begin_beat("g");
        same.lives(&beat, "m-id", 1);
        assert_eq!(fetched(&mut same, -1), Some("G7"), "it was there all along");
        let beat = other.begin_beat("g");
        other.lives(&beat, "another", 2);
        assert_eq!(
            fetched(&mut other, -1),
            None,
            "nobody was there for a while"
        );
        // Without a clock that anybody told of, nothing may expire.
        let mut never = Groups::default();
        never.wall(0);
        commit(&mut never, 1, 10, Fate::Acked, &mut judge);
        assert_eq!(fetched(&mut never, 10), None);
        never.wall(1 << 40);
        assert_eq!(fetched(&mut never, -1), Some("G7"));
    }

    #[test]
    fn a_group_that_was_forgotten_begins_anew() {
        let (mut groups, mut judge) = (Groups::default(), Judge::default());
        groups.expire_after(60_000);
        groups.wall(0);
        groups.assigned("g", 7, "m", &Bytes::new(), &mut judge);
        let call = groups.begin_commit("g", "t", 0, 7, 10, "m");
        groups.lives(&call, "m-id", 7);
        groups.end_commit(&call, Fate::Acked, &mut judge);
        groups.assigned("g", 8, "m", &Bytes::new(), &mut judge);
        let floor = groups.begin_join("g");
        let mut kept = judge.clone();
        groups.end_join("g", floor, 1, &mut kept);
        assert_eq!(kept.violation.map(|v| v.invariant), Some("G3"));
        groups.wall(70_000);
        groups.end_join("g", floor, 1, &mut judge);
        let call = groups.begin_commit("g", "t", 0, 1, 11, "other");
        groups.lives(&call, "other-id", 1);
        groups.end_commit(&call, Fate::Acked, &mut judge);
        assert_eq!(judge.violation, None);
        assert_eq!(fetched(&mut groups, 11), None);
        commit(&mut groups, 0, 12, Fate::Acked, &mut judge);
        assert_eq!(judge.violation.map(|v| v.invariant), Some("G4"));
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

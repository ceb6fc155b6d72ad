//! Who reads what: the assignors of the classic protocol, computed by the group's leader.
//!
//! | Assignor | Rebalance | What it is for |
//! |---|---|---|
//! | range | eager | consecutive partitions of each topic; the same numbers of several topics meet |
//! | roundrobin | eager | one by one over all topics: even |
//! | cooperative-sticky | cooperative (KIP-429) | even, and nothing moves that need not |
//!
//! Names and results agree with the Java client's for range and roundrobin (without racks), so members
//! of both kinds can share a group; whoever leads decides for all.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Str;
use types::mutant;

use crate::metadata::TopicPartition;

/// How partitions are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assignor {
    /// Consecutive partitions of each topic.
    Range,
    /// One by one.
    RoundRobin,
    /// Evenly, with as few moves as possible.
    CooperativeSticky,
}

impl Assignor {
    /// Its name in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The assignor of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Assignor> {
        [
            Assignor::Range,
            Assignor::RoundRobin,
            Assignor::CooperativeSticky,
        ]
        .into_iter()
        .find(|a| a.name() == name)
    }

    /// Whether members may keep their partitions while they rejoin.
    #[must_use]
    pub fn is_cooperative(self) -> bool {
        self == Assignor::CooperativeSticky
    }

    /// Shares out the partitions of `topics` (name to number of partitions) among `members`. Every
    /// member is in the result.
    #[must_use]
    pub fn assign(self, members: &[Member], topics: &BTreeMap<Str, i32>) -> Assignment {
        let mut members: Vec<&Member> = members.iter().collect();
        // Static members first, by their instance, so that a restart moves nothing.
        members.sort_by_key(|m| (m.instance_id.is_none(), m.instance_id.clone(), m.id.clone()));
        match self {
            Assignor::Range => range(&members, topics),
            Assignor::RoundRobin => round_robin(&members, topics),
            Assignor::CooperativeSticky => cooperative_sticky(&members, topics),
        }
    }
}

/// A member, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: Str,
    /// Its instance, if it is a static member.
    pub instance_id: Option<Str>,
    /// The topics it wants.
    pub topics: BTreeSet<Str>,
    /// The partitions that it says it has.
    pub owned: Vec<TopicPartition>,
    /// The generation in which it got them; -1 if it does not know.
    pub generation: i32,
}

/// Partitions by member id.
pub type Assignment = BTreeMap<Str, Vec<TopicPartition>>;

fn nothing(members: &[&Member]) -> Assignment {
    members.iter().map(|m| (m.id.clone(), Vec::new())).collect()
}

fn range(members: &[&Member], topics: &BTreeMap<Str, i32>) -> Assignment {
    let mut assignment = nothing(members);
    for (topic, &count) in topics {
        let readers: Vec<_> = members
            .iter()
            .filter(|m| m.topics.contains(topic))
            .collect();
        let Ok(readers_count) = i32::try_from(readers.len()) else {
            continue;
        };
        if readers_count == 0 {
            continue;
        }
        let (each, extra) = (count / readers_count, count % readers_count);
        let mut next = 0;
        for (member, i) in readers.into_iter().zip(0..) {
            let end = next + each + i32::from(i < extra);
            let partitions = (next..end).map(|p| TopicPartition::new(topic.clone(), p));
            assignment
                .entry(member.id.clone())
                .or_default()
                .extend(partitions);
            next = end;
        }
    }
    assignment
}

fn partitions(topics: &BTreeMap<Str, i32>) -> impl Iterator<Item = TopicPartition> + '_ {
    topics
        .iter()
        .flat_map(|(topic, count)| (0..*count).map(|p| TopicPartition::new(topic.clone(), p)))
}

fn round_robin(members: &[&Member], topics: &BTreeMap<Str, i32>) -> Assignment {
    let mut assignment = nothing(members);
    let mut turn = 0;
    for at in partitions(topics) {
        let ring = (0..members.len()).map(|i| (turn + i) % members.len());
        let mut ring = ring.filter(|i| members[*i].topics.contains(&at.topic));
        if let Some(i) = ring.next() {
            assignment
                .entry(members[i].id.clone())
                .or_default()
                .push(at);
            turn = i + 1;
        }
    }
    assignment
}

/// Who has what, as far as claims can be believed: the claim of the latest generation counts, and of
/// two such claims neither.
fn owners(members: &[&Member], topics: &BTreeMap<Str, i32>) -> BTreeMap<TopicPartition, usize> {
    let mut claims: BTreeMap<&TopicPartition, (i32, Option<usize>)> = BTreeMap::new();
    for (i, member) in members.iter().enumerate() {
        for at in &member.owned {
            let generation = if mutant!("GRP-24") {
                0
            } else {
                member.generation
            };
            match claims.get_mut(at) {
                Some((best, _)) if *best > generation => {}
                Some((best, owner)) if *best == generation => *owner = None,
                _ => {
                    claims.insert(at, (generation, Some(i)));
                }
            }
        }
    }
    let exists = |at: &TopicPartition| topics.get(&at.topic).is_some_and(|n| at.partition < *n);
    let mut owners = BTreeMap::new();
    for (at, (_, owner)) in claims {
        if let Some(i) = owner
            && exists(at)
        {
            owners.insert(at.clone(), i);
        }
    }
    owners
}

fn cooperative_sticky(members: &[&Member], topics: &BTreeMap<Str, i32>) -> Assignment {
    if members.is_empty() {
        return Assignment::new();
    }
    let owners = owners(members, topics);
    let wants = |i: usize, at: &TopicPartition| members[i].topics.contains(&at.topic);
    let mut given: Vec<BTreeSet<TopicPartition>> = vec![BTreeSet::new(); members.len()];
    let mut free = Vec::new();
    for at in partitions(topics) {
        match owners.get(&at) {
            Some(i) if wants(*i, &at) => {
                given[*i].insert(at);
            }
            _ => free.push(at),
        }
    }
    for at in free {
        let takers = (0..members.len()).filter(|i| wants(*i, &at));
        if let Some(i) = takers.min_by_key(|i| given[*i].len()) {
            given[i].insert(at);
        }
    }
    // Each move takes one from a fuller member to one that has two fewer or less: the sum of squares
    // falls, so this ends.
    while let Some((from, to, at)) = next_move(members, &given) {
        given[from].remove(&at);
        given[to].insert(at);
    }
    // What moves is first given up by its owner, and given to the new one in the rebalance after that.
    let kept = |i: usize, at: &TopicPartition| owners.get(at).is_none_or(|owner| *owner == i);
    let mut assignment = Assignment::new();
    for (i, partitions) in given.into_iter().enumerate() {
        let partitions = partitions.into_iter().filter(|at| kept(i, at)).collect();
        assignment.insert(members[i].id.clone(), partitions);
    }
    assignment
}

fn next_move(
    members: &[&Member],
    given: &[BTreeSet<TopicPartition>],
) -> Option<(usize, usize, TopicPartition)> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|i| given[*i].len());
    for from in order.iter().rev() {
        for to in &order {
            if given[*from].len() < given[*to].len() + 2 {
                break;
            }
            let wanted = |at: &&TopicPartition| members[*to].topics.contains(&at.topic);
            if let Some(at) = given[*from].iter().rev().find(wanted) {
                return Some((*from, *to, at.clone()));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(id: &str, topics: &[&str], owned: &[(&str, i32)], generation: i32) -> Member {
        Member {
            id: Str::from(id),
            instance_id: None,
            topics: topics.iter().map(|t| Str::from(*t)).collect(),
            owned: owned
                .iter()
                .map(|(t, p)| TopicPartition::new(*t, *p))
                .collect(),
            generation,
        }
    }

    fn topics(list: &[(&str, i32)]) -> BTreeMap<Str, i32> {
        list.iter().map(|(t, n)| (Str::from(*t), *n)).collect()
    }

    fn show(assignment: &Assignment) -> String {
        let mut text = String::new();
        for (id, partitions) in assignment {
            let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
            text += &format!("{}: {}; ", id.as_str(), partitions.join(" "));
        }
        text
    }

    /// The examples in the documentation of the Java client's assignors.
    #[test]
    fn as_the_java_client_documents() {
        let two = topics(&[("t0", 3), ("t1", 3)]);
        let members = [
            member("C0", &["t0", "t1"], &[], -1),
            member("C1", &["t0", "t1"], &[], -1),
        ];
        assert_eq!(
            show(&Assignor::Range.assign(&members, &two)),
            "C0: t0-0 t0-1 t1-0 t1-1; C1: t0-2 t1-2; "
        );
        assert_eq!(
            show(&Assignor::RoundRobin.assign(&members, &two)),
            "C0: t0-0 t0-2 t1-1; C1: t0-1 t1-0 t1-2; "
        );
        let three = topics(&[("t0", 1), ("t1", 2), ("t2", 3)]);
        let members = [
            member("C0", &["t0"], &[], -1),
            member("C1", &["t0", "t1"], &[], -1),
            member("C2", &["t0", "t1", "t2"], &[], -1),
        ];
        assert_eq!(
            show(&Assignor::RoundRobin.assign(&members, &three)),
            "C0: t0-0; C1: t1-0; C2: t1-1 t2-0 t2-1 t2-2; "
        );
    }

    #[test]
    fn static_members_come_first_by_instance() {
        let mut members = [member("a", &["t"], &[], -1), member("b", &["t"], &[], -1)];
        members[1].instance_id = Some(Str::from("i"));
        let assignment = Assignor::Range.assign(&members, &topics(&[("t", 3)]));
        assert_eq!(show(&assignment), "a: t-2; b: t-0 t-1; ");
    }

    #[test]
    fn a_newcomer_waits_until_what_it_gets_is_given_up() {
        let all = topics(&[("t", 4)]);
        let owned = [("t", 0), ("t", 1), ("t", 2), ("t", 3)];
        let mut members = [member("a", &["t"], &owned, 5), member("b", &["t"], &[], -1)];
        let first = Assignor::CooperativeSticky.assign(&members, &all);
        assert_eq!(show(&first), "a: t-0 t-1; b: ; ");
        members[0].owned = first["a"].clone();
        members[0].generation = 6;
        let second = Assignor::CooperativeSticky.assign(&members, &all);
        assert_eq!(show(&second), "a: t-0 t-1; b: t-2 t-3; ");
    }

    #[test]
    fn stale_claims_do_not_count() {
        let all = topics(&[("t", 2)]);
        let members = [
            member("a", &["t"], &[("t", 0), ("t", 1)], 4),
            member("b", &["t"], &[("t", 1)], 5),
        ];
        let assignment = Assignor::CooperativeSticky.assign(&members, &all);
        assert_eq!(show(&assignment), "a: t-0; b: t-1; ");
        // Two claims of one generation: nobody is sure to have it, so it is free at once.
        let members = [
            member("a", &["t"], &[("t", 0), ("t", 1)], 5),
            member("b", &["t"], &[("t", 1)], 5),
        ];
        let assignment = Assignor::CooperativeSticky.assign(&members, &all);
        assert_eq!(show(&assignment), "a: t-0; b: t-1; ");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Nobody shares a partition, in the group that is or with an owner that was; with equal
        /// wishes the shares are even; after enough rebalances all is given out and stays.
        #[test]
        fn shares(
            wishes in prop::collection::vec(1u8..8, 1..7),
            counts in prop::array::uniform3(0i32..9),
            same in any::<bool>(),
        ) {
            let names = ["x", "y", "z"];
            let all: BTreeMap<Str, i32> =
                names.iter().zip(counts).map(|(t, n)| (Str::from(*t), n)).collect();
            let mut members: Vec<Member> = wishes.iter().enumerate().map(|(i, wish)| {
                let wish = if same { 7 } else { *wish };
                let wanted: Vec<&str> =
                    (0..3).filter(|t| wish & (1 << t) != 0).map(|t| names[t]).collect();
                member(&format!("m{i}"), &wanted, &[], -1)
            }).collect();
            let wanted: Vec<TopicPartition> = partitions(&all)
                .filter(|at| members.iter().any(|m| m.topics.contains(&at.topic)))
                .collect();
            for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::CooperativeSticky] {
                let assignment = assignor.assign(&members, &all);
                let mut given: Vec<TopicPartition> =
                    assignment.values().flatten().cloned().collect();
                given.sort();
                prop_assert_eq!(&given, &wanted, "{:?}", assignor);
                for m in &members {
                    prop_assert!(assignment[&m.id].iter().all(|at| m.topics.contains(&at.topic)));
                }
                let sizes: Vec<usize> = assignment.values().map(Vec::len).collect();
                if same && assignor != Assignor::Range {
                    let (min, max) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                    prop_assert!(max - min <= 1, "{:?}", sizes);
                }
            }
            // Members come: the group settles, and nothing is in two hands on the way.
            let grown = member("new", &names, &[], -1);
            let before = Assignor::CooperativeSticky.assign(&members, &all);
            for m in &mut members {
                m.owned = before[&m.id].clone();
                m.generation = 1;
            }
            members.push(grown);
            let mut settled = false;
            for generation in 2..6 {
                let next = Assignor::CooperativeSticky.assign(&members, &all);
                for m in &members {
                    for other in members.iter().filter(|o| o.id != m.id) {
                        prop_assert!(next[&m.id].iter().all(|at| !other.owned.contains(at)));
                    }
                }
                settled = members.iter().all(|m| m.owned == next[&m.id]);
                for m in &mut members {
                    m.owned = next[&m.id].clone();
                    m.generation = generation;
                }
            }
            prop_assert!(settled);
        }
    }
}

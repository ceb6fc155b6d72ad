//! When offsets of a group may have expired.
//!
//! Offsets expire so long after their group lost its last member, by the broker's wall clock, and a group
//! without members and offsets is forgotten. When that was nobody tells. But each answer to a member proves
//! that there was one after the request was sent, and what the clock showed since then is known.

use std::collections::{BTreeMap, BTreeSet};

/// How far the broker's clock may be beyond what was last heard of it, in ms.
const WALL_SLACK_MS: i64 = 1_000;

/// What is known of how long a group has been without members.
#[derive(Clone, Debug, Default)]
struct Life {
    /// The earliest that the broker's clock may have shown when the last member left.
    low: Option<i64>,
    /// When offsets may have expired.
    gaps: BTreeSet<u64>,
    /// When a member, by its id and generation, last got an answer. Between two there was no time without
    /// members.
    answers: BTreeMap<(String, i32), u64>,
}

/// The clock and the groups. Moments are those of [`super::group::Groups`].
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// How long offsets are kept that are not used, if they can expire in a run at all.
    retention_ms: Option<i64>,
    /// What the broker's wall clock showed.
    walls: Vec<(u64, i64)>,
    lives: BTreeMap<String, Life>,
}

impl Expiry {
    /// Offsets may expire so long after they were last used.
    pub fn after(&mut self, retention_ms: i64) {
        self.retention_ms = Some(retention_ms);
    }

    /// Whether offsets can expire at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.retention_ms.is_some()
    }

    /// The broker's wall clock shows this now.
    pub fn wall(&mut self, now: u64, wall_ms: i64) {
        let Some(retention_ms) = self.retention_ms else {
            return;
        };
        self.walls.push((now, wall_ms));
        for life in self.lives.values_mut() {
            let low = life.low.map_or(wall_ms, |low| low.min(wall_ms));
            life.low = Some(low);
            if wall_ms - low + WALL_SLACK_MS >= retention_ms {
                life.gaps.insert(now);
            }
        }
    }

    /// A member of a group gets an answer now, to what it asked when it `began`.
    pub fn lives(&mut self, group: &str, began: u64, now: u64, id: &str, generation: i32) {
        // The clock was heard of last before the request was sent, and then again and again.
        let before = self.walls.partition_point(|(at, _)| *at < began);
        let since = &self.walls[before.saturating_sub(1)..];
        let life = self.lives.entry(group.to_owned()).or_default();
        life.low = since.iter().map(|(_, wall)| *wall).min();
        if let Some(last) = life.answers.insert((id.to_owned(), generation), now) {
            life.gaps.retain(|gap| *gap < last || *gap > began);
        }
    }

    /// Whether the offsets of a group may have expired since a moment.
    #[must_use]
    pub fn may_have_come(&self, group: &str, since: u64) -> bool {
        let life = self.lives.get(group);
        life.is_some_and(|life| life.gaps.range(since..).next().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_member_left_after_its_last_answer() {
        let mut expiry = Expiry::default();
        expiry.wall(1, 0);
        assert!(!expiry.is_on());
        expiry.after(10_000);
        expiry.wall(2, 50_000);
        expiry.wall(3, 0);
        // It asked when the clock showed 0 or more.
        expiry.lives("g", 4, 5, "m", 1);
        expiry.wall(6, 8_999);
        assert!(!expiry.may_have_come("g", 0));
        expiry.wall(7, 9_000);
        assert!(expiry.may_have_come("g", 0), "the clock may be a second on");
        assert!(!expiry.may_have_come("g", 8));
        assert!(!expiry.may_have_come("another", 0));
        // Another member says nothing of the time before; the same one was there.
        expiry.lives("g", 8, 9, "n", 2);
        assert!(expiry.may_have_come("g", 0));
        expiry.lives("g", 10, 11, "m", 1);
        assert!(!expiry.may_have_come("g", 0));
    }
}

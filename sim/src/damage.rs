//! What of the broker's data was really damaged so far, and what an oracle may therefore forgive.
//!
//! A scenario that lets damage happen forgives nothing by that alone: oracles are as strict as ever until
//! the world's own record ([`world::HarmLog`]) says that bytes of a partition's files were harmed, and
//! then they are lenient for that partition only. Two degrees:
//!
//! * [`Marks::any`]: a broken range may be reported, a partition may be offline, a start that only a side
//!   file knew may be forgotten. Nothing may be left out in silence.
//! * [`Marks::hides`]: a write went elsewhere, is not seen for a while, or was turned to garbage. With one
//!   copy nobody can tell such a write from one that never was, so the end of the log may be gone unseen,
//!   and its offsets be given out again.
//!
//! Damage to what only repeats what the log says ([`DERIVED`]) excuses nothing: it is to be noticed, and made
//! anew from the records.

use std::collections::BTreeMap;

use world::{Harm, HarmKind, HarmLog};

/// The files that are made from the records, by how their names end.
pub const DERIVED: [&str; 4] = [".index", ".timeindex", ".txnindex", ".snapshot"];

/// What befell some files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Something.
    pub any: bool,
    /// Something that may hide the end of a log.
    pub hides: bool,
}

impl Marks {
    fn add(&mut self, kind: HarmKind) {
        self.any = true;
        self.hides |= match kind {
            HarmKind::MisdirectedAway
            | HarmKind::MisdirectedHere
            | HarmKind::StaleRead
            | HarmKind::TailGarbage => true,
            HarmKind::BitRot
            | HarmKind::LatentSector
            | HarmKind::Unreadable
            | HarmKind::Swapped => false,
        };
    }

    fn or(self, other: Marks) -> Marks {
        Marks {
            any: self.any || other.any,
            hides: self.hides || other.hides,
        }
    }
}

/// Where damage was done. Directories of partitions are called after them, as in Kafka.
#[derive(Debug, Default)]
pub struct Damage {
    log: Option<HarmLog>,
    heard: usize,
    /// Files of the directory itself: everything depends on them.
    whole: Marks,
    metadata: Marks,
    offsets: Marks,
    others: BTreeMap<String, Marks>,
}

impl Damage {
    /// Follows what is done to a disk.
    pub fn follow(&mut self, log: HarmLog) {
        (self.log, self.heard) = (Some(log), 0);
    }

    /// Hears what has been done since it last did. To be called before each judgement.
    pub fn refresh(&mut self) {
        let Some(log) = &self.log else { return };
        let fresh = log.after(self.heard);
        self.heard += fresh.len();
        for harm in fresh {
            self.note(&harm);
        }
    }

    fn note(&mut self, harm: &Harm) {
        // A disk that was away comes back as it was.
        if harm.kind == HarmKind::Swapped {
            return;
        }
        if DERIVED.iter().any(|end| harm.path.ends_with(end)) {
            return;
        }
        let mut names = harm.path.split('/').filter(|name| !name.is_empty());
        let marks = match (names.next(), names.next(), names.next()) {
            (_, Some(dir), Some(_)) if dir.starts_with("__cluster_metadata-") => &mut self.metadata,
            (_, Some(dir), Some(_)) if dir.starts_with("__consumer_offsets-") => &mut self.offsets,
            (_, Some(dir), Some(_)) => self.others.entry(dir.to_owned()).or_default(),
            // A file that has no name any more: nobody will open it again.
            (None, _, _) => return,
            _ => &mut self.whole,
        };
        marks.add(harm.kind);
    }

    /// What befell a partition of a topic.
    #[must_use]
    pub fn of(&self, topic: &str, partition: i32) -> Marks {
        let dir = format!("{topic}-{partition}");
        let own = self.others.get(&dir).copied().unwrap_or_default();
        own.or(self.whole)
    }

    /// What befell any partition of a topic.
    #[must_use]
    pub fn of_topic(&self, topic: &str) -> Marks {
        let dirs = self.others.iter().filter(|(dir, _)| {
            let name = dir.rsplit_once('-').map(|(name, _)| name);
            name == Some(topic)
        });
        dirs.fold(self.whole, |all, (_, marks)| all.or(*marks))
    }

    /// What befell the files of the directory itself.
    #[must_use]
    pub fn of_whole(&self) -> Marks {
        self.whole
    }

    /// What befell the metadata log.
    #[must_use]
    pub fn of_metadata(&self) -> Marks {
        self.metadata.or(self.whole)
    }

    /// What befell the groups' own topic.
    #[must_use]
    pub fn of_groups(&self) -> Marks {
        self.offsets.or(self.whole)
    }

    /// What befell anything.
    #[must_use]
    pub fn of_all(&self) -> Marks {
        let others = self.others.values();
        others.fold(self.of_metadata().or(self.of_groups()), |all, marks| {
            all.or(*marks)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_counts_where_it_was_done() {
        let mut damage = Damage::default();
        assert_eq!(damage.of_all(), Marks::default());
        let mut note = |path: &str, kind| {
            damage.note(&Harm {
                path: path.to_owned(),
                offset: 0,
                len: 1,
                kind,
            });
            [
                damage.of("load-0", 1),
                damage.of("load-0", 0),
                damage.of_topic("load-0"),
                damage.of_metadata(),
                damage.of_groups(),
            ]
            .map(|marks| (marks.any, marks.hides))
        };
        let (none, some, hides) = ((false, false), (true, false), (true, true));
        assert_eq!(note("", HarmKind::BitRot), [none; 5]);
        assert_eq!(note("/", HarmKind::Swapped), [none; 5]);
        for end in DERIVED {
            for kind in [
                HarmKind::BitRot,
                HarmKind::StaleRead,
                HarmKind::MisdirectedHere,
            ] {
                let path = format!("/data/load-0-1/00000000000000000000{end}");
                assert_eq!(note(&path, kind), [none; 5], "{path}");
            }
        }
        assert_eq!(
            note("/data/load-0-1/00000000000000000000.log", HarmKind::BitRot),
            [some, none, some, none, none]
        );
        assert_eq!(
            note("/data/load-0-1/durable-claims", HarmKind::StaleRead),
            [hides, none, hides, none, none]
        );
        assert_eq!(
            note("/data/__consumer_offsets-2/log-state", HarmKind::Unreadable),
            [hides, none, hides, none, some]
        );
        assert_eq!(
            note("/data/__cluster_metadata-0/quorum-state", HarmKind::BitRot),
            [hides, none, hides, some, some]
        );
        assert_eq!(
            note("/data/meta.properties", HarmKind::BitRot),
            [hides, some, hides, some, some]
        );
    }
}

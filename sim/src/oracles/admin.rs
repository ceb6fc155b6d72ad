//! Topics and their settings: what an admin was told is so stays so.

use std::collections::BTreeMap;

use types::Uuid;

use super::Judge;

/// What may be true of something, as far as answers tell. Each admin works on topics of its own, one call
/// after the other; a call without an answer leaves both.
#[derive(Clone, Debug, Default)]
struct Expected {
    /// Whether it may be there, and whether it may not.
    there: bool,
    absent: bool,
    id: Option<Uuid>,
    partitions: Vec<usize>,
    settings: BTreeMap<String, Vec<String>>,
}

/// What was found of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: Uuid,
    /// Its partitions.
    pub partitions: usize,
    /// Its settings, as far as they were asked for.
    pub settings: BTreeMap<String, String>,
}

/// All topics that admins work on.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    topics: BTreeMap<String, Expected>,
}

impl Topics {
    /// A topic is about to be created.
    pub fn creating(&mut self, name: &str, partitions: usize) {
        let topic = self.topics.entry(name.to_owned()).or_insert(Expected {
            absent: true,
            ..Expected::default()
        });
        topic.there = true;
        topic.partitions = vec![partitions];
        topic.settings.clear();
        topic.id = None;
    }

    /// It was created.
    pub fn created(&mut self, name: &str, id: Option<Uuid>) {
        let topic = self.topics.get_mut(name).expect("asked for");
        topic.absent = false;
        topic.id = id.filter(|id| !id.is_zero());
    }

    /// A topic is about to be deleted.
    pub fn deleting(&mut self, name: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.absent = true;
        }
    }

    /// It was deleted.
    pub fn deleted(&mut self, name: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            (topic.there, topic.absent) = (false, true);
        }
    }

    /// Partitions are about to be added.
    pub fn growing(&mut self, name: &str, to: usize) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.partitions.push(to);
        }
    }

    /// They were added.
    pub fn grown(&mut self, name: &str, to: usize) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.partitions = vec![to];
        }
    }

    /// A setting is about to be changed; without ever having been, it has its default.
    pub fn setting(&mut self, name: &str, key: &str, value: &str, default: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            let values = topic.settings.entry(key.to_owned()).or_default();
            if values.is_empty() {
                values.push(default.to_owned());
            }
            values.push(value.to_owned());
        }
    }

    /// It was changed.
    pub fn set(&mut self, name: &str, key: &str, value: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            let values = vec![value.to_owned()];
            topic.settings.insert(key.to_owned(), values);
        }
    }

    /// Whether a topic may be there.
    #[must_use]
    pub fn may_be_there(&self) -> Vec<String> {
        let there = self.topics.iter().filter(|(_, topic)| topic.there);
        there.map(|(name, _)| name.clone()).collect()
    }

    /// The ids of topics that are deleted for certain.
    #[must_use]
    pub fn deleted_ids(&self) -> Vec<Uuid> {
        let gone = self.topics.values().filter(|topic| !topic.there);
        gone.filter_map(|topic| topic.id).collect()
    }

    /// Judges what is there when nothing is under way.
    pub fn finish(&self, found: &BTreeMap<String, Found>, judge: &mut Judge) {
        for (name, expected) in &self.topics {
            let Some(found) = found.get(name) else {
                judge.check("C6", expected.absent, || {
                    format!("topic {name} was created and is gone")
                });
                continue;
            };
            judge.check("C6", expected.there, || {
                format!("topic {name} was deleted and is there")
            });
            judge.check("C6", expected.id.is_none_or(|id| id == found.id), || {
                format!("topic {name} has another id than it was given")
            });
            let partitions = &expected.partitions;
            judge.check("C6", partitions.contains(&found.partitions), || {
                format!(
                    "topic {name} has {} partitions, not {partitions:?}",
                    found.partitions
                )
            });
            for (key, values) in &expected.settings {
                let value = found.settings.get(key);
                judge.check(
                    "C6",
                    value.is_none_or(|value| values.contains(value)),
                    || format!("topic {name} has {key} = {value:?}, not one of {values:?}"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(topics: &Topics, found: Option<(usize, &str)>) -> Option<&'static str> {
        let mut judge = Judge::default();
        let mut all = BTreeMap::new();
        if let Some((partitions, value)) = found {
            let settings = BTreeMap::from([("k".to_owned(), value.to_owned())]);
            let topic = Found {
                id: Uuid([1; 16]),
                partitions,
                settings,
            };
            all.insert("a".to_owned(), topic);
        }
        topics.finish(&all, &mut judge);
        judge.violation.map(|violation| violation.invariant)
    }

    #[test]
    fn what_was_confirmed_stays() {
        let mut topics = Topics::default();
        topics.creating("a", 2);
        assert_eq!(verdict(&topics, None), None);
        assert_eq!(verdict(&topics, Some((2, "1"))), None);
        topics.created("a", Some(Uuid([1; 16])));
        assert_eq!(verdict(&topics, None), Some("C6"));
        assert_eq!(verdict(&topics, Some((3, "1"))), Some("C6"));
        topics.growing("a", 3);
        assert_eq!(verdict(&topics, Some((3, "1"))), None);
        topics.grown("a", 3);
        assert_eq!(verdict(&topics, Some((2, "1"))), Some("C6"));
        topics.setting("a", "k", "1", "0");
        assert_eq!(verdict(&topics, Some((3, "0"))), None);
        assert_eq!(verdict(&topics, Some((3, "1"))), None);
        topics.set("a", "k", "1");
        assert_eq!(verdict(&topics, Some((3, "1"))), None);
        assert_eq!(verdict(&topics, Some((3, "2"))), Some("C6"));
        topics.deleting("a");
        assert_eq!(verdict(&topics, None), None);
        topics.deleted("a");
        assert_eq!(verdict(&topics, Some((3, "1"))), Some("C6"));
    }

    #[test]
    fn another_topic_of_the_same_name_is_another() {
        let mut topics = Topics::default();
        topics.creating("a", 2);
        topics.created("a", Some(Uuid([2; 16])));
        assert_eq!(verdict(&topics, Some((2, "1"))), Some("C6"));
    }
}

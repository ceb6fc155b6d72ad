//! What a request names again and again.
//!
//! An answer may be much larger than its question. Kafka answers most of what is named twice twice, and clients
//! may count on it; but a request of a few bytes a question, all of them the same, would be answered with
//! gigabytes. So a third time is passed over.

use std::collections::BTreeMap;

/// Names, and whether they came twice.
pub(crate) struct Repeats<K>(BTreeMap<K, bool>);

impl<K: Ord> Repeats<K> {
    /// Nothing was named.
    pub fn new() -> Repeats<K> {
        Repeats(BTreeMap::new())
    }

    /// Whether `name` is to be answered: it has not been twice.
    pub fn admit(&mut self, name: K) -> bool {
        match self.0.get_mut(&name) {
            None => {
                self.0.insert(name, false);
                true
            }
            Some(is_twice) => !std::mem::replace(is_twice, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_and_no_more() {
        let mut repeats = Repeats::new();
        let named = ["a", "b", "a", "a", "b", "c", "b", "a"];
        let answered: Vec<_> = named.into_iter().filter(|it| repeats.admit(*it)).collect();
        assert_eq!(answered, ["a", "b", "a", "b", "c"]);
    }
}

//! Did you mean?

use super::{Scope, keys};

/// The key whose name is nearest to a misspelt one, if any is near.
#[must_use]
pub fn suggest(scope: Scope, name: &str) -> Option<&'static str> {
    let far = 2 + name.len() / 8;
    (keys(scope).iter())
        .filter_map(|key| Some((distance(key.name, name)?, key.name)))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, name)| name)
}

/// The longest name that is compared. One of any length comes in with requests, and comparing it is work for
/// nothing.
const LONGEST: usize = 100;

/// How many bytes of `known` must be inserted, removed or replaced to make `asked` of it (Levenshtein). Nothing
/// if `asked` is longer than any name.
#[must_use]
pub fn distance(known: &str, asked: &str) -> Option<usize> {
    let (a, b) = (known.as_bytes(), asked.as_bytes());
    if b.len() > LONGEST {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        assert_eq!(suggest(Scope::Topic, "retention.sm"), Some("retention.ms"));
        assert_eq!(
            suggest(Scope::Broker, "log.retention.hour"),
            Some("log.retention.hours")
        );
        assert_eq!(
            suggest(Scope::Broker, "advertised.listener"),
            Some("advertised.listeners")
        );
        assert_eq!(suggest(Scope::Topic, "something.else.entirely"), None);
        assert_eq!(suggest(Scope::Topic, &"retention.ms".repeat(10)), None);
        assert_eq!(distance("kitten", "sitting"), Some(3));
    }
}
